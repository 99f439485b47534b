//! Why a command failed, told to whoever typed it: what happened, then, on a line of its own, what to do. Never a value.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use virsecret::{UriError, Uuid};

use crate::reference::Reference;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The URI is not one.
    #[error("{0}\nGive another with --connect or DONJON_URI, or neither to find a daemon on this machine.")]
    Uri(#[from] UriError),
    /// The variable holds no text.
    #[error("DONJON_URI is not UTF-8\nSet it to a URI such as secret:///system, or to the path of a socket.")]
    UriNotText,
    /// No socket is there.
    #[error(
        "no daemon is here: there is no {}\n\
         Start one with donjond serve, or say where it listens with --connect.", list(.0)
    )]
    NoSocket(Vec<PathBuf>),
    /// A socket is there and does not answer.
    #[error("cannot connect to {}: {source}\n{}", path.display(), connect_advice(source, path))]
    Connect {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The secret that was named is not there.
    #[error("there is no secret {0}\nSee which there are with: donjon list")]
    NoSuchSecret(Reference),
    /// It is there, and empty.
    #[error("secret {0} has no value yet\nGive it one with: donjon set-value {0}")]
    NoValue(Uuid),
    /// It is private.
    #[error(
        "secret {0} is private: its value is told to hypervisors alone\n\
         Whoever made it knows the value; a hypervisor can use it by the UUID."
    )]
    Private(Uuid),
    /// Some of several.
    #[error("{failed} of {all} secrets were not undefined")]
    Some {
        /// How many failed.
        failed: usize,
        /// Of how many.
        all: usize,
        /// Whether those that failed were all absent.
        absent: bool,
    },
    /// Anything else that the connection says.
    #[error("{}\n{}", .0.to_string().trim_end(), client_advice(.0))]
    Client(virsecret::Error),
    /// A file cannot be read.
    #[error("cannot read {}: {source}\nName a file that can be read, or - for standard input.", path.display())]
    Input {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The result cannot be written.
    #[error("cannot write the result: {0}\nWhat was asked for is done; only its report is lost.")]
    Output(#[source] io::Error),
    /// The terminal cannot be asked.
    #[error("cannot ask at the terminal: {0}\nGive the value on standard input, or with --file.")]
    Terminal(#[source] io::Error),
    /// The value stands where everybody sees it.
    #[error(
        "a value is never an argument: every user of the machine sees those, with ps\n\
         Give it on standard input, or with --file; at a terminal it is asked for. Choose another if this one matters."
    )]
    ValueAsArgument,
    /// Nothing was given.
    #[error(
        "the value is empty, and a secret needs one byte at least\nTo take a value away, undefine the secret."
    )]
    EmptyValue,
    /// Too much was given.
    #[error("there are more than the {bytes_max} bytes that are allowed\nNothing was changed.")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// The text is not base64.
    #[error(
        "the value is not written in base64, with padding, in letters, digits, + and /\nNothing was changed."
    )]
    NotBase64,
    /// The text is not hexadecimal.
    #[error("the value is not written in hexadecimal digits, two for each byte\nNothing was changed.")]
    NotHex,
    /// What was typed differs.
    #[error("the two values differ\nNothing was changed; try again.")]
    NotTheSame,
    /// A key at the prompt that makes no text.
    #[error(
        "a control character was typed, which nobody sees and hardly anybody means\n\
         Nothing was changed; try again, or give the value with --file if it has such bytes."
    )]
    ControlCharacter,
    /// Ctrl-C at the prompt.
    #[error("given up\nNothing was changed.")]
    Cancelled,
    /// The value would command the terminal.
    #[error(
        "the value is not text, and this is a terminal\n\
         Send it to a file or a program, ask for --base64 or --hex, or insist with --force."
    )]
    Binary,
    /// What the daemon tells is not XML.
    #[error("the XML of the secret cannot be read: {0}\nLook at it with: donjon show --xml")]
    Xml(#[from] roxmltree::Error),
    /// Time ran out before enough happened.
    #[error("{seen} of {wanted} events came in time")]
    TooFewEvents {
        /// How many came.
        seen: u64,
        /// How many were waited for.
        wanted: u64,
    },
}

impl From<virsecret::Error> for Error {
    fn from(error: virsecret::Error) -> Self {
        match error {
            virsecret::Error::Uri(error) => Self::Uri(error),
            virsecret::Error::Connect { path, source } => Self::Connect { path, source },
            other => Self::Client(other),
        }
    }
}

impl Error {
    /// 2 for wrong usage, 3 for a secret that is not there, 1 for everything else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            _ if self.is_closed_pipe() => 0,
            Self::Uri(_) | Self::UriNotText | Self::ValueAsArgument => 2,
            Self::NoSuchSecret(_) | Self::Some { absent: true, .. } => 3,
            Self::NoSocket(_)
            | Self::Connect { .. }
            | Self::NoValue(_)
            | Self::Private(_)
            | Self::Some { absent: false, .. }
            | Self::Client(_)
            | Self::Input { .. }
            | Self::Output(_)
            | Self::Terminal(_)
            | Self::EmptyValue
            | Self::TooLong { .. }
            | Self::NotBase64
            | Self::NotHex
            | Self::NotTheSame
            | Self::ControlCharacter
            | Self::Cancelled
            | Self::Binary
            | Self::Xml(_)
            | Self::TooFewEvents { .. } => 1,
        })
    }

    /// Whether the reader of the result has seen enough and left, which is no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn connect_advice(error: &io::Error, path: &Path) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("Is donjond running? Start it with: donjond serve --libvirt-socket {path}")
        }
        io::ErrorKind::ConnectionRefused => {
            "Nobody listens there any more: donjond has ended. Start it again with: donjond serve".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("Be root, or in the group that may write to the socket; see which with: ls -lL {path}")
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            "The daemon is there and takes no more connections; look at its log, and try again.".to_owned()
        }
        _ => "Is that the socket of a secret daemon? Name another with --connect.".to_owned(),
    }
}

