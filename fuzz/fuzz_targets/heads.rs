//! Any bytes of a connection, in pieces of any size: the same bytes are passed on, with at most one LF changed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (piece, sent) = (usize::from(input.0), input.1);
    let (mut at_once, mut in_pieces) = (sent.to_vec(), sent.to_vec());
    transport::fuzzing::heads(&mut at_once, sent.len());
    transport::fuzzing::heads(&mut in_pieces, piece);
    assert_eq!(at_once, in_pieces);
    let changed: Vec<_> = sent.iter().zip(&at_once).filter(|(before, after)| before != after).collect();
    assert!(matches!(changed[..], [] | [(b'\n', 0)]));
});
