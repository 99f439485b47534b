//! From the JSON body of `POST /v1/secrets` to a secret to be created.
//!
//! The checks, their order and their words are Barbican's: first the schema, then what a schema cannot say. A payload
//! never is part of an error text: only values that are not text are quoted, and no other check quotes.
//!
//! A text is stored as it came: the newline at the end of a key is a part of it. Barbican strips it, as it strips every
//! text of a body.

use std::mem::take;

use model::{Attributes, BitLength, ContentType, PAYLOAD_BYTES_MAX, SecretType, Text, Timestamp};
use transport::dates::{self, InvalidDate, ParsedDate};
use vault::{NewPayload, NewSecret, Payload};

use crate::problem::Problem;
use crate::python::{Value, base64, is_space, parse_json};
use crate::schema::bodies::SECRET;
use crate::schema::mismatch;

/// The name of the schema in error texts.
const SCHEMA: &str = "Secret";

/// The request of a body.
#[derive(Debug)]
pub(crate) struct Request {
    /// The secret.
    pub secret: NewSecret,
    /// Whether a key to wrap the payload with is asked for.
    pub transport_key_needed: bool,
    /// Whether the body names a key that the payload is wrapped with.
    pub names_transport_key: bool,
}

/// Understands a body.
pub(crate) fn parse(body: &[u8], now: Timestamp) -> Result<Request, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::malformed_json())?;
    let mut value = parse_json(text).map_err(|_| Problem::malformed_json())?;
    value.strip_but("payload");
    let of = Describing { schema: SCHEMA };
    let matched = SECRET.check(&value).map_err(|found| found.problem(SCHEMA));
    let payload = match value.take("payload") {
        Some(Value::Text(mut text)) => Some(Payload::new(take(&mut *text).into_bytes())), // Moved, not copied.
        _ => None,
    };
    matched?;
    let expiration = of.expiration(&value, now)?;
    let payload = match payload {
        Some(payload) => Some(of.new_payload(&value, payload)?),
        None if value.get("payload_content_type").is_some() => {
            return Err(
                of.wrong("payload must be provided when payload_content_type is specified", "payload")
            );
        }
        None => None,
    };
    Ok(Request {
        secret: NewSecret { attributes: of.attributes(&value, expiration)?, payload },
        transport_key_needed: value.text_at("transport_key_needed") == Some("true"),
        names_transport_key: value.get("transport_key_id").is_some(),
    })
}

/// The part of an order about the secrets that it asks for.
#[derive(Debug)]
pub(crate) struct Described {
    /// Their attributes.
    pub attributes: Attributes,
    /// The content type of their payloads.
    pub content_type: Option<ContentType>,
    /// Whether there is a payload, which there must not be.
    pub has_payload: bool,
}

/// Reads that part of an order. Mistakes in a forbidden payload are reported before the payload itself.
pub(crate) fn in_order(value: &Value, schema: &'static str, now: Timestamp) -> Result<Described, Problem> {
    let of = Describing { schema };
    SECRET.check(value).map_err(|found| found.problem(schema))?;
    let expiration = of.expiration(value, now)?;
    let given = value.text_at("payload_content_type").filter(|given| !given.is_empty());
    let payload = value.text_at("payload").map(|text| Payload::new(text.as_bytes().to_vec()));
    let has_payload = payload.is_some();
    let content_type = match payload {
        Some(payload) => Some(of.new_payload(value, payload)?.content_type),
        None => given.map(|given| of.content_type(given)).transpose()?,
    };
    Ok(Described { attributes: of.attributes(value, expiration)?, content_type, has_payload })
}

/// Describes secrets, in the words of errors about one schema.
#[derive(Clone, Copy)]
struct Describing {
    schema: &'static str,
}

impl Describing {
    fn wrong(self, reason: &str, property: &str) -> Problem {
        mismatch(self.schema, reason, property)
    }

    fn content_type(self, given: &str) -> Result<ContentType, Problem> {
        normalise(given).ok_or_else(|| {
            self.wrong(
                "payload_content_type is not one of ['text/plain', 'text/plain;charset=utf-8', \
                 'text/plain; charset=utf-8', 'application/octet-stream', 'application/pkcs8']",
                "payload_content_type",
            )
        })
    }

    /// A value that the schema has checked already. A failure here would be a gap between schema and model.
    fn attributes(self, value: &Value, expiration: Option<Timestamp>) -> Result<Attributes, Problem> {
        let text = |key| {
            let text = value.text_at(key).map(Text::try_from).transpose();
            text.map_err(|error| self.wrong(&error.to_string(), key))
        };
        let bit_length =
            value.get("bit_length").and_then(Value::as_integer).map(BitLength::try_from).transpose();
        Ok(Attributes {
            name: text("name")?,
            algorithm: text("algorithm")?,
            bit_length: bit_length.map_err(|error| self.wrong(&error.to_string(), "bit_length"))?,
            mode: text("mode")?,
            secret_type: value.text_at("secret_type").and_then(SecretType::parse).unwrap_or_default(),
            expiration,
        })
    }

