//! Why a call failed, and whose fault it is. No variant carries a value.

use std::io;
use std::path::PathBuf;

use libvirt_rpc::error::{Code, RemoteError};
use libvirt_rpc::frame::BadLength;
use libvirt_rpc::xdr::{DecodeError, EncodeError};

use crate::close::CloseReason;
use crate::uri::UriError;

/// What every method gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's: the URI is not one that can be opened here.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The caller's: something is longer than the protocol allows.
    #[error(transparent)]
    TooLong(#[from] EncodeError),
    /// Nobody answers at the socket.
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
    /// Nobody answers at the host.
    #[error("cannot connect to {host}, port {port}: {source}")]
    Refused {
        /// Which host.
        host: String,
        /// Which port of it.
        port: u32,
        /// Why not.
        source: io::Error,
    },
    /// The program that is the way to the daemon does not run.
    #[error("cannot run {}, which is the way to the daemon: {source}", program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The encrypted way there is barred: by what files we have, by who the daemon is, or by what it says.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The daemon wants an authentication that this client has not.
    #[error("the daemon wants authentication by {}, and this client has only polkit, or none", names(.0))]
    Authentication(Vec<i32>),
    /// The daemon refuses, and says why.
    #[error("{}", .0.text())]
    Remote(Box<RemoteError>),
    /// The daemon's: it does not keep to the protocol.
    #[error("the daemon does not keep to the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The connection broke under this call. What it asked may have been done or not.
    #[error("the connection to the daemon broke: {0}")]
    Io(#[source] io::Error),
    /// The daemon closed the connection while it was waited for. What was asked may have been done or not.
    #[error("the daemon closed the connection")]
    Ended,
    /// The daemon closed the connection before it had taken all of what was asked.
    #[error("the daemon closed the connection: {0}")]
    Unsent(#[source] io::Error),
    /// The daemon gave no sign of life for as long as it may.
    #[error("the daemon gave no sign of life in time")]
    Silent,
    /// The connection is at its end, by the daemon or since an earlier error.
    #[error("the connection to the daemon is closed")]
    Closed,
    /// No answer in time. What was asked may have been done or not.
    #[error("the daemon did not answer in time")]
    Timeout,
    /// Events came faster than they were taken, and the oldest are gone.
    #[error("{0} events were dropped, because nobody took them in time")]
    EventsLost(u64),
}

impl Error {
    /// What somebody is told who waited when the connection closed.
    pub(crate) fn closed_by(reason: CloseReason) -> Self {
        match reason {
            CloseReason::EndOfFile => Self::Ended,
            CloseReason::Keepalive => Self::Silent,
            CloseReason::Error | CloseReason::Client => Self::Closed,
        }
    }

    /// Whether the daemon says that there is no such secret (or, asked for a value, that it has none).
    pub fn is_no_secret(&self) -> bool {
        self.is_remote(Code::NoSecret)
    }

    /// Whether the daemon refuses because the secret is private (or, defining, because it does not fit).
    pub fn is_invalid_secret(&self) -> bool {
        self.is_remote(Code::InvalidSecret)
    }

    fn is_remote(&self, code: Code) -> bool {
        matches!(self, Self::Remote(error) if error.code == code as i32)
    }
}

/// In what the daemon does not keep to the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProtocolError {
    /// A length that no message has.
    #[error(transparent)]
    Length(#[from] BadLength),
    /// Bytes that are not the message they should be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A reply to something that was not asked.
    #[error("a reply is to procedure {got}, and {asked} was called")]
    OtherProcedure {
        /// What the call was.
        asked: i32,
        /// What the reply is to.
        got: i32,
    },
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
}

/// Why there is no TLS session.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Nobody is there to be trusted.
    #[error("the CA certificate {} does not exist: {source}", path.display())]
    NoAuthority {
        /// Where it should be.
        path: PathBuf,
        /// Why it is not.
        source: io::Error,
    },
    /// Half of what we are known by.
    #[error("there is a key {}, but no certificate {}: {source}", key.display(), certificate.display())]
    NoCertificate {
        /// Where it should be.
        certificate: PathBuf,
        /// What is there.
        key: PathBuf,
        /// Why it is not.
        source: io::Error,
    },
    /// The other half.
    #[error("there is a certificate {}, but no key {}: {source}", certificate.display(), key.display())]
    NoKey {
        /// Where it should be.
        key: PathBuf,
        /// What is there.
        certificate: PathBuf,
        /// Why it is not.
        source: io::Error,
    },
    /// A file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file of those to be trusted has something else in it.
    #[error("there are no certificates in {}", .0.display())]
    NotAuthorities(PathBuf),
    /// The file of who we are has something else in it.
    #[error("there is no certificate in {}", .0.display())]
    NotCertificate(PathBuf),
    /// The file of certificates that are not to be trusted any more has something else in it.
    #[error("there is no list of revocations in {}", .0.display())]
    NotRevocations(PathBuf),
    /// It is a list that we cannot use: of version 1, nearly always.
    #[error("the revocation list {} cannot be used: it has to be of version 2 (openssl: crl_extensions)", .0.display())]
    OldRevocations(PathBuf),
    /// The key is none that can be used here: it may be damaged, or have a passphrase.
    #[error("there is no private key in {} that can be used", key.display())]
    Key {
        /// Where it should be.
        key: PathBuf,
        /// What it is for.
        certificate: PathBuf,
    },
    /// The key is another's.
    #[error("the key {} does not belong to the certificate {}", key.display(), certificate.display())]
    OtherKey {
        /// Which key.
        key: PathBuf,
        /// Which certificate.
        certificate: PathBuf,
    },
    /// Nobody would take our certificate.
    #[error("the certificate {} {fault}", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        fault: Unfit,
    },
    /// Nobody can be trusted by this.
    #[error("the CA certificate {} {fault}", path.display())]
    Authority {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        fault: Unfit,
    },
    /// Our certificate and the authority that we trust have nothing to do with each other.
    #[error("the certificate {} is not one of {}: {fault}", certificate.display(), authority.display())]
    Issuer {
        /// Ours.
        certificate: PathBuf,
        /// Whom we trust.
        authority: PathBuf,
        /// What is between them.
        fault: rustls::CertificateError,
    },
    /// No session came about: the other end may speak something else.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    /// The daemon is not who we asked for, or nobody whom we trust says so.
    #[error("the daemon's certificate is not to be trusted: {0}")]
    Untrusted(rustls::CertificateError),
    /// The daemon hung up, or said nothing, when it was to say that it accepts us.
    #[error("the daemon did not accept this client, or its certificate: {0}")]
    Unconfirmed(#[source] io::Error),
    /// The daemon says that it does not accept us.
    #[error("the daemon does not accept this client: its certificate, or its address")]
    Refused,
}

/// Why a certificate is of no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// Its time is over.
    #[error("has expired")]
    Expired,
    /// Its time has not come.
    #[error("is not valid yet")]
    NotYetValid,
    /// It is an authority's, and stands where one of a client should.
    #[error("is an authority's, and should be a client's")]
    Authority,
    /// It says that it is no authority's.
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

/// What `AUTH_LIST` answered, for people.
fn names(types: &[i32]) -> String {
    let name = |number: &i32| match *number {
        libvirt_rpc::messages::AUTH_SASL => "SASL".to_owned(),
        other => format!("method {other}"),
    };
    types.iter().map(name).collect::<Vec<_>>().join(" or ")
}
