//! A libvirt URI, as far as it can name a secret daemon on this machine.
//!
//! ```text
//! secret[+unix]:///system[?socket=PATH][&mode=auto|direct|legacy][&name=TEXT][&…]
//!                 /session
//! ```
//!
//! What only concerns the client (`socket`, `mode`, `name`, the parameters of other transports) stays here; the rest is
//! the name that the daemon is asked to open, unknown parameters included, as libvirt's client has it.
//!
//! Nothing is looked up here: which sockets to try is said, whether one is there is [`crate::Connection`]'s business.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::connection::Access;

/// Where the sockets of the system's daemons are.
const SYSTEM_FOLDER: &str = "/run/libvirt";
/// The socket of a daemon that has secrets alone.
const DIRECT: &str = "virtsecretd-sock";
/// The socket of a daemon that has everything.
const LEGACY: &str = "libvirt-sock";

/// What stays with libvirt's client beside `socket`, `mode` and `name`: `EXTRACT_URI_ARG_*` of
/// `src/remote/remote_driver.c`, release 12.8.0. They are about transports that are not here, so they are left out of
/// the name and otherwise ignored.
const CLIENT_PARAMETERS: &[&str] = &[
    "command",
    "auth",
    "sshauth",
    "netcat",
    "keyfile",
    "pkipath",
    "known_hosts",
    "known_hosts_verify",
    "tls_priority",
    "no_sanity",
    "no_verify",
    "no_tty",
    "proxy",
    "authfile",
];

/// A URI that can be opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Uri {
    place: Place,
    mode: Mode,
    name: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Place {
    Socket(PathBuf),
    System,
    Session,
}

/// Whose socket is meant, where none is named.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// The secret daemon's if it is there, else that of a daemon that has everything.
    #[default]
    Auto,
    /// The secret daemon's.
    Direct,
    /// That of a daemon that has everything.
    Legacy,
}

/// Why a text is not a URI that can be opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UriError {
    /// It does not begin with a scheme.
    #[error(
        "{0:?} is no URI: one looks like secret:///system or secret:///system?socket=/run/donjon/virtsecretd-sock"
    )]
    NotUri(String),
    /// It names the daemon of something else.
    #[error("{0:?} is not for secrets: the URI must begin with secret:// (or secret+unix://)")]
    Driver(String),
    /// It names a way that is not here.
    #[error("the transport {0:?} is not supported: only unix, to a daemon on this machine, is")]
    Transport(String),
    /// It names a host.
    #[error("the host {0:?} cannot be reached: only daemons on this machine can, as secret:///system")]
    Host(String),
    /// Its path is unknown.
    #[error("the path {0:?} is unknown: it may be /system or /session")]
    Path(String),
    /// Its mode is unknown.
    #[error("the mode {0:?} is unknown: it may be auto, direct or legacy")]
    Mode(String),
    /// A `%` without two hexadecimal digits, or a NUL or text that is not UTF-8 from one with them.
    #[error("the parameter {0:?} is not well written: a % begins two hexadecimal digits")]
    Escape(String),
    /// There is no folder for a session's sockets.
    #[error("XDG_RUNTIME_DIR is not set, so the socket of the session is unknown: name it with ?socket=PATH")]
    NoSession,
}

impl Uri {
    /// The daemon at this socket, asked for the system's secrets.
    pub fn of_socket(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::Socket(path.into()), mode: Mode::Auto, name: "secret:///system".into() }
    }

    /// What the daemon is asked to open.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sockets to try, the best first. `runtime_folder` is `XDG_RUNTIME_DIR`.
    ///
    /// A read-only connection goes to a socket of its own, except in a session, whose daemon has only one.
    pub fn sockets(&self, access: Access, runtime_folder: Option<&Path>) -> Result<Vec<PathBuf>, UriError> {
        let (folder, ending) = match (&self.place, access) {
            (Place::Socket(path), _) => return Ok(vec![path.clone()]),
            (Place::System, Access::ReadOnly) => (PathBuf::from(SYSTEM_FOLDER), "-ro"),
            (Place::System, Access::ReadWrite) => (PathBuf::from(SYSTEM_FOLDER), ""),
            (Place::Session, _) => (runtime_folder.ok_or(UriError::NoSession)?.join("libvirt"), ""),
        };
        let at = |name: &&str| folder.join(format!("{name}{ending}"));
        Ok(self.mode.sockets().iter().map(at).collect())
    }
}

impl Mode {
    const fn sockets(self) -> &'static [&'static str] {
        match self {
            Self::Auto => &[DIRECT, LEGACY],
            Self::Direct => &[DIRECT],
            Self::Legacy => &[LEGACY],
        }
    }
}

impl FromStr for Mode {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        match text {
            "auto" => Ok(Self::Auto),
            "direct" => Ok(Self::Direct),
            "legacy" => Ok(Self::Legacy),
            _ => Err(UriError::Mode(text.into())),
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = text.split_once("://").ok_or_else(|| UriError::NotUri(text.into()))?;
        check_scheme(scheme)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !host.is_empty() {
            return Err(UriError::Host(host.into()));
        }
        let place = match path {
            "/system" => Place::System,
            "/session" => Place::Session,
            other => return Err(UriError::Path(other.into())),
        };
        Parameters::parse(query)?.into_uri(place, path)
    }
}

fn check_scheme(scheme: &str) -> Result<(), UriError> {
    match scheme.split_once('+').unwrap_or((scheme, "unix")) {
        ("secret", "unix") => Ok(()),
        ("secret", transport) => Err(UriError::Transport(transport.into())),
        _ => Err(UriError::Driver(scheme.into())),
    }
}

