//! Transport keys: public keys of devices that payloads can be wrapped for on their way there.

use crate::{Text, Timestamp, TransportKeyId};

/// One transport key. Nothing here unwraps anything: Barbican's own store without a device does not either.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransportKey {
    /// Its name in references.
    pub id: TransportKeyId,
    /// When it was registered.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// The back end whose key it is.
    pub plugin: Text,
    /// The key, as it was given.
    pub key: String,
}
