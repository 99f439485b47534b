//! A sealed payload: the bytes in the store, and the only two functions that make and open them.
//!
//! ```text
//! 0        1             5             17                   17+n        33+n
//! ┌────────┬─────────────┬─────────────┬────────────────────┬───────────┐
//! │ format │ key version │ nonce       │ payload,           │ tag       │
//! │ 0x01   │ 4           │ 12, random  │ encrypted: n       │ 16        │
//! └────────┴─────────────┴─────────────┴────────────────────┴───────────┘
//! AES-256-GCM under HKDF(project key, "donjon/1 seal payload" ‖ secret id 16)
//! associated data: format 1 ‖ key version 4 ‖ secret id 16 ‖ private 1 (0 or 1)
//!                  ‖ length of the project id 2 ‖ project id                      (numbers big-endian)
//! ```
//!
//! Each secret has a key of its own, so random nonces are safe: two payloads share a key only when one secret gets
//! another value. A payload does not open under another secret, project, key version or private flag. An earlier
//! value of the same secret that is put back in its place does open: the store must prevent that.

use std::fmt;

use aws_lc_rs::constant_time;
use model::{KeyVersion, SecretId};
use zeroize::Zeroizing;

use crate::primitives::{self, Associated, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::{Error, Payload, ProjectKey};

/// The format this program writes.
const FORMAT: u8 = 1;
/// Format and key version.
const HEAD_BYTES: usize = 1 + 4;
/// The bytes that sealing adds to a payload.
const OVERHEAD_BYTES: usize = HEAD_BYTES + NONCE_BYTES + TAG_BYTES;

const LABEL_SEAL: &[u8] = b"donjon/1 seal payload";

/// The facts to which a payload is bound, besides the project and version of the key that seals it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bound {
    /// The secret of the payload.
    pub secret: SecretId,
    /// Whether the secret is private. A changed flag in a row does not make a private secret an ordinary one.
    pub private: bool,
}

