//! Errors in libvirt's words: those of functions' arguments, and those that stand in the place of our own.

use std::ffi::c_int;
use std::path::Path;

use libvirt_rpc::error::{Code, Domain, RemoteError};

use super::raw;
use crate::error::{Error, TlsError, Unfit};
use crate::uri::UriError;

/// An error with the text that its code begins with.
pub(super) fn new(code: Code, domain: Domain, detail: impl Into<String>) -> RemoteError {
    RemoteError::new(code, domain, detail.into().into_bytes())
}

/// An error whose text is given whole, and its format.
pub(super) fn report(code: i32, domain: i32, format: &'static str, text: String) -> RemoteError {
    let text = text.into_bytes();
    RemoteError::from_parts(code, domain, text.clone().into(), format, text.into())
}

/// An argument that a function refuses, as `uuid in virSecretGetUUID must not be NULL`.
pub(super) fn invalid_arg(
    domain: i32,
    function: &'static str,
    argument: &'static str,
    message: String,
) -> RemoteError {
    RemoteError { domain, ..RemoteError::invalid_argument(function, argument, message.into_bytes()) }
}

/// An error that the system numbers.
pub(super) fn system(domain: Domain, number: c_int, what: &str) -> RemoteError {
    let text = format!("{what}: {}", raw::system_text(number));
    RemoteError { int1: number, ..new(Code::SystemError, domain, text) }
}

/// A NULL or something else in the place of a connection.
pub(super) fn invalid_connection(function: &'static str, domain: i32) -> RemoteError {
    invalid_handle(
        6,
        domain,
        "invalid connection pointer in ",
        "invalid connection pointer in %1$s",
        function,
    )
}

/// A NULL or something else in the place of a handle.
pub(super) fn invalid_handle(
    code: i32,
    domain: i32,
    prefix: &'static str,
    format: &'static str,
    function: &'static str,
) -> RemoteError {
    let message = format!("{prefix}{function}").into_bytes();
    RemoteError::from_parts(code, domain, message.into(), format, function.as_bytes().into())
}

/// What libvirt's client says in the place of our errors.
pub(super) fn of(error: Error) -> RemoteError {
    match error {
        Error::Remote(error) => *error,
        Error::Uri(error) => of_uri(&error),
        Error::TooLong(_) => new(Code::Rpc, Domain::Rpc, "Unable to encode message payload"),
        Error::Protocol(_) => new(Code::Rpc, Domain::Rpc, "Unable to decode message payload"),
        Error::Connect { path, source } => {
            let what = format!("Failed to connect socket to '{}'", path.display());
            system(Domain::Rpc, source.raw_os_error().unwrap_or(libc::EIO), &what)
        }
        Error::Resolve { host, port, source } => {
            let why = source.to_string();
            let why = why.rsplit_once(": ").map_or(why.as_str(), |(_, why)| why);
            let text = format!("Unable to resolve address '{host}' service '{port}': {why}");
            new(Code::SystemError, Domain::Rpc, text)
        }
        Error::Refused { host, port, source } => {
            let what = format!("unable to connect to server at '{host}:{port}'");
            system(Domain::Rpc, source.raw_os_error().unwrap_or(libc::EIO), &what)
        }
        Error::Program { program, source } => {
            let what = format!("Cannot find '{}' in path", program.display());
            system(Domain::None, source.raw_os_error().unwrap_or(libc::ENOENT), &what)
        }
        Error::Tls(error) => of_tls(&error),
        Error::Authentication(types) => report(
            Code::AuthFailed as i32,
            Domain::Remote as i32,
            "authentication failed: %1$s",
            format!(
                "authentication failed: unsupported authentication type {}",
                types.first().copied().unwrap_or_default()
            ),
        ),
        Error::Ended => system(Domain::Rpc, libc::EIO, "End of file while reading data"),
        Error::Unsent(source) => {
            system(Domain::Rpc, source.raw_os_error().unwrap_or(libc::EPIPE), "Cannot write data")
        }
        Error::Io(source) => {
            system(Domain::Rpc, source.raw_os_error().unwrap_or(libc::EIO), "Cannot recv data")
        }
        Error::Silent => new(Code::InternalError, Domain::Rpc, "connection closed due to keepalive timeout"),
        Error::Timeout => system(Domain::Rpc, libc::ETIMEDOUT, "Cannot write data"),
        Error::Closed | Error::EventsLost(_) => {
            new(Code::InternalError, Domain::Rpc, "client socket is closed")
        }
    }
}

