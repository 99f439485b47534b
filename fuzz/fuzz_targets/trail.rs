//! Any bytes in place of an audit trail are verified or refused; no line is accepted that this key did not chain.
#![no_main]

use std::sync::LazyLock;

use seal::{ChainKey, MasterKey};

static KEY: LazyLock<ChainKey> = LazyLock::new(|| MasterKey::random().expect("random bytes").chain_key());

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(checked) = vault::check_trail(&KEY, bytes, None) {
        assert_eq!(checked.lines, 0, "a line was chained without the key");
    }
});