/// A sealed payload, for the store.
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// The version of the project's key that opens these bytes. It is trustworthy only once they have opened.
    pub fn key_version(bytes: &[u8]) -> Result<KeyVersion, Error> {
        split(bytes).map(|(version, _)| version)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl ProjectKey {
    /// Seals a payload. It opens the result once and compares, so that the caller notices an unreadable payload
    /// while it still has the plaintext.
    pub fn seal(&self, bound: &Bound, payload: &Payload) -> Result<Sealed, Error> {
        let mut head = [FORMAT, 0, 0, 0, 0];
        if let Some(version) = head.last_chunk_mut() {
            *version = self.version().0.to_be_bytes();
        }
        let associated = self.associated(bound);
        let sealed = primitives::seal(&self.secret_key(bound.secret), &associated, &head, payload.expose())?;
        let again = self.open(bound, &sealed).map_err(|_| Error::NotReproduced)?;
        constant_time::verify_slices_are_equal(payload.expose(), again.expose())
            .map_err(|_| Error::NotReproduced)?;
        Ok(Sealed(sealed))
    }

    /// Opens a payload that [`Self::seal`] sealed with this key for the same secret and private flag.
    pub fn open(&self, bound: &Bound, sealed: &[u8]) -> Result<Payload, Error> {
        let (version, body) = split(sealed)?;
        if version != self.version() {
            return Err(Error::OtherKeyVersion { sealed: version, key: self.version() });
        }
        let mut payload = Zeroizing::new(vec![0; sealed.len() - OVERHEAD_BYTES]);
        primitives::open(&self.secret_key(bound.secret), &self.associated(bound), body, &mut payload)?;
        Ok(payload.into())
    }

    fn secret_key(&self, secret: SecretId) -> Zeroizing<[u8; KEY_BYTES]> {
        primitives::derive(self.expose(), &[LABEL_SEAL, secret.as_bytes()])
    }

    fn associated(&self, bound: &Bound) -> Associated {
        Associated::new(FORMAT)
            .with(&self.version().0.to_be_bytes())
            .with(bound.secret.as_bytes())
            .with(&[u8::from(bound.private)])
            .with_project(self.project())
    }
}

/// Splits off the key version. The rest is at least as long as the overhead.
fn split(sealed: &[u8]) -> Result<(KeyVersion, &[u8]), Error> {
    match sealed {
        [FORMAT, a, b, c, d, body @ ..] if sealed.len() >= OVERHEAD_BYTES => {
            Ok((KeyVersion(u32::from_be_bytes([*a, *b, *c, *d])), body))
        }
        [FORMAT, ..] | [] => Err(Error::WrongLength(sealed.len())),
        [format, ..] => Err(Error::UnknownFormat(*format)),
    }
}

#[cfg(test)]
mod tests {
    use model::ProjectId;
    use proptest::prelude::*;

    use super::*;
    use crate::{Locked, MasterKey};

    fn secret(byte: u8) -> SecretId {
        SecretId::from_bytes([byte; 16])
    }

    fn bound() -> Bound {
        Bound { secret: secret(7), private: false }
    }

    fn master() -> MasterKey {
        MasterKey::random().unwrap()
    }

    fn key(master: &MasterKey, project: &str, version: u32) -> ProjectKey {
        let project = ProjectId::try_from(project).unwrap();
        master.new_project_key(&project, KeyVersion(version)).unwrap().0
    }

    /// The same key bytes under the name of another project or version.
    fn relabelled(project: &str, version: u32) -> ProjectKey {
        let zeroes = MasterKey::from(Locked::try_init(|_| Ok::<_, Error>(())).unwrap());
        let project = ProjectId::try_from(project).unwrap();
        let associated = Associated::new(1).with(&version.to_be_bytes()).with_project(&project);
        let wrap_key = primitives::derive(&[0; 32], &[b"donjon/1 wrap project key"]);
        let wrapped = primitives::seal(&wrap_key, &associated, &[1], &[5; 32]).unwrap();
        zeroes.unwrap_project_key(&project, KeyVersion(version), &wrapped).unwrap()
    }

    fn payload(bytes: &[u8]) -> Payload {
        Payload::new(bytes.to_vec())
    }

    #[test]
    fn a_sealed_payload_opens_later_with_the_stored_key() {
        let master = master();
        let project = ProjectId::try_from("p").unwrap();
        let (key, wrapped) = master.new_project_key(&project, KeyVersion(3)).unwrap();
        let sealed = key.seal(&bound(), &payload(b"hunter2")).unwrap().into_vec();
        drop(key);
        let version = Sealed::key_version(&sealed).unwrap();
        let key = master.unwrap_project_key(&project, version, &wrapped).unwrap();
        assert_eq!(key.open(&bound(), &sealed).unwrap().expose(), b"hunter2");
        assert_eq!(sealed.len(), b"hunter2".len() + OVERHEAD_BYTES);
    }

    #[test]
    fn a_payload_moved_elsewhere_does_not_open() {
        let key = relabelled("p", 1);
        let sealed = key.seal(&bound(), &payload(b"hunter2")).unwrap();
        let open = |key: &ProjectKey, bound: Bound| key.open(&bound, sealed.as_bytes()).map(drop);
        assert_eq!(open(&key, bound()), Ok(()));
        assert_eq!(open(&relabelled("p", 1), bound()), Ok(()), "the same bytes make the same key");
        for (why, key, bound) in [
            ("another secret", relabelled("p", 1), Bound { secret: secret(8), ..bound() }),
            ("another private flag", relabelled("p", 1), Bound { private: true, ..bound() }),
            ("another project", relabelled("q", 1), bound()),
            ("another project's key", self::key(&master(), "q", 1), bound()),
            ("another key", self::key(&master(), "p", 1), bound()),
        ] {
            assert_eq!(open(&key, bound), Err(Error::DoesNotOpen), "{why}");
        }
        let other = Error::OtherKeyVersion { sealed: KeyVersion(1), key: KeyVersion(2) };
        assert_eq!(open(&relabelled("p", 2), bound()), Err(other));
    }

    #[test]
    fn a_key_version_written_over_does_not_open() {
        let mut sealed = relabelled("p", 1).seal(&bound(), &payload(b"hunter2")).unwrap().into_vec();
        sealed[1..5].copy_from_slice(&2_u32.to_be_bytes());
        assert_eq!(relabelled("p", 2).open(&bound(), &sealed).map(drop), Err(Error::DoesNotOpen));
    }

    #[test]
    fn no_single_bit_can_change() {
        let key = key(&master(), "p", 1);
        let sealed = key.seal(&bound(), &payload(b"a payload of some length")).unwrap().into_vec();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&bound(), &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn bytes_that_are_cut_or_extended_do_not_open() {
        let key = key(&master(), "p", 1);
        let sealed = key.seal(&bound(), &payload(b"hunter2")).unwrap().into_vec();
        for length in 0..sealed.len() {
            let expected =
                if length < OVERHEAD_BYTES { Error::WrongLength(length) } else { Error::DoesNotOpen };
            assert_eq!(key.open(&bound(), &sealed[..length]).map(drop), Err(expected));
            assert_eq!(Sealed::key_version(&sealed[..length]).is_ok(), length >= OVERHEAD_BYTES);
        }
        let longer = [sealed, vec![0]].concat();
        assert_eq!(key.open(&bound(), &longer).map(drop), Err(Error::DoesNotOpen));
    }

    #[test]
    fn another_format_is_named() {
        let key = key(&master(), "p", 1);
        assert_eq!(key.open(&bound(), &[2; 100]).map(drop), Err(Error::UnknownFormat(2)));
        assert_eq!(Sealed::key_version(&[0]), Err(Error::UnknownFormat(0)));
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let key = key(&master(), "p", 1);
        let seal = || key.seal(&bound(), &payload(b"hunter2")).unwrap().into_vec();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn no_text_carries_the_payload() {
        let key = key(&master(), "p", 1);
        let sealed = key.seal(&bound(), &payload(b"hunter2")).unwrap();
        assert_eq!(format!("{sealed:?}"), "Sealed(40 bytes)");
        assert!(!sealed.as_bytes().windows(7).any(|window| window == b"hunter2"));
    }

    proptest! {
        #[test]
        fn every_payload_comes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
            id in any::<[u8; 16]>(),
            private in any::<bool>(),
            project in "\\PC{1,255}",
            version in any::<u32>(),
        ) {
            let key = key(&master(), &project, version);
            let bound = Bound { secret: SecretId::from_bytes(id), private };
            let sealed = key.seal(&bound, &payload(&bytes)).unwrap();
            prop_assert_eq!(Sealed::key_version(sealed.as_bytes()), Ok(KeyVersion(version)));
            let opened = key.open(&bound, sealed.as_bytes()).unwrap();
            prop_assert_eq!(opened.expose(), bytes.as_slice());
        }

        #[test]
        fn arbitrary_bytes_neither_open_nor_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = relabelled("p", 1);
            prop_assert!(key.open(&bound(), &bytes).is_err());
            for (to, from) in bytes.iter_mut().zip([1, 0, 0, 0, 1]) {
                *to = from; // Past the head, to the cipher.
            }
            prop_assert!(key.open(&bound(), &bytes).is_err());
            let _ = Sealed::key_version(&bytes);
        }
    }
}
