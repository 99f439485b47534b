//! The guard of a secret or a container: a MAC under the project's key over the facts that decide about access.
//!
//! ```text
//! 0        1             5                  21                      53
//! ┌────────┬─────────────┬──────────────────┬───────────────────────┐
//! │ format │ key version │ first 16 of      │ SHA-256 of the users  │   the last part only
//! │ 0x01   │ 4           │ HMAC-SHA256      │ in its ACL: 32        │   if it has an ACL
//! └────────┴─────────────┴──────────────────┴───────────────────────┘
//! HMAC under HKDF(project key, "donjon/1 guard standing") of:
//!     format 1 ‖ key version 4 ‖ 1 secret or 2 container ‖ id 16 ‖ facts 1 ‖ expiration 8, or nothing
//!     ‖ the hash, or nothing ‖ length of the project id 2 ‖ project id ‖ creator, or nothing
//! facts: 1 project access, 2 private, 4 has a creator, 8 has an expiration, 16 has an ACL
//! hashed of an ACL: each user once, in the order of bytes, preceded by its length in 4     (numbers big-endian)
//! ```
//!
//! A guard cannot be made without the key. So a row does not fit its guard if somebody changed its project, creator,
//! access, flag, expiration or ACL in the database, and a guard that was moved from another row does not fit either. The
//! guard is checked without the ACL; a reader of the ACL checks it against the hash, and also checks that there is no ACL
//! if there is no hash. An old row that is put back in its own place with its ACL and its guard fits: the store must
//! prevent rollback.
//!
//! One guard key for a whole project is kept ready: each read checks a guard, and deriving a key costs more than the rest.

use aws_lc_rs::constant_time;
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::hmac;
use model::{Guard, Guarded, KeyVersion, Standing, Text};

use crate::{Error, ProjectKey};

/// The format this program writes.
const FORMAT: u8 = 1;
/// Format and key version.
const HEAD_BYTES: usize = 1 + 4;
/// The stored part of the MAC: 128 bits, which nobody guesses (NIST SP 800-107, 5.3.3).
const TAG_BYTES: usize = 16;
/// The bytes of an ACL's hash.
const HASH_BYTES: usize = 32;

/// The bytes before the project id in the input of the MAC: format, key version, kind, id, facts, expiration, hash, length.
const FIXED_BYTES_MAX: usize = HEAD_BYTES + 1 + 16 + 1 + 8 + HASH_BYTES + 2;

/// The purpose of the key, see [`crate::primitives::derive`].
pub(crate) const LABEL_GUARD: &[u8] = b"donjon/1 guard standing";

const SECRET: u8 = 1;
const CONTAINER: u8 = 2;

const PROJECT_ACCESS: u8 = 1;
const PRIVATE: u8 = 2;
const HAS_CREATOR: u8 = 4;
const EXPIRES: u8 = 8;
const HAS_ACL: u8 = 16;

impl ProjectKey {
    /// The guard of a thing with these users in its ACL; `None` if it has no ACL.
    pub fn guard(&self, standing: &Standing<'_>, acl: Option<&[Text]>) -> Guard {
        self.guard_hashed(standing, acl.map(hash_of).as_ref())
    }

    /// The guard of a thing whose ACL has not changed since another guard, which the caller has checked.
    pub fn guard_again(&self, standing: &Standing<'_>, before: &Guard) -> Result<Guard, Error> {
        Ok(self.guard_hashed(standing, split(before)?.hash))
    }

    /// Checks that a guard fits; [`Error::Altered`] if not. [`check_acl`] checks the ACL.
    pub fn check_guard(&self, standing: &Standing<'_>, guard: &Guard) -> Result<(), Error> {
        let Parts { version, tag, hash } = split(guard)?;
        if version != self.version() {
            return Err(Error::OtherKeyVersion { sealed: version, key: self.version() });
        }
        let expected = self.tag(standing, hash);
        constant_time::verify_slices_are_equal(&expected, tag).map_err(|_| Error::Altered)
    }

