//! Generates the keys of orders: symmetric keys, and key pairs as files that other programs read.
//!
//! ```text
//! symmetric      random bytes
//! RSA   private  PEM, PKCS #8, with a passphrase encrypted (encrypted.rs)     public  PEM, SubjectPublicKeyInfo
//! DSA   private  DER, PKCS #8, with a passphrase encrypted                    public  DER, SubjectPublicKeyInfo
//! ```
//!
//! Kinds, forms and lengths of pairs are those of Barbican's simple_crypto, with the weak ones, which clients ask for by
//! name. A symmetric key may have any length that a payload may have: clients ask for keys of ciphers and hashes that
//! Barbican does not know, and for two keys in one.
//!
//! What it promises: the private half of a pair is read again and must give the public half; private bytes are only in
//! memory that is wiped; a search for primes ends ([`SEARCH_MS_MAX`]).
//!
//! It blocks its thread for that long. The caller must use a spare thread, and limit how many run at once.

mod encrypted;
mod pem;

use std::fmt;
use std::time::Duration;

use model::PAYLOAD_BYTES_MAX;
use zeroize::Zeroizing;

use crate::evp::Key;
use crate::{Error, Payload, primitives};

/// How long the search for primes may take. The slowest pairs take a second or two (docs/decisions/0015); thirty mean
/// an overloaded machine or a fault.
pub const SEARCH_MS_MAX: u64 = 30_000;

/// The longest passphrase: OpenSSL reads no longer one, and Barbican takes no longer one.
pub const PASSPHRASE_BYTES_MAX: usize = 1023;

/// The group that DSA keys of 4096 bits share, which takes seconds to find. tests/dsa_group.py makes it again.
const DSA_4096: &[u8] = include_bytes!("dsa-4096.der");

/// The length of a symmetric key: whole bytes, at least one and at most as many as a payload may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SymmetricBits {
    bytes: usize,
}

impl TryFrom<u32> for SymmetricBits {
    type Error = Error;

    fn try_from(bits: u32) -> Result<Self, Error> {
        match usize::try_from(bits / 8) {
            Ok(bytes @ 1..=PAYLOAD_BYTES_MAX) if bits.is_multiple_of(8) => Ok(Self { bytes }),
            _ => Err(Error::NotOffered(bits)),
        }
    }
}

/// A new symmetric key.
pub fn symmetric(bits: SymmetricBits) -> Result<Payload, Error> {
    let mut key = Zeroizing::new(vec![0; bits.bytes]);
    primitives::random(&mut key)?;
    Ok(Payload::from(key))
}

/// The algorithm of a key pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PairKind {
    /// Signatures and encryption, with the exponent 65537.
    Rsa,
    /// Signatures.
    Dsa,
}

/// The length of the keys of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PairBits {
    /// 1024, which is weak.
    B1024,
    /// 2048.
    B2048,
    /// 4096.
    B4096,
}

impl TryFrom<u32> for PairBits {
    type Error = Error;

    fn try_from(bits: u32) -> Result<Self, Error> {
        match bits {
            1024 => Ok(Self::B1024),
            2048 => Ok(Self::B2048),
            4096 => Ok(Self::B4096),
            _ => Err(Error::NotOffered(bits)),
        }
    }
}

/// The passphrase that encrypts a private key: 1 to [`PASSPHRASE_BYTES_MAX`] bytes.
#[derive(Debug)]
pub struct Passphrase(Payload);

impl Passphrase {
    /// The passphrase itself, which is stored beside the key that it opens.
    pub fn into_payload(self) -> Payload {
        self.0
    }
}

impl TryFrom<Payload> for Passphrase {
    type Error = Error;

    fn try_from(payload: Payload) -> Result<Self, Error> {
        match payload.len() {
            1..=PASSPHRASE_BYTES_MAX => Ok(Self(payload)),
            bytes => Err(Error::WrongLength(bytes)),
        }
    }
}

/// A key pair, each half in the form in which it is stored.
pub struct KeyPair {
    /// The private key.
    pub private: Payload,
    /// The public key.
    pub public: Payload,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair([redacted])")
    }
}

