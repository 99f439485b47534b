//! Handles, as libvirt calls them: an id and a usage, which together point at a secret.

use crate::{Access, Encoding, SecretId, Usage};

/// A secret that was looked up, for a caller that does not want the whole record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Handle {
    /// Its id and its usage.
    pub listed: Listed,
    /// How the libvirt door renders the payload.
    pub encoding: Encoding,
    /// The data that decides about access.
    pub access: Access,
}

/// A secret in a list of all secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its id.
    pub id: SecretId,
    /// Its usage.
    pub usage: Option<Usage>,
}

/// Conditions on the secrets of a project that are listed or counted. An absent condition holds for every secret.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Which {
    /// Only private secrets, or only others.
    pub private: Option<bool>,
    /// Only ephemeral secrets, or only others.
    pub ephemeral: Option<bool>,
}
