//! Access control lists let users read a secret or a container beyond the roles of its project.

use std::fmt;

use crate::{ContainerId, SecretId, Text, Timestamp};

/// A secret or a container: the things that have an ACL, consumers and an owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guarded {
    /// A secret.
    Secret(SecretId),
    /// A container. Its ACL does not apply to its secrets.
    Container(ContainerId),
}

impl Guarded {
    /// The bytes of its id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        match self {
            Self::Secret(id) => id.as_bytes(),
            Self::Container(id) => id.as_bytes(),
        }
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(id) => write!(f, "secret {id}"),
            Self::Container(id) => write!(f, "container {id}"),
        }
    }
}

/// An ACL. Without one, the project's roles decide who reads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acl {
    /// Whether the project may read by its roles. If not, only its creator, its project's admins and the users may.
    pub project_access: bool,
    /// Users, of any project, who may read; in the order of their names, each once.
    pub users: Vec<Text>,
    /// When the ACL was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// A change of an ACL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AclChange {
    /// Replaces the whole ACL.
    Replace {
        /// As [`Acl::project_access`].
        project_access: bool,
        /// As [`Acl::users`]; one named twice counts once.
        users: Vec<Text>,
    },
    /// Changes the given parts; the rest stays. If there is no ACL, the rest gets its defaults.
    Amend {
        /// As [`Acl::project_access`].
        project_access: Option<bool>,
        /// All users from now on.
        users: Option<Vec<Text>>,
    },
    /// Deletes the ACL.
    Remove,
}
