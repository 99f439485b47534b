//! Any bytes of a stream, in pieces of any size, give the same messages as in one piece.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some((piece, stream)) = input.split_first() {
        libvirt::fuzzing::frames(usize::from(*piece), stream);
    }
});
