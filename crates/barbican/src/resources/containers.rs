//! `/v1/containers`, `/v1/containers/{id}` and `/v1/containers/{id}/secrets`: secrets that belong together.

use std::collections::HashSet;

use http::StatusCode;
use model::{ContainerId, ContainerQuery, ContainerSecret, ContainerType, Guarded, Pattern, SecretId, Text};
use vault::{Absent, Action, ContainerView, Error, NewContainer, Slice};

use crate::parameters::parse_any_id;
use crate::problem::Problem;
use crate::python::Value;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::list;
use crate::resources::secrets::write_consumers;
use crate::schema::bodies::{CONTAINER, CONTAINER_SECRET};
use crate::schema::{self, mismatch};
use crate::write::{Object, list as write_list};

/// The name of the schema in error texts.
const SCHEMA: &str = "Container";

/// `GET /v1/containers`
pub(crate) async fn read_all(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let query = request.or_refuse(Action::ListContainers, None, understand_query(request)).await?;
    let slice = Slice { offset: query.offset, limit: query.limit };
    let found = request.or_problem(request.vault.list_containers(request.call, &query).await)?;
    Ok(list::page("containers", &request.url("containers"), &found, slice, |view| write(request, view)))
}

fn understand_query(request: &ApiRequest<'_>) -> Result<ContainerQuery, Problem> {
    let Slice { offset, limit } = list::slice(request.query)?;
    Ok(ContainerQuery {
        project: request.call.caller.project.clone(),
        name: request.query.filled("name")?.map(Pattern::new),
        container_type: request.query.filled("type")?.map(ContainerType::parse),
        offset,
        limit,
    })
}

/// `GET /v1/containers/{id}`
pub(crate) async fn read(request: &ApiRequest<'_>, id: ContainerId) -> Result<Reply, Problem> {
    let view = request.or_problem(request.vault.container(request.call, id).await)?;
    Ok(Reply::json(StatusCode::OK, write(request, &view)))
}

/// A container with all that is in it.
pub(crate) fn write(request: &ApiRequest<'_>, view: &ContainerView) -> String {
    let ContainerView { container, secrets, consumers } = view;
    let secret = |part: &ContainerSecret| {
        let name = part.name.as_ref().map(Text::as_str);
        let reference = request.secret_ref(part.secret);
        Object::new().optional_text("name", name).text("secret_ref", &reference).end()
    };
    let mut object = Object::new();
    object.plain("created", container.created).plain("updated", container.updated);
    object.text("status", "ACTIVE");
    object.optional_text("name", container.name.as_ref().map(Text::as_str));
    object.text("type", container.container_type.as_str());
    object.optional_text("creator_id", container.creator.as_ref().map(|creator| creator.as_str()));
    object.json("secret_refs", write_list(secrets.iter().map(secret)));
    object.json("consumers", write_consumers(consumers));
    object.text("container_ref", &request.container_ref(container.id)).end()
}

/// `DELETE /v1/containers/{id}`
pub(crate) async fn delete(request: &ApiRequest<'_>, id: ContainerId) -> Result<Reply, Problem> {
    request.or_problem(request.vault.delete_container(request.call, id).await)?;
    Ok(Reply::no_content())
}

/// `POST /v1/containers`
pub(crate) async fn create(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let leads_here = |reference: &str| request.origin.leads_here(reference);
    let understood = request.json_body().and_then(|body| parse(body, leads_here));
    let new = request.or_refuse(Action::CreateContainer, None, understood).await?;
    let secrets = new.secrets.clone();
    let id = request.vault.create_container(request.call, new).await.map_err(|error| match error {
        Error::Absent(Absent::Reference(id)) => no_such_reference(&secrets, id),
        error => request.failed(&error),
    })?;
    Ok(created(request, id))
}

