//! Any body of a POST is parsed or refused without a panic, and an accepted one keeps the limits.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    if let Some(new) = barbican::fuzzing::new_secret(body)
        && let Some(new) = new.payload
    {
        assert!(new.payload.expose().len() <= model::PAYLOAD_BYTES_MAX);
    }
});
