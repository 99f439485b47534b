//! Any bytes on a stream, in pieces of any size: the same messages come out as when all are there at once.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some((piece, stream)) = input.split_first() {
        libvirt::fuzzing::frames(usize::from(*piece), stream);
    }
});
