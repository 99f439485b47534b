//! Why a URI cannot be opened.

/// Why a text is not a URI that can be opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UriError {
    /// It does not begin with a scheme.
    #[error(
        "{0:?} is no URI: one looks like secret:///system or secret:///system?socket=/run/donjon/virtsecretd-sock"
    )]
    NotUri(String),
    /// A character is in the wrong place: a space, a quote or a letter outside ASCII. Or a `%` has no two hexadecimal digits
    /// after it, or stands for a NUL or for bytes that are not UTF-8. Or the port is not a number.
    #[error(
        "{0:?} is not well written: a URI has no spaces or quotes, and a % begins two hexadecimal digits"
    )]
    Unparsable(String),
    /// The transport does not exist.
    #[error("the transport {0:?} is unknown: it may be unix, tls, tcp, ssh or ext")]
    Transport(String),
    /// libvirt has this transport, and this client does not.
    #[error("the transport {0:?} is not supported here; unix, tls, tcp, ssh and ext are")]
    NotHere(String),
    /// It names a host with the transport unix.
    #[error(
        "a UNIX socket is on this machine, and not on {0:?}: name a transport, as secret+ssh://HOST/system"
    )]
    Host(String),
    /// The mode is unknown.
    #[error("the mode {0:?} is unknown: it may be auto, direct or legacy")]
    Mode(String),
    /// The proxy is unknown.
    #[error("the proxy {0:?} is unknown: it may be auto, native or netcat")]
    Proxy(String),
    /// It names a netcat and asks for libvirt's helper.
    #[error("proxy=native runs no netcat: remove netcat or proxy")]
    NoNetcat,
    /// It asks for the driver's own daemon over ssh, which leads to the daemon for everything.
    #[error("mode=direct is for sockets of this machine: with ssh it may be auto or legacy")]
    NotDirect,
    /// The transport is a program, and none is named.
    #[error("the transport ext needs a program: name it with ?command=PATH")]
    NoCommand,
    /// This client does not have the TLS priority.
    #[error("the TLS priority {0:?} is not supported here; NORMAL is, or none")]
    Priority(String),
    /// A parameter should be a number.
    #[error("the parameter {0} should be 0 or 1")]
    NotNumber(&'static str),
}