/// A new key pair. With a passphrase, its private half is encrypted.
pub fn key_pair(kind: PairKind, bits: PairBits, passphrase: Option<&Passphrase>) -> Result<KeyPair, Error> {
    let key = match kind {
        PairKind::Rsa => rsa(bits)?,
        PairKind::Dsa => dsa(bits)?,
    };
    let (private, public) = (key.private_der()?, key.public_der()?);
    if *Key::from_private_der(&private)?.public_der()? != *public {
        return Err(Error::NotReproduced);
    }
    let (label, private) = match passphrase {
        Some(passphrase) => ("ENCRYPTED PRIVATE KEY", encrypted::encrypt(&private, passphrase.0.expose())?),
        None => ("PRIVATE KEY", private),
    };
    Ok(match kind {
        PairKind::Rsa => {
            KeyPair { private: pem::write(label, &private), public: pem::write("PUBLIC KEY", &public) }
        }
        PairKind::Dsa => KeyPair { private: Payload::from(private), public: Payload::from(public) },
    })
}

const SEARCH_MAX: Duration = Duration::from_millis(SEARCH_MS_MAX);

fn rsa(bits: PairBits) -> Result<Key, Error> {
    let bits = match bits {
        PairBits::B1024 => 1024,
        PairBits::B2048 => 2048,
        PairBits::B4096 => 4096,
    };
    Key::rsa(bits, SEARCH_MAX)
}

/// Keys of 4096 bits share a group. Keys of 1024 bits must not: if all of them were in one group, breaking it would be
/// worth a year of computing to an attacker.
fn dsa(bits: PairBits) -> Result<Key, Error> {
    let group = match bits {
        PairBits::B1024 => Key::dsa_group(1024, 160, SEARCH_MAX)?,
        PairBits::B2048 => Key::dsa_group(2048, 256, SEARCH_MAX)?,
        PairBits::B4096 => Key::from_public_der(DSA_4096)?,
    };
    Key::dsa(&group, SEARCH_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn symmetric_keys_have_their_length_and_are_not_the_same() {
        for (bits, bytes) in [(56, 7), (64, 8), (256, 32), (384, 48), (512, 64), (160_000, 20_000)] {
            let key = || symmetric(SymmetricBits::try_from(bits).unwrap()).unwrap();
            assert_eq!(key().len(), bytes);
            assert_ne!(key().expose(), key().expose());
        }
    }

    #[test]
    fn halves_of_a_pair_belong_together() {
        for kind in [PairKind::Rsa, PairKind::Dsa] {
            let pair = key_pair(kind, PairBits::B1024, None).unwrap();
            let other = key_pair(kind, PairBits::B1024, None).unwrap();
            assert_ne!(pair.public.expose(), other.public.expose());
        }
    }

    #[test]
    fn a_search_ends_at_its_limit() {
        for search in
            [|limit| Key::rsa(4096, limit).map(drop), |limit| Key::dsa_group(2048, 256, limit).map(drop)]
        {
            assert_eq!(search(Duration::ZERO), Err(Error::NotGenerated));
        }
    }

    #[test]
    fn debug_text_says_nothing() {
        let passphrase = Passphrase::try_from(Payload::new(b"hunter2".to_vec())).unwrap();
        let pair = key_pair(PairKind::Rsa, PairBits::B1024, Some(&passphrase)).unwrap();
        assert_eq!(format!("{pair:?} {passphrase:?}"), "KeyPair([redacted]) Passphrase(Payload([redacted]))");
    }

    proptest! {
        #[test]
        fn a_symmetric_key_is_whole_bytes_and_fits_a_payload(bits in 0_u32..200_000) {
            let offered = bits % 8 == 0 && (8..=160_000).contains(&bits);
            prop_assert_eq!(SymmetricBits::try_from(bits).is_ok(), offered);
        }

        #[test]
        fn only_what_barbican_offers_is_offered(bits: u32) {
            prop_assert_eq!(PairBits::try_from(bits).is_ok(), [1024, 2048, 4096].contains(&bits));
        }

        #[test]
        fn what_is_not_a_key_is_not_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Key::from_private_der(&bytes).is_err());
            prop_assert!(Key::from_public_der(&bytes).is_err());
        }

        #[test]
        fn a_key_with_a_byte_changed_does_not_panic(at in 0_usize..1610, byte: u8) {
            let mut der = DSA_4096.to_vec();
            der[at] = byte;
            let _ = Key::from_public_der(&der).and_then(|key| key.public_der());
        }

        #[test]
        fn passphrases_have_1_to_1023_bytes(bytes in 0_usize..2000) {
            let made = Passphrase::try_from(Payload::new(vec![b'x'; bytes]));
            prop_assert_eq!(made.is_ok(), (1..=1023).contains(&bytes));
        }
    }
}
