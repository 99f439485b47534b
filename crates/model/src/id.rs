//! Ids. Each kind is a type of its own, so nobody can pass one for another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// The text is not an identifier of this kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a valid identifier")]
pub struct InvalidId;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random (version 4) id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The 16 bytes, in the order in which they are printed.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From 16 bytes, as stored or sent.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Whether this is a version 4 id, the only kind Barbican hands out and accepts.
            pub fn is_v4(&self) -> bool {
                self.0.get_version_num() == 4 && self.0.get_variant() == uuid::Variant::RFC4122
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts any form the `uuid` crate does; a door that is stricter compares the text with the printed id.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.parse().map(Self).map_err(|_| InvalidId)
            }
        }
    };
}

uuid_id!(
    /// Names one secret in both protocols: a Barbican href ends in it, libvirt sends its 16 bytes.
    SecretId
);
uuid_id!(
    /// Names one container.
    ContainerId
);
uuid_id!(
    /// Names one consumer of a secret or a container.
    ConsumerId
);
uuid_id!(
    /// Names one order.
    OrderId
);
uuid_id!(
    /// Names one transport key.
    TransportKeyId
);

impl SecretId {
    /// Sixteen zero bytes: no secret's id.
    pub const NIL: Self = Self(Uuid::nil());
}

/// Names one request in answers, logs and the audit trail, printed as OpenStack does: `req-` and a UUID.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// From 16 random bytes.
    pub fn from_random_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// `req-` and the id, without an allocation.
    pub fn to_ascii(self) -> [u8; 40] {
        let mut text = *b"req-0000000000000000000000000000000000000";
        let mut id = [0_u8; uuid::fmt::Hyphenated::LENGTH];
        self.0.as_hyphenated().encode_lower(&mut id);
        for (to, from) in text.iter_mut().skip(4).zip(id) {
            *to = from;
        }
        let [head @ .., _] = text;
        head
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req-{}", self.0.as_hyphenated())
    }
}

macro_rules! external_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>); // Copied with every request.

        impl $name {
            /// The longest accepted, in characters: Barbican's columns are `VARCHAR(255)`.
            pub const CHARS_MAX: usize = 255;

            /// The text as the identity service knows it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            /// Refuses the empty text and more than [`Self::CHARS_MAX`] characters.
            fn try_from(text: &str) -> Result<Self, InvalidId> {
                if text.is_empty() || text.chars().nth(Self::CHARS_MAX).is_some() {
                    return Err(InvalidId);
                }
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

external_id!(
    /// A project (tenant) as the identity service names it.
    ProjectId
);
external_id!(
    /// A user as the identity service names them.
    UserId
);

/// The version of a project's key: 1 for the first, and one more at each rotation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyVersion(pub u32);

impl KeyVersion {
    /// The version of a project's first key.
    pub const FIRST: Self = Self(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_id_prints_alike_in_both_ways() {
        let id = RequestId::random();
        assert_eq!(std::str::from_utf8(&id.to_ascii()).unwrap(), id.to_string());
    }

    #[test]
    fn project_ids_have_a_length() {
        assert!(ProjectId::try_from("").is_err());
        assert!(ProjectId::try_from("密".repeat(255).as_str()).is_ok());
        assert!(ProjectId::try_from("密".repeat(256).as_str()).is_err());
    }

    #[test]
    fn only_version_4_ids_are_v4() {
        let v4: SecretId = "6ba7b810-9dad-41d1-80b4-00c04fd430c8".parse().unwrap();
        let v1: SecretId = "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().unwrap();
        assert!(v4.is_v4() && !v1.is_v4());
        assert_eq!(v4.to_string(), "6ba7b810-9dad-41d1-80b4-00c04fd430c8");
    }
}
