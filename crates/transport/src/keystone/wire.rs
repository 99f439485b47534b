//! Requests to Keystone and its answers, in its JSON. Bytes in, values out.
//!
//! | | |
//! |---|---|
//! | `POST /v3/auth/tokens` | the service's credentials; the answer's `X-Subject-Token` is its own token |
//! | `GET /v3/auth/tokens?nocatalog` | the owner of `X-Subject-Token`: 200, or 404 for an unknown token |
//!
//! <https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management>

use std::collections::BTreeMap;

use model::{Caller, ProjectId, Role, Roles, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::settings::{Credentials, Domain, Named};
use crate::dates;
use crate::identity::ROLE_CHARS_MAX;

/// The most roles of one token. A user has a handful in a project; the rest is room for a deployment's own.
pub(super) const ROLES_MAX: usize = 256;

/// Not an answer of Keystone's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the answer is not one of Keystone's v3 API")]
pub(crate) struct NotUnderstood;

/// A token as Keystone describes it.
#[derive(Debug)]
pub(crate) struct Token {
    /// The owner, acting in a project. None for a token without a project (for a domain, the system, or nothing), and for
    /// a bound token.
    pub(crate) caller: Option<Caller>,
    /// Its roles.
    pub(crate) roles: Roles,
    /// When it ends.
    pub(crate) expires: Timestamp,
}

// Requests.

/// An object with one member.
type Member<T> = BTreeMap<&'static str, T>;

#[derive(Serialize)]
struct Authentication<'c> {
    identity: Identity<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Member<Entity<'c>>>,
}

#[derive(Serialize)]
struct Identity<'c> {
    methods: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Member<Entity<'c>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<Application<'c>>,
}

#[derive(Serialize)]
struct Application<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Entity<'c>>,
    secret: &'c str,
}

