//! What decides who may do what with a secret or a container, as one value that somebody with the keys can vouch for.

use crate::{Guarded, ProjectId, Timestamp, UserId};

/// Everything that an answer to "may they?" rests on, but for whom the ACL names. A fact that is not here may be changed
/// in the database unseen, so a rule that asks for another one adds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing<'a> {
    /// What it is of.
    pub of: Guarded,
    /// Whose.
    pub project: &'a ProjectId,
    /// Who created it.
    pub creator: Option<&'a UserId>,
    /// Whether the project may read it by its roles.
    pub project_access: bool,
    /// Whether ordinary clients are refused the value; of a container, false.
    pub private: bool,
    /// From then on it is as if it were not there; containers do not expire.
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

/// Vouches for a [`Standing`] and an ACL. Whoever has the keys makes and checks it; to everybody else it is bytes.
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
