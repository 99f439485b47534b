//! Why a request cannot be done with the stored data: a thing is absent, or another thing conflicts.
//!
//! The caller can react to each, for instance by naming another thing. The crates that decide about permissions, and
//! those whose work can fail, have errors of their own for that.

use crate::{Counted, FacetError, SecretId};

/// A thing that a request names is absent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Absent {
    /// The secret does not exist or has expired.
    #[error("secret {0} not found")]
    Secret(SecretId),
    /// The secret has no payload yet.
    #[error("secret {0} has no payload")]
    Payload(SecretId),
    /// The secret has no such key.
    #[error("metadata key not found")]
    Metadatum,
    /// No such container.
    #[error("container not found")]
    Container,
    /// The secret to add to a container, or to remove from it, does not exist.
    #[error("secret {0} is not there")]
    Reference(SecretId),
    /// The container does not hold the secret under that name.
    #[error("secret {0} is not in the container")]
    Part(SecretId),
    /// No such consumer.
    #[error("consumer not found")]
    Consumer,
    /// No such order.
    #[error("order not found")]
    Order,
    /// The project has no quotas of its own.
    #[error("no quotas of the project")]
    Quotas,
    /// No such transport key.
    #[error("transport key not found")]
    TransportKey,
}

/// A stored thing conflicts with a request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// The secret has a payload already.
    #[error("secret {0} has a payload already")]
    Payload(SecretId),
    /// The key to add exists already.
    #[error("metadata key is there already")]
    Metadatum,
    /// The secret has as many pairs as it may have.
    #[error("the secret has as many metadata keys as it may have")]
    TooManyMetadata,
    /// The facet cannot be changed so.
    #[error(transparent)]
    Facet(#[from] FacetError),
    /// Another secret of the project has the usage.
    #[error("secret {0} of the project has this usage")]
    Usage(SecretId),
    /// A secret of another project has the id.
    #[error("a secret of another project has the id {0}")]
    Id(SecretId),
    /// The secret has consumers.
    #[error("secret {0} has consumers")]
    Consumers(SecretId),
    /// Only generic containers can be changed.
    #[error("the container is not a generic one")]
    NotGeneric,
    /// The container holds the secret under that name.
    #[error("secret {0} is in the container already")]
    Part(SecretId),
    /// A container is on disk, and an ephemeral secret must leave no trace there.
    #[error("secret {0} is ephemeral: it cannot be in a container")]
    EphemeralPart(SecretId),
    /// A container or an order names the secret on disk, where an ephemeral secret must leave no trace.
    #[error("secret {0} is in a container, or came of an order: it cannot become ephemeral")]
    NamedOnDisk(SecretId),
    /// The container holds as many secrets, or the thing has as many consumers, as it may.
    #[error("there are as many of these as there may be")]
    TooManyParts,
    /// The project has as many as it may have.
    #[error("the quota of {} is reached", .0.as_str())]
    Quota(Counted),
}
