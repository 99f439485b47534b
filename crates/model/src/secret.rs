//! The one record behind both doors.

use crate::{ContentType, Facets, Guard, Guarded, ProjectId, SecretId, Standing, Timestamp, UserId};

/// A secret without its value: everything either protocol may show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secret {
    /// Its name in both protocols.
    pub id: SecretId,
    /// The project it belongs to, for good.
    pub project: ProjectId,
    /// The attributes that its creator gave it.
    pub attributes: Attributes,
    /// Who created it; unknown where the caller had no user.
    pub creator: Option<UserId>,
    /// When it was created.
    pub created: Timestamp,
    /// When it, or its payload, last changed.
    pub updated: Timestamp,
    /// Barbican's life-cycle state.
    pub status: Status,
    /// The content type of the payload; absent exactly while there is no payload.
    pub content_type: Option<ContentType>,
    /// Whether the project may read it by its roles; switched off by an ACL (`project-access: false`).
    pub project_access: bool,
    /// Its facets for hypervisors.
    pub facets: Facets,
    /// Vouches for its [`Standing`]; never shown, and not there in a list.
    pub guard: Option<Guard>,
}

impl Secret {
    /// Whether it behaves as absent at this time. Barbican compares `expiration > now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.attributes.expiration.is_some_and(|expiration| expiration <= now)
    }

    /// The facts that decide about access to it.
    pub fn standing(&self) -> Standing<'_> {
        Standing {
            of: Guarded::Secret(self.id),
            project: &self.project,
            creator: self.creator.as_ref(),
            project_access: self.project_access,
            private: self.facets.private,
            expiration: self.attributes.expiration,
        }
    }
}

/// The attributes that the creator gives a secret. As in Barbican, nothing checks them against each other or the payload.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// A name for people; need not be unique.
    pub name: Option<Text>,
    /// For instance `aes`.
    pub algorithm: Option<Text>,
    /// The length of the key.
    pub bit_length: Option<BitLength>,
    /// For instance `cbc`.
    pub mode: Option<Text>,
    /// What kind of secret it is.
    pub secret_type: SecretType,
    /// From this time on the secret counts as absent.
    pub expiration: Option<Timestamp>,
}

/// Barbican's secret types.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum SecretType {
    /// Bytes of a symmetric key.
    Symmetric,
    /// A public key.
    Public,
    /// A private key.
    Private,
    /// A passphrase.
    Passphrase,
    /// A certificate.
    Certificate,
    /// Anything: the default.
    #[default]
    Opaque,
}

impl SecretType {
    /// Every type, in the order Barbican lists them in its error text.
    pub const ALL: [Self; 6] =
        [Self::Symmetric, Self::Passphrase, Self::Private, Self::Public, Self::Certificate, Self::Opaque];

    /// The name in requests, answers and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Symmetric => "symmetric",
            Self::Public => "public",
            Self::Private => "private",
            Self::Passphrase => "passphrase",
            Self::Certificate => "certificate",
            Self::Opaque => "opaque",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

/// Barbican's life-cycle states.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Status {
    /// Usable. A secret without a payload is active too.
    #[default]
    Active,
}

impl Status {
    /// The name in answers and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        (text == Self::Active.as_str()).then_some(Self::Active)
    }
}

/// The text has more than [`Text::CHARS_MAX`] characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("longer than {} characters", Text::CHARS_MAX)]
pub struct TextTooLong;

/// A short text about a secret: its name, algorithm or mode.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Text(Box<str>);

impl Text {
    /// The longest accepted, in characters: `maxLength` of Barbican's schema.
    pub const CHARS_MAX: usize = 255;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Text {
    type Error = TextTooLong;

    fn try_from(text: &str) -> Result<Self, TextTooLong> {
        match text.chars().nth(Self::CHARS_MAX) {
            None => Ok(Self(text.into())),
            Some(_) => Err(TextTooLong),
        }
    }
}

/// Not a length from 1 to [`BitLength::MAX`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a length from 1 to {} bits", BitLength::MAX)]
pub struct InvalidBitLength;

/// The length of a key, in bits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BitLength(u16);

impl BitLength {
    /// The longest accepted: `maximum` of Barbican's schema.
    pub const MAX: u16 = 32_767;

    /// The number of bits.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for BitLength {
    type Error = InvalidBitLength;

    fn try_from(bits: i64) -> Result<Self, InvalidBitLength> {
        match u16::try_from(bits) {
            Ok(bits @ 1..=Self::MAX) => Ok(Self(bits)),
            _ => Err(InvalidBitLength),
        }
    }
}

/// One pair of user metadata.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Metadatum {
    /// Lower-case letters, digits, `_` and `-`.
    pub key: String,
    /// Any text.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for secret_type in SecretType::ALL {
            assert_eq!(SecretType::parse(secret_type.as_str()), Some(secret_type));
        }
        assert_eq!(SecretType::parse("OPAQUE"), None);
    }

    #[test]
    fn bit_lengths_have_bounds() {
        for (bits, valid) in [(0, false), (-1, false), (1, true), (32_767, true), (32_768, false)] {
            assert_eq!(BitLength::try_from(bits).is_ok(), valid, "{bits}");
        }
    }
}
