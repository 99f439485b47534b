//! Any XML of a secret is refused with a reason, or is the same after printing and reading it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| libvirt::fuzzing::xml(bytes));
