//! Writes PEM (RFC 7468): base64 in lines of 64 characters between two lines with a label.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::Payload;

/// The bytes in a line.
const LINE_BYTES: usize = 48;
/// The characters that they become.
const LINE_CHARS: usize = 64;
/// Line ends, dashes and words around a label, at the begin and the end.
const FRAME_CHARS: usize = "-----BEGIN -----\n-----END -----\n".len();

/// Writes DER as PEM. The text may be private, so the buffer has room for all of it and never moves.
pub(super) fn write(label: &str, der: &[u8]) -> Payload {
    let lines = der.len().div_ceil(LINE_BYTES);
    let mut text =
        Zeroizing::new(Vec::with_capacity(FRAME_CHARS + 2 * label.len() + lines * (LINE_CHARS + 1)));
    frame(&mut text, &["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(LINE_BYTES) {
        let start = text.len();
        text.resize(start + LINE_CHARS, 0);
        let written = text.get_mut(start..).map(|room| STANDARD.encode_slice(line, room));
        let written = written.and_then(Result::ok).expect("48 bytes are 64 characters");
        text.truncate(start + written);
        text.push(b'\n');
    }
    frame(&mut text, &["-----END ", label, "-----\n"]);
    Payload::from(text)
}

fn frame(text: &mut Vec<u8>, words: &[&str]) {
    words.iter().for_each(|word| text.extend_from_slice(word.as_bytes()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_have_64_characters_and_the_last_what_is_left() {
        let text = write("PUBLIC KEY", &[0; 50]);
        let expected =
            format!("-----BEGIN PUBLIC KEY-----\n{}\nAAA=\n-----END PUBLIC KEY-----\n", "A".repeat(64));
        assert_eq!(text.expose(), expected.as_bytes());
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(der in proptest::collection::vec(any::<u8>(), 0..500)) {
            let text = write("X", &der);
            let text = std::str::from_utf8(text.expose()).unwrap();
            let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            prop_assert_eq!(STANDARD.decode(body).unwrap(), der);
        }
    }
}
