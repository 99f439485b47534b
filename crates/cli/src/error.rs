//! Errors for the user of the command: the first line says what happened, the second what to do. None holds a value.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use virsecret::{UriError, Uuid};

use crate::reference::Reference;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The URI is not valid.
    #[error("{0}\nGive another with --connect or DONJON_URI, or neither to find a daemon on this machine.")]
    Uri(#[from] UriError),
    /// The variable holds no text.
    #[error("DONJON_URI is not UTF-8\nSet it to a URI such as secret:///system, or to the path of a socket.")]
    UriNotText,
    /// No socket is there.
    #[error(
        "no daemon was found: there is no {}\n\
         Start one with donjond serve, or name its socket with --connect.", list(.0)
    )]
    NoSocket(Vec<PathBuf>),
    /// A socket is there and does not answer.
    #[error("cannot connect to {}: {source}\n{}", path.display(), connect_advice(source, path))]
    Connect {
        /// The path.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The secret that was named is not there.
    #[error("there is no secret {0}\nList all secrets with: donjon list")]
    NoSuchSecret(Reference),
    /// The secret has no value.
    #[error("secret {0} has no value yet\nGive it one with: donjon set-value {0}")]
    NoValue(Uuid),
    /// The secret is private.
    #[error(
        "secret {0} is private: only hypervisors can read its value\n\
         A hypervisor uses the secret by its UUID."
    )]
    Private(Uuid),
    /// Some of the secrets were not undefined.
    #[error("{failed} of {all} secrets were not undefined")]
    Some {
        /// How many failed.
        failed: usize,
        /// The number of all.
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
        /// The path.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The result cannot be written.
    #[error("cannot write the result: {0}\nWhat was asked for is done; only its report is lost.")]
    Output(#[source] io::Error),
    /// The terminal gives no answer.
    #[error("cannot ask at the terminal: {0}\nGive the value on standard input, or with --file.")]
    Terminal(#[source] io::Error),
    /// The value is an argument, which every user can see.
    #[error(
        "a value is never an argument, because every user of the machine sees arguments with ps\n\
         Give it on standard input or with --file; at a terminal donjon asks for it. Replace this value if it was a real one."
    )]
    ValueAsArgument,
    /// The value is empty.
    #[error("the value is empty, and needs at least one byte\nTo remove a value, undefine the secret.")]
    EmptyValue,
    /// The input is too long.
    #[error("the input is longer than the limit of {bytes_max} bytes\nNothing was changed.")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// The text is not base64.
    #[error("the value is not base64 with padding, which has letters, digits, + and /\nNothing was changed.")]
    NotBase64,
    /// The text is not hexadecimal.
    #[error("the value is not hexadecimal, with two digits for each byte\nNothing was changed.")]
    NotHex,
    /// The two typed values differ.
    #[error("the two values differ\nNothing was changed; try again.")]
    NotTheSame,
    /// A key was typed that makes no text.
    #[error(
        "an invisible control character was typed\n\
         Nothing was changed; try again, or use --file if the value has such bytes."
    )]
    ControlCharacter,
    /// Ctrl-C at the prompt.
    #[error("cancelled\nNothing was changed.")]
    Cancelled,
    /// The value may have control characters, which a terminal would obey.
    #[error(
        "the value is not text, and this is a terminal\n\
         Send it to a file or a program, or use --base64, --hex or --force."
    )]
    Binary,
    /// The daemon's answer is not XML.
    #[error("the XML of the secret cannot be read: {0}\nLook at it with: donjon show --xml")]
    Xml(#[from] roxmltree::Error),
    /// The time ended before enough events had come.
    #[error("{seen} of {wanted} events came in time")]
    TooFewEvents {
        /// How many came.
        seen: u64,
        /// The number to wait for.
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
    /// 2 for wrong usage, 3 for a secret that does not exist, 1 for every other failure.
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

    /// Whether the reader of stdout has ended. That is no failure.
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
            "Nothing listens there: donjond has ended. Start it again with: donjond serve".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("Use root, or a user in the socket's group, which this shows: ls -lL {path}")
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            "The daemon accepts no more connections now; look at its log, and try again.".to_owned()
        }
        _ => "Is that the socket of a secret daemon? Name another with --connect.".to_owned(),
    }
}

/// The error itself has the daemon's words. This adds where to look.
fn client_advice(error: &virsecret::Error) -> &'static str {
    match error {
        virsecret::Error::Remote(_) => "The daemon refused this; its log may say more.",
        virsecret::Error::Authentication(_) => {
            "Let the daemon's UNIX socket use no authentication of its own (auth_unix_rw = \"none\")."
        }
        virsecret::Error::Closed
        | virsecret::Error::Ended
        | virsecret::Error::Unsent(_)
        | virsecret::Error::Silent
        | virsecret::Error::Io(_) => {
            "The daemon has ended or closed the connection; look at its log. The request may have been carried out."
        }
        virsecret::Error::Timeout => "Look at the daemon's log. The request may have been carried out.",
        virsecret::Error::Protocol(_) => {
            "Is that the socket of a secret daemon? Name another with --connect."
        }
        virsecret::Error::TooLong(_) => "Nothing was changed.",
        virsecret::Error::EventsLost(_) => "Read them faster, or ask for the events of one secret.",
        // These have variants of their own and do not come here.
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
            "Ask the authority for a list of version 2; openssl writes one if crl_extensions is in its configuration."
        }
        NotAuthorities(_) | NotCertificate(_) | NotRevocations(_) => "Put one there, in PEM.",
        Key { .. } | OtherKey { .. } => {
            "Put the certificate's own key there, in PEM and without a passphrase."
        }
        Certificate { .. } | Authority { .. } | Issuer { .. } => {
            "Get another from the daemon's authority, or skip this check with ?no_sanity=1."
        }
        Handshake(_) => {
            "Does the daemon use TLS there? For plain TCP the URI is secret+tcp://HOST:PORT/system."
        }
        Untrusted(_) => {
            "Use the host name of the certificate, and put its authority among the CA certificates. \
             With ?no_verify=1 any host is trusted, and can read every value."
        }
        Unconfirmed(_) | Refused => {
            "Use a client certificate that the daemon trusts and has on its list; the daemon's log says what is missing."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_line_of_an_error_says_what_to_do() {
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
