//! JSON as `json.loads` reads it, with the differences between Python's types that error texts show.

use zeroize::Zeroizing;

use super::{float, text};

/// A value read from JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of any size, by its digits: it may only have to be quoted.
    Int(Box<str>),
    /// `NaN` and the infinities included.
    Float(f64),
    /// Text. It may be a payload, or a part of one in the wrong place, so it is wiped wherever it is dropped: also
    /// when what follows it is malformed, and when the same key comes again.
    Text(Zeroizing<String>),
    /// A list.
    List(Vec<Value>),
    /// A dict: each key once, where it first stood, with the value that came last.
    Dict(Vec<(String, Value)>),
}

impl Value {
    /// The value under a key of a dict.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Dict(items) => items.iter().find(|(known, _)| known == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Takes the value under a key out of a dict.
    pub(crate) fn take(&mut self, key: &str) -> Option<Self> {
        let Self::Dict(items) = self else { return None };
        let place = items.iter().position(|(known, _)| known == key)?;
        Some(items.remove(place).1)
    }

    /// Drops the members of a dict whose keys are not to be kept, at any depth.
    pub(crate) fn drop_members(&mut self, is_dropped: fn(&str) -> bool) {
        match self {
            Self::List(items) => items.iter_mut().for_each(|value| value.drop_members(is_dropped)),
            Self::Dict(items) => {
                items.retain(|(key, _)| !is_dropped(key));
                items.iter_mut().for_each(|(_, value)| value.drop_members(is_dropped));
            }
            _ => {}
        }
    }

    /// Whether Python takes it for false.
    pub(crate) fn is_false(&self) -> bool {
        match self {
            Self::None => true,
            Self::Bool(truth) => !truth,
            Self::Int(digits) => text::int(digits) == Some(0),
            Self::Float(number) => *number == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Dict(items) => items.is_empty(),
        }
    }

    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned().into())
    }

    /// Puts a value under a key of a dict, in the place of an earlier one.
    pub(crate) fn set(&mut self, key: &str, value: Self) {
        let Self::Dict(items) = self else { return };
        match items.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => items.push((key.to_owned(), value)),
        }
    }

    /// The text under a key of an object.
    pub(crate) fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::as_text)
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one or a float without a fraction. Numbers beyond 64 bits are saturated.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Int(digits) => text::int(digits).map(saturate),
            Self::Float(number) if number.is_finite() && number.fract() == 0.0 => {
                // A cast of a float saturates.
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "there is no fraction, and excess saturates"
                )]
                Some(*number as i64)
            }
            _ => None,
        }
    }

    /// Strips every text in it of surrounding white space, except one that stands alone: Barbican's `strip_whitespace`.
    pub(crate) fn strip(&mut self) {
        match self {
            Self::List(items) => items.iter_mut().for_each(Self::strip_item),
            Self::Dict(items) => items.iter_mut().for_each(|(_, value)| value.strip_item()),
            _ => {}
        }
    }

    /// The same for a dict, but for the text under one key, which stays as it came.
    pub(crate) fn strip_but(&mut self, kept: &str) {
        match self {
            Self::Dict(items) => items
                .iter_mut()
                .filter(|(key, value)| key != kept || value.as_text().is_none())
                .for_each(|(_, value)| value.strip_item()),
            other => other.strip(),
        }
    }

    fn strip_item(&mut self) {
        match self {
            Self::Text(text) => strip_in_place(text),
            other => other.strip(),
        }
    }

    /// `repr(value)`.
    pub(crate) fn repr(&self) -> String {
        let mut out = String::new();
        self.push_repr(&mut out);
        out
    }

    /// Into one text, so that lists within lists are not copied once for every list around them.
    fn push_repr(&self, out: &mut String) {
        match self {
            Self::None => out.push_str("None"),
            Self::Bool(true) => out.push_str("True"),
            Self::Bool(false) => out.push_str("False"),
            Self::Int(digits) => out.push_str(digits),
            Self::Float(number) => out.push_str(&float::repr(*number)),
            Self::Text(text) => out.push_str(&text::repr(text)),
            Self::List(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place == 0 { "" } else { ", " });
                    item.push_repr(out);
                }
                out.push(']');
            }
            Self::Dict(items) => {
                out.push('{');
                for (place, (key, value)) in items.iter().enumerate() {
                    out.push_str(if place == 0 { "" } else { ", " });
                    out.push_str(&text::repr(key));
                    out.push_str(": ");
                    value.push_repr(out);
                }
                out.push('}');
            }
        }
    }
}

