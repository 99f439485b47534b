//! A libvirt URI: a daemon, and the way to it.
//!
//! ```text
//! DRIVER[+TRANSPORT]://[[USER@]HOST[:PORT]]/system[?socket=PATH][&mode=auto|direct|legacy][&name=TEXT][&…]
//!                                          /session
//! ```
//!
//! Parameters for the client (`socket`, `mode`, `name`, `command` and others) stay here. The rest, with unknown parameters, is
//! the name that the daemon is asked to open, as with libvirt's client. Only the daemon knows the drivers and paths, so
//! every one is accepted here. For secrets it is `secret`, or `qemu` at a daemon with all drivers.
//!
//! Nothing is looked up here. A URI lists the sockets to try, and [`crate::Connection`] tries them.

mod error;
mod syntax;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::access::Access;

pub use error::UriError;
pub(crate) use syntax::Host;
use syntax::{Parts, escaped_path, unescape};

/// The folder with the sockets of the system's daemons.
const SYSTEM_FOLDER: &str = "/run/libvirt";
/// The socket of a daemon with all drivers.
const LEGACY: &str = "libvirt-sock";
/// The drivers with a daemon of their own, which has the driver's name.
const DIRECT: &[&str] = &[
    "bhyve",
    "ch",
    "interface",
    "lxc",
    "network",
    "nodedev",
    "nwfilter",
    "qemu",
    "secret",
    "storage",
    "vbox",
    "vz",
    "xen",
];
/// `LIBVIRTD_TCP_PORT`
const TCP_PORT: u32 = 16_509;
/// `LIBVIRTD_TLS_PORT`
const TLS_PORT: u32 = 16_514;
/// The one priority string of GnuTLS that means what rustls does: TLS 1.2 and 1.3 with safe ciphers. A user who gives
/// another one wants other ciphers, and must not get these unnoticed.
const TLS_PRIORITY: &str = "NORMAL";

/// The parameters that libvirt's client keeps from the daemon: `EXTRACT_URI_ARG_*` of `src/remote/remote_driver.c`, release
/// 12.8.0. Those without an arm below concern transports (libssh, libssh2) or authentications that are not supported here.
/// They are ignored.
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
    "authfile",
];

/// A URI that can be opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Uri {
    driver: String,
    transport: Transport,
    host: Host,
    is_session: bool,
    mode: Mode,
    socket: Option<PathBuf>,
    options: Options,
    name: String,
    normal: String,
}

/// The way to the daemon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    /// A socket on this machine.
    Unix,
    /// A connection that nobody encrypts.
    Tcp,
    /// A connection that we encrypt.
    Tls,
    /// The program ssh, which runs libvirt's helper at the other end.
    Ssh,
    /// A program that the URI names.
    Ext,
}

/// Parameters for ssh, for another program, and for TLS.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Options {
    pub(crate) command: Option<String>,
    pub(crate) netcat: Option<String>,
    pub(crate) keyfile: Option<String>,
    /// The folder of all certificates.
    pub(crate) pkipath: Option<PathBuf>,
    pub(crate) tls_priority: Option<String>,
    pub(crate) no_verify: bool,
    pub(crate) no_sanity: bool,
    pub(crate) no_tty: bool,
    pub(crate) proxy: Proxy,
}

/// The program at the other end of ssh: `?proxy=`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Proxy {
    /// libvirt's helper if it exists and no socket is named, else netcat.
    #[default]
    Auto,
    /// The helper.
    Native,
    /// Netcat.
    Netcat,
}

/// Which daemon's socket is meant if none is named.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// The socket of the driver's own daemon if it exists, else of a daemon with all drivers.
    #[default]
    Auto,
    /// The socket of the driver's own daemon.
    Direct,
    /// The socket of a daemon with all drivers.
    Legacy,
}

impl Uri {
    /// The daemon at this socket, asked for the system's secrets.
    pub fn of_socket(path: impl Into<PathBuf>) -> Self {
        Self {
            driver: "secret".into(),
            transport: Transport::Unix,
            host: Host::default(),
            is_session: false,
            mode: Mode::Auto,
            socket: Some(path.into()),
            options: Options::default(),
            name: "secret:///system".into(),
            normal: "secret:///system".into(),
        }
    }

