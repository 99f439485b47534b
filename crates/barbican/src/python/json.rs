//! Reads JSON as Python's `json.loads` does.
//!
//! `serde_json` cannot give Barbican's answers: Python reads `NaN` and the infinities (the type check refuses them by
//! name), integers of any size (quoted whole in the error text), nesting deeper than 128, and a payload has to end in
//! one allocation that can be wiped. A lone surrogate, which Python keeps and Barbican then fails on with a 500, is
//! malformed here: Rust's text cannot hold it.

use std::collections::HashMap;
use std::mem::take;

use zeroize::Zeroizing;

use super::Value;
use super::text::INT_DIGITS_MAX;

/// How deep lists and dicts may nest. Python gives up at its recursion limit, somewhere below a thousand.
const DEPTH_MAX: usize = 500;

/// The text is not JSON as Python reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed JSON")]
pub(crate) struct Malformed;

/// Reads one value, with nothing but white space around it.
pub(crate) fn parse(text: &str) -> Result<Value, Malformed> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() { Ok(value) } else { Err(Malformed) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes over a literal if it comes next.
    fn eat(&mut self, literal: &str) -> bool {
        let found = self.rest().starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, Malformed> {
        match self.peek() {
            Some(b'"') => self.text().map(Value::Text),
            Some(b'{') if depth < DEPTH_MAX => self.dict(depth + 1),
            Some(b'[') if depth < DEPTH_MAX => self.list(depth + 1),
            Some(b'0'..=b'9') => self.number(),
            Some(b'-') if !self.rest().starts_with("-I") => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, Malformed> {
        let words = [
            ("null", Value::None),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        words.into_iter().find(|(word, _)| self.eat(word)).map(|(_, value)| value).ok_or(Malformed)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Malformed> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.eat("]") {
            return Ok(Value::List(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth)?);
            self.skip_space();
            if self.eat("]") {
                return Ok(Value::List(items));
            }
            self.eat(",").then_some(()).ok_or(Malformed)?;
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Value, Malformed> {
        let mut items: Vec<(String, Value)> = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.eat("}") {
            return Ok(Value::Dict(items));
        }
        loop {
            self.skip_space();
            let mut key = self.text()?;
            self.skip_space();
            self.eat(":").then_some(()).ok_or(Malformed)?; // Without a colon it may be a payload, and stays wiped.
            self.skip_space();
            items.push((take(&mut *key), self.value(depth)?));
            self.skip_space();
            if self.eat("}") {
                return Ok(Value::Dict(last_wins(items)));
            }
            self.eat(",").then_some(()).ok_or(Malformed)?;
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value, Malformed> {
        let start = self.at;
        self.eat("-");
        let count = if self.eat("0") { 1 } else { self.digits() };
        let integer_end = self.at;
        // As in Python's scanner, a fraction or exponent without digits is not part of the number.
        if self.eat(".") && self.digits() == 0 {
            self.at = integer_end;
        }
        let fraction_end = self.at;
        if self.eat("e") || self.eat("E") {
            let _sign = self.eat("+") || self.eat("-");
            if self.digits() == 0 {
                self.at = fraction_end;
            }
        }
        let text = self.text.get(start..self.at).ok_or(Malformed)?;
        match (count, self.at == integer_end) {
            (0, _) => Err(Malformed),
            (1..=INT_DIGITS_MAX, true) => Ok(Value::Int(if text == "-0" { "0" } else { text }.into())),
            (_, true) => Err(Malformed),
            (_, false) => text.parse().map(Value::Float).map_err(|_| Malformed),
        }
    }

    /// A text in quotes. The one allocation is made at its full size, so that nothing of a payload is left behind in
    /// a smaller one, and wiped if the text turns out to be malformed.
    fn text(&mut self) -> Result<Zeroizing<String>, Malformed> {
        self.eat("\"").then_some(()).ok_or(Malformed)?;
        let mut out = Zeroizing::new(String::with_capacity(self.quoted_length()?));
        loop {
            let run = self.rest().bytes().take_while(|&byte| !matches!(byte, b'"' | b'\\' | ..b' ')).count();
            out.push_str(self.rest().get(..run).ok_or(Malformed)?);
            self.at += run;
            if self.eat("\"") {
                return Ok(out);
            }
            out.push(self.escape()?);
        }
    }

    /// The bytes up to the closing quote; what they stand for is never longer.
    fn quoted_length(&self) -> Result<usize, Malformed> {
        let mut escaped = false;
        let end = self.rest().bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        end.ok_or(Malformed)
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        self.eat("\\").then_some(()).ok_or(Malformed)?; // A control character ends up here as well.
        let kind = self.peek().ok_or(Malformed)?;
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(Malformed),
        })
    }

    fn unicode(&mut self) -> Result<char, Malformed> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or(Malformed);
        }
        self.eat("\\u").then_some(()).ok_or(Malformed)?;
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Malformed);
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(Malformed)
    }

    fn four_digits(&mut self) -> Result<u32, Malformed> {
        let digits =
            self.rest().get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        self.at += 4;
        u32::from_str_radix(digits.ok_or(Malformed)?, 16).map_err(|_| Malformed)
    }
}

/// Each key once, where it first stood, with the value that came last. A map, so that a body full of keys costs no more
/// than its length.
fn last_wins(items: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(items.len());
    let mut out: Vec<(String, Value)> = Vec::with_capacity(items.len());
    for (key, value) in items {
        match places.get(&key).and_then(|&place| out.get_mut(place)) {
            Some((_, old)) => *old = value,
            None => {
                places.insert(key.clone(), out.len());
                out.push((key, value));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &str) {
        let found = parse(text).map_or_else(|_| "malformed".to_owned(), |value| value.repr());
        assert_eq!(found, expect, "{text:?}");
    }

    #[test]
    fn reads_what_python_reads() {
        check(r#" {"a": [1, 2.50, "x"], "b": {}} "#, "{'a': [1, 2.5, 'x'], 'b': {}}");
        check(r#"{"a":1,"b":2,"a":3}"#, "{'a': 3, 'b': 2}");
        check("[NaN, Infinity, -Infinity, 1e999, -0, -0.0]", "[nan, inf, -inf, inf, 0, -0.0]");
        check("99999999999999999999999", "99999999999999999999999");
        check(r#""\ud83d\udd11\u00e9\/\b""#, "'🔑é/\\x08'");
        check(
            &format!("{}1{}", "[".repeat(200), "]".repeat(200)),
            &format!("{}1{}", "[".repeat(200), "]".repeat(200)),
        );
    }

    #[test]
    fn refuses_what_python_refuses() {
        for text in [
            "",
            " ",
            "{",
            "{not json",
            "{'a':1}",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "nul",
            "{} x",
            "\u{feff}{}",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"abc",
            "-Inf",
            "1 2",
        ] {
            check(text, "malformed");
        }
        check(&"9".repeat(4_301), "malformed");
        check(&"[".repeat(10_000), "malformed");
    }

    #[test]
    fn lone_surrogates_are_malformed() {
        for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud800x""#, r#""\ud800\u0041""#] {
            check(text, "malformed");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_jsonish_text_panics(text in r#"[\[\]{}",:\\u0-9a-fINe.+ -]{0,60}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn texts_come_back(text in "\\PC*") {
            let quoted = serde_json::to_string(&text).unwrap();
            let found = parse(&quoted).unwrap();
            prop_assert_eq!(found.as_text(), Some(text.as_str()));
        }
    }
}
