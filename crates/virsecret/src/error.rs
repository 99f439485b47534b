//! Errors of the client, each saying whose fault it is. No variant carries a value.

use std::io;
use std::path::PathBuf;

use libvirt_rpc::error::{Code, RemoteError};
use libvirt_rpc::frame::BadLength;
use libvirt_rpc::xdr::{DecodeError, EncodeError};

use crate::close::CloseReason;
use crate::uri::UriError;

/// The result of every method.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's: the URI cannot be opened here.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The caller's: an argument is longer than the protocol allows.
    #[error(transparent)]
    TooLong(#[from] EncodeError),
    /// No daemon answers at the socket.
    #[error("cannot connect to {}: {source}", path.display())]
    Connect {
        /// Which socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The host has no address.
    #[error("cannot find the host {host:?}: {source}")]
    Resolve {
        /// Which host.
        host: String,
        /// Which port of it.
        port: u32,
        /// Why not.
        source: io::Error,
    },
    /// No daemon answers at the host.
    #[error("cannot connect to {host}, port {port}: {source}")]
    Refused {
        /// Which host.
        host: String,
        /// Which port of it.
        port: u32,
        /// Why not.
        source: io::Error,
    },
    /// The program that leads to the daemon does not run.
    #[error("cannot run {}, the program that leads to the daemon: {source}", program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no TLS session: because of our files, of the daemon's identity, or of its answer.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The daemon asks for an authentication that this client does not have.
    #[error("the daemon asks for authentication by {}, and this client has polkit only", names(.0))]
    Authentication(Vec<i32>),
    /// The daemon refuses the call, and says why.
    #[error("{}", .0.text())]
    Remote(Box<RemoteError>),
    /// The daemon's: it breaks the protocol.
    #[error("the daemon does not keep to the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The connection broke during this call. The daemon may have carried it out.
    #[error("the connection to the daemon broke: {0}")]
    Io(#[source] io::Error),
    /// The daemon closed the connection before it answered. It may have carried out the call.
    #[error("the daemon closed the connection")]
    Ended,
    /// The daemon closed the connection before it had received the whole call.
    #[error("the daemon closed the connection: {0}")]
    Unsent(#[source] io::Error),
    /// The daemon was silent for longer than keepalive allows.
    #[error("the daemon gave no sign of life in time")]
    Silent,
    /// The connection has ended before, because of the daemon or of an earlier error.
    #[error("the connection to the daemon is closed")]
    Closed,
    /// No answer came in time. The daemon may have carried out the call.
    #[error("the daemon did not answer in time")]
    Timeout,
    /// Events came faster than the caller took them. The oldest were dropped.
    #[error("{0} events were dropped, because nobody took them in time")]
    EventsLost(u64),
}

impl Error {
    /// The error for a caller that waited when the connection closed.
    pub(crate) fn closed_by(reason: CloseReason) -> Self {
        match reason {
            CloseReason::EndOfFile => Self::Ended,
            CloseReason::Keepalive => Self::Silent,
            CloseReason::Error | CloseReason::Client => Self::Closed,
        }
    }

    /// Whether the daemon says that the secret does not exist. Asked for a value: or that it has none.
    pub fn is_no_secret(&self) -> bool {
        self.is_remote(Code::NoSecret)
    }

    /// Whether the daemon says that the secret is private. Asked to define one: or that it does not fit.
    pub fn is_invalid_secret(&self) -> bool {
        self.is_remote(Code::InvalidSecret)
    }

    fn is_remote(&self, code: Code) -> bool {
        matches!(self, Self::Remote(error) if error.code == code as i32)
    }
}

/// How the daemon breaks the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProtocolError {
    /// The length of a message is out of bounds.
    #[error(transparent)]
    Length(#[from] BadLength),
    /// The message cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The reply is to another procedure.
    #[error("a reply is to procedure {got}, and {asked} was called")]
    OtherProcedure {
        /// The procedure that was called.
        asked: i32,
        /// The procedure that the reply names.
        got: i32,
    },
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
}

/// Why there is no TLS session.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no CA certificate.
    #[error("the CA certificate {} does not exist: {source}", path.display())]
    NoAuthority {
        /// Where it should be.
        path: PathBuf,
        /// Why it is not.
        source: io::Error,
    },
    /// There is a key without a certificate.
    #[error("there is a key {}, but no certificate {}: {source}", key.display(), certificate.display())]
    NoCertificate {
        /// Where it should be.
        certificate: PathBuf,
        /// What is there.
        key: PathBuf,
        /// Why it is not.
        source: io::Error,
    },
    /// There is a certificate without a key.
    #[error("there is a certificate {}, but no key {}: {source}", certificate.display(), key.display())]
    NoKey {
        /// Where it should be.
        key: PathBuf,
        /// What is there.
        certificate: PathBuf,
        /// Why it is not.
        source: io::Error,
    },
    /// A file exists and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file of CA certificates has none.
    #[error("there are no certificates in {}", .0.display())]
    NotAuthorities(PathBuf),
    /// The file of our certificate has none.
    #[error("there is no certificate in {}", .0.display())]
    NotCertificate(PathBuf),
    /// The file of revocations has no list.
    #[error("there is no list of revocations in {}", .0.display())]
    NotRevocations(PathBuf),
    /// rustls cannot use the list. Nearly always it is of version 1.
    #[error("the revocation list {} cannot be used: it has to be of version 2 (openssl: crl_extensions)", .0.display())]
    OldRevocations(PathBuf),
    /// The key cannot be used: it may be damaged, or have a passphrase.
    #[error("there is no private key in {} that can be used", key.display())]
    Key {
        /// Where it should be.
        key: PathBuf,
        /// What it is for.
        certificate: PathBuf,
    },
    /// The key belongs to another certificate.
    #[error("the key {} does not belong to the certificate {}", key.display(), certificate.display())]
    OtherKey {
        /// Which key.
        key: PathBuf,
        /// Which certificate.
        certificate: PathBuf,
    },
    /// Our certificate cannot be used.
    #[error("the certificate {} {fault}", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        fault: Unfit,
    },
    /// The CA certificate cannot be used.
    #[error("the CA certificate {} {fault}", path.display())]
    Authority {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        fault: Unfit,
    },
    /// The authority that we trust has not issued our certificate.
    #[error("the certificate {} is not one of {}: {fault}", certificate.display(), authority.display())]
    Issuer {
        /// Ours.
        certificate: PathBuf,
        /// Whom we trust.
        authority: PathBuf,
        /// The fault of the chain.
        fault: rustls::CertificateError,
    },
    /// The handshake failed: the other end may not speak TLS.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    /// The daemon's certificate is for another host, or not from an authority that we trust.
    #[error("the daemon's certificate is not to be trusted: {0}")]
    Untrusted(rustls::CertificateError),
    /// The daemon closed the connection or was silent when it should have accepted us.
    #[error("the daemon did not accept this client, or its certificate: {0}")]
    Unconfirmed(#[source] io::Error),
    /// The daemon answered that it does not accept us.
    #[error("the daemon does not accept this client: its certificate, or its address")]
    Refused,
}

/// Why a certificate cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// It has expired.
    #[error("has expired")]
    Expired,
    /// It is not valid yet.
    #[error("is not valid yet")]
    NotYetValid,
    /// It is an authority's, in the place of a client's.
    #[error("is an authority's, and should be a client's")]
    Authority,
    /// It says that it is not an authority's.
    #[error("says that it is no authority's")]
    NoAuthority,
    /// It does not say that it is an authority's.
    #[error("does not say that it is an authority's")]
    NoConstraints,
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(error.into())
    }
}

/// The answer of `AUTH_LIST` for people.
fn names(types: &[i32]) -> String {
    let name = |number: &i32| match *number {
        libvirt_rpc::messages::AUTH_SASL => "SASL".to_owned(),
        other => format!("method {other}"),
    };
    types.iter().map(name).collect::<Vec<_>>().join(" or ")
}
