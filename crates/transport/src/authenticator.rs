//! The ways in which callers are identified: by the headers of a trusted proxy, or by a token of Keystone.

use http::{HeaderMap, HeaderValue};
use model::Caller;

use crate::identity::{Unidentified, by_headers};
use crate::keystone::Keystone;

/// How callers are identified.
#[derive(Clone, Debug, Default)]
pub enum Authenticator {
    /// By the headers `X-Project-Id`, `X-User-Id` and `X-Roles`, without proof: Barbican's unauthenticated mode.
    /// Only for listeners that nobody but a trusted proxy or the machine itself reaches.
    #[default]
    ProjectHeader,
    /// By the token in `X-Auth-Token`: Keystone names its owner. The headers of a proxy are ignored.
    Keystone(Keystone),
}

impl Authenticator {
    /// Finds the caller.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Unidentified> {
        match self {
            Self::ProjectHeader => by_headers(headers),
            Self::Keystone(keystone) => keystone.identify(headers).await,
        }
    }

    /// The `WWW-Authenticate` header of a 401.
    pub fn challenge(&self) -> Option<HeaderValue> {
        match self {
            Self::ProjectHeader => None,
            Self::Keystone(keystone) => Some(keystone.challenge()),
        }
    }
}