    /// The name that the daemon is asked to open.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole URI in its normal form: `secret:///system` for `secret:/sys%74em`.
    pub(crate) fn normal(&self) -> &str {
        &self.normal
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// The transport as a URI names it.
    pub(crate) fn way(&self) -> &'static str {
        match self.transport {
            Transport::Unix => "unix",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ssh => "ssh",
            Transport::Ext => "ext",
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The socket that is named.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The host and port for TCP.
    pub(crate) fn address(&self) -> (&str, u32) {
        let usual = if self.transport == Transport::Tls { TLS_PORT } else { TCP_PORT };
        (self.host.name_or_localhost(), self.host.port.filter(|port| *port != 0).unwrap_or(usual))
    }

    /// The sockets to try, the best first. `session` is the folder of the user's own daemons. Root has none: its daemons are
    /// the system's.
    ///
    /// A read-only connection has a socket of its own, except in a session, whose daemon has one socket only.
    pub fn sockets(&self, access: Access, session: Option<&Path>) -> Vec<PathBuf> {
        if let Some(socket) = &self.socket {
            return vec![socket.clone()];
        }
        let (folder, ending) = match (session.filter(|_| self.is_session), access) {
            (Some(folder), _) => (folder, ""),
            (None, Access::ReadOnly) => (Path::new(SYSTEM_FOLDER), "-ro"),
            (None, Access::ReadWrite) => (Path::new(SYSTEM_FOLDER), ""),
        };
        let has_own = DIRECT.contains(&self.driver.as_str()) && self.mode != Mode::Legacy;
        let own = has_own.then(|| format!("virt{}d-sock", self.driver));
        let legacy = (self.mode != Mode::Direct || !has_own).then(|| LEGACY.to_owned());
        own.into_iter().chain(legacy).map(|name| folder.join(format!("{name}{ending}"))).collect()
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

impl FromStr for Proxy {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        match text {
            "auto" => Ok(Self::Auto),
            "native" => Ok(Self::Native),
            "netcat" => Ok(Self::Netcat),
            _ => Err(UriError::Proxy(text.into())),
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(whole: &str) -> Result<Self, UriError> {
        let parts = Parts::parse(whole)?;
        let parameters = Parameters::parse(parts.query.unwrap_or_default(), whole)?;
        let scheme = parts.scheme;
        let (driver, transport) = scheme.split_once('+').map_or((scheme, None), |(d, t)| (d, Some(t)));
        let transport = transport_of(transport, &parts.host)?;
        if transport == Transport::Ext && parameters.options.command.is_none() {
            return Err(UriError::NoCommand);
        }
        if transport == Transport::Ssh && parameters.mode == Mode::Direct {
            return Err(UriError::NotDirect);
        }
        if transport == Transport::Ssh
            && parameters.options.proxy == Proxy::Native
            && parameters.options.netcat.is_some()
        {
            return Err(UriError::NoNetcat);
        }
        if transport == Transport::Tls
            && let Some(priority) = &parameters.options.tls_priority
            && priority != TLS_PRIORITY
        {
            return Err(UriError::Priority(priority.clone()));
        }
        Ok(parameters.into_uri(driver, transport, parts))
    }
}

fn transport_of(named: Option<&str>, host: &Host) -> Result<Transport, UriError> {
    match named.map(str::to_ascii_lowercase).as_deref() {
        None if host.name.is_empty() => Ok(Transport::Unix),
        None => Ok(Transport::Tls),
        Some("unix") if host.name.is_empty() => Ok(Transport::Unix),
        Some("unix") => Err(UriError::Host(host.name.clone())),
        Some("tls") => Ok(Transport::Tls),
        Some("tcp") => Ok(Transport::Tcp),
        Some("ssh") => Ok(Transport::Ssh),
        Some("ext") => Ok(Transport::Ext),
        Some(other @ ("libssh" | "libssh2")) => Err(UriError::NotHere(other.into())),
        Some(other) => Err(UriError::Transport(other.into())),
    }
}

/// The query, sorted into parameters for the client and for the daemon.
#[derive(Default)]
struct Parameters<'a> {
    socket: Option<PathBuf>,
    mode: Mode,
    name: Option<String>,
    options: Options,
    /// As they were written.
    of_daemon: Vec<&'a str>,
}

impl<'a> Parameters<'a> {
    fn parse(query: &'a str, whole: &str) -> Result<Self, UriError> {
        let mut found = Self::default();
        for parameter in query.split(['&', ';']).filter(|parameter| !parameter.is_empty()) {
            found.take(parameter, whole)?;
        }
        Ok(found)
    }

    fn take(&mut self, parameter: &'a str, whole: &str) -> Result<(), UriError> {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let wrong = || UriError::Unparsable(whole.into());
        let bytes = unescape(value).ok_or_else(wrong)?;
        let text = |bytes| String::from_utf8(bytes).map_err(|_| wrong());
        let flag = |name, bytes| match text(bytes)?.parse::<i32>() {
            Ok(number) => Ok(number != 0),
            Err(_) => Err(UriError::NotNumber(name)),
        };
        match key.to_ascii_lowercase().as_str() {
            "socket" => self.socket = Some(OsString::from_vec(bytes).into()),
            "mode" => self.mode = text(bytes)?.parse()?,
            "name" => self.name = Some(text(bytes)?),
            "command" => self.options.command = Some(text(bytes)?),
            "netcat" => self.options.netcat = Some(text(bytes)?),
            "keyfile" => self.options.keyfile = Some(text(bytes)?),
            "pkipath" => self.options.pkipath = Some(OsString::from_vec(bytes).into()),
            "tls_priority" => self.options.tls_priority = Some(text(bytes)?),
            "no_verify" => self.options.no_verify = flag("no_verify", bytes)?,
            "no_sanity" => self.options.no_sanity = flag("no_sanity", bytes)?,
            "no_tty" => self.options.no_tty = flag("no_tty", bytes)?,
            "proxy" => self.options.proxy = text(bytes)?.parse()?,
            key if CLIENT_PARAMETERS.contains(&key) => {}
            _ => self.of_daemon.push(parameter),
        }
        Ok(())
    }

    fn into_uri(self, driver: &str, transport: Transport, parts: Parts<'_>) -> Uri {
        let (normal, Parts { host, path, .. }) = (parts.normal(), parts);
        let ask = if self.of_daemon.is_empty() { "" } else { "?" };
        let name = || format!("{driver}://{}{ask}{}", escaped_path(&path), self.of_daemon.join("&"));
        Uri {
            name: self.name.clone().unwrap_or_else(name),
            driver: driver.to_ascii_lowercase(),
            transport,
            host,
            is_session: path == "/session",
            mode: self.mode,
            socket: self.socket,
            options: self.options,
            normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: &str, sockets: &[&str]) {
        let uri: Uri = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(uri.name(), name, "{text}");
        let found = uri.sockets(Access::ReadWrite, Some(Path::new("/run/user/7/libvirt")));
        assert_eq!(found, sockets.iter().map(PathBuf::from).collect::<Vec<_>>(), "{text}");
    }

    #[test]
    fn a_uri_says_which_sockets_to_try_and_what_to_ask_the_daemon_for() {
        let system = ["/run/libvirt/virtsecretd-sock", "/run/libvirt/libvirt-sock"];
        check("secret:///system", "secret:///system", &system);
        check("secret:/system", "secret:///system", &system);
        check("secret+UNIX:///sys%74em", "secret:///system", &system);
        check("secret:///system?mode=auto", "secret:///system", &system);
        check("secret:///system?mode=direct", "secret:///system", &system[..1]);
        check("secret:///system?mode=legacy", "secret:///system", &system[1..]);
        let session = ["/run/user/7/libvirt/virtsecretd-sock", "/run/user/7/libvirt/libvirt-sock"];
        check("secret:///session", "secret:///session", &session);
        check("secret:///session?socket=/a", "secret:///session", &["/a"]);
        check("secret:///a%20b%c3%a4", "secret:///a%20b%C3%A4", &system);
        check("secret:///system?SOCKET=/a%20b/%C3%a4", "secret:///system", &["/a b/ä"]);
        check("secret:///system?foo=b%20r&socket=/a;x", "secret:///system?foo=b%20r&x", &["/a"]);
        check("secret:///system?socket=/a&no_tty=1&authfile=/b", "secret:///system", &["/a"]);
        check("secret:///system?socket=/a&name=test:///x%3fy", "test:///x?y", &["/a"]);
        check("secret:///system?#piece", "secret:///system", &system);
        check("secret://", "secret://", &system);
        check("secret:///foo", "secret:///foo", &system);
        let qemu = ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"];
        check("qemu:///system", "qemu:///system", &qemu);
        check("bogus:///system?mode=direct", "bogus:///system", &["/run/libvirt/libvirt-sock"]);
    }

    #[test]
    fn a_read_only_connection_of_the_system_has_sockets_of_its_own() {
        let check = |text: &str, session: Option<&str>, expect: &str| {
            let sockets = text.parse::<Uri>().unwrap().sockets(Access::ReadOnly, session.map(Path::new));
            assert_eq!(sockets.first(), Some(&PathBuf::from(expect)), "{text}");
        };
        check("secret:///system", Some("/r"), "/run/libvirt/virtsecretd-sock-ro");
        check("secret:///session", Some("/r"), "/r/virtsecretd-sock");
        check("secret:///session", None, "/run/libvirt/virtsecretd-sock-ro");
        check("secret:///system?socket=/s", None, "/s");
    }

    #[test]
    fn a_host_is_reached_by_the_transport_that_is_named() {
        let check = |text: &str, transport, user: Option<&str>, tcp: (&str, u32)| {
            let uri: Uri = text.parse().unwrap();
            assert_eq!(uri.transport(), transport, "{text}");
            assert_eq!((uri.host().user.as_deref(), uri.address()), (user, tcp), "{text}");
            assert_eq!(uri.name(), "secret:///system", "{text}");
        };
        check("secret+tcp://h:7/system", Transport::Tcp, None, ("h", 7));
        check("secret+tcp:///system", Transport::Tcp, None, ("localhost", 16_509));
        check("secret+tcp://h%31:99999/system", Transport::Tcp, None, ("h1", 99_999));
        check("secret+tcp://[::1]:0/system", Transport::Tcp, None, ("::1", 16_509));
        check("secret+tls://h/system", Transport::Tls, None, ("h", 16_514));
        check("secret+TLS:///system?tls_priority=NORMAL", Transport::Tls, None, ("localhost", 16_514));
        check("secret://h/system", Transport::Tls, None, ("h", 16_514));
        check("secret://h:7/system?pkipath=/p&no_sanity=1", Transport::Tls, None, ("h", 7));
        check("secret+ssh://h/system?tls_priority=LOW", Transport::Ssh, None, ("h", 16_509));
        check("secret+ssh://me@h/system", Transport::Ssh, Some("me"), ("h", 16_509));
        check("secret+ext:///system?command=/x", Transport::Ext, None, ("localhost", 16_509));
    }

    #[test]
    fn a_uri_is_given_back_as_libvirt_writes_it() {
        let check = |text: &str, expect: &str| {
            assert_eq!(text.parse::<Uri>().unwrap().normal(), expect, "{text}");
        };
        check("secret:///system", "secret:///system");
        check("secret:/system", "secret:///system");
        check("secret:///sys%74em?a=%62#c%64%20", "secret:///system?a=%62#cd%20");
        check("secret:///a:b%2f;@&=+$,%25", "secret:///a%3Ab/;@&=+$,%25");
        check("secret+UNIX:/system?socket=/x", "secret+UNIX:///system?socket=/x");
        check("secret+tcp://u%3a%40@h%31:017/system?", "secret+tcp://u:%40@h1:17/system?");
        check("secret+tcp://[::1]:0/system", "secret+tcp://[::1]/system");
        check("secret+unix://u@:7/system", "secret+unix://u@/system");
    }

    #[test]
    fn what_cannot_be_opened_is_refused_by_name() {
        let unparsable = |text: &'static str| (text, UriError::Unparsable(text.into()));
        for (text, expect) in [
            ("", UriError::NotUri("".into())),
            ("/run/sock", UriError::NotUri("/run/sock".into())),
            ("garbage", UriError::NotUri("garbage".into())),
            ("secret+bogus:///system", UriError::Transport("bogus".into())),
            ("secret+libssh://host/system", UriError::NotHere("libssh".into())),
            ("secret+tls://host/system?tls_priority=", UriError::Priority("".into())),
            ("secret://host/system?tls_priority=SECURE256", UriError::Priority("SECURE256".into())),
            ("secret+tls://host/system?no_sanity=x", UriError::NotNumber("no_sanity")),
            ("secret+unix://host/system", UriError::Host("host".into())),
            ("secret+ext:///system", UriError::NoCommand),
            ("secret:///system?mode=x", UriError::Mode("x".into())),
            ("secret:///system?no_verify=x", UriError::NotNumber("no_verify")),
            unparsable("secret:///system?socket=%2"),
            unparsable("secret:///system?socket=%zz"),
            unparsable("secret:///system?socket=/a b"),
            unparsable("secret:///system?socket=/a%00b"),
            unparsable("secret:///system?name=%ff"),
            unparsable("secret+tcp://h:x/system"),
            unparsable("secret+tcp://h:/system"),
            unparsable("secret+tcp://h:+1/system"),
            unparsable("secret+tcp://h:2147483648/system"),
            unparsable("secret+tcp://[::1/system"),
            unparsable("secret+tcp://[::1]x/system"),
            unparsable("secret://%/system"),
            unparsable("secret:///system?\"x\""),
            unparsable("secret:///syst\u{e8}me"),
            unparsable("secret:///system#%"),
            unparsable("%"),
            unparsable("%zz"),
            unparsable(":"),
            ("%41", UriError::NotUri("%41".into())),
            ("se#cret:///system", UriError::NotUri("se#cret:///system".into())),
            unparsable("+unix:///system"),
            unparsable(" secret:///system"),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(expect), "{text}");
        }
    }
}
