//! This version opens the bytes that the first version wrote. A store outlives the program: when one of these tests
//! fails, the format needs a new number, never a new expectation.
//!
//! The bytes are not ours: `tests/golden.py` makes them from the drawings, with Python's `cryptography`.

use model::{ContainerId, Guarded, KeyVersion, ProjectId, SecretId, Standing, Text, Timestamp, UserId};

use crate::{Bound, Error, Locked, MasterKey, ProjectKey, Rows, Sealed};

const STORE: &[u8; 16] = b"the first store.";
const WRAPPED: &str = "017477656c766520627974657307a18c3c3a3dccdce6a83739c60cbe6f1cc786838a2ba8dfa085806f7615b47d\
                       d5191cbc1bd6569bedd3c09f60dfb490";
const CHECK: &str = "017513375af03da42a6214915c8729ea03a460b70d37c8698521d48942733b1591";
const CHECK_2: &str = "027c5062d66fc240617f97f37ed654581e84f5f5f90cd04982ee15e0f0c2558eb0";
const SEALED: &str = "01000000017477656c76652062797465734e27e311371dbb503e3d0dc8ffe300d812c76b2520f830";
const GUARD: &str = "0100000001950cef1848df34170faebb0ba2f56560b534ce16ac9c8b36823f39a395ce8e0e3c7ad9605b82b5444f18\
                     cadacd217a5d";
const GUARD_BARE: &str = "0100000001a8cc4350ad6c569504aea5382029691f";
const LINK: &str = "a0a90c83155e245bc020eba68fc9cc778d62a85271f9975bb2ef389e939ad3a4";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])).collect()
}

fn master() -> MasterKey {
    let key = Locked::try_init(|bytes| {
        bytes.copy_from_slice(b"a master key of exactly 32 bytes");
        Ok::<_, Error>(())
    });
    key.unwrap().into()
}

fn project_key() -> ProjectKey {
    let project = ProjectId::try_from("p").unwrap();
    master().unwrap_project_key(&project, KeyVersion::FIRST, &bytes(WRAPPED)).unwrap()
}

#[test]
fn the_first_wrapped_key_unwraps() {
    assert_eq!(project_key().expose(), &[5; 32]);
}

#[test]
fn the_first_sealed_payload_opens() {
    let bound = Bound { secret: SecretId::from_bytes([7; 16]), private: true };
    assert_eq!(Sealed::key_version(&bytes(SEALED)), Ok(KeyVersion::FIRST));
    assert_eq!(project_key().open(&bound, &bytes(SEALED)).unwrap().expose(), b"hunter2");
}

#[test]
fn the_first_check_value_is_known() {
    assert_eq!(master().verify(STORE, &bytes(CHECK)), Ok(Rows::MayLackGuards));
}

#[test]
fn the_second_check_value_is_made_again() {
    assert_eq!(master().check_value(STORE), bytes(CHECK_2));
    assert_eq!(master().verify(STORE, &bytes(CHECK_2)), Ok(Rows::Guarded));
    for (format, with) in [(1, CHECK_2), (2, CHECK)] {
        let mut check = bytes(with);
        check[0] = format;
        assert_eq!(
            master().verify(STORE, &check),
            Err(Error::WrongMasterKey),
            "one is not made of the other"
        );
    }
}

#[test]
fn the_first_guards_are_made_again() {
    let (project, someone) = (ProjectId::try_from("p").unwrap(), UserId::try_from("someone").unwrap());
    let full = Standing {
        of: Guarded::Secret(SecretId::from_bytes([7; 16])),
        project: &project,
        creator: Some(&someone),
        project_access: false,
        private: true,
        expiration: Some(Timestamp::from_micros(1000)),
    };
    let users = ["bc", "a", "bc"].map(|user| Text::try_from(user).unwrap());
    assert_eq!(project_key().guard(&full, Some(&users)).as_bytes(), bytes(GUARD));
    let bare = Standing {
        of: Guarded::Container(ContainerId::from_bytes([7; 16])),
        creator: None,
        project_access: true,
        private: false,
        expiration: None,
        ..full
    };
    assert_eq!(project_key().guard(&bare, None).as_bytes(), bytes(GUARD_BARE));
}

#[test]
fn the_first_link_is_made_again() {
    assert_eq!(master().chain_key().link(&[0; 32], b"line").to_vec(), bytes(LINK));
}
