//! Entries for the fuzz targets: private code that meets outside bytes.

use crate::input::{Input, split_message};

/// Any text as a definition: it is refused, or is the same after writing and reading it.
pub fn xml(bytes: &[u8]) {
    crate::xml::fuzz(bytes);
}

/// Any bytes in pieces of any size: the messages are the same as in one piece.
pub fn frames(piece: usize, stream: &[u8]) {
    let mut rest = stream;
    let mut input = Input::default();
    for bytes in stream.chunks(piece.max(1)) {
        input.push(bytes);
        loop {
            let found = input.first();
            if let Ok(Some(message)) = found {
                match split_message(rest) {
                    Ok(Some((expected, after))) => {
                        assert_eq!(message, expected);
                        rest = after;
                    }
                    other => assert!(matches!(other, Ok(None)), "found in pieces, but not in one"),
                }
            }
            match found {
                Ok(Some(_)) => input.remove_first(),
                Ok(None) => break,
                Err(bad) => {
                    assert_eq!(split_message(rest), Err(bad));
                    return;
                }
            }
        }
    }
    // The rest is the beginning of a message. A message longer than 4 MiB cannot be compared.
    assert!(stream.len() > (1 << 22) || matches!(split_message(rest), Ok(None)));
}
