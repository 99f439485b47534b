//! Resources that come later: consumers, ACLs, containers, orders, quotas, transport keys.
//!
//! What can be said of them without having them is said as Barbican says it: who may not, what is not there, what is
//! badly typed, what a container may not hold. What remains is an honest 501.

use http::StatusCode;
use model::SecretId;
use vault::Action;

use crate::ask::Ask;
use crate::path::{NO_CHOICE_OF_STORES, Place};
use crate::problem::Problem;
use crate::python::{Value, parse_json};
use crate::routes::Verb;
use crate::schema::mismatch;
use crate::schemas::CONTAINER;
use crate::secrets::require_json;

/// The answer to any method of such a resource.
pub(crate) async fn answer(ask: &Ask<'_>, place: Place<'_>) -> Problem {
    let verb = ask.route.verb;
    match place {
        Place::SecretAcl(id) if verb == Verb::Get => about_secret(ask, id, Action::ReadAcl, false).await,
        Place::SecretAcl(id) if verb == Verb::Delete => about_secret(ask, id, Action::DeleteAcl, false).await,
        Place::SecretAcl(id) => about_secret(ask, id, Action::ChangeAcl, true).await,
        Place::SecretConsumers(id) => match verb {
            Verb::Post => about_secret(ask, id, Action::AddConsumer, true).await,
            Verb::Delete => about_secret(ask, id, Action::RemoveConsumer, true).await,
            _ => about_secret(ask, id, Action::ReadConsumers, false).await,
        },
        Place::SecretConsumer(id) => about_secret(ask, id, Action::ReadConsumer, false).await,
        Place::Containers if verb == Verb::Post => new_container(ask).await,
        Place::Orders if verb == Verb::Put => {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Order update is not supported.")
        }
        Place::Orders if verb == Verb::Post => {
            let problem = require_json(ask).err().unwrap_or_else(|| not_yet(ask));
            ask.refuse(Action::CreateSecret, None, problem).await
        }
        Place::SecretStores | Place::ChosenStore => Problem::not_found(NO_CHOICE_OF_STORES),
        _ => not_yet(ask),
    }
}

fn not_yet(ask: &Ask<'_>) -> Problem {
    let name = ask.route.name;
    Problem::new(StatusCode::NOT_IMPLEMENTED, format!("{name} is not implemented yet."))
}

/// For what belongs to a secret: 404 and 403 first, then 415.
async fn about_secret(ask: &Ask<'_>, id: SecretId, action: Action, has_body: bool) -> Problem {
    let badly_typed = if has_body { require_json(ask).err() } else { None };
    ask.refuse(action, Some(id), badly_typed.unwrap_or_else(|| not_yet(ask))).await
}

/// `POST /v1/containers`: everything that comes before storing it. Who may create secrets may create containers.
async fn new_container(ask: &Ask<'_>) -> Problem {
    let refs = match understand_container(ask) {
        Ok(refs) => refs,
        Err(problem) => return ask.refuse(Action::CreateSecret, None, problem).await,
    };
    for secret in &refs {
        if let Err(problem) = require_secret(ask, secret).await {
            return problem;
        }
    }
    ask.refuse(Action::CreateSecret, None, not_yet(ask)).await
}

/// One secret that a container is to hold.
#[derive(Debug)]
struct SecretRef {
    name: Option<String>,
    /// The last part of the reference, which may be no id at all.
    id: String,
}

fn understand_container(ask: &Ask<'_>) -> Result<Vec<SecretRef>, Problem> {
    require_json(ask)?;
    let text = std::str::from_utf8(ask.body).map_err(|_| Problem::malformed_json())?;
    let mut value = parse_json(text).map_err(|_| Problem::malformed_json())?;
    value.strip();
    CONTAINER.check(&value).map_err(|found| found.problem("Container"))?;
    secret_refs(&value, &ask.origin.url())
}

fn wrong(reason: &str) -> Problem {
    mismatch("Container", reason, "secret_refs")
}

fn secret_refs(value: &Value, origin: &str) -> Result<Vec<SecretRef>, Problem> {
    let Some(Value::List(items)) = value.get("secret_refs") else { return Ok(Vec::new()) };
    let text = |item: &Value, key| item.get(key).and_then(Value::as_text).map(str::to_owned);
    let refs: Vec<_> = items
        .iter()
        .map(|item| {
            let reference = text(item, "secret_ref").unwrap_or_default();
            let id = reference.strip_suffix('/').unwrap_or(&reference).rsplit('/').next().unwrap_or_default();
            SecretRef { name: text(item, "name"), id: id.to_owned() }
        })
        .collect();
    let named: Vec<_> = refs.iter().map(|one| one.name.as_deref().unwrap_or_default()).collect();
    if has_duplicates(named.iter()) {
        return Err(wrong("Duplicate reference names are not allowed"));
    }
    if has_duplicates(refs.iter().map(|one| &one.id)) {
        return Err(wrong("Duplicate secret ids are not allowed"));
    }
    let is_ours =
        |item: &Value| text(item, "secret_ref").is_some_and(|reference| reference.starts_with(origin));
    if !items.iter().all(is_ours) {
        return Err(Problem::bad_request("Provided field value is not supported"));
    }
    if !refs.is_empty() {
        check_names(value.get("type").and_then(Value::as_text), &named)?;
    }
    Ok(refs)
}

fn has_duplicates<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut items: Vec<_> = items.collect();
    items.sort_unstable();
    items.iter().zip(items.iter().skip(1)).any(|(one, next)| one == next)
}

/// Which names the secrets of a container of some type must and may have.
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

/// A secret that the caller cannot see is not there.
async fn require_secret(ask: &Ask<'_>, secret: &SecretRef) -> Result<(), Problem> {
    let found = match secret.id.parse() {
        Ok(id) => ask.vault.refuse(ask.call, Action::ReadSecret, Some(id)).await.is_ok(),
        Err(_) => false,
    };
    let name = secret.name.as_deref().unwrap_or("None");
    if found {
        Ok(())
    } else {
        Err(Problem::not_found(format!("Secret provided for '{name}' doesn't exist.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let found = secret_refs(&parse_json(text).unwrap(), "http://h").map_or_else(
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
