//! Writes JSON as Python's `json.dumps` does: `, ` and `: ` between parts, everything beyond ASCII escaped.

use std::fmt::Write as _;

use crate::python::Value;

/// An object that is being written.
#[derive(Debug)]
pub(crate) struct Object {
    out: String,
}

impl Object {
    /// An object with nothing in it yet.
    pub(crate) fn new() -> Self {
        let mut out = String::with_capacity(512); // A secret without its payload fits.
        out.push('{');
        Self { out }
    }

    fn key(&mut self, key: &str) -> &mut String {
        if self.out.len() > 1 {
            self.out.push_str(", ");
        }
        push_text(&mut self.out, key);
        self.out.push_str(": ");
        &mut self.out
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        push_text(self.key(key), text);
        self
    }

    /// Adds a text or `null`.
    pub(crate) fn optional_text(&mut self, key: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(key, text),
            None => self.json(key, "null"),
        }
    }

    /// Adds something that prints as text without any character to escape.
    pub(crate) fn plain(&mut self, key: &str, text: impl std::fmt::Display) -> &mut Self {
        push(self.key(key), format_args!("\"{text}\""));
        self
    }

    /// Adds something that prints as JSON.
    pub(crate) fn json(&mut self, key: &str, json: impl std::fmt::Display) -> &mut Self {
        push(self.key(key), format_args!("{json}"));
        self
    }

    /// Adds something that prints as JSON, or `null`.
    pub(crate) fn optional_json(&mut self, key: &str, json: Option<impl std::fmt::Display>) -> &mut Self {
        match json {
            Some(json) => self.json(key, json),
            None => self.json(key, "null"),
        }
    }

    /// The finished object, which is taken out.
    pub(crate) fn end(&mut self) -> String {
        self.out.push('}');
        std::mem::take(&mut self.out)
    }
}

/// A list of things that are JSON already.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    let mut out = String::from("[");
    for item in items {
        if out.len() > 1 {
            out.push_str(", ");
        }
        out.push_str(&item);
    }
    out.push(']');
    out
}

/// A value as `json.dumps` writes it.
pub(crate) fn dumps(value: &Value) -> String {
    let mut out = String::new();
    push_value(&mut out, value);
    out
}

/// Into one text, so that lists within lists are not copied once for every list around them.
fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(truth) => push(out, format_args!("{truth}")),
        Value::Int(digits) => out.push_str(digits),
        Value::Float(number) if number.is_nan() => out.push_str("NaN"),
        Value::Float(number) if number.is_infinite() => {
            out.push_str(if *number > 0.0 { "Infinity" } else { "-Infinity" });
        }
        Value::Float(_) => out.push_str(&value.repr()),
        Value::Text(text) => push_text(out, text),
        Value::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                push_value(out, item);
            }
            out.push(']');
        }
        Value::Dict(items) => {
            out.push('{');
            for (place, (key, value)) in items.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                push_text(out, key);
                out.push_str(": ");
                push_value(out, value);
            }
            out.push('}');
        }
    }
}

/// A text, as JSON.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_text(&mut out, text);
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "a String takes anything");
}

fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            ' '..='\x7f' => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push(out, format_args!("\\u{unit:04x}"))),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_byte_for_byte_pythons() {
        let mut object = Object::new();
        object.text("a\"b", "é🔑\u{1}\n").optional_text("n", None).json("i", 5).plain("p", "x");
        object.json("l", list(["1".to_owned(), "{}".to_owned()]));
        assert_eq!(
            object.end(),
            r#"{"a\"b": "\u00e9\ud83d\udd11\u0001\n", "n": null, "i": 5, "p": "x", "l": [1, {}]}"#
        );
        assert_eq!(Object::new().end(), "{}");
    }

    proptest! {
        #[test]
        fn any_text_can_be_read_back(text in "\\PC*") {
            let mut object = Object::new();
            object.text("t", &text);
            let value: serde_json::Value = serde_json::from_str(&object.end()).unwrap();
            prop_assert_eq!(value.get("t").unwrap(), &text);
        }
    }
}
