//! The encodings of a value: raw bytes, base64 and hexadecimal. Every buffer is wiped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::cli::Written;
use crate::error::Error;

/// One encoding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encoding {
    /// Byte for byte.
    Raw,
    /// With padding, in one line.
    Base64,
    /// In lower case.
    Hex,
}

impl From<Written> for Encoding {
    fn from(flags: Written) -> Self {
        match (flags.base64, flags.hex) {
            (true, _) => Self::Base64,
            (_, true) => Self::Hex,
            _ => Self::Raw,
        }
    }
}

impl Encoding {
    /// Decodes a value. Spaces and line ends in base64 and hexadecimal are ignored.
    pub(crate) fn decode(self, written: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Self::Raw => Ok(written),
            Self::Base64 => from_base64(without_space(written)).ok_or(Error::NotBase64),
            Self::Hex => from_hex(&without_space(written)).ok_or(Error::NotHex),
        }
    }

    /// Encodes a value.
    pub(crate) fn encode(self, value: &[u8]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Raw => Zeroizing::new(value.to_vec()),
            Self::Base64 => to_base64(value),
            Self::Hex => to_hex(value),
        }
    }
}

/// Whether a value looks like the output of `ceph auth get-key`: in base64 a type (1 or 2), a time, a length, and a key of
/// that length.
pub(crate) fn is_ceph_key_in_base64(value: &[u8]) -> bool {
    let written = without_space(Zeroizing::new(value.to_vec()));
    let Some(key) = from_base64(written) else { return false };
    match (key.first_chunk(), key.get(10..).and_then(|rest| rest.split_first_chunk())) {
        (Some([1 | 2, 0]), Some((length, secret))) => {
            usize::from(u16::from_le_bytes(*length)) == secret.len()
        }
        _ => false,
    }
}

/// Works in place, so that there is no other copy.
fn without_space(mut written: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    written.retain(|byte| !byte.is_ascii_whitespace());
    written
}

fn from_base64(written: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    let mut value = Zeroizing::new(vec![0; base64::decoded_len_estimate(written.len())]);
    let length = STANDARD.decode_slice(&*written, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

fn to_base64(value: &[u8]) -> Zeroizing<Vec<u8>> {
    // The length of a value is at most 64 KiB.
    let mut written = Zeroizing::new(vec![0; value.len().div_ceil(3) * 4]);
    let length = STANDARD.encode_slice(value, &mut written).unwrap_or_default();
    written.truncate(length);
    written
}

fn from_hex(written: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, rest) = written.as_chunks::<2>();
    let mut value = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        value.push(digit(*high)? << 4 | digit(*low)?);
    }
    rest.is_empty().then_some(value)
}

fn to_hex(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut written = Zeroizing::new(Vec::with_capacity(value.len() * 2));
    for byte in value {
        written.extend(
            [byte >> 4, byte & 15]
                .map(|digit| b"0123456789abcdef".get(usize::from(digit)).copied().unwrap_or(b'0')),
        );
    }
    written
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, written: &[u8]) -> Option<Vec<u8>> {
        encoding.decode(Zeroizing::new(written.to_vec())).ok().map(|value| value.to_vec())
    }

    #[test]
    fn a_value_survives_encoding_and_decoding() {
        let all: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Raw, Encoding::Base64, Encoding::Hex] {
            for length in [0, 1, 2, 3, 255, 256] {
                let written = encoding.encode(&all[..length]);
                assert_eq!(decoded(encoding, &written).unwrap(), all[..length], "{encoding:?}");
            }
        }
        assert_eq!(*Encoding::Base64.encode(b"hunter2"), b"aHVudGVyMg==");
        assert_eq!(*Encoding::Hex.encode(b"hunter2\xff"), b"68756e74657232ff");
    }

    #[test]
    fn a_ceph_key_is_known_by_its_form() {
        let key = b"AQBjVWJnAAAAABAAq83vASNFZ4mrze8BI0VniQ==";
        assert!(is_ceph_key_in_base64(key) && is_ceph_key_in_base64(&[&key[..], b"\n"].concat()));
        for other in [
            &b"hunter2"[..],
            b"aHVudGVyMg==",
            b"",
            &Encoding::Base64.decode(Zeroizing::new(key.to_vec())).unwrap(),
        ] {
            assert!(!is_ceph_key_in_base64(other), "{other:?}");
        }
    }

    #[test]
    fn spaces_are_ignored_and_wrong_digits_are_refused() {
        let check = |encoding, written: &[u8], expect: Option<&[u8]>| {
            assert_eq!(decoded(encoding, written).as_deref(), expect, "{written:?}");
        };
        check(Encoding::Base64, b" aHVu\r\ndGVyMg==\n", Some(b"hunter2"));
        check(Encoding::Base64, b"aHVudGVyMg", None);
        check(Encoding::Base64, b"aHVudGVyMg==x", None);
        check(Encoding::Base64, b"a-_=", None);
        check(Encoding::Hex, b"68 75\n6E", Some(b"hun"));
        check(Encoding::Hex, b"687", None);
        check(Encoding::Hex, b"0x68", None);
        check(Encoding::Raw, b" a\n", Some(b" a\n"));
    }
}