    /// The empty text is no expiration.
    fn expiration(self, value: &Value, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = value.text_at("expiration").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        match dates::parse(text).and_then(ParsedDate::utc) {
            Err(InvalidDate) => Err(self.wrong("Invalid date for 'expiration'", "expiration")),
            Ok(expiration) if expiration <= now => {
                Err(self.wrong("'expiration' is before current time", "expiration"))
            }
            Ok(expiration) => Ok(Some(expiration)),
        }
    }

    fn new_payload(self, value: &Value, payload: Payload) -> Result<NewPayload, Problem> {
        let Some(given) = value.text_at("payload_content_type") else {
            let reason = "If 'payload' is supplied, 'payload_content_type' must also be supplied.";
            return Err(self.wrong(reason, "payload_content_type"));
        };
        let content_type = self.content_type(given)?;
        let is_base64 = value.get("payload_content_encoding").is_some(); // The schema allows nothing else.
        let allowed = match (content_type, is_base64) {
            (ContentType::Text, true) => "None",
            (ContentType::OctetStream | ContentType::Pkcs8, false) => "['base64', 'binary']",
            _ => return self.decode(content_type, is_base64, payload),
        };
        Err(self
            .wrong(&format!("payload_content_encoding is not one of {allowed}"), "payload_content_encoding"))
    }

    fn decode(
        self,
        content_type: ContentType,
        is_base64: bool,
        payload: Payload,
    ) -> Result<NewPayload, Problem> {
        let stripped = strip(payload.expose());
        if stripped.is_empty() {
            return Err(self.wrong("If 'payload' specified, must be non empty", "payload"));
        }
        // White space around base64 is no part of the payload, so it has no size.
        let sent = if is_base64 { stripped } else { payload.expose() };
        if sent.len() > PAYLOAD_BYTES_MAX {
            return Err(too_large());
        }
        let payload = match is_base64 {
            true => base64::decode(sent)
                .map_err(|_| self.wrong("Invalid payload for payload_content_encoding", "payload"))?,
            false => payload,
        };
        Ok(NewPayload { content_type, payload })
    }
}

/// A payload without white space around it. It was a text of JSON, so it is UTF-8.
fn strip(payload: &[u8]) -> &[u8] {
    std::str::from_utf8(payload).map_or(payload, |text| text.trim_matches(is_space).as_bytes())
}

/// 413 as a POST gets it.
fn too_large() -> Problem {
    Problem::new(http::StatusCode::PAYLOAD_TOO_LARGE, "Provided information too large to process")
}

