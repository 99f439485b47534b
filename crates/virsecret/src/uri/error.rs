//! Why a URI cannot be opened.

/// Why a text is not a URI that can be opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UriError {
    /// It does not begin with a scheme.
    #[error(
        "{0:?} is no URI: one looks like secret:///system or secret:///system?socket=/run/donjon/virtsecretd-sock"
    )]
    NotUri(String),
    /// Something stands where it may not: a space, a quote or a letter that is not English, or a `%` without two
    /// hexadecimal digits, or one that makes a NUL or what is not UTF-8, or a port that is not a number.
    #[error(
        "{0:?} is not well written: a URI has no spaces or quotes, and a % begins two hexadecimal digits"
    )]
    Unparsable(String),
    /// It names a way that there is not.
    #[error("the transport {0:?} is unknown: it may be unix, tls, tcp, ssh or ext")]
    Transport(String),
    /// It names a way that libvirt has and this client has not.
    #[error("the transport {0:?} is not here: unix, tls, tcp, ssh and ext are")]
    NotHere(String),
    /// It names a host and a way that leads to none.
    #[error(
        "a UNIX socket is on this machine, and not on {0:?}: name a transport, as secret+ssh://HOST/system"
    )]
    Host(String),
    /// Its mode is unknown.
    #[error("the mode {0:?} is unknown: it may be auto, direct or legacy")]
    Mode(String),
    /// What is to run at the other end of ssh is unknown.
    #[error("the proxy {0:?} is unknown: it may be auto, native or netcat")]
    Proxy(String),
    /// It names a netcat, and asks for libvirt's helper.
    #[error("with proxy=native no netcat is run: leave netcat or the proxy out")]
    NoNetcat,
    /// It wants the driver's own daemon by a way that leads to the one that has everything.
    #[error("mode=direct is for sockets of this machine: with ssh it may be auto or legacy")]
    NotDirect,
    /// The way there is a program, and none is named.
    #[error("the transport ext needs the program that is the way there: name it with ?command=PATH")]
    NoCommand,
    /// It asks for a way to encrypt that this client has not.
    #[error("the TLS priority {0:?} is not here: NORMAL is, or none")]
    Priority(String),
    /// A parameter should be a number.
    #[error("the parameter {0} should be 0 or 1")]
    NotNumber(&'static str),
}
