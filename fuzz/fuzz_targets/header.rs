//! Any Accept header and any path is negotiated, routed or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (accept, path) = input;
    assert!(barbican::fuzzing::accept(accept) <= 1000, "a quality is at most 1, in thousandths");
    barbican::fuzzing::path(path);
});
