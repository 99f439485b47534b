//! Any body of metadata is parsed or refused, and accepted metadata keep the rules.
#![no_main]

use std::collections::HashSet;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    if let Some((user, facets)) = barbican::fuzzing::metadata(body) {
        let keys: HashSet<_> = user.iter().map(|pair| pair.key.as_str()).collect();
        assert_eq!(keys.len(), user.len(), "a key is there once");
        assert!(keys.iter().all(|key| is_safe(key) && !key.starts_with("libvirt_")));
        assert!(facets.len() <= 6, "libvirt has six");
    }
    if let Some((pair, is_libvirts)) = barbican::fuzzing::metadatum(body) {
        assert!(is_safe(&pair.key));
        assert_eq!(pair.key.starts_with("libvirt_"), is_libvirts);
        assert!(pair.value.chars().count() <= model::Text::CHARS_MAX);
    }
});

/// Whether a key is in lower case and needs no escapes in a URL.
fn is_safe(key: &str) -> bool {
    key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}