fn of_uri(error: &UriError) -> RemoteError {
    let invalid = |text: String| new(Code::InvalidArg, Domain::Remote, text);
    match error {
        UriError::NotUri(text) => {
            new(Code::NoConnect, Domain::None, format!("URI '{text}' does not include a driver name"))
        }
        UriError::Unparsable(text) => {
            let domain = 45; // VIR_FROM_URI
            let text = format!("Unable to parse URI {text}");
            RemoteError { domain, ..new(Code::InternalError, Domain::None, text) }
        }
        UriError::Mode(mode) => invalid(format!("Unknown remote mode '{mode}'")),
        UriError::Transport(_) => invalid(
            "remote_open: transport in URL not recognised (should be tls|unix|ssh|ext|tcp|libssh2|libssh)"
                .into(),
        ),
        UriError::NotHere(transport) => {
            new(Code::NoSupport, Domain::Rpc, format!("{transport} transport support was not enabled"))
        }
        UriError::Host(host) => {
            invalid(format!("using unix socket and remote server '{host}' is not supported."))
        }
        UriError::Proxy(proxy) => invalid(format!("Unnkown proxy type '{proxy}'")), // As it is spelt there.
        UriError::NoNetcat => {
            new(Code::InvalidArg, Domain::Rpc, "netcat path not valid with native proxy mode")
        }
        UriError::NotDirect => {
            let text = "Cannot use direct socket mode for ssh transport";
            let (message, format) =
                (format!("Operation not supported: {text}"), "Operation not supported: %1$s");
            let unsupported = 84; // VIR_ERR_OPERATION_UNSUPPORTED
            RemoteError::from_parts(
                unsupported,
                Domain::Remote as i32,
                message.into_bytes().into(),
                format,
                text.as_bytes().into(),
            )
        }
        UriError::NoCommand => invalid("remote_open: for 'ext' transport, command is required".into()),
        UriError::Priority(priority) => {
            let text = format!("Failed to set TLS session priority to {priority}: The request is invalid.");
            new(Code::SystemError, Domain::Rpc, text)
        }
        UriError::NotNumber(name) => invalid(format!("Failed to parse value of URI component {name}")),
    }
}