/// A secret that the caller cannot see counts as absent.
fn no_such_reference(secrets: &[ContainerSecret], id: SecretId) -> Problem {
    let name = secrets.iter().find(|part| part.secret == id).and_then(|part| part.name.as_ref());
    let name = name.map_or("None", Text::as_str);
    Problem::not_found(format!("Secret provided for '{name}' doesn't exist."))
}

fn created(request: &ApiRequest<'_>, id: ContainerId) -> Reply {
    Reply::reference(StatusCode::CREATED, "container_ref", &request.container_ref(id))
}

pub(crate) fn parse(body: &[u8], leads_here: impl Fn(&str) -> bool) -> Result<NewContainer, Problem> {
    let value = schema::read(body, &CONTAINER, SCHEMA)?;
    let too_long = |key| move |error: model::TextTooLong| mismatch(SCHEMA, &error.to_string(), key);
    let short = |text: &str, key| Text::try_from(text).map_err(too_long(key));
    let container_type = value.text_at("type").and_then(ContainerType::parse);
    let name = value.text_at("name").map(|name| short(name, "name")).transpose()?;
    let secrets = secret_refs(&value, leads_here)?
        .into_iter()
        .map(|one| {
            let name = one.name.map(|name| short(name, "secret_refs")).transpose()?;
            Ok(ContainerSecret { name, secret: id_of(one.id) })
        })
        .collect::<Result<_, Problem>>()?;
    Ok(NewContainer { name, container_type: container_type.unwrap_or(ContainerType::Generic), secrets })
}

/// The secret that the last step of a reference names. A step that is no id names no secret.
fn id_of(text: &str) -> SecretId {
    parse_any_id(text).unwrap_or(SecretId::NIL)
}

fn last_step(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

/// One secret that a container is to hold.
#[derive(Debug)]
struct SecretRef<'v> {
    name: Option<&'v str>,
    /// The last step of the reference, which may be no id at all.
    id: &'v str,
}

fn wrong(reason: &str) -> Problem {
    mismatch(SCHEMA, reason, "secret_refs")
}

fn secret_refs(value: &Value, leads_here: impl Fn(&str) -> bool) -> Result<Vec<SecretRef<'_>>, Problem> {
    let Some(Value::List(items)) = value.get("secret_refs") else { return Ok(Vec::new()) };
    let secret_ref = |item| {
        let reference = Value::text_at(item, "secret_ref").unwrap_or_default();
        let id = last_step(reference.strip_suffix('/').unwrap_or(reference));
        SecretRef { name: item.text_at("name"), id }
    };
    let refs: Vec<_> = items.iter().map(secret_ref).collect();
    let named: Vec<_> = refs.iter().map(|one| one.name.unwrap_or_default()).collect();
    if has_duplicates(named.iter().copied()) {
        return Err(wrong("Duplicate reference names are not allowed"));
    }
    if has_duplicates(refs.iter().map(|one| one.id)) {
        return Err(wrong("Duplicate secret ids are not allowed"));
    }
    let is_ours = |item: &Value| item.text_at("secret_ref").is_some_and(&leads_here);
    if !items.iter().all(is_ours) {
        return Err(Problem::bad_request("Provided field value is not supported"));
    }
    if !refs.is_empty() {
        check_names(value.text_at("type"), &named)?;
    }
    Ok(refs)
}

fn has_duplicates<'v>(mut items: impl Iterator<Item = &'v str>) -> bool {
    let mut seen = HashSet::new();
    !items.all(|item| seen.insert(item))
}

/// The names that the secrets of a container of a type must and may have.
fn check_names(container_type: Option<&str>, names: &[&str]) -> Result<(), Problem> {
    let (allowed, required, not_allowed, missing): (&[&str], &[&str], _, _) = match container_type {
        Some("rsa") => (
            &["public_key", "private_key", "private_key_passphrase"],
            &["public_key", "private_key"],
            "only 'private_key', 'public_key' and 'private_key_passphrase' reference names are allowed for RSA type",
            "The minimum required reference names are 'public_key' and'private_key' for RSA type",
        ),
        Some("certificate") => (
            &["certificate", "private_key", "private_key_passphrase", "intermediates"],
            &["certificate"],
            "only 'private_key', 'certificate' , 'private_key_passphrase',  or 'intermediates' reference names are \
             allowed for Certificate type",
            "The minimum required reference name is 'certificate' for Certificate type",
        ),
        _ => return Ok(()),
    };
    if !names.iter().all(|name| allowed.contains(name)) {
        return Err(wrong(not_allowed));
    }
    if !required.iter().all(|name| names.contains(name)) {
        return Err(wrong(missing));
    }
    Ok(())
}

