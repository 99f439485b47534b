//! What can go wrong, in the vault's own words: no protocol in sight.

use model::{Counted, FacetError, Guarded, SecretId};

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
    /// Somebody says that they use the secret.
    #[error("secret {0} has consumers")]
    HasConsumers(SecretId),
    /// No such container.
    #[error("container not found")]
    NoSuchContainer,
    /// Only generic containers can be changed.
    #[error("the container is not a generic one")]
    NotGeneric,
    /// What a container is to hold, or to lose, is not there.
    #[error("secret {0} is not there")]
    NoSuchReference(SecretId),
    /// The container does not hold the secret under that name.
    #[error("secret {0} is not in the container")]
    NotInContainer(SecretId),
    /// The container holds the secret under that name.
    #[error("secret {0} is in the container already")]
    ReferenceTaken(SecretId),
    /// A container is on disk, and this secret is not to be known there.
    #[error("secret {0} is ephemeral: it cannot be in a container")]
    EphemeralReference(SecretId),
    /// A container or an order names the secret on disk, where an ephemeral one is not to be known.
    #[error("secret {0} is in a container, or came of an order: it cannot become ephemeral")]
    NamedOnDisk(SecretId),
    /// As many secrets of one container, or consumers of one thing, as there may be.
    #[error("there are as many of these as there may be")]
    TooManyParts,
    /// Another project registered the consumer, of something that is not the caller's either.
    #[error("another project registered the consumer")]
    OthersConsumer,
    /// No such consumer.
    #[error("consumer not found")]
    NoSuchConsumer,
    /// No such order.
    #[error("order not found")]
    NoSuchOrder,
    /// The project has as many as it may have.
    #[error("the quota of {} is reached", .0.as_str())]
    QuotaReached(Counted),
    /// Nothing was said of the project's quotas.
    #[error("no quotas of the project")]
    NoSuchQuotas,
    /// No such transport key.
    #[error("transport key not found")]
    NoSuchTransportKey,
    /// A list of all secrets would be longer than anybody can take.
    #[error("the list of all secrets is too long")]
    ListTooLong,
    /// A list takes longer than anybody should wait for it.
    #[error(
        "the list was not found within {} seconds: ask for less, by an exact name or a smaller offset",
        store::limits::SCAN_TIME_MAX.as_secs()
    )]
    TookTooLong,
    /// The memory for ephemeral secrets is used up.
    #[error("there is no more memory for ephemeral secrets")]
    MemoryFull,
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
    /// More changes wait than the store's named limit; try again.
    #[error("too many changes are waiting")]
    Busy,
    /// The request could not be written down, so it was not done.
    #[error("the audit trail cannot be written")]
    Unwritten,
    /// There is no room for the change.
    #[error("the disk of the store is full")]
    DiskFull,
    /// A page of what is asked for is damaged, or the disk does not give it.
    #[error("a page of the store is damaged, or cannot be read from the disk")]
    Unreadable,
    /// The store's file was deleted, moved or replaced while it was served.
    #[error("the store's file was deleted, moved or replaced while it was served")]
    TakenAway,
    /// The store cannot be used now.
    #[error(transparent)]
    Store(store::Error),
}

impl Error {
    /// Whether what is stored is at fault: a damaged envelope, key or row, which stays so however often it is asked for.
    pub fn is_of_what_is_stored(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Store(store::Error::Corrupt(_)) => true,
            Self::Keys(error) => !matches!(
                error,
                seal::Error::NoMemory
                    | seal::Error::NoRandomness
                    | seal::Error::NotReproduced
                    | seal::Error::NotGenerated
                    | seal::Error::NotOffered(_)
            ),
            _ => false,
        }
    }
}

impl From<store::Error> for Error {
    /// What needs no telling of which thing it is about. Whoever changes something that can be missing, or is in the way,
    /// says so first.
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Busy => Self::Busy,
            store::Error::DiskFull => Self::DiskFull,
            store::Error::Unreadable => Self::Unreadable,
            store::Error::TakenAway(_) => Self::TakenAway,
            store::Error::ListTooLong => Self::ListTooLong,
            store::Error::TookTooLong => Self::TookTooLong,
            store::Error::MetadatumExists => Self::MetadatumExists,
            store::Error::MetadatumNotFound => Self::MetadatumNotFound,
            store::Error::TooManyMetadata => Self::TooManyMetadata,
            store::Error::UsageTaken(by) => Self::UsageTaken(by),
            store::Error::MemoryFull => Self::MemoryFull,
            store::Error::Facet(error) => Self::Facet(error),
            store::Error::Unwitnessed => Self::Unwritten,
            store::Error::NoSuchReference(id) => Self::NoSuchReference(id),
            store::Error::NotInContainer(id) => Self::NotInContainer(id),
            store::Error::OthersConsumer => Self::OthersConsumer,
            store::Error::ReferenceTaken(id) => Self::ReferenceTaken(id),
            store::Error::EphemeralReference(id) => Self::EphemeralReference(id),
            store::Error::NamedOnDisk(id) => Self::NamedOnDisk(id),
            store::Error::TooManyParts => Self::TooManyParts,
            store::Error::QuotaReached(counted) => Self::QuotaReached(counted),
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
    /// Changes that were committed are not in the store.
    #[error("changes {} to {} were committed, and are not in the database", .0.after + 1, .0.through)]
    Lost(crate::Lost),
    /// The audit trail cannot be written.
    #[error("the audit trail cannot be opened: {0}")]
    Audit(#[source] std::io::Error),
}