/// What a daemon's refusal means is in its own words; what is added is where to look.
fn client_advice(error: &virsecret::Error) -> &'static str {
    match error {
        virsecret::Error::Remote(_) => "That is what the daemon says; its log may say more.",
        virsecret::Error::Authentication(_) => {
            "Let the daemon's UNIX socket use no authentication of its own (auth_unix_rw = \"none\")."
        }
        virsecret::Error::Closed
        | virsecret::Error::Ended
        | virsecret::Error::Unsent(_)
        | virsecret::Error::Silent
        | virsecret::Error::Io(_) => {
            "The daemon has ended or hung up; look at its log. What was asked may have been done."
        }
        virsecret::Error::Timeout => "Look at the daemon's log. What was asked may have been done.",
        virsecret::Error::Protocol(_) => {
            "Is that the socket of a secret daemon? Name another with --connect."
        }
        virsecret::Error::TooLong(_) => "Nothing was changed.",
        virsecret::Error::EventsLost(_) => "Take them faster, or ask for one secret alone.",
        // Never here: they have variants of their own.
        virsecret::Error::Uri(_) | virsecret::Error::Connect { .. } => "Name a daemon with --connect.",
        virsecret::Error::Resolve { .. } | virsecret::Error::Refused { .. } => {
            "Does a daemon listen there? Name another with --connect."
        }
        virsecret::Error::Tls(error) => tls_advice(error),
        virsecret::Error::Program { .. } => "Install it, or name another with ?command=PATH.",
    }
}

fn tls_advice(error: &virsecret::TlsError) -> &'static str {
    use virsecret::TlsError::{
        Authority, Certificate, Handshake, Issuer, Key, NoAuthority, NoCertificate, NoKey, NotAuthorities,
        NotCertificate, NotRevocations, OldRevocations, OtherKey, Refused, Unconfirmed, Unreadable,
        Untrusted,
    };
    match error {
        NoAuthority { .. } => {
            "Put the certificate of the daemon's authority there, or name a folder with ?pkipath=DIR."
        }
        NoCertificate { .. } | NoKey { .. } => "Put both there, or neither if the daemon asks for none.",
        Unreadable { .. } => "Let this user read it, or name another folder with ?pkipath=DIR.",
        OldRevocations(_) => {
            "Have the authority write one of version 2: with openssl, crl_extensions in its configuration."
        }
        NotAuthorities(_) | NotCertificate(_) | NotRevocations(_) => "Put one there, in PEM.",
        Key { .. } | OtherKey { .. } => {
            "Put the certificate's own key there, in PEM and without a passphrase."
        }
        Certificate { .. } | Authority { .. } | Issuer { .. } => {
            "Get another from the daemon's authority. ?no_sanity=1 tries it all the same."
        }
        Handshake(_) => {
            "Does the daemon speak TLS there? With plain TCP it is secret+tcp://HOST:PORT/system."
        }
        Untrusted(_) => {
            "Name the host as its certificate does, and have its authority among the CA certificates. \
             ?no_verify=1 trusts anybody, who then reads every value."
        }
        Unconfirmed(_) | Refused => {
            "Have a client certificate that the daemon trusts, and be on its list; its log says which it misses."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_on_a_line_of_its_own() {
        let refused = |kind| Error::Connect { path: "/run/x".into(), source: io::Error::from(kind) };
        for (error, code, advice) in [
            (refused(io::ErrorKind::ConnectionRefused), 1, "donjond serve"),
            (refused(io::ErrorKind::PermissionDenied), 1, "ls -lL /run/x"),
            (refused(io::ErrorKind::NotFound), 1, "--libvirt-socket /run/x"),
            (refused(io::ErrorKind::WouldBlock), 1, "no more connections"),
            (Error::NoSuchSecret("ceph:x".parse().unwrap()), 3, "donjon list"),
            (Error::NoValue(Uuid::nil()), 1, "donjon set-value 00000000-"),
            (virsecret::Error::Closed.into(), 1, "look at its log"),
            (UriError::Transport("ssh".into()).into(), 2, "--connect"),
        ] {
            assert_eq!(error.exit_code(), ExitCode::from(code), "{error}");
            let text = error.to_string();
            let (_, told) = text.split_once('\n').unwrap();
            assert!(told.contains(advice), "{text}");
        }
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let closed = Error::Output(io::ErrorKind::BrokenPipe.into());
        assert!(closed.is_closed_pipe());
        assert_eq!(closed.exit_code(), ExitCode::SUCCESS);
        assert_eq!(Error::Output(io::ErrorKind::StorageFull.into()).exit_code(), ExitCode::from(1));
    }
}
