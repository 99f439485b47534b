//! The facts that decide about access to a secret or a container, as one value for which a guard vouches.

use crate::{Guarded, ProjectId, Timestamp, UserId};

/// All facts on which an access decision rests, except the users in the ACL. Nobody notices a change in the database of a
/// fact that is not here, so a rule that needs another fact must add it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing<'a> {
    /// The secret or container.
    pub of: Guarded,
    /// The project that owns it.
    pub project: &'a ProjectId,
    /// Who created it.
    pub creator: Option<&'a UserId>,
    /// Whether the project may read it by its roles.
    pub project_access: bool,
    /// Whether ordinary clients do not get the value; false for a container.
    pub private: bool,
    /// From this time on it counts as absent; containers do not expire.
    pub expiration: Option<Timestamp>,
}

/// Everything that decides about access to one secret or container, as a store keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    /// As [`Standing::project`].
    pub project: ProjectId,
    /// As [`Standing::creator`].
    pub creator: Option<UserId>,
    /// As [`Standing::project_access`].
    pub project_access: bool,
    /// As [`Standing::private`].
    pub private: bool,
    /// As [`Standing::expiration`].
    pub expiration: Option<Timestamp>,
    /// Vouches for all of it.
    pub guard: Option<Guard>,
}

impl Access {
    /// The part that a guard vouches for, of the secret or container that has it.
    pub fn standing(&self, of: Guarded) -> Standing<'_> {
        Standing {
            of,
            project: &self.project,
            creator: self.creator.as_ref(),
            project_access: self.project_access,
            private: self.private,
            expiration: self.expiration,
        }
    }
}

/// Vouches for a [`Standing`] and an ACL. Only a holder of the keys can make and check it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Guard(Vec<u8>);

impl Guard {
    /// The bytes, as they are stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Guard {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}
