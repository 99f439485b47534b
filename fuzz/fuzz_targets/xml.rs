//! Any XML of a secret: refused with an error that says why, or read, and what is printed of it is read as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| libvirt::fuzzing::xml(bytes));
