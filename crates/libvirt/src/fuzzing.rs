//! Doors for the fuzz targets: what is private here and meets outside bytes.

use crate::input::{Input, whole};

/// Any text as a definition: refused, or the same again once written out.
pub fn xml(bytes: &[u8]) {
    crate::xml::fuzz(bytes);
}

/// Any bytes, in pieces of any size: the same messages as when all are there at once.
pub fn frames(piece: usize, stream: &[u8]) {
    let mut rest = stream;
    let mut input = Input::default();
    for bytes in stream.chunks(piece.max(1)) {
        input.push(bytes);
        loop {
            let found = input.first();
            if let Ok(Some(message)) = found {
                match whole(rest) {
                    Ok(Some((expected, after))) => {
                        assert_eq!(message, expected);
                        rest = after;
                    }
                    other => assert!(matches!(other, Ok(None)), "found in pieces, not in whole"),
                }
            }
            match found {
                Ok(Some(_)) => input.done(),
                Ok(None) => break,
                Err(bad) => {
                    assert_eq!(whole(rest), Err(bad));
                    return;
                }
            }
        }
    }
    // What is left is the begin of a message; of one longer than 4 MiB nothing can be said here.
    assert!(stream.len() > (1 << 22) || matches!(whole(rest), Ok(None)));
}
