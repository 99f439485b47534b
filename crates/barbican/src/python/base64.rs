//! `base64.b64decode`, as lenient as Python's: whatever is not in the alphabet is passed over.
//!
//! The `base64` crate refuses such text, and clients send it: line breaks above all. One thing is stricter than
//! Python, on purpose: a text without a single character of base64 is refused instead of decoding to nothing.

use vault::Payload;

/// The text is not base64.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not base64")]
pub(crate) struct NotBase64;

/// Decodes into a buffer that is wiped, and never grows, so no copy of the plaintext is left behind.
pub(crate) fn decode(text: &[u8]) -> Result<Payload, NotBase64> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let complete = decode_into(text, &mut out);
    let payload = Payload::new(out); // Wiped also if it is refused below.
    complete.map(|()| payload)
}

/// Whether any of it is base64.
pub(crate) fn has_any(text: &[u8]) -> bool {
    text.iter().any(|&byte| byte == b'=' || sextet(byte).is_some())
}

fn decode_into(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
    let (mut quad, mut left, mut pads, mut any) = (0_u8, 0_u8, 0_u8, false);
    for &byte in text {
        let Some(value) = sextet(byte) else {
            if byte == b'=' {
                any = true;
                pads = pads.saturating_add(u8::from(quad >= 2));
                if quad >= 2 && quad.saturating_add(pads) >= 4 {
                    return Ok(()); // Text behind a complete padding is not read.
                }
            }
            continue;
        };
        (any, pads) = (true, 0);
        match quad {
            0 => {}
            1 => out.push(left << 2 | value >> 4),
            2 => out.push(left << 4 | value >> 2),
            _ => out.push(left << 6 | value),
        }
        (quad, left) = ((quad + 1) % 4, value);
    }
    if quad == 0 && (any || text.is_empty()) { Ok(()) } else { Err(NotBase64) }
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_as_lenient_as_python() {
        for (text, expect) in [
            ("YmVlcg==", Ok("beer")),
            ("YmVl\ncg==", Ok("beer")),
            ("YmVl cg==", Ok("beer")),
            ("YmVlcg==garbage", Ok("beer")),
            ("Y=mVlcg==", Ok("beer")),
            ("YmVlcg=x=", Ok("beer\x0c")),
            ("====", Ok("")),
            ("YmVlcg", Err(NotBase64)),
            ("YmVlc", Err(NotBase64)),
            ("_-8=", Err(NotBase64)),
            ("!!!!", Err(NotBase64)),
            ("", Ok("")),
        ] {
            let decoded = decode(text.as_bytes()).map(|payload| payload.expose().to_vec());
            assert_eq!(decoded, expect.map(|text| text.as_bytes().to_vec()), "{text:?}");
        }
    }

    #[test]
    fn some_texts_have_none_of_it() {
        for (text, expect) in
            [("!!!!", false), ("\u{1F37A}", false), ("", false), ("!=!", true), ("!a!", true)]
        {
            assert_eq!(has_any(text.as_bytes()), expect, "{text:?}");
        }
    }

    #[test]
    fn agrees_with_the_strict_decoder() {
        use base64::Engine as _;
        for length in 0..100_u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37) ^ length).collect();
            let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
            assert_eq!(decode(text.as_bytes()).unwrap().expose(), bytes);
        }
    }
}
