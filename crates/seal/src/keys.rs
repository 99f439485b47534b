//! The master key, the project keys that it wraps, and the key that chains the audit trail.
//!
//! A wrapped project key, as the store keeps it (61 bytes):
//!
//! ```text
//! 0        1             13                     45          61
//! ┌────────┬─────────────┬──────────────────────┬───────────┐
//! │ format │ nonce       │ project key,         │ tag       │
//! │ 0x01   │ 12, random  │ encrypted: 32        │ 16        │
//! └────────┴─────────────┴──────────────────────┴───────────┘
//! AES-256-GCM under HKDF(master key, "donjon/1 wrap project key")
//! associated data: format 1 ‖ key version 4 ‖ length of the project id 2 ‖ project id   (numbers big-endian)
//! ```
//!
//! The check value, by which a store knows its master key (33 bytes):
//!
//! ```text
//! 0        1                        33
//! ┌────────┬────────────────────────┐
//! │ format │ HMAC-SHA256 of the     │   under HKDF(master key, "donjon/1 check master key")
//! │ 0x02   │ store's id 16 ‖ 0x02   │
//! └────────┴────────────────────────┘
//! ```
//!
//! Format 1 has the MAC of the id alone. Format 2 also says that every row of the store that needs a guard has one
//! ([`ProjectKey::guard`]). Nobody can turn one format into the other without the key.
//!
//! The master key itself encrypts and signs nothing; each purpose has a key derived for it. Random nonces
//! under one wrapping key are safe for 2³² project keys (NIST SP 800-38D, 8.3), more than there will be
//! projects and rotations.

use std::fmt;

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac;
use model::{KeyVersion, ProjectId};

use crate::guard::LABEL_GUARD;
use crate::primitives::{self, Associated, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::{Error, Locked};

/// The format of a wrapped key, and the first of a check value.
const FORMAT: u8 = 1;
/// The format of a check value that is written now.
const CHECK_FORMAT: u8 = 2;
/// The bytes of a wrapped project key.
const WRAPPED_BYTES: usize = 1 + NONCE_BYTES + KEY_BYTES + TAG_BYTES;

const LABEL_WRAP: &[u8] = b"donjon/1 wrap project key";
const LABEL_CHECK: &[u8] = b"donjon/1 check master key";
const LABEL_AUDIT: &[u8] = b"donjon/1 chain audit trail";

/// The key on which all other keys of a store depend. A [`crate::KeyProvider`] gives it.
///
/// ```compile_fail
/// fn log(key: &seal::MasterKey) { println!("{key}"); }
/// ```
pub struct MasterKey(Locked<KEY_BYTES>);

impl MasterKey {
    /// A new random key.
    pub fn random() -> Result<Self, Error> {
        Locked::try_init(|bytes| primitives::random(bytes)).map(Self)
    }

    /// A value for the store by which it recognises the key. It reveals nothing about the key.
    pub fn check_value(&self, store: &[u8; 16]) -> Vec<u8> {
        let mut check = vec![CHECK_FORMAT];
        check.extend_from_slice(hmac::sign(&self.check_key(), &check_message(store)).as_ref());
        check
    }

    /// Checks that this key made the check value, and returns what the value says about the rows of the store;
    /// [`Error::WrongMasterKey`] if another key made it.
    pub fn verify(&self, store: &[u8; 16], check: &[u8]) -> Result<Rows, Error> {
        let verify = |message: &[u8], mac: &[u8], rows| {
            hmac::verify(&self.check_key(), message, mac).map(|()| rows).map_err(|_| Error::WrongMasterKey)
        };
        match check {
            [CHECK_FORMAT, mac @ ..] => verify(&check_message(store), mac, Rows::Guarded),
            _ => verify(store, after_format(check)?, Rows::MayLackGuards),
        }
    }

    /// A new key for a project, and the same key wrapped for the store. It was unwrapped once and compared.
    pub fn new_project_key(
        &self,
        project: &ProjectId,
        version: KeyVersion,
    ) -> Result<(ProjectKey, Vec<u8>), Error> {
        let key = Locked::try_init(|bytes| primitives::random(bytes))?;
        let new = ProjectKey::new(project.clone(), version, key);
        let wrapped = self.wrap(&new)?;
        let again = self.unwrap_project_key(project, version, &wrapped).map_err(|_| Error::NotReproduced)?;
        constant_time::verify_slices_are_equal(new.key.expose(), again.key.expose())
            .map_err(|_| Error::NotReproduced)?;
        Ok((new, wrapped))
    }

    /// Unwraps the key that [`Self::new_project_key`] wrapped for this project and version.
    pub fn unwrap_project_key(
        &self,
        project: &ProjectId,
        version: KeyVersion,
        wrapped: &[u8],
    ) -> Result<ProjectKey, Error> {
        let sealed = after_format(wrapped)?;
        if wrapped.len() != WRAPPED_BYTES {
            return Err(Error::WrongLength(wrapped.len()));
        }
        let wrap_key = primitives::derive(self.0.expose(), &[LABEL_WRAP]);
        let bound = wrapped_for(project, version);
        let key = Locked::try_init(|bytes| primitives::open(&wrap_key, &bound, sealed, bytes))?;
        Ok(ProjectKey::new(project.clone(), version, key))
    }

    /// The key of the audit trail.
    pub fn chain_key(&self) -> ChainKey {
        ChainKey(self.mac_key(LABEL_AUDIT))
    }

    /// The key itself, for a provider that has to write it down.
    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    fn wrap(&self, key: &ProjectKey) -> Result<Vec<u8>, Error> {
        let wrap_key = primitives::derive(self.0.expose(), &[LABEL_WRAP]);
        let bound = wrapped_for(&key.project, key.version);
        primitives::seal(&wrap_key, &bound, &[FORMAT], key.key.expose())
    }

    fn check_key(&self) -> hmac::Key {
        self.mac_key(LABEL_CHECK)
    }

    fn mac_key(&self, label: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, primitives::derive(self.0.expose(), &[label]).as_slice())
    }
}

