//! Renders a payload as text, as Nova and Cinder render a Barbican key before they give it to a hypervisor.
//!
//! Every buffer that holds a part of a payload is wiped, and none grows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::Encoding;
use zeroize::Zeroizing;

use crate::Payload;

/// Renders a payload in an encoding.
pub(crate) fn render(encoding: Encoding, payload: Payload) -> Payload {
    match encoding {
        Encoding::Raw => payload,
        Encoding::Hex => {
            let digits = payload.expose().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
            let mut text = Zeroizing::new(Vec::with_capacity(payload.len() * 2));
            text.extend(digits);
            Payload::from(text)
        }
        Encoding::Base64 => {
            let mut text = Zeroizing::new(vec![0; payload.len().div_ceil(3) * 4]);
            match BASE64.encode_slice(payload.expose(), &mut text) {
                Ok(length) => text.truncate(length),
                Err(_) => text.clear(), // Cannot happen: the buffer is as long as the text.
            }
            Payload::from(text)
        }
    }
}

/// Finds the payload that [`render`] turns into exactly this text; `None` if there is no such payload.
pub(crate) fn parse(encoding: Encoding, text: &Payload) -> Option<Payload> {
    let payload = match encoding {
        Encoding::Raw => Zeroizing::new(text.expose().to_vec()),
        Encoding::Hex => {
            let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
            for pair in text.expose().chunks(2) {
                let [high, low] = pair else { return None };
                bytes.push(value(*high)? << 4 | value(*low)?);
            }
            bytes
        }
        Encoding::Base64 => {
            let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
            let length = BASE64.decode_slice(text.expose(), &mut bytes).ok()?;
            bytes.truncate(length);
            bytes
        }
    };
    Some(Payload::from(payload))
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// The value of a lower-case digit: [`render`] writes no upper-case ones.
const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: Encoding, payload: &[u8], text: &str) {
        let rendered = render(encoding, Payload::new(payload.to_vec()));
        assert_eq!(rendered.expose(), text.as_bytes());
        assert_eq!(parse(encoding, &rendered).unwrap().expose(), payload);
    }

    #[test]
    fn rendered_text_parses_to_its_payload() {
        check(Encoding::Raw, b"\x00x", "\0x");
        check(Encoding::Hex, b"\x00\xff\x1a", "00ff1a");
        check(Encoding::Hex, b"", "");
        check(Encoding::Base64, b"\x00\xff\x1a", "AP8a");
        check(Encoding::Base64, b"\x00", "AA==");
        check(Encoding::Base64, b"", "");
    }

    #[test]
    fn text_that_is_rendered_differently_does_not_parse() {
        for (encoding, text) in [
            (Encoding::Hex, "AB"),
            (Encoding::Hex, "abc"),
            (Encoding::Hex, "0g"),
            (Encoding::Base64, "AA"),
            (Encoding::Base64, "AB=="),
            (Encoding::Base64, "AA==\n"),
        ] {
            assert!(parse(encoding, &Payload::new(text.into())).is_none(), "{text:?}");
        }
    }
}