    fn guard_hashed(&self, standing: &Standing<'_>, hash: Option<&[u8; HASH_BYTES]>) -> Guard {
        let mut guard = Vec::with_capacity(HEAD_BYTES + TAG_BYTES + HASH_BYTES);
        guard.push(FORMAT);
        guard.extend_from_slice(&self.version().0.to_be_bytes());
        guard.extend_from_slice(&self.tag(standing, hash));
        guard.extend_from_slice(hash.map_or(&[][..], |hash| hash));
        guard.into()
    }

    fn tag(&self, standing: &Standing<'_>, hash: Option<&[u8; HASH_BYTES]>) -> [u8; TAG_BYTES] {
        let (kind, id) = match standing.of {
            Guarded::Secret(id) => (SECRET, *id.as_bytes()),
            Guarded::Container(id) => (CONTAINER, *id.as_bytes()),
        };
        let fact = |holds: bool, fact: u8| if holds { fact } else { 0 };
        let facts = fact(standing.project_access, PROJECT_ACCESS)
            | fact(standing.private, PRIVATE)
            | fact(standing.creator.is_some(), HAS_CREATOR)
            | fact(standing.expiration.is_some(), EXPIRES)
            | fact(hash.is_some(), HAS_ACL);
        let project = standing.project.as_str().as_bytes();
        let project_bytes =
            u16::try_from(project.len()).expect("a project id has at most 255 characters of 4 bytes");
        let mut message = Vec::with_capacity(FIXED_BYTES_MAX + project.len());
        message.push(FORMAT);
        message.extend_from_slice(&self.version().0.to_be_bytes());
        message.push(kind);
        message.extend_from_slice(&id);
        message.push(facts);
        if let Some(expiration) = standing.expiration {
            message.extend_from_slice(&expiration.micros().to_be_bytes());
        }
        if let Some(hash) = hash {
            message.extend_from_slice(hash);
        }
        message.extend_from_slice(&project_bytes.to_be_bytes());
        message.extend_from_slice(project);
        let mut context = hmac::Context::with_key(self.guard_key());
        context.update(&message);
        if let Some(creator) = standing.creator {
            context.update(creator.as_str().as_bytes());
        }
        let mac = context.sign();
        *mac.as_ref().first_chunk().expect("HMAC-SHA256 gives 32 bytes")
    }
}

/// Which version of the project's key a guard was made with. It is only known to be true once the guard is checked.
pub fn guard_key_version(guard: &Guard) -> Result<KeyVersion, Error> {
    split(guard).map(|parts| parts.version)
}

/// Whether an ACL, or that there is none, is what a guard says, which is to have been checked. [`Error::Altered`] if not.
pub fn check_acl(guard: &Guard, acl: Option<&[Text]>) -> Result<(), Error> {
    match (split(guard)?.hash, acl) {
        (None, None) => Ok(()),
        (Some(hash), Some(users)) if *hash == hash_of(users) => Ok(()),
        _ => Err(Error::Altered),
    }
}

/// A set has one hash, in whichever order it comes.
fn hash_of(users: &[Text]) -> [u8; HASH_BYTES] {
    let mut users: Vec<_> = users.iter().map(Text::as_str).collect();
    users.sort_unstable();
    users.dedup();
    let mut context = digest::Context::new(&SHA256);
    for user in users {
        let bytes = u32::try_from(user.len()).expect("a name has some hundred bytes");
        context.update(&bytes.to_be_bytes());
        context.update(user.as_bytes());
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

struct Parts<'a> {
    version: KeyVersion,
    tag: &'a [u8; TAG_BYTES],
    hash: Option<&'a [u8; HASH_BYTES]>,
}

fn split(guard: &Guard) -> Result<Parts<'_>, Error> {
    let bytes = guard.as_bytes();
    let wrong_length = Error::WrongLength(bytes.len());
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(wrong_length)?;
    let [format, version @ ..] = *head;
    if format != FORMAT {
        return Err(Error::UnknownFormat(format));
    }
    let (tag, rest) = rest.split_first_chunk::<TAG_BYTES>().ok_or(wrong_length)?;
    let hash = match rest {
        [] => None,
        hash => Some(hash.try_into().map_err(|_| wrong_length)?),
    };
    Ok(Parts { version: KeyVersion(u32::from_be_bytes(version)), tag, hash })
}

