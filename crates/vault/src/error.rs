//! What can go wrong, in the vault's own words: no protocol in sight.

use model::{FacetError, SecretId};

use crate::Action;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's roles do not allow it.
    #[error("{} denied", .0.as_str())]
    Denied(Action),
    /// The secret is private: no ordinary client gets the value.
    #[error("secret {0} is private")]
    Private(SecretId),
    /// No such secret, or an expired one.
    #[error("secret {0} not found")]
    NotFound(SecretId),
    /// It has no payload yet.
    #[error("secret {0} has no payload")]
    NoPayload(SecretId),
    /// It has a payload already, and that is for good at this door.
    #[error("secret {0} has a payload already")]
    HasPayload(SecretId),
    /// A key to be added is there already.
    #[error("metadata key is there already")]
    MetadatumExists,
    /// A key to be changed is not there.
    #[error("metadata key not found")]
    MetadatumNotFound,
    /// A facet that cannot be changed so.
    #[error(transparent)]
    Facet(#[from] FacetError),
    /// The secret has as many pairs as it may have.
    #[error("the secret has as many metadata keys as it may have")]
    TooManyMetadata,
    /// Another secret of the project has this usage.
    #[error("secret {0} of the project has this usage")]
    UsageTaken(SecretId),
    /// The id is one of another project's.
    #[error("a secret of another project has the id {0}")]
    IdTaken(SecretId),
    /// A list of all secrets would be longer than anybody can take.
    #[error("the list of all secrets is too long")]
    ListTooLong,
    /// The memory for ephemeral secrets is used up.
    #[error("there is no more memory for ephemeral secrets")]
    MemoryFull,
    /// What is stored does not open.
    #[error("secret {id} cannot be opened: {source}")]
    Corrupt {
        /// Which.
        id: SecretId,
        /// Why.
        source: seal::Error,
    },
    /// A project's key, or a new envelope, could not be made or opened.
    #[error("a key cannot be used: {0}")]
    Keys(#[source] seal::Error),
    /// More changes wait than the store's named limit; try again.
    #[error("too many changes are waiting")]
    Busy,
    /// The request could not be written down, so it was not done.
    #[error("the audit trail cannot be written")]
    Unwritten,
    /// The store cannot be used now.
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for Error {
    /// For reads, where none of the store's answers about a change can come up.
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Busy => Self::Busy,
            store::Error::ListTooLong => Self::ListTooLong,
            other => Self::Store(other),
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
    /// The audit trail cannot be written.
    #[error("the audit trail cannot be opened: {0}")]
    Audit(#[source] std::io::Error),
}
