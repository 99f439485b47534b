//! Access control lists: who may read a secret or a container besides what its project's roles say.

use std::fmt;

use crate::{ContainerId, SecretId, Text, Timestamp};

/// What has an ACL, consumers and an owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guarded {
    /// A secret.
    Secret(SecretId),
    /// A container. Its ACL is not its secrets'.
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

/// An ACL. Where there is none, the project reads by its roles and nobody else does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acl {
    /// Whether the project may read by its roles. If not, only its creator, its project's admins and the users may.
    pub project_access: bool,
    /// Users, of any project, who may read; in the order of their names, each once.
    pub users: Vec<Text>,
    /// When there first was one.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// What is to become of an ACL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AclChange {
    /// It says this, whatever it said before.
    Replace {
        /// As [`Acl::project_access`].
        project_access: bool,
        /// As [`Acl::users`]; one named twice counts once.
        users: Vec<Text>,
    },
    /// What is given changes, the rest stays; without an ACL the rest is that of an absent one.
    Amend {
        /// As [`Acl::project_access`].
        project_access: Option<bool>,
        /// All users from now on.
        users: Option<Vec<Text>>,
    },
    /// There is none.
    Remove,
}
