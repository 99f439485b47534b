//! What can go wrong, in the vault's own words: no protocol in sight.

use model::{Absent, Conflict, Guarded, SecretId};

use crate::Action;
use crate::audit::Outcome;

/// Why a request was not done, by who can act.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller: something is not there.
    #[error(transparent)]
    Absent(#[from] Absent),
    /// The caller: something stands in the way.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Somebody with other rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The operator, or time.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What a caller may not do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denied {
    /// The caller's roles do not allow it.
    #[error("{} denied", .0.as_str())]
    Action(Action),
    /// The secret is private: no ordinary client gets the value.
    #[error("secret {0} is private")]
    Private(SecretId),
    /// Another project registered the consumer, of something that is not the caller's either.
    #[error("another project registered the consumer")]
    OthersConsumer,
}

/// Why a request cannot be done now.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What is stored does not open, or is not as it was stored.
    #[error("{of} cannot be used: {source}")]
    Corrupt {
        /// Of what.
        of: Guarded,
        /// Why.
        source: seal::Error,
    },
    /// A project's key, or a new envelope, could not be made or opened.
    #[error("a key cannot be used: {0}")]
    Keys(#[source] seal::Error),
    /// The request could not be written down, so it was not done.
    #[error("the audit trail cannot be written")]
    Unwritten,
    /// It changed each time that it was about to be done.
    #[error("the secret changed meanwhile")]
    Changed,
    /// A file of the store was deleted, moved or replaced while it was served.
    #[error("the store's file was deleted, moved or replaced while it was served")]
    TakenAway,
    /// The store cannot do it.
    #[error(transparent)]
    Store(store::Failure),
}

impl Error {
    /// Too much is under way.
    pub(crate) const BUSY: Self = Self::Failed(Failure::Store(store::Failure::Busy));

    /// How the audit trail calls it; nothing if the trail itself is what failed.
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
    /// Whether what is stored is at fault: a damaged envelope, key or row, which stays so however often it is asked for.
    pub fn is_of_what_is_stored(&self) -> bool {
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
}

impl Failure {
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
            store::Failure::TakenAway(_) => Self::TakenAway, // Where the file was is nobody's business.
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
            other => Self::Store(store::Failure::Unavailable(other.to_string()).into()),
        }
    }
}

/// Why a vault cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The master key cannot be had.
    #[error(transparent)]
    Provider(#[from] seal::ProviderError),
    /// The master key is not the one the store was made with.
    #[error("the master key from {from} is not the key of this store")]
    WrongMasterKey {
        /// Where the key came from.
        from: String,
    },
    /// Making the new store's keys failed.
    #[error("a key cannot be used: {0}")]
    Keys(#[source] seal::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Changes that were committed are not in the store.
    #[error("changes {} to {} were committed, and are not in the database", .0.after + 1, .0.through)]
    Lost(crate::Lost),
    /// The audit trail cannot be written.
    #[error("the audit trail cannot be opened: {0}")]
    Audit(#[source] std::io::Error),
}
