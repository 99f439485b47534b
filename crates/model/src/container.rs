//! Containers: secrets that belong together, under names.

use crate::{ContainerId, Guard, Guarded, Pattern, ProjectId, SecretId, Standing, Text, Timestamp, UserId};

/// A container, without its secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Container {
    /// Its name in references.
    pub id: ContainerId,
    /// The project it belongs to, for good.
    pub project: ProjectId,
    /// Who created it; unknown where the caller had no user.
    pub creator: Option<UserId>,
    /// When it was created.
    pub created: Timestamp,
    /// When its secrets last changed.
    pub updated: Timestamp,
    /// A name for people; need not be unique.
    pub name: Option<Text>,
    /// What it holds.
    pub container_type: ContainerType,
    /// Whether the roles of its project may read it. The ACL decides; true without an ACL.
    pub project_access: bool,
    /// Vouches for its [`Standing`]; never shown, and not there in a list.
    pub guard: Option<Guard>,
}

impl Container {
    /// The facts that decide about access to it.
    pub fn standing(&self) -> Standing<'_> {
        Standing {
            of: Guarded::Container(self.id),
            project: &self.project,
            creator: self.creator.as_ref(),
            project_access: self.project_access,
            private: false,
            expiration: None,
        }
    }
}

/// Barbican's container types.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ContainerType {
    /// Any secrets, which can be added and taken out.
    Generic,
    /// A key pair.
    Rsa,
    /// A DSA key pair, which only an order can create.
    Dsa,
    /// A certificate and what goes with it.
    Certificate,
}

impl ContainerType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Generic, Self::Rsa, Self::Dsa, Self::Certificate];

    /// The name in requests, answers and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Rsa => "rsa",
            Self::Dsa => "dsa",
            Self::Certificate => "certificate",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

/// A secret in a container. A container does not hold the same secret twice under one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerSecret {
    /// Its role in the container, for instance `private_key`.
    pub name: Option<Text>,
    /// Which.
    pub secret: SecretId,
}

/// Which containers of a project a list shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerQuery {
    /// Whose.
    pub project: ProjectId,
    /// By name.
    pub name: Option<Pattern>,
    /// By type; an unknown type, `Some(None)`, matches nothing.
    pub container_type: Option<Option<ContainerType>>,
    /// Matches to pass over.
    pub offset: u64,
    /// The most to show.
    pub limit: u32,
}