#[cfg(test)]
mod tests {
    use model::{ContainerId, ProjectId, SecretId, Timestamp, UserId};
    use proptest::prelude::*;

    use super::*;
    use crate::MasterKey;

    /// What a standing is made of, owned.
    #[derive(Clone, Debug, Eq, PartialEq)]
    struct Facts {
        container: bool,
        id: [u8; 16],
        project: String,
        creator: Option<String>,
        project_access: bool,
        private: bool,
        expiration: Option<i64>,
        acl: Option<Vec<String>>,
    }

    impl Facts {
        fn with<T>(&self, then: impl FnOnce(&Standing<'_>, Option<&[Text]>) -> T) -> T {
            let project = ProjectId::try_from(self.project.as_str()).unwrap();
            let creator = self.creator.as_ref().map(|creator| UserId::try_from(creator.as_str()).unwrap());
            let acl: Option<Vec<Text>> = self
                .acl
                .as_ref()
                .map(|users| users.iter().map(|user| Text::try_from(user.as_str()).unwrap()).collect());
            let of = match self.container {
                true => Guarded::Container(ContainerId::from_bytes(self.id)),
                false => Guarded::Secret(SecretId::from_bytes(self.id)),
            };
            let standing = Standing {
                of,
                project: &project,
                creator: creator.as_ref(),
                project_access: self.project_access,
                private: self.private,
                expiration: self.expiration.map(Timestamp::from_micros),
            };
            then(&standing, acl.as_deref())
        }

        fn guard(&self, key: &ProjectKey) -> Guard {
            self.with(|standing, acl| key.guard(standing, acl))
        }

        fn fits(&self, key: &ProjectKey, guard: &Guard) -> Result<(), Error> {
            self.with(|standing, acl| key.check_guard(standing, guard).and_then(|()| check_acl(guard, acl)))
        }

        /// The same as a set of users.
        fn canonical(mut self) -> Self {
            if let Some(users) = &mut self.acl {
                users.sort();
                users.dedup();
            }
            self
        }
    }

    fn key(version: u32) -> ProjectKey {
        let master = MasterKey::random().unwrap();
        master.new_project_key(&ProjectId::try_from("p").unwrap(), KeyVersion(version)).unwrap().0
    }

    fn some_facts() -> Facts {
        Facts {
            container: false,
            id: [7; 16],
            project: "p".into(),
            creator: Some("someone".into()),
            project_access: false,
            private: false,
            expiration: None,
            acl: Some(vec!["a".into(), "b".into()]),
        }
    }

    fn facts() -> impl Strategy<Value = Facts> {
        // Few of each, so that two differ in one place often.
        let texts = || {
            prop_oneof![Just("a"), Just("b"), Just("ab"), Just("p"), Just("\u{10ffff}")]
                .prop_map(String::from)
        };
        (
            any::<bool>(),
            prop_oneof![Just([7; 16]), Just([8; 16])],
            texts(),
            proptest::option::of(texts()),
            any::<bool>(),
            any::<bool>(),
            proptest::option::of(prop_oneof![Just(0), Just(1), any::<i64>()]),
            proptest::option::of(proptest::collection::vec(texts(), 0..4)),
        )
            .prop_map(
                |(container, id, project, creator, project_access, private, expiration, acl)| Facts {
                    container,
                    id,
                    project,
                    creator,
                    project_access,
                    private,
                    expiration,
                    acl,
                },
            )
    }

