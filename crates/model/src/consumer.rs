//! Consumers register that they use a secret or a container.

use crate::{ConsumerId, Guarded, ProjectId, Text, Timestamp};

/// One consumer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Consumer {
    /// Its name in references.
    pub id: ConsumerId,
    /// The project that it was registered from, against whose quota it counts.
    pub project: ProjectId,
    /// When it was registered.
    pub created: Timestamp,
    /// When it last changed, which is when it was registered.
    pub updated: Timestamp,
    /// The user of the secret or container.
    pub who: Uses,
}

/// A use of a secret or a container. Two equal registrations are one consumer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Uses {
    /// A resource of a service uses a secret.
    Secret {
        /// For instance `volume`.
        service: Text,
        /// For instance `volumes`.
        resource_type: Text,
        /// For instance a UUID.
        resource_id: Text,
    },
    /// Something that has a URL uses a container.
    Container {
        /// For people.
        name: Text,
        /// Where it is.
        url: Text,
    },
}

impl Uses {
    /// Whether it is a use of this kind of thing.
    pub fn is_of(&self, of: Guarded) -> bool {
        matches!(
            (self, of),
            (Self::Secret { .. }, Guarded::Secret(_)) | (Self::Container { .. }, Guarded::Container(_))
        )
    }
}
