//! Any body of a POST: parsed or refused, never a panic, and nothing accepted that breaks a limit.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    if let Some(new) = barbican::fuzzing::new_secret(body)
        && let Some(new) = new.payload
    {
        assert!(new.payload.expose().len() <= model::PAYLOAD_BYTES_MAX);
    }
});
