//! `…/{id}/acl` of secrets and containers: the users who may read them besides their project.

use http::StatusCode;
use model::{Acl, AclChange, Guarded, Text};
use vault::Action;

use crate::problem::Problem;
use crate::python::Value;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::schema::bodies::ACL;
use crate::schema::{self, mismatch};
use crate::write::{Object, list, quoted};

/// The name of the schema in error texts.
const SCHEMA: &str = "ACL";

/// `GET …/acl`
pub(crate) async fn read(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    let acl = request.or_problem(request.vault.acl(request.call, of).await)?;
    Ok(Reply::json(StatusCode::OK, Object::new().json("read", write(acl.as_ref())).end()))
}

fn write(acl: Option<&Acl>) -> String {
    let mut object = Object::new();
    object.json("project-access", acl.is_none_or(|acl| acl.project_access));
    if let Some(acl) = acl {
        object.json("users", list(acl.users.iter().map(|user| quoted(user.as_str()))));
        object.plain("created", acl.created).plain("updated", acl.updated);
    }
    object.end()
}

/// `PUT …/acl`: a member that is left out gets its default.
pub(crate) async fn replace(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    change(request, of, |AclBody { project_access, users, is_empty }| match is_empty {
        true => AclChange::Remove,
        false => AclChange::Replace {
            project_access: project_access.unwrap_or(true),
            users: users.unwrap_or_default(),
        },
    })
    .await
}

/// `PATCH …/acl`: a member that is left out keeps its value.
pub(crate) async fn amend(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    change(request, of, |AclBody { project_access, users, .. }| AclChange::Amend { project_access, users })
        .await
}

/// `DELETE …/acl`
pub(crate) async fn remove(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    request.or_problem(request.vault.change_acl(request.call, of, AclChange::Remove).await)?;
    Ok(Reply::json(StatusCode::OK, "null".to_owned()))
}

/// The body of a `PUT` or `PATCH`.
#[derive(Debug)]
pub(crate) struct AclBody {
    project_access: Option<bool>,
    users: Option<Vec<Text>>,
    /// Nothing at all.
    is_empty: bool,
}

async fn change(
    request: &ApiRequest<'_>,
    of: Guarded,
    change: impl FnOnce(AclBody) -> AclChange,
) -> Result<Reply, Problem> {
    let action = match of {
        Guarded::Secret(_) => Action::ChangeAcl,
        Guarded::Container(_) => Action::ChangeContainerAcl,
    };
    let asked = request.or_refuse_of(action, of, request.json_body().and_then(parse)).await?;
    request.or_problem(request.vault.change_acl(request.call, of, change(asked)).await)?;
    let reference = format!("{}/acl", request.guarded_ref(of));
    Ok(Reply::json(StatusCode::OK, Object::new().text("acl_ref", &reference).end()))
}

pub(crate) fn parse(body: &[u8]) -> Result<AclBody, Problem> {
    let value = schema::read(body, &ACL, SCHEMA)?;
    let read = value.get("read");
    let project_access = match read.and_then(|read| read.get("project-access")) {
        Some(Value::Bool(access)) => Some(*access),
        _ => None,
    };
    let users = match read.and_then(|read| read.get("users")) {
        Some(Value::List(users)) => Some(users.iter().map(user).collect::<Result<Vec<_>, _>>()?),
        _ => None,
    };
    let is_empty = !matches!(read, Some(Value::Dict(items)) if !items.is_empty());
    Ok(AclBody { project_access, users, is_empty })
}

/// A user. Barbican takes a number for its digits, and fails on any other value that is no text.
fn user(value: &Value) -> Result<Text, Problem> {
    let wrong = |reason: &str| mismatch(SCHEMA, &format!("{} {reason}", value.repr()), "read");
    match value {
        Value::Text(user) => Text::try_from(user.as_str()).map_err(|_| wrong("is too long")),
        Value::Int(digits) => Text::try_from(&**digits).map_err(|_| wrong("is too long")),
        _ => Err(wrong("is not of type 'string'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expect: &str) {
        let found = parse(body.as_bytes()).map_or_else(
            |problem| problem.description.unwrap().into_owned(),
            |acl| {
                let users =
                    acl.users.map(|users| users.iter().map(Text::as_str).collect::<Vec<_>>().join("+"));
                format!("{:?} {users:?} {}", acl.project_access, acl.is_empty)
            },
        );
        assert!(found.contains(expect), "{body}: {found}");
    }

    #[test]
    fn bodies_say_who_may_read() {
        check("{}", "None None true");
        check(r#"{"read": {}}"#, "None None true");
        check(r#"{"read": {"users": []}}"#, r#"None Some("") false"#);
        check(
            r#"{"read": {"users": ["a", 1, " b "], "project-access": false}}"#,
            r#"Some(false) Some("a+1+b") false"#,
        );
        check(r#"{"read": {"users": [1]}}"#, "1 is not of type 'string'. Invalid property: 'read'");
        check(
            r#"{"read": {"users": ["a", null]}}"#,
            "None is not of type 'string'. Invalid property: 'read'",
        );
        check(r#"{"read": {"project-access": 1}}"#, "1 is not of type 'boolean'");
        check(r#"{"write": {}}"#, "Additional properties are not allowed ('write' was unexpected)");
        let long = format!(r#"{{"read": {{"users": ["a", "{}"]}}}}"#, "u".repeat(256));
        check(&long, "is too long");
        check("[", "Malformed JSON");
    }
}
