//! Errors of a door: its address, its socket, or the token of libvirt's daemons cannot be used.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::system::{EXHAUSTED, is_exhausted};

/// A door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    /// An address.
    #[error(
        "cannot listen on {address}: {source}\n\
         See who does with: ss -ltnp. Choose another address with {flag}."
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Which flag moves it.
        flag: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The path of a UNIX socket.
    #[error("cannot listen on {}: {source}\n{}", path.display(), path_advice(source, flag))]
    ListenUnix {
        /// Where.
        path: PathBuf,
        /// Which flag moves it.
        flag: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A socket that systemd passed.
    #[error(
        "a socket that systemd passed cannot be used: {0}\n\
         donjond takes TCP sockets (ListenStream=127.0.0.1:9311) for the REST API, and UNIX sockets for libvirt's; see \
         donjond.socket."
    )]
    PassedSocket(#[source] io::Error),
    /// A socket that systemd passed, with a name that does not say its purpose.
    #[error(
        "the UNIX socket {} that systemd passed is called neither …-sock nor …-ro\n\
         Name it as libvirt does: virtsecretd-sock to read and write, virtsecretd-sock-ro to look only; see \
         donjond-libvirt.socket.",
        .0.display()
    )]
    PassedName(PathBuf),
    /// The token of libvirt's daemons cannot be used.
    #[error("the system token {} cannot be used: {source}\n{}", path.display(), token_advice(source))]
    Token {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The command `token` cannot make the token.
    #[error(
        "the system token {} cannot be made, or not be given to a group: {source}\n\
         Run this as root. Name an existing group, and a file that holds a system token or does not exist.",
        path.display()
    )]
    TokenGiven {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What to do about a UNIX socket that cannot be made.
fn path_advice(error: &io::Error, flag: &str) -> String {
    match error.kind() {
        _ if is_exhausted(error) => EXHAUSTED.to_owned(),
        io::ErrorKind::AddrInUse => {
            format!("See who does with: ss -lxp. Stop it, or choose another path with {flag}.")
        }
        io::ErrorKind::InvalidInput => {
            format!("The path of a UNIX socket has 107 bytes at the most: choose a shorter one with {flag}.")
        }
        _ => format!(
            "Let the user that runs donjond write there, or choose another path with {flag} (off for none)."
        ),
    }
}

/// What to do about a system token that cannot be used.
fn token_advice(error: &io::Error) -> &'static str {
    if is_exhausted(error) {
        return EXHAUSTED;
    }
    "Let the user that runs donjond read it (libvirt makes it for root alone), or name another with \
     --libvirt-token; another one will not open private secrets to libvirt's daemons."
}