/// What stands after the question mark, sorted by who it is for.
#[derive(Default)]
struct Parameters<'a> {
    socket: Option<PathBuf>,
    mode: Mode,
    name: Option<String>,
    /// As they were written.
    of_daemon: Vec<&'a str>,
}

impl<'a> Parameters<'a> {
    fn parse(query: &'a str) -> Result<Self, UriError> {
        let mut found = Self::default();
        for parameter in query.split(['&', ';']).filter(|parameter| !parameter.is_empty()) {
            found.take(parameter)?;
        }
        Ok(found)
    }

    fn take(&mut self, parameter: &'a str) -> Result<(), UriError> {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let wrong = || UriError::Escape(parameter.into());
        let bytes = unescape(value).ok_or_else(wrong)?;
        let text = |bytes| String::from_utf8(bytes).map_err(|_| wrong());
        match key {
            "socket" => self.socket = Some(OsString::from_vec(bytes).into()),
            "mode" => self.mode = text(bytes)?.parse()?,
            "name" => self.name = Some(text(bytes)?),
            key if CLIENT_PARAMETERS.contains(&key) => {}
            _ => self.of_daemon.push(parameter),
        }
        Ok(())
    }

    fn into_uri(self, place: Place, path: &str) -> Result<Uri, UriError> {
        let ask = if self.of_daemon.is_empty() { "" } else { "?" };
        let name = || format!("secret://{path}{ask}{}", self.of_daemon.join("&"));
        Ok(Uri {
            name: self.name.clone().unwrap_or_else(name),
            place: self.socket.map_or(place, Place::Socket),
            mode: self.mode,
        })
    }
}

/// The bytes that `%XX` stands for. No path and no name has a NUL in it.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => {
                let (digits, after) = after.split_first_chunk::<2>()?;
                (digit(digits[0])? << 4 | digit(digits[1])?, after)
            }
            plain => (plain, after),
        };
        bytes.push(Some(byte).filter(|byte| *byte != 0)?);
        rest = after;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: &str, sockets: &[&str]) {
        let uri: Uri = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(uri.name(), name, "{text}");
        let found = uri.sockets(Access::ReadWrite, Some(Path::new("/run/user/7"))).unwrap();
        assert_eq!(found, sockets.iter().map(PathBuf::from).collect::<Vec<_>>(), "{text}");
    }

    #[test]
    fn a_uri_says_which_sockets_to_try_and_what_to_ask_the_daemon_for() {
        let system = ["/run/libvirt/virtsecretd-sock", "/run/libvirt/libvirt-sock"];
        check("secret:///system", "secret:///system", &system);
        check("secret+unix:///system", "secret:///system", &system);
        check("secret:///system?mode=auto", "secret:///system", &system);
        check("secret:///system?mode=direct", "secret:///system", &system[..1]);
        check("secret:///system?mode=legacy", "secret:///system", &system[1..]);
        let session = ["/run/user/7/libvirt/virtsecretd-sock", "/run/user/7/libvirt/libvirt-sock"];
        check("secret:///session", "secret:///session", &session);
        check("secret:///session?socket=/a", "secret:///session", &["/a"]);
        check("secret:///system?socket=/a%20b/%C3%a4", "secret:///system", &["/a b/ä"]);
        check("secret:///system?foo=b%20r&socket=/a;x", "secret:///system?foo=b%20r&x", &["/a"]);
        check("secret:///system?socket=/a&no_tty=1&authfile=/b", "secret:///system", &["/a"]);
        check("secret:///system?socket=/a&name=test:///x%3fy", "test:///x?y", &["/a"]);
        check("secret:///system?#piece", "secret:///system", &system);
    }

    #[test]
    fn a_read_only_connection_of_the_system_has_sockets_of_its_own() {
        let check = |text: &str, expect: &str| {
            let sockets = text.parse::<Uri>().unwrap().sockets(Access::ReadOnly, Some(Path::new("/r")));
            assert_eq!(sockets.unwrap().first(), Some(&PathBuf::from(expect)), "{text}");
        };
        check("secret:///system", "/run/libvirt/virtsecretd-sock-ro");
        check("secret:///session", "/r/libvirt/virtsecretd-sock");
        check("secret:///system?socket=/s", "/s");
    }

    #[test]
    fn what_cannot_be_opened_is_refused_by_name() {
        for (text, expect) in [
            ("", UriError::NotUri("".into())),
            ("/run/sock", UriError::NotUri("/run/sock".into())),
            ("qemu:///system", UriError::Driver("qemu".into())),
            ("secret+ssh://h/system", UriError::Transport("ssh".into())),
            ("secret+tls:///system", UriError::Transport("tls".into())),
            ("secret://host/system", UriError::Host("host".into())),
            ("secret+unix://host/system", UriError::Host("host".into())),
            ("secret:///", UriError::Path("/".into())),
            ("secret://", UriError::Path("".into())),
            ("secret:///system/x", UriError::Path("/system/x".into())),
            ("secret:///system?mode=x", UriError::Mode("x".into())),
            ("secret:///system?socket=%2", UriError::Escape("socket=%2".into())),
            ("secret:///system?socket=%zz", UriError::Escape("socket=%zz".into())),
            ("secret:///system?socket=/a%00b", UriError::Escape("socket=/a%00b".into())),
            ("secret:///system?name=%ff", UriError::Escape("name=%ff".into())),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(expect), "{text}");
        }
        let session: Uri = "secret:///session".parse().unwrap();
        assert_eq!(session.sockets(Access::ReadWrite, None), Err(UriError::NoSession));
    }
}
