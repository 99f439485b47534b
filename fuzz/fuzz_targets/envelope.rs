//! Any bytes in place of an envelope or a wrapped key: nothing opens that this key did not seal.
#![no_main]

use std::sync::LazyLock;

use model::{KeyVersion, ProjectId, SecretId};
use seal::{Bound, MasterKey, Payload, ProjectKey, Sealed};

struct Keys {
    master: MasterKey,
    project: ProjectId,
    key: ProjectKey,
    wrapped: Vec<u8>,
    sealed: Sealed,
}

const BOUND: Bound = Bound { secret: SecretId::NIL, private: false };

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let master = MasterKey::random().expect("random bytes");
    let project = ProjectId::try_from("p").expect("a name");
    let (key, wrapped) = master.new_project_key(&project, KeyVersion::FIRST).expect("a key");
    let sealed = key.seal(&BOUND, &Payload::new(b"hunter2".to_vec())).expect("sealed");
    Keys { master, project, key, wrapped, sealed }
});

/// A genuine envelope with `bytes` over its beginning, so that the fuzzer gets past the first checks.
fn overwrite(genuine: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mixed = genuine.to_vec();
    mixed.iter_mut().zip(bytes).for_each(|(to, from)| *to ^= from);
    mixed
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let keys = &*KEYS;
    let _ = Sealed::key_version(bytes);
    assert!(keys.key.open(&BOUND, bytes).is_err() || bytes == keys.sealed.as_bytes());
    let mixed = overwrite(keys.sealed.as_bytes(), bytes);
    assert_eq!(keys.key.open(&BOUND, &mixed).is_ok(), mixed == keys.sealed.as_bytes());
    let unwrap = |wrapped: &[u8]| keys.master.unwrap_project_key(&keys.project, KeyVersion::FIRST, wrapped).is_ok();
    assert_eq!(unwrap(bytes), bytes == keys.wrapped);
    let mixed = overwrite(&keys.wrapped, bytes);
    assert_eq!(unwrap(&mixed), mixed == keys.wrapped);
    assert!(keys.master.verify(&[0; 16], bytes).is_err() || bytes.len() == 33);
});