/// `POST /v1/containers/{id}/secrets`
pub(crate) async fn add_secret(request: &ApiRequest<'_>, id: ContainerId) -> Result<Reply, Problem> {
    let (action, understood) = (Action::AddContainerSecret, request.json_body().and_then(parse_part));
    let (part, _) = request.or_refuse_of(action, Guarded::Container(id), understood).await?;
    request.or_problem(request.vault.add_container_secret(request.call, id, part).await)?;
    Ok(created(request, id))
}

/// `DELETE /v1/containers/{id}/secrets`. The content type of the body does not matter.
pub(crate) async fn remove_secret(request: &ApiRequest<'_>, id: ContainerId) -> Result<Reply, Problem> {
    let action = Action::RemoveContainerSecret;
    let (part, reference) =
        request.or_refuse_of(action, Guarded::Container(id), parse_part(request.body)).await?;
    let name = part.name.as_ref().map_or("None", Text::as_str).to_owned();
    request.vault.remove_container_secret(request.call, id, part).await.map_err(|error| match error {
        Error::Absent(Absent::Reference(_)) => {
            Problem::not_found(format!("Secret '{name}' with reference '{reference}' doesn't exist."))
        }
        error => request.failed(&error),
    })?;
    Ok(Reply::no_content())
}

pub(crate) fn parse_part(body: &[u8]) -> Result<(ContainerSecret, String), Problem> {
    const SCHEMA: &str = "ContainerSecret";
    let value = schema::read(body, &CONTAINER_SECRET, SCHEMA)?;
    let name = value.text_at("name").map(Text::try_from).transpose();
    let name = name.map_err(|error| mismatch(SCHEMA, &error.to_string(), "name"))?;
    let reference = value.text_at("secret_ref").unwrap_or_default();
    Ok((ContainerSecret { name, secret: id_of(last_step(reference)) }, reference.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let found = secret_refs(&crate::python::parse_json(text).unwrap(), |one| one.starts_with("http://h"))
            .map_or_else(
                |problem| problem.description.unwrap().into_owned(),
                |refs| refs.into_iter().map(|one| one.id).collect::<Vec<_>>().join(" "),
            );
        assert!(found.contains(expect), "{text}: {found}");
    }

    #[test]
    fn references_are_checked() {
        let refs = |kind: &str, refs: &[(&str, &str)]| {
            let refs: Vec<_> =
                refs.iter().map(|(n, r)| format!(r#"{{"name": "{n}", "secret_ref": "{r}"}}"#)).collect();
            format!(r#"{{"type": "{kind}", "secret_refs": [{}]}}"#, refs.join(", "))
        };
        check(&refs("generic", &[("a", "http://h/v1/secrets/1/"), ("b", "http://h/x/2")]), "1 2");
        check(&refs("generic", &[("a", "http://h/1"), ("a", "http://h/2")]), "Duplicate reference names");
        check(&refs("generic", &[("a", "http://h/1"), ("b", "http://h/1")]), "Duplicate secret ids");
        check(&refs("generic", &[("a", "http://evil/1")]), "Provided field value is not supported");
        check(&refs("rsa", &[("public_key", "http://h/1")]), "The minimum required reference names");
        check(&refs("rsa", &[("foo", "http://h/1")]), "only 'private_key', 'public_key'");
        check(&refs("certificate", &[("certificate", "http://h/1")]), "1");
        check(r#"{"type": "rsa"}"#, "");
    }
}
