//! What it takes to point at a secret: what libvirt calls a handle.

use crate::{Guard, Guarded, ProjectId, SecretId, Standing, Timestamp, Usage, UserId};

/// A secret that was looked up: which it is, what it is for, and whose, so that a rule can be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Handle {
    /// Which.
    pub listed: Listed,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Who created it.
    pub creator: Option<UserId>,
    /// Whether the project may read it by its roles.
    pub project_access: bool,
    /// Whether ordinary clients are refused the value.
    pub private: bool,
    /// From then on it is as if it were not there.
    pub expiration: Option<Timestamp>,
    /// Vouches for its [`Standing`].
    pub guard: Option<Guard>,
}

impl Handle {
    /// What decides who may do what with it.
    pub fn standing(&self) -> Standing<'_> {
        Standing {
            of: Guarded::Secret(self.listed.id),
            project: &self.project,
            creator: self.creator.as_ref(),
            project_access: self.project_access,
            private: self.private,
            expiration: self.expiration,
        }
    }
}

/// A secret in a list of all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its id.
    pub id: SecretId,
    /// What it is used for.
    pub usage: Option<Usage>,
}

/// Which of a project's secrets are listed or counted. What is absent does not filter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Which {
    /// Only private ones, or only others.
    pub private: Option<bool>,
    /// Only ephemeral ones, or only others.
    pub ephemeral: Option<bool>,
}
