//! `donjon get-value`: prints the value of a secret.

use virsecret::{Secret, Value};
use zeroize::Zeroizing;

use super::Session;
use crate::cli::GetValue;
use crate::console;
use crate::encoding::Encoding;
use crate::error::Error;

pub(crate) fn run(session: &Session<'_>, flags: &GetValue) -> Result<(), Error> {
    let secret = flags.secret.lookup(session.connection)?;
    let value = session.connection.value(&secret).map_err(|error| refused(error, &secret))?;
    let (encoding, to_terminal) = (flags.written.into(), console::is_terminal());
    if session.json {
        return console::write_value(&json(&secret, &value, encoding));
    }
    if encoding == Encoding::Raw && to_terminal && !flags.force && !is_text(value.expose()) {
        return Err(Error::Binary);
    }
    console::write_value(&encoding.encode(value.expose()))?;
    if to_terminal { console::say("") } else { Ok(()) }
}

/// The lookup has just found the secret, so "no secret" means here that it has no value.
fn refused(error: virsecret::Error, secret: &Secret) -> Error {
    match error {
        error if error.is_no_secret() => Error::NoValue(secret.uuid),
        error if error.is_invalid_secret() => Error::Private(secret.uuid),
        error => error.into(),
    }
}

/// Whether a terminal shows the value and obeys nothing in it.
fn is_text(value: &[u8]) -> bool {
    let commands = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    std::str::from_utf8(value).is_ok_and(|text| !text.contains(commands))
}

/// `{"uuid":"…","encoding":"base64","value":"…"}`. It is written by hand, because serde_json wipes nothing. Nothing in it
/// needs an escape.
fn json(secret: &Secret, value: &Value, encoding: Encoding) -> Zeroizing<Vec<u8>> {
    let (name, encoding) = match encoding {
        Encoding::Hex => ("hex", Encoding::Hex),
        Encoding::Raw | Encoding::Base64 => ("base64", Encoding::Base64), // Not every value is text.
    };
    let head = format!("{{\"uuid\":\"{}\",\"encoding\":\"{name}\",\"value\":\"", secret.uuid);
    let written = encoding.encode(value.expose());
    let mut whole = Zeroizing::new(Vec::with_capacity(head.len() + written.len() + 3));
    whole.extend_from_slice(head.as_bytes());
    whole.extend_from_slice(&written);
    whole.extend_from_slice(b"\"}\n");
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_not_text() {
        for (value, expect) in [
            (&b"hunter2\n\tx"[..], true),
            ("ä".as_bytes(), true),
            (b"", true),
            (b"\xff", false),
            (b"\x1b[31m", false),
            (b"\0", false),
            (b"over\rwritten", false),
            ("\u{9b}".as_bytes(), false),
        ] {
            assert_eq!(is_text(value), expect, "{value:?}");
        }
    }
}
