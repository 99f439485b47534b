//! Transport keys: public keys of devices, for which clients can wrap payloads on their way.

use crate::{Text, Timestamp, TransportKeyId};

/// One transport key. Donjon unwraps nothing with it, like Barbican's own store without a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransportKey {
    /// Its name in references.
    pub id: TransportKeyId,
    /// When it was registered.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// The back end that owns the key.
    pub plugin: Text,
    /// The key, as the client sent it.
    pub key: String,
}
