//! The caller of a request by the headers of a trusted proxy, and the reasons why a caller is not known.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use model::{Caller, ProjectId, Role, Roles, UserId};

/// The most roles of one caller: a check of a permission may compare all of them. Barbican's policies name
/// five; the rest is room for a deployment's own.
pub const ROLES_MAX: usize = 64;
/// The longest name of a role: the width of Keystone's `role.name` column.
pub const ROLE_CHARS_MAX: usize = 255;

/// Why the caller is unknown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unidentified {
    /// No project was named.
    #[error("X-Project-Id is missing")]
    MissingProject,
    /// A header is there twice, from two proxies or from a proxy and its client, and neither may be preferred.
    #[error("{0} is there more than once")]
    Repeated(&'static str),
    /// The id of the project is too long.
    #[error("X-Project-Id is longer than {} characters", ProjectId::CHARS_MAX)]
    ProjectTooLong,
    /// The id of the user is too long.
    #[error("X-User-Id is longer than {} characters", UserId::CHARS_MAX)]
    UserTooLong,
    /// Too many roles.
    #[error("X-Roles names more than {ROLES_MAX} roles")]
    TooManyRoles,
    /// The name of a role is too long.
    #[error("X-Roles names a role longer than {ROLE_CHARS_MAX} characters")]
    RoleTooLong,
    /// The token is missing or not valid.
    #[error("there is no valid token")]
    Unauthenticated,
    /// A valid token, but for no project: for a domain, for the whole system, or for nothing.
    #[error("the token is for no project")]
    NoProject,
    /// Keystone could not be asked whether the token is valid.
    #[error("Keystone does not say whether the token is valid")]
    Unavailable,
}

// Static, so that looking one up parses no name.
static PROJECT: HeaderName = HeaderName::from_static("x-project-id");
static USER: HeaderName = HeaderName::from_static("x-user-id");
static ROLES: HeaderName = HeaderName::from_static("x-roles");

/// The roles of a caller who names none.
static ADMIN: [Role; 1] = [Role::ADMIN];

/// The caller by the headers `X-Project-Id`, `X-User-Id` and `X-Roles`.
pub(crate) fn by_headers(headers: &HeaderMap) -> Result<Caller, Unidentified> {
    let project = text(headers, &PROJECT)?.ok_or(Unidentified::MissingProject)?;
    let project = ProjectId::try_from(project.as_ref()).map_err(|_| Unidentified::ProjectTooLong)?;
    let user = text(headers, &USER)?.map(|user| UserId::try_from(user.as_ref())).transpose();
    let user = user.map_err(|_| Unidentified::UserTooLong)?;
    let roles = text(headers, &ROLES)?.map_or(Ok(Roles::Fixed(&ADMIN)), |text| parse_roles(&text))?;
    Ok(Caller { project, user, roles })
}

/// Comma-separated. Commas alone name no role, and mean the default.
fn parse_roles(text: &str) -> Result<Roles, Unidentified> {
    let mut roles = Vec::new();
    for name in text.split(',').filter(|name| !name.is_empty()) {
        let role = Role::from(name.trim());
        if role.as_str().chars().nth(ROLE_CHARS_MAX).is_some() {
            return Err(Unidentified::RoleTooLong);
        }
        if roles.len() == ROLES_MAX {
            return Err(Unidentified::TooManyRoles);
        }
        roles.push(role);
    }
    Ok(if roles.is_empty() { Roles::Fixed(&ADMIN) } else { roles.into_iter().collect() })
}

/// A header that is not empty, as UTF-8 or else as Latin-1, the encoding of older HTTP.
fn text<'h>(headers: &'h HeaderMap, name: &'static HeaderName) -> Result<Option<Cow<'h, str>>, Unidentified> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unidentified::Repeated(name.as_str()));
    }
    let bytes = first.as_bytes();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    };
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn identify(given: &[(&'static str, &[u8])]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        by_headers(&headers).map_or_else(
            |error| error.to_string(),
            |caller| {
                let roles: Vec<_> = caller.roles.iter().map(Role::as_str).collect();
                format!(
                    "{} {} {}",
                    caller.project,
                    caller.user.map_or("-".into(), |u| u.to_string()),
                    roles.join("+")
                )
            },
        )
    }

    #[test]
    fn headers_name_the_caller() {
        assert_eq!(identify(&[]), "X-Project-Id is missing");
        assert_eq!(identify(&[("x-project-id", b"")]), "X-Project-Id is missing");
        assert_eq!(identify(&[("x-project-id", b"p")]), "p - admin");
        assert_eq!(
            identify(&[("x-project-id", b"p"), ("x-user-id", b"u"), ("x-roles", b"Creator, observer")]),
            "p u creator+observer"
        );
        assert_eq!(identify(&[("x-project-id", b"p"), ("x-roles", b",,")]), "p - admin");
        assert_eq!(identify(&[("x-project-id", b"p"), ("x-roles", b"reader")]), "p - reader");
        assert_eq!(identify(&[("x-project-id", "密".as_bytes())]), "密 - admin");
        assert_eq!(identify(&[("x-project-id", b"\xe9")]), "é - admin");
        assert_eq!(identify(&[("x-project-id", &[b'x'; 256])]), "X-Project-Id is longer than 255 characters");
    }

    #[test]
    fn a_header_that_is_there_twice_is_refused() {
        let all: [(&'static str, &[u8]); 3] =
            [("x-project-id", b"p"), ("x-user-id", b"u"), ("x-roles", b"r")];
        for (name, _) in all {
            for again in [&b"other"[..], b"", b"p"] {
                let mut given = all.to_vec();
                given.push((name, again));
                assert_eq!(identify(&given), format!("{name} is there more than once"));
                given.rotate_right(1);
                assert_eq!(identify(&given), format!("{name} is there more than once"));
            }
        }
    }

    #[test]
    fn roles_have_limits() {
        let roles = |text: &str| identify(&[("x-project-id", b"p"), ("x-roles", text.as_bytes())]);
        let long = "r".repeat(ROLE_CHARS_MAX);
        let many = vec!["r"; ROLES_MAX].join(",");
        assert_eq!(roles(&long), format!("p - {long}"));
        assert_eq!(roles(&many), format!("p - {}", many.replace(',', "+")));
        assert_eq!(roles(&format!("{many},,")), format!("p - {}", many.replace(',', "+")));
        assert_eq!(roles(&format!("{many},r")), "X-Roles names more than 64 roles");
        assert_eq!(roles(&format!("a,{long}r")), "X-Roles names a role longer than 255 characters");
    }
}
