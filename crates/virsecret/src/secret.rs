//! A secret as the API names it without XML: its UUID and its usage.

use std::borrow::Cow;

use libvirt_rpc::messages;
use uuid::Uuid;

/// One secret, as the daemon knew it at its answer. It holds nothing open.
///
/// A daemon looks only at the UUID. So a UUID alone can name a secret:
///
/// ```
/// let secret = virsecret::Secret::from(virsecret::Uuid::nil());
/// assert_eq!(secret.usage_type, virsecret::UsageType::None);
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Secret {
    /// Its UUID.
    pub uuid: Uuid,
    /// The type of its usage.
    pub usage_type: UsageType,
    /// The name of the thing that it is used for. Bytes, because libvirt promises no encoding; empty for [`UsageType::None`].
    pub usage_id: Vec<u8>,
}

impl Secret {
    /// The usage as text. Bytes that are not UTF-8 are replaced.
    pub fn usage_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.usage_id)
    }

    pub(crate) fn of_wire(secret: &messages::Secret<'_>) -> Self {
        Self {
            uuid: Uuid::from_bytes(secret.uuid),
            usage_type: UsageType::of(secret.usage_type),
            usage_id: secret.usage_id.to_vec(),
        }
    }

    pub(crate) fn to_wire(&self) -> messages::Secret<'_> {
        messages::Secret {
            uuid: self.uuid.into_bytes(),
            usage_type: self.usage_type.number(),
            usage_id: &self.usage_id,
        }
    }
}

impl From<Uuid> for Secret {
    fn from(uuid: Uuid) -> Self {
        Self { uuid, usage_type: UsageType::None, usage_id: Vec::new() }
    }
}

/// The type of a secret's usage: `virSecretUsageType`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum UsageType {
    /// No usage.
    None,
    /// An encrypted volume, named by its path.
    Volume,
    /// A Ceph client.
    Ceph,
    /// An iSCSI target.
    Iscsi,
    /// A TLS key.
    Tls,
    /// A virtual TPM.
    Vtpm,
    /// A later type that this program does not know.
    Other(i32),
}

impl UsageType {
    /// The types with a name, without [`Self::None`].
    pub const NAMED: [Self; 5] = [Self::Volume, Self::Ceph, Self::Iscsi, Self::Tls, Self::Vtpm];

    /// libvirt's number of the type.
    pub const fn number(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Volume => 1,
            Self::Ceph => 2,
            Self::Iscsi => 3,
            Self::Tls => 4,
            Self::Vtpm => 5,
            Self::Other(number) => number,
        }
    }

    /// The inverse of [`Self::number`].
    pub const fn of(number: i32) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Volume,
            2 => Self::Ceph,
            3 => Self::Iscsi,
            4 => Self::Tls,
            5 => Self::Vtpm,
            other => Self::Other(other),
        }
    }

    /// The name in XML, if this program knows it.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => Some("none"),
            Self::Volume => Some("volume"),
            Self::Ceph => Some("ceph"),
            Self::Iscsi => Some("iscsi"),
            Self::Tls => Some("tls"),
            Self::Vtpm => Some("vtpm"),
            Self::Other(_) => None,
        }
    }
}

/// Which secrets to list. A condition together with its opposite means the same as neither: all secrets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Filter(u32);

impl Filter {
    /// All of them.
    pub const ALL: Self = Self(0);
    /// Secrets that are never written to disk.
    pub const EPHEMERAL: Self = Self(messages::LIST_EPHEMERAL);
    /// Secrets that are written to disk.
    pub const NO_EPHEMERAL: Self = Self(messages::LIST_NO_EPHEMERAL);
    /// Secrets whose value only hypervisors can read.
    pub const PRIVATE: Self = Self(messages::LIST_PRIVATE);
    /// Secrets that are not private.
    pub const NO_PRIVATE: Self = Self(messages::LIST_NO_PRIVATE);

    /// Both conditions.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// `virConnectListAllSecretsFlags`
    pub const fn bits(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_types_have_the_numbers_of_libvirt() {
        for number in -1..8 {
            assert_eq!(UsageType::of(number).number(), number);
        }
        let names: Vec<_> = UsageType::NAMED.iter().map(|usage| usage.name().unwrap()).collect();
        assert_eq!(names, ["volume", "ceph", "iscsi", "tls", "vtpm"]);
        assert_eq!(UsageType::NAMED.map(UsageType::number), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn filters_add_up() {
        assert_eq!(Filter::PRIVATE.and(Filter::NO_EPHEMERAL).bits(), 6);
        assert_eq!(Filter::default(), Filter::ALL);
    }
}
