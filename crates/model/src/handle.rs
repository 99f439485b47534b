//! What it takes to point at a secret: what libvirt calls a handle.

use crate::{Access, SecretId, Usage};

/// A secret that was looked up: its id, its usage, and what decides about access to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Handle {
    /// Its id and its usage.
    pub listed: Listed,
    /// What decides about access to it.
    pub access: Access,
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