fn of_tls(error: &TlsError) -> RemoteError {
    let number = |source: &std::io::Error, other| source.raw_os_error().unwrap_or(other);
    let bad = |domain, text: String| new(Code::SystemError, domain, text);
    let pair = |key: &Path, certificate: &Path, why: &str| {
        let (key, certificate) = (key.display(), certificate.display());
        bad(Domain::Rpc, format!("Unable to set x509 key and certificate: {key}, {certificate}: {why}"))
    };
    match error {
        TlsError::NoAuthority { path, source } => {
            let what = format!("CA certificate '{}' does not exist", path.display());
            system(Domain::Rpc, number(source, libc::ENOENT), &what)
        }
        TlsError::NoCertificate { certificate, key, source } => {
            let (certificate, key) = (certificate.display(), key.display());
            let what = format!("Certificate '{certificate}' does not exist, but key '{key}' does");
            system(Domain::Rpc, number(source, libc::ENOENT), &what)
        }
        TlsError::NoKey { key, certificate, source } => {
            let (key, certificate) = (key.display(), certificate.display());
            let what = format!("Key '{key}' does not exist, but certificate '{certificate}' does");
            system(Domain::Rpc, number(source, libc::ENOENT), &what)
        }
        TlsError::Unreadable { path, source } => {
            let what = format!("Failed to open file '{}'", path.display());
            system(Domain::None, number(source, libc::EIO), &what)
        }
        TlsError::NotAuthorities(path) => {
            bad(Domain::None, format!("Unable to import CA certificate list {}", path.display()))
        }
        TlsError::NotCertificate(path) => {
            bad(Domain::None, format!("Unable to import client certificate {}", path.display()))
        }
        TlsError::NotRevocations(path) => {
            let path = path.display();
            let text =
                format!("Unable to set x509 certificate revocation list: {path}: Base64 decoding error.");
            bad(Domain::Rpc, text)
        }
        TlsError::OldRevocations(path) => {
            let path = path.display();
            let text =
                format!("Unable to set x509 certificate revocation list: {path}: it is not of version 2.");
            bad(Domain::Rpc, text)
        }
        TlsError::Key { key, certificate } => {
            pair(key, certificate, "The requested data were not available.")
        }
        TlsError::OtherKey { key, certificate } => {
            pair(key, certificate, "The certificate and the given key do not match.")
        }
        TlsError::Certificate { path, fault } => bad(Domain::None, unfit("client", path, *fault)),
        TlsError::Authority { path, fault } => bad(Domain::None, unfit("CA", path, *fault)),
        TlsError::Issuer { certificate, authority, fault } => {
            let why = match fault {
                rustls::CertificateError::UnknownIssuer => "The certificate hasn't got a known issuer.",
                rustls::CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
                    "The certificate uses an insecure algorithm"
                }
                _ => "The certificate is not trusted.",
            };
            let (certificate, authority) = (certificate.display(), authority.display());
            let text =
                format!("Our own certificate {certificate} failed validation against {authority}: {why}");
            bad(Domain::None, text)
        }
        TlsError::Handshake(source) => {
            let text = format!("TLS handshake failed {}", handshake_text(source));
            new(Code::AuthFailed, Domain::Rpc, text)
        }
        TlsError::Untrusted(_) => new(Code::AuthFailed, Domain::Rpc, "Failed to verify peer's certificate"),
        TlsError::Unconfirmed(source) => {
            // EIO is what libvirt has for all that GnuTLS calls an error.
            let in_time = source.kind() != std::io::ErrorKind::TimedOut;
            let number = if in_time { libc::EIO } else { libc::ETIMEDOUT };
            system(Domain::Rpc, number, "Unable to read TLS confirmation")
        }
        TlsError::Refused => {
            let text = "server verification (of our certificate or IP address) failed";
            new(Code::Rpc, Domain::Rpc, text)
        }
    }
}

fn unfit(whose: &str, path: &Path, fault: Unfit) -> String {
    let path = path.display();
    match fault {
        Unfit::Expired => format!("The {whose} certificate {path} has expired"),
        Unfit::NotYetValid => format!("The {whose} certificate {path} is not yet active"),
        Unfit::Authority => {
            format!("The certificate {path} basic constraints show a CA, but we need one for a client")
        }
        Unfit::NoAuthority => format!("The certificate {path} basic constraints do not show a CA"),
        Unfit::NoConstraints => format!("The certificate {path} is missing basic constraints for a CA"),
    }
}

/// What GnuTLS says, where it has the same thing to say.
fn handshake_text(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (inner, error.kind()) {
        (Some(rustls::Error::InvalidMessage(_)), _) => "An unexpected TLS packet was received.".into(),
        (Some(rustls::Error::AlertReceived(_)), _) => "A TLS fatal alert has been received.".into(),
        (_, UnexpectedEof) => "The TLS connection was non-properly terminated.".into(),
        (_, ConnectionReset) => "Error in the pull function.".into(),
        _ => error.to_string(),
    }
}