/// Takes the bytes from a key provider. They must be uniformly random.
impl From<Locked<KEY_BYTES>> for MasterKey {
    fn from(key: Locked<KEY_BYTES>) -> Self {
        Self(key)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

/// One version of a project's key. It seals and opens payloads: see [`ProjectKey::seal`].
pub struct ProjectKey {
    project: ProjectId,
    version: KeyVersion,
    key: Locked<KEY_BYTES>,
    guard_key: hmac::Key,
}

/// What a check value says about the rows of its store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rows {
    /// Each secret and container has a guard; a row without one was altered.
    Guarded,
    /// An older version without guards may have stored some of them.
    MayLackGuards,
}

impl ProjectKey {
    fn new(project: ProjectId, version: KeyVersion, key: Locked<KEY_BYTES>) -> Self {
        let derived = primitives::derive(key.expose(), &[LABEL_GUARD]);
        let guard_key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_slice());
        Self { project, version, key, guard_key }
    }

    /// The project of the key.
    pub fn project(&self) -> &ProjectId {
        &self.project
    }

    /// The version of the key.
    pub fn version(&self) -> KeyVersion {
        self.version
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.key.expose()
    }

    pub(crate) fn guard_key(&self) -> &hmac::Key {
        &self.guard_key
    }
}

impl fmt::Debug for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectKey")
            .field("project", &self.project)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Links the lines of the audit trail, so that a check finds a line that was changed, removed or inserted.
///
/// Its state is computed once and kept in ordinary memory, where `link` is fast. Somebody who reads it there can
/// forge further lines of the audit trail, but can open nothing.
pub struct ChainKey(hmac::Key);

impl ChainKey {
    /// The link of a line: HMAC-SHA256 of the previous link (32 bytes, always) and the line.
    pub fn link(&self, previous: &[u8; 32], line: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(previous);
        context.update(line);
        context.sign().as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey([redacted])")
    }
}

fn wrapped_for(project: &ProjectId, version: KeyVersion) -> Associated {
    Associated::new(FORMAT).with(&version.0.to_be_bytes()).with_project(project)
}

fn check_message(store: &[u8; 16]) -> [u8; 17] {
    let mut message = [CHECK_FORMAT; 17];
    if let Some(id) = message.first_chunk_mut() {
        *id = *store;
    }
    message
}