/// The content type that a spelling of one stands for: Barbican looks at the type in any case, and of the parameters
/// only at the first, which must have the value utf-8 under whatever name.
pub(crate) fn normalise(given: &str) -> Option<ContentType> {
    let mut parts = given.split(';');
    let media_type = parts.next().unwrap_or_default().trim().to_lowercase();
    if let Some(parameter) = parts.next() {
        let charset = parameter.split('=').nth(1).map(|value| value.trim().to_lowercase());
        if charset.as_deref() != Some("utf-8") {
            return None;
        }
    }
    ContentType::parse(&media_type)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000); // 2027-01-15

    fn understand(body: &str) -> String {
        match parse(body.as_bytes(), NOW) {
            Err(problem) => problem.description.unwrap_or_default().into_owned(),
            Ok(Request { secret, .. }) => {
                let payload = secret.payload.map(|p| (p.content_type, p.payload.expose().to_vec()));
                let expiration = secret.attributes.expiration.map_or("-".to_owned(), |date| date.to_string());
                let payload = payload.map_or("-".to_owned(), |(kind, bytes)| {
                    format!("{} {}", kind.as_str(), String::from_utf8_lossy(&bytes))
                });
                format!("{expiration} {payload}")
            }
        }
    }

    fn wrong_text(reason: &str, property: &str) -> String {
        format!("Provided object does not match schema 'Secret': {reason}. Invalid property: '{property}'")
    }

    #[test]
    fn bodies_become_secrets() {
        for (body, expect) in [
            ("{}", "- -"),
            (r#"{"payload": "x", "payload_content_type": " text/plain\n"}"#, "- text/plain x"),
            (r#"{"payload": "x", "payload_content_type": "TEXT/plain; foo=UTF-8"}"#, "- text/plain x"),
            (
                r#"{"payload": "YmVlcg==", "payload_content_type": "application/pkcs8", "payload_content_encoding": "base64"}"#,
                "- application/pkcs8 beer",
            ),
            (r#"{"expiration": " 2099-05-06T07:08:09+05:00 "}"#, "2099-05-06T02:08:09 -"),
            (r#"{"expiration": "  ", "payload_content_encoding": "base64"}"#, "- -"),
        ] {
            assert_eq!(understand(body), expect, "{body}");
        }
    }

    #[test]
    fn refusals_are_barbicans() {
        for (body, reason, property) in [
            ("5", "5 is not of type 'object'", "None"),
            (
                r#"{"payload": "x"}"#,
                "If 'payload' is supplied, 'payload_content_type' must also be supplied.",
                "payload_content_type",
            ),
            (
                r#"{"payload_content_type": null}"#,
                "payload must be provided when payload_content_type is specified",
                "payload",
            ),
            (
                r#"{"payload": " ", "payload_content_type": "text/plain"}"#,
                "If 'payload' specified, must be non empty",
                "payload",
            ),
            (
                r#"{"payload": "\u001c\n\u2003 ", "payload_content_type": "text/plain"}"#,
                "If 'payload' specified, must be non empty",
                "payload",
            ),
            (
                r#"{"payload": "\n", "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64"}"#,
                "If 'payload' specified, must be non empty",
                "payload",
            ),
            (
                r#"{"payload": "x", "payload_content_type": "application/octet-stream"}"#,
                "payload_content_encoding is not one of ['base64', 'binary']",
                "payload_content_encoding",
            ),
            (
                r#"{"payload": "x", "payload_content_type": "text/plain", "payload_content_encoding": "base64"}"#,
                "payload_content_encoding is not one of None",
                "payload_content_encoding",
            ),
            (r#"{"expiration": "bogus"}"#, "Invalid date for 'expiration'", "expiration"),
            (r#"{"expiration": "2014-02-28"}"#, "'expiration' is before current time", "expiration"),
        ] {
            assert_eq!(understand(body), wrong_text(reason, property), "{body}");
        }
        assert_eq!(understand("{"), "Malformed JSON");
    }

    #[test]
    fn a_payload_keeps_its_ends_and_every_other_text_loses_them() {
        for text in [" x ", "pass word ", "\n-----END OPENSSH PRIVATE KEY-----\n", "\t\u{2003}x\u{1c}\r\n"] {
            let body =
                serde_json::json!({ "name": text, "payload": text, "payload_content_type": "text/plain" });
            let secret = parse(body.to_string().as_bytes(), NOW).unwrap().secret;
            assert_eq!(secret.payload.unwrap().payload.expose(), text.as_bytes());
            assert_eq!(secret.attributes.name.unwrap().as_str(), crate::python::strip(text));
        }
    }

    #[test]
    fn a_payload_has_a_size() {
        let text =
            |payload: String| format!(r#"{{"payload": "{payload}", "payload_content_type": "text/plain"}}"#);
        let in_base64 = |payload: String| {
            let kind = r#""payload_content_type": "application/pkcs8", "payload_content_encoding": "base64""#;
            format!(r#"{{"payload": "{payload}", {kind}}}"#)
        };
        assert!(parse(text("a".repeat(20_000)).as_bytes(), NOW).is_ok());
        assert!(parse(in_base64("a".repeat(20_000) + "\\n").as_bytes(), NOW).is_ok());
        for body in [text("a".repeat(20_001)), text("a".repeat(20_000) + " "), in_base64("a".repeat(20_001))]
        {
            assert_eq!(understand(&body), "Provided information too large to process");
        }
    }

    #[test]
    fn no_refusal_quotes_a_payload() {
        for rest in [
            "",
            r#", "payload_content_type": "bogus""#,
            r#", "name": 5, "payload_content_type": "text/plain""#,
            r#", "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64""#,
            r#", "payload_content_type": "text/plain", "expiration": "x""#,
        ] {
            let body = format!(r#"{{"payload": "hunter2"{rest}}}"#);
            let problem = parse(body.as_bytes(), NOW).unwrap_err();
            assert!(!problem.description.unwrap().contains("hunter2"), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body, NOW);
        }

        #[test]
        fn no_fields_panic(
            keys in prop::collection::vec("name|payload|bit_length|expiration|payload_content_(type|encoding)", 0..5),
            values in prop::collection::vec("null|true|-?[0-9]{1,30}(\\.5)?|\"[a-z/+=0-9-]{0,30}\"|\\[\\]|\\{\\}", 5),
        ) {
            let fields: Vec<_> = keys.iter().zip(&values).map(|(key, value)| format!("\"{key}\": {value}")).collect();
            let _ = parse(format!("{{{}}}", fields.join(", ")).as_bytes(), NOW);
        }
    }
}