/// A user or a project.
#[derive(Serialize)]
struct Entity<'c> {
    #[serde(flatten)]
    name: Name<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Name<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'c str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Name<'c> {
    Id(&'c str),
    Name(&'c str),
}

impl<'c> From<&'c Named> for Entity<'c> {
    fn from(named: &'c Named) -> Self {
        let (name, domain) = match named {
            Named::Id(id) => (Name::Id(id), None),
            Named::Name(name, domain) => (Name::Name(name), Some(domain)),
        };
        let domain = domain.map(|domain| match domain {
            Domain::Id(id) => Name::Id(id),
            Domain::Name(name) => Name::Name(name),
        });
        Self { name, domain, password: None }
    }
}

/// The body that asks for the service's own token.
pub(super) fn authentication(credentials: &Credentials, secret: &str) -> Zeroizing<Vec<u8>> {
    let application = |id, name, user| Identity {
        methods: ["application_credential"],
        password: None,
        application_credential: Some(Application { id, name, user, secret }),
    };
    let (identity, scope) = match credentials {
        Credentials::Password { user, project, .. } => {
            let user = Entity { password: Some(secret), ..user.into() };
            let password = Some(Member::from([("user", user)]));
            let identity = Identity { methods: ["password"], password, application_credential: None };
            (identity, Some(Member::from([("project", project.into())])))
        }
        Credentials::Application { id, .. } => (application(Some(id.as_str()), None, None), None),
        Credentials::NamedApplication { name, user, .. } => {
            (application(None, Some(name.as_str()), Some(user.into())), None)
        }
    };
    // Room for all of it, every byte escaped, so that no copy is left behind in a smaller buffer.
    let mut body = Zeroizing::new(Vec::with_capacity(6 * secret.len() + 16 * 1024));
    let request = Member::from([("auth", Authentication { identity, scope })]);
    let written = serde_json::to_writer(&mut *body, &request);
    debug_assert!(written.is_ok(), "texts are JSON, and a Vec takes anything");
    body
}

// Answers.

#[derive(Deserialize)]
struct TokenAnswer {
    token: TokenBody,
}

#[derive(Deserialize)]
struct TokenBody {
    expires_at: String,
    user: Id,
    project: Option<Id>,
    #[serde(default)]
    roles: Vec<RoleName>,
    /// The binding of the token to a user (Kerberos), as old Keystones made them.
    bind: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct RoleName {
    name: String,
}

/// The end of a token, in either answer.
pub(super) fn parse_expiry(body: &[u8]) -> Result<Timestamp, NotUnderstood> {
    let answer: TokenAnswer = serde_json::from_slice(body).map_err(|_| NotUnderstood)?;
    parse_moment(&answer.token.expires_at)
}

/// The token in an answer.
pub(super) fn parse_token(body: &[u8]) -> Result<Token, NotUnderstood> {
    let TokenBody { expires_at, user, project, roles, bind } =
        serde_json::from_slice::<TokenAnswer>(body).map_err(|_| NotUnderstood)?.token;
    let is_too_long = |role: &RoleName| role.name.chars().nth(ROLE_CHARS_MAX).is_some();
    if roles.len() > ROLES_MAX || roles.iter().any(is_too_long) {
        return Err(NotUnderstood); // A policy may allow more to a caller with fewer roles.
    }
    let roles: Roles = roles.iter().map(|role| Role::from(role.name.as_str())).collect();
    let user = UserId::try_from(user.id.as_str()).map_err(|_| NotUnderstood)?;
    let project = project.map(|project| ProjectId::try_from(project.id.as_str())).transpose();
    let is_bound = bind.is_some_and(|bind| !bind.is_empty()); // Whether its owner sent it is unknown here.
    let caller = project.map_err(|_| NotUnderstood)?.filter(|_| !is_bound).map(|project| Caller {
        project,
        user: Some(user),
        roles: roles.clone(),
    });
    Ok(Token { caller, roles, expires: parse_moment(&expires_at)? })
}

fn parse_moment(text: &str) -> Result<Timestamp, NotUnderstood> {
    dates::parse(text).and_then(dates::ParsedDate::utc).map_err(|_| NotUnderstood)
}

#[cfg(test)]
mod tests {
    use super::super::settings::ServiceSecret;
    use super::*;

    fn written(credentials: &Credentials) -> String {
        String::from_utf8(authentication(credentials, "hunter2").to_vec()).unwrap()
    }

    #[test]
    fn credentials_are_written_as_keystone_reads_them() {
        let secret = || ServiceSecret::File("/nowhere".into());
        let by_name = |name: &str| Named::Name(name.into(), Domain::Name("Default".into()));
        let password = Credentials::Password {
            user: by_name("barbican"),
            project: Named::Name("service".into(), Domain::Id("default".into())),
            password: secret(),
        };
        assert_eq!(
            written(&password),
            r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"barbican","domain":{"name":"Default"},"password":"hunter2"}}},"scope":{"project":{"name":"service","domain":{"id":"default"}}}}}"#
        );
        let password = Credentials::Password {
            user: Named::Id("u".into()),
            project: Named::Id("p".into()),
            password: secret(),
        };
        assert_eq!(
            written(&password),
            r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u","password":"hunter2"}}},"scope":{"project":{"id":"p"}}}}"#
        );
        assert_eq!(
            written(&Credentials::Application { id: "a".into(), secret: secret() }),
            r#"{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"a","secret":"hunter2"}}}}"#
        );
        let named =
            Credentials::NamedApplication { name: "n".into(), user: by_name("barbican"), secret: secret() };
        assert_eq!(
            written(&named),
            r#"{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"name":"n","user":{"name":"barbican","domain":{"name":"Default"}},"secret":"hunter2"}}}}"#
        );
    }

    /// From Keystone 30.0.0, shortened.
    const MEMBER: &str = r#"{"token": {"methods": ["password"], "user": {"domain": {"id": "default", "name": "Default"},
        "id": "34c1", "name": "n", "password_expires_at": null}, "audit_ids": ["PY"],
        "expires_at": "2026-11-24T22:06:40.000000Z", "issued_at": "2026-11-24T21:06:40.000000Z",
        "project": {"domain": {"id": "default", "name": "Default"}, "id": "2264", "name": "service"},
        "is_domain": false, "roles": [{"id": "7", "name": "service"}, {"id": "4", "name": "Admin"}]}}"#;

    fn read(body: &str) -> String {
        let Ok(token) = parse_token(body.as_bytes()) else { return "not understood".to_owned() };
        let who = token
            .caller
            .map_or("nobody".to_owned(), |caller| format!("{} in {}", caller.user.unwrap(), caller.project));
        let roles: Vec<_> = token.roles.iter().map(Role::as_str).collect();
        format!("{who} as {} until {}", roles.join("+"), token.expires.micros())
    }

    #[test]
    fn a_token_says_who_has_it() {
        assert_eq!(read(MEMBER), "34c1 in 2264 as service+admin until 1795558000000000");
        let unscoped =
            r#"{"token": {"user": {"id": "u"}, "expires_at": "2026-11-24T22:06:40.000000Z", "methods": []}}"#;
        assert_eq!(read(unscoped), "nobody as  until 1795558000000000");
        let bound = MEMBER.replace("\"is_domain\"", "\"bind\": {\"kerberos\": \"u\"}, \"is_domain\"");
        assert_eq!(read(&bound), "nobody as service+admin until 1795558000000000");
        let system = r#"{"token": {"user": {"id": "u"}, "expires_at": "2026-11-24T22:06:40Z", "system": {"all": true},
            "roles": [{"name": "admin"}]}}"#;
        assert_eq!(read(system), "nobody as admin until 1795558000000000");
    }

    #[test]
    fn a_malformed_answer_identifies_nobody() {
        for body in [
            "",
            "{}",
            "[]",
            "<html>",
            r#"{"token": {}}"#,
            r#"{"token": {"user": {"id": "u"}, "project": {"id": "p"}}}"#,
            r#"{"token": {"user": {"id": ""}, "project": {"id": "p"}, "expires_at": "2026-11-24T22:06:40Z"}}"#,
            r#"{"token": {"user": {"id": "u"}, "project": {"id": ""}, "expires_at": "2026-11-24T22:06:40Z"}}"#,
            r#"{"token": {"user": {"id": "u"}, "project": {"id": "p"}, "expires_at": "soon"}}"#,
            r#"{"token": {"user": {"id": "u"}, "project": {"id": 5}, "expires_at": "2026-11-24T22:06:40Z"}}"#,
        ] {
            assert_eq!(read(body), "not understood", "{body}");
        }
        let roles = |count| vec![r#"{"name": "r"}"#; count].join(",");
        let token = |roles: &str| {
            format!(
                r#"{{"token": {{"user": {{"id": "u"}}, "expires_at": "2026-11-24T22:06:40Z", "roles": [{roles}]}}}}"#
            )
        };
        assert!(parse_token(token(&roles(ROLES_MAX)).as_bytes()).is_ok());
        assert!(parse_token(token(&roles(ROLES_MAX + 1)).as_bytes()).is_err());
        assert!(parse_token(token(&format!(r#"{{"name": "{}"}}"#, "r".repeat(256))).as_bytes()).is_err());
    }
}