fn after_format(bytes: &[u8]) -> Result<&[u8], Error> {
    match bytes {
        [FORMAT, rest @ ..] => Ok(rest),
        [format, ..] => Err(Error::UnknownFormat(*format)),
        [] => Err(Error::WrongLength(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &[u8; 16] = b"the first store.";

    fn project(name: &str) -> ProjectId {
        ProjectId::try_from(name).unwrap()
    }

    fn fixed() -> MasterKey {
        let key = Locked::try_init(|bytes| {
            bytes.copy_from_slice(b"a master key of exactly 32 bytes");
            Ok::<_, Error>(())
        });
        key.unwrap().into()
    }

    #[test]
    fn a_store_knows_its_master_key() {
        let (mine, other) = (MasterKey::random().unwrap(), MasterKey::random().unwrap());
        let check = mine.check_value(STORE);
        assert_eq!(mine.verify(STORE, &check), Ok(Rows::Guarded));
        assert_eq!(other.verify(STORE, &check), Err(Error::WrongMasterKey));
        assert_eq!(mine.verify(b"the other store.", &check), Err(Error::WrongMasterKey));
        assert_eq!(mine.verify(STORE, &check[..32]), Err(Error::WrongMasterKey));
        assert_eq!(mine.verify(STORE, &[9]), Err(Error::UnknownFormat(9)));
        assert_eq!(mine.verify(STORE, &[]), Err(Error::WrongLength(0)));
    }

    #[test]
    fn a_wrapped_key_comes_back() {
        let master = MasterKey::random().unwrap();
        let (new, wrapped) = master.new_project_key(&project("p"), KeyVersion::FIRST).unwrap();
        let again = master.unwrap_project_key(&project("p"), KeyVersion::FIRST, &wrapped).unwrap();
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert_eq!(new.expose(), again.expose());
        assert_eq!((again.project(), again.version()), (&project("p"), KeyVersion::FIRST));
    }

    #[test]
    fn a_wrapped_key_is_bound_to_master_project_and_version() {
        let master = MasterKey::random().unwrap();
        let (_, wrapped) = master.new_project_key(&project("p"), KeyVersion::FIRST).unwrap();
        let refused = [
            MasterKey::random().unwrap().unwrap_project_key(&project("p"), KeyVersion::FIRST, &wrapped),
            master.unwrap_project_key(&project("q"), KeyVersion::FIRST, &wrapped),
            master.unwrap_project_key(&project("p"), KeyVersion(2), &wrapped),
        ];
        for result in refused {
            assert_eq!(result.unwrap_err(), Error::DoesNotOpen);
        }
    }

    #[test]
    fn a_changed_or_cut_wrapped_key_does_not_unwrap() {
        let master = MasterKey::random().unwrap();
        let (_, wrapped) = master.new_project_key(&project("p"), KeyVersion::FIRST).unwrap();
        let unwrap = |bytes: &[u8]| master.unwrap_project_key(&project("p"), KeyVersion::FIRST, bytes);
        for bit in 0..wrapped.len() * 8 {
            let mut changed = wrapped.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(unwrap(&changed).is_err(), "bit {bit}");
        }
        for length in 0..wrapped.len() {
            assert_eq!(unwrap(&wrapped[..length]).unwrap_err(), Error::WrongLength(length));
        }
        assert_eq!(unwrap(&[wrapped, vec![0]].concat()).unwrap_err(), Error::WrongLength(WRAPPED_BYTES + 1));
    }

    #[test]
    fn two_wrappings_differ() {
        let (master, p) = (MasterKey::random().unwrap(), project("p"));
        let (a, b) = (master.new_project_key(&p, KeyVersion(1)), master.new_project_key(&p, KeyVersion(1)));
        let ((a, a_wrapped), (b, b_wrapped)) = (a.unwrap(), b.unwrap());
        assert_ne!(a.expose(), b.expose());
        assert_ne!(a_wrapped, b_wrapped);
    }

    #[test]
    fn the_chain_depends_on_key_previous_link_and_line() {
        let chain = fixed().chain_key();
        let link = chain.link(&[0; 32], b"line");
        assert_eq!(link, fixed().chain_key().link(&[0; 32], b"line"), "the same after a restart");
        assert_ne!(link, chain.link(&[1; 32], b"line"));
        assert_ne!(link, chain.link(&[0; 32], b"lime"));
        assert_ne!(link, MasterKey::random().unwrap().chain_key().link(&[0; 32], b"line"));
    }

    #[test]
    fn debug_texts_are_redacted() {
        let master = fixed();
        let (key, _) = master.new_project_key(&project("p"), KeyVersion::FIRST).unwrap();
        assert_eq!(
            format!("{master:?} {:?}", master.chain_key()),
            "MasterKey([redacted]) ChainKey([redacted])"
        );
        assert_eq!(
            format!("{key:?}"),
            r#"ProjectKey { project: ProjectId("p"), version: KeyVersion(1), .. }"#
        );
    }
}
