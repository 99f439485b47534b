//! The URIs of a connection, and the errors for others.

use libvirt_rpc::error::{Code, Domain, RemoteError};

use crate::error::quoted;
use crate::limits::URI_BYTES_MAX;

/// Whom the daemon serves: the path of a URI must say so.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reach {
    /// The machine: `secret:///system`.
    #[default]
    System,
    /// One user: `secret:///session`, and `/system` too, for clients that name the socket.
    Session,
}

/// Checks that a URI means this daemon. libvirt compares names as written, and keeps parameters that it does not know.
pub(crate) fn check(uri: Option<&[u8]>, reach: Reach) -> Result<Vec<u8>, RemoteError> {
    let bytes = uri.ok_or_else(|| internal(Domain::Rpc, "connection not open".to_owned()))?;
    let uri = String::from_utf8_lossy(quoted(bytes));
    if uri.is_empty() {
        return Err(no_driver("<null>"));
    }
    let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return Err(no_driver(&format!("URI '{uri}' does not include a driver name")));
    };
    if scheme.contains('+') {
        let text = format!("Remote URI '{uri}' is not permitted to include a transport");
        return Err(RemoteError::new(Code::OperationDenied, Domain::Rpc, text.into_bytes()));
    }
    let after = rest.strip_prefix("//").unwrap_or(rest);
    let path_at = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (server, path) = after.split_at_checked(path_at).unwrap_or((after, ""));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // With a server in the URI this daemon would have to connect to another one.
    if scheme != "secret" || !server.is_empty() {
        return Err(no_driver(&uri));
    }
    match (path, reach) {
        _ if bytes.len() > URI_BYTES_MAX => Err(no_driver(&uri)),
        ("/system", _) | ("/session", Reach::Session) => Ok(bytes.to_vec()),
        (other, Reach::System) => Err(wrong_path(other, "system")),
        (other, Reach::Session) => Err(wrong_path(other, "session")),
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn no_driver(what: &str) -> RemoteError {
    RemoteError::new(Code::NoConnect, Domain::None, what.as_bytes().to_vec())
}

fn wrong_path(path: &str, right: &str) -> RemoteError {
    internal(Domain::None, format!("unexpected secret URI path '{path}', try secret:///{right}"))
}

fn internal(domain: Domain, text: String) -> RemoteError {
    RemoteError::new(Code::InternalError, domain, text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_at(reach: Reach, uri: Option<&str>, expect: &str) {
        let found = check(uri.map(str::as_bytes), reach);
        let said = found.as_ref().map_or_else(
            |error| format!("{}/{} {}", error.code, error.domain, error.text()),
            |uri| String::from_utf8_lossy(uri).into_owned(),
        );
        assert_eq!(said, expect);
    }

    /// raw/005 to raw/018 of the recorded answers, without those about other drivers.
    #[test]
    fn uris_are_answered_as_libvirtd_does() {
        let check = |uri: Option<&str>, expect: &str| check_at(Reach::System, uri, expect);
        check(None, "1/7 internal error: connection not open");
        check(Some(""), "5/0 no connection driver available for <null>");
        check(Some("secret:///system"), "secret:///system");
        check(Some("secret:///system?foo=bar"), "secret:///system?foo=bar");
        let try_system =
            |path| format!("1/0 internal error: unexpected secret URI path '{path}', try secret:///system");
        check(Some("secret:///session"), &try_system("/session"));
        check(Some("secret://"), &try_system(""));
        check(Some("secret:///"), &try_system("/"));
        check(Some("qemu:///system"), "5/0 no connection driver available for qemu:///system");
        check(Some("SECRET:///system"), "5/0 no connection driver available for SECRET:///system");
        check(
            Some("garbage"),
            "5/0 no connection driver available for URI 'garbage' does not include a driver name",
        );
        check(
            Some("secret+unix:///system"),
            "29/7 operation forbidden: Remote URI 'secret+unix:///system' is not permitted to include a transport",
        );
        check(Some("secret://host/system"), "5/0 no connection driver available for secret://host/system");
        let long = format!("secret:///system?{}", "x".repeat(URI_BYTES_MAX));
        assert_eq!(super::check(Some(long.as_bytes()), Reach::System).unwrap_err().code, 5);
        check_at(Reach::Session, Some("secret:///session"), "secret:///session");
        check_at(Reach::Session, Some("secret:///system"), "secret:///system");
    }
}
