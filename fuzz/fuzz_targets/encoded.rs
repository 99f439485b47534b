//! Any payload in base64 is decoded or refused. Text that a strict decoder accepts decodes to the same bytes.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let decoded = barbican::fuzzing::encoded(text);
    if let Some(payload) = &decoded {
        assert!(payload.len() <= text.len() / 4 * 3 + 3, "the buffer never grows");
    }
    if let Ok(strict) = STANDARD.decode(text) {
        assert_eq!(decoded.expect("it is base64").expose(), strict);
    }
    let encoded = STANDARD.encode(text);
    let again = barbican::fuzzing::encoded(encoded.as_bytes()).expect("it is base64");
    assert_eq!(again.expose(), text);
});
