//! Any headers: who asks and for which version is understood or refused, and references lead over HTTP.
#![no_main]

use barbican::fuzzing::{ROLE_CHARS_MAX, ROLES_MAX};

libfuzzer_sys::fuzz_target!(|lines: &[u8]| {
    let (caller, origin) = barbican::fuzzing::headers(lines);
    assert!(origin.starts_with("http://") || origin.starts_with("https://"));
    if let Some(caller) = caller {
        assert!((1..=ROLES_MAX).contains(&caller.roles.len()));
        assert!(caller.roles.iter().all(|role| role.as_str().chars().count() <= ROLE_CHARS_MAX));
    }
});