    #[test]
    fn a_guard_is_of_one_standing_one_acl_and_one_key() {
        let (mine, facts) = (key(1), some_facts());
        let guard = facts.guard(&mine);
        assert_eq!(facts.fits(&mine, &guard), Ok(()));
        let check = |why: &str, change: fn(&mut Facts)| {
            let mut changed = facts.clone();
            change(&mut changed);
            assert_eq!(changed.fits(&mine, &guard), Err(Error::Altered), "{why}");
        };
        check("a container", |facts| facts.container = true);
        check("another id", |facts| facts.id = [8; 16]);
        check("another project", |facts| facts.project = "q".into());
        check("another creator", |facts| facts.creator = Some("me".into()));
        check("no creator", |facts| facts.creator = None);
        check("project access", |facts| facts.project_access = true);
        check("private", |facts| facts.private = true);
        check("an expiration", |facts| facts.expiration = Some(0));
        check("a user more", |facts| facts.acl = Some(vec!["a".into(), "b".into(), "c".into()]));
        check("a user less", |facts| facts.acl = Some(vec!["a".into()]));
        check("two users as one", |facts| facts.acl = Some(vec!["ab".into()]));
        check("nobody", |facts| facts.acl = Some(Vec::new()));
        check("no ACL", |facts| facts.acl = None);
        assert_eq!(facts.fits(&key(1), &guard), Err(Error::Altered), "another key");
        let other = Error::OtherKeyVersion { sealed: KeyVersion(1), key: KeyVersion(2) };
        assert_eq!(facts.fits(&key(2), &guard), Err(other));
    }

    #[test]
    fn an_acl_put_to_a_guard_without_one_does_not_fit() {
        let (mine, facts) = (key(1), Facts { acl: None, ..some_facts() });
        let guard = facts.guard(&mine);
        let users = [Text::try_from("me").unwrap()];
        let forged = [guard.as_bytes(), &hash_of(&users)].concat().into();
        let with_me = Facts { acl: Some(vec!["me".into()]), ..facts };
        assert_eq!(with_me.fits(&mine, &forged), Err(Error::Altered));
    }

    #[test]
    fn a_guard_made_again_keeps_the_acl() {
        let (mine, facts) = (key(1), some_facts());
        let private = Facts { private: true, ..facts.clone() };
        let again = private.with(|standing, _| mine.guard_again(standing, &facts.guard(&mine)));
        assert_eq!(again, Ok(private.guard(&mine)));
    }

    #[test]
    fn no_bit_of_a_guard_can_change_and_none_be_cut() {
        let (mine, facts) = (key(1), some_facts());
        let guard = facts.guard(&mine).as_bytes().to_vec();
        for bit in 0..guard.len() * 8 {
            let mut changed = guard.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(facts.fits(&mine, &changed.into()).is_err(), "bit {bit}");
        }
        for length in 0..guard.len() {
            assert!(facts.fits(&mine, &guard[..length].to_vec().into()).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn guards_are_alike_exactly_if_what_they_are_of_is(one in facts(), other in facts()) {
            let mine = key(1);
            let guard = one.guard(&mine);
            prop_assert_eq!(one.fits(&mine, &guard), Ok(()));
            let alike = one.canonical() == other.clone().canonical();
            prop_assert_eq!(other.fits(&mine, &guard).is_ok(), alike);
        }

        #[test]
        fn arbitrary_bytes_are_no_guard(bytes in proptest::collection::vec(any::<u8>(), 0..80), known in any::<bool>()) {
            let mut bytes = bytes;
            if known {
                for (to, from) in bytes.iter_mut().zip([1, 0, 0, 0, 1]) {
                    *to = from; // Past the head.
                }
            }
            prop_assert!(some_facts().fits(&key(1), &bytes.into()).is_err());
        }
    }
}
