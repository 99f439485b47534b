//! Containers: secrets that belong together, under names.

use crate::{ContainerId, Guard, Guarded, Pattern, ProjectId, SecretId, Standing, Text, Timestamp, UserId};

/// A container, without what is in it.
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
    /// When what is in it last changed.
    pub updated: Timestamp,
    /// A name for people; need not be unique.
    pub name: Option<Text>,
    /// What it holds.
    pub container_type: ContainerType,
    /// Whether its project may read it by its roles: what its ACL says, and so while it has none.
    pub project_access: bool,
    /// Vouches for its [`Standing`]; never shown, and not there in a list.
    pub guard: Option<Guard>,
}

impl Container {
    /// What decides who may do what with it.
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
    /// A key pair that an order made; no other is.
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

/// A secret in a container. Of one container no two have both the name and the secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerSecret {
    /// What it is there: for instance `private_key`.
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
    /// By type; a type that there is not matches nothing.
    pub container_type: Option<Option<ContainerType>>,
    /// Matches to pass over.
    pub offset: u64,
    /// The most to show.
    pub limit: u32,
}
