//! What the first version wrote, opened by this one. A store outlives the program: when one of these fails,
//! the format needs a new number, never a new expectation.
//!
//! The bytes are not ours: `tests/golden.py` makes them from the drawings, with Python's `cryptography`.

use model::{KeyVersion, ProjectId, SecretId};

use crate::{Bound, Error, Locked, MasterKey, ProjectKey, Sealed};

const STORE: &[u8; 16] = b"the first store.";
const WRAPPED: &str = "017477656c766520627974657307a18c3c3a3dccdce6a83739c60cbe6f1cc786838a2ba8dfa085806f7615b47d\
                       d5191cbc1bd6569bedd3c09f60dfb490";
const CHECK: &str = "017513375af03da42a6214915c8729ea03a460b70d37c8698521d48942733b1591";
const SEALED: &str = "01000000017477656c76652062797465734e27e311371dbb503e3d0dc8ffe300d812c76b2520f830";
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
    assert_eq!(master().check_value(STORE), bytes(CHECK));
    assert_eq!(master().verify(STORE, &bytes(CHECK)), Ok(()));
}

#[test]
fn the_first_link_is_made_again() {
    assert_eq!(master().chain_key().link(&[0; 32], b"line").to_vec(), bytes(LINK));
}
