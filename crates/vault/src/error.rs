//! The errors of the vault. None of them names a protocol.

use model::{Absent, Conflict, Guarded, SecretId};

use crate::Action;
use crate::audit::Outcome;

/// Why a request was not done, grouped by who can do something about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller named something that is absent.
    #[error(transparent)]
    Absent(#[from] Absent),
    /// The caller's request conflicts with what is stored.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The caller lacks a permission.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The server failed: the operator can act, or a later attempt succeeds.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why a caller lacks permission.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denied {
    /// The caller's roles do not allow it.
    #[error("{} denied", .0.as_str())]
    Action(Action),
    /// The secret is private, so an ordinary client does not get its value.
    #[error("secret {0} is private")]
    Private(SecretId),
    /// Another project registered the consumer, and the secret or container belongs to another project too.
    #[error("another project registered the consumer")]
    OthersConsumer,
}

/// Why the server cannot do a request now.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A stored secret or container does not open, or was altered.
    #[error("{of} cannot be used: {source}")]
    Corrupt {
        /// The secret or container.
        of: Guarded,
        /// The reason.
        source: seal::Error,
    },
    /// The key of a project or a new envelope could not be made or opened.
    #[error("a key cannot be used: {0}")]
    Keys(#[source] seal::Error),
    /// The request could not be written into the audit trail, so it was not done.
    #[error("the audit trail cannot be written")]
    Unwritten,
    /// The secret changed during every attempt.
    #[error("the secret changed meanwhile")]
    Changed,
    /// A file of the store was deleted, moved or replaced while the service ran.
    #[error("the store's file was deleted, moved or replaced while it was served")]
    TakenAway,
    /// The store cannot do it.
    #[error(transparent)]
    Store(store::Failure),
}

impl Error {
    /// Too many requests are under way.
    pub(crate) const BUSY: Self = Self::Failed(Failure::Store(store::Failure::Busy));

    /// The word for this error in the audit trail; `None` if the trail itself failed.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Absent(_) => Some(Outcome::Absent),
            Self::Conflict(_) => Some(Outcome::Conflict),
            Self::Denied(_) => Some(Outcome::Denied),
            Self::Failed(Failure::Unwritten) => None,
            Self::Failed(
                Failure::Corrupt { .. }
                | Failure::Keys(_)
                | Failure::Changed
                | Failure::TakenAway
                | Failure::Store(_),
            ) => Some(Outcome::Failed),
        }
    }
}

impl Failure {
    /// Whether damaged data is at fault: an envelope, key or row. A further attempt fails in the same way.
    pub fn is_of_damaged_data(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Store(store::Failure::Corrupt(_)) => true,
            Self::Keys(error) => !matches!(
                error,
                seal::Error::NoMemory
                    | seal::Error::NoRandomness
                    | seal::Error::NotReproduced
                    | seal::Error::NotGenerated
                    | seal::Error::NotOffered(_)
            ),
            Self::Unwritten | Self::Changed | Self::TakenAway | Self::Store(_) => false,
        }
    }

    /// Whether one row, or the key of its project, is at fault.
    pub(crate) fn is_of_the_row(&self) -> bool {
        matches!(self, Self::Keys(_) | Self::Corrupt { .. } | Self::Store(store::Failure::Corrupt(_)))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Absent(absent) => Self::Absent(absent),
            store::Error::Conflict(conflict) => Self::Conflict(conflict),
            store::Error::OthersConsumer => Self::Denied(Denied::OthersConsumer),
            store::Error::Changed => Self::Failed(Failure::Changed),
            store::Error::Failed(failure) => Self::Failed(failure.into()),
        }
    }
}

impl From<store::Failure> for Failure {
    fn from(failure: store::Failure) -> Self {
        match failure {
            store::Failure::Unwitnessed => Self::Unwritten,
            store::Failure::Unguarded(of) => Self::Corrupt { of, source: seal::Error::Altered },
            store::Failure::Busy
            | store::Failure::ListTooLong
            | store::Failure::TookTooLong
            | store::Failure::MemoryFull
            | store::Failure::Corrupt(_)
            | store::Failure::DiskFull
            | store::Failure::Unreadable
            | store::Failure::Unavailable(_) => Self::Store(failure),
            store::Failure::TakenAway(_) => Self::TakenAway, // The caller need not know the path of the file.
        }
    }
}

impl From<seal::Error> for Failure {
    fn from(error: seal::Error) -> Self {
        Self::Keys(error)
    }
}

impl From<store::Failure> for Error {
    fn from(failure: store::Failure) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(failure) => Self::Store(failure.into()),
            other @ (Failure::Corrupt { .. }
            | Failure::Keys(_)
            | Failure::Unwritten
            | Failure::Changed
            | Failure::TakenAway) => Self::Store(store::Failure::Unavailable(other.to_string()).into()),
        }
    }
}

/// Why a vault cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The provider gives no master key.
    #[error(transparent)]
    Provider(#[from] seal::ProviderError),
    /// The master key belongs to another store.
    #[error("the master key from {from} is not the key of this store")]
    WrongMasterKey {
        /// The source of the key.
        from: String,
    },
    /// Making the new store's keys failed.
    #[error("a key cannot be used: {0}")]
    Keys(#[source] seal::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Committed changes are not in the store.
    #[error("changes {} to {} were committed, and are not in the database", .0.after + 1, .0.through)]
    Lost(crate::Lost),
    /// The audit trail cannot be written.
    #[error("the audit trail cannot be opened: {0}")]
    Audit(#[source] std::io::Error),
}
