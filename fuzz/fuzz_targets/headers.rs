//! Any headers: the caller and the version are read or refused, and references are HTTP URLs.
#![no_main]

use transport::{ROLE_CHARS_MAX, ROLES_MAX};

libfuzzer_sys::fuzz_target!(|lines: &[u8]| {
    let (caller, origin) = barbican::fuzzing::headers(lines);
    let host = origin.strip_prefix("http://").or(origin.strip_prefix("https://")).expect("a scheme of HTTP");
    assert!(host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte)), "{host}");
    if let Some(caller) = caller {
        assert!((1..=ROLES_MAX).contains(&caller.roles.len()));
        assert!(caller.roles.iter().all(|role| role.as_str().chars().count() <= ROLE_CHARS_MAX));
    }
});