fn saturate(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// In place, because the text may be a payload in the wrong place: no second copy of it is made.
fn strip_in_place(text: &mut String) {
    text.truncate(text.trim_end_matches(text::is_space).len());
    let start = text.len() - text.trim_start_matches(text::is_space).len();
    text.drain(..start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_values_are_false() {
        for (text, expect) in [
            ("null", true),
            ("false", true),
            ("0", true),
            ("-0.0", true),
            ("\"\"", true),
            ("[]", true),
            ("{}", true),
            ("true", false),
            ("7", false),
            ("\" \"", false),
            ("[0]", false),
        ] {
            assert_eq!(super::super::parse_json(text).unwrap().is_false(), expect, "{text}");
        }
    }

    #[test]
    fn repr_nests() {
        let value = Value::Dict(vec![
            ("a".into(), Value::List(vec![Value::None, Value::Bool(true), Value::Float(1.0)])),
            ("b".into(), Value::Int("-3".into())),
        ]);
        assert_eq!(value.repr(), "{'a': [None, True, 1.0], 'b': -3}");
    }

    #[test]
    fn texts_are_wiped_when_they_are_dropped() {
        use std::os::unix::fs::FileExt as _;
        // The heap keeps its own notes at the start of a freed block, so the test looks at the middle.
        let middle_after_drop = |place: *const u8, drop_it: Box<dyn FnOnce()>| {
            let (mut bytes, middle) = ([0; 32], place as u64 + 1024);
            drop_it();
            std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, middle).unwrap();
            bytes
        };
        let plain = "x".repeat(2048);
        let left = middle_after_drop(plain.as_ptr(), Box::new(|| drop(plain)));
        assert_eq!(
            left, [b'x'; 32],
            "a text that is not wiped stays in freed memory, where this test sees it"
        );
        let text = "y".repeat(2048);
        let place = text.as_ptr();
        let value = Value::Dict(vec![("payload".into(), Value::List(vec![Value::Text(text.into())]))]);
        assert_eq!(middle_after_drop(place, Box::new(|| drop(value))), [0; 32]);
    }

    #[test]
    fn strip_reaches_every_text_but_a_lone_one_and_keys() {
        let mut value =
            Value::Dict(vec![(" k ".into(), Value::List(vec![Value::Text(" \u{1c}x\n".to_owned().into())]))]);
        value.strip();
        assert_eq!(value.repr(), "{' k ': ['x']}");
        let mut lone = Value::Text(" x ".to_owned().into());
        lone.strip();
        assert_eq!(lone.as_text(), Some(" x "));
    }

    #[test]
    fn one_text_may_keep_its_ends() {
        for (text, expect) in [
            (r#"{"a": " x ", "b": " y "}"#, "{'a': ' x ', 'b': 'y'}"),
            (r#"{"a": [" x "]}"#, "{'a': ['x']}"),
            (r#"[" x ", {"a": " x "}]"#, "['x', {'a': 'x'}]"),
        ] {
            let mut value = super::super::parse_json(text).unwrap();
            value.strip_but("a");
            assert_eq!(value.repr(), expect);
        }
    }

    #[test]
    fn integral_floats_are_integers() {
        for (value, expect) in [
            (Value::Float(256.0), Some(256)),
            (Value::Float(1.5), None),
            (Value::Float(f64::INFINITY), None),
            (Value::Int("99999999999999999999999".into()), Some(i64::MAX)),
            (Value::Bool(true), None),
        ] {
            assert_eq!(value.as_integer(), expect);
        }
    }
}
