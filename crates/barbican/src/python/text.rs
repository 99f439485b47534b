//! Python's functions on text: `str.strip`, `int()`, `repr()`, `urllib.parse`.

use std::fmt::Write as _;

/// The most digits `int()` reads: CPython's `sys.int_info.default_max_str_digits`.
pub(crate) const INT_DIGITS_MAX: usize = 4_300;

/// `str.isspace` of one character: Unicode white space, and the four ASCII separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// `str.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `int(text)`, saturating: `None` where Python raises `ValueError`.
pub(crate) fn int(text: &str) -> Option<i128> {
    let text = strip(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut value: i128 = 0;
    let (mut count, mut after_digit) = (0, false);
    for c in digits.chars() {
        match (digit(c), c) {
            (Some(digit), _) => {
                value = value.saturating_mul(10).saturating_add(digit);
                (count, after_digit) = (count + 1, true);
            }
            (None, '_') if after_digit => after_digit = false,
            _ => return None,
        }
    }
    let valid = after_digit && count <= INT_DIGITS_MAX;
    valid.then_some(if negative { -value } else { value })
}

/// The zero of every block of ten decimal digits in Unicode 14, which CPython 3.11 knows.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50,
    0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950,
    0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
    0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

fn digit(c: char) -> Option<i128> {
    let c = u32::from(c);
    ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&c)).map(|&zero| i128::from(c - zero))
}

/// `repr(text)`.
pub(crate) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => push_escape(&mut out, u32::from(c)),
        }
    }
    out.push(quote);
    out
}

/// The shortest of Python's three numeric escapes.
fn push_escape(out: &mut String, code: u32) {
    let written = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "a String takes anything");
}

/// `str.isprintable` of one character. Rust's debug text escapes the same classes; the letter before keeps it from
/// also escaping a combining mark, which it does only at the start of a text.
fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'') || ['a', c].iter().collect::<String>().escape_debug().skip(1).eq([c])
}

/// `urllib.parse.unquote_plus`: bad escapes stay as they are, bad UTF-8 becomes U+FFFD.
pub(crate) fn unquote_plus(text: &str) -> String {
    String::from_utf8_lossy(&percent_decode(text, true)).into_owned()
}

/// The bytes a percent-encoded text stands for.
pub(crate) fn percent_decode(text: &str, plus_is_space: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (b'+', _) if plus_is_space => out.push(b' '),
            (byte, _) => out.push(byte),
        }
    }
    out
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => digit.wrapping_sub(b'0'),
    }
}

/// `urllib.parse.quote_plus`.
pub(crate) fn quote_plus(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let written = write!(out, "%{byte:02X}");
                debug_assert!(written.is_ok(), "a String takes anything");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int_reads_what_python_reads() {
        for (text, expect) in [
            ("10", Some(10)),
            (" 3 ", Some(3)),
            ("+3", Some(3)),
            ("-3", Some(-3)),
            ("1_0", Some(10)),
            ("٣", Some(3)),
            ("007", Some(7)),
            ("", None),
            ("-", None),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("1.5", None),
            ("0x1", None),
            ("+ 3", None),
        ] {
            assert_eq!(int(text), expect, "{text:?}");
        }
        assert!(int(&"9".repeat(4_300)).is_some());
        assert!(int(&"9".repeat(4_301)).is_none());
    }

    #[test]
    fn repr_quotes_as_python_does() {
        for (text, expect) in [
            ("x", "'x'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("a\\b\n\0", "'a\\\\b\\n\\x00'"),
            ("密\u{200b}\u{e000}\u{a0}", "'密\\u200b\\ue000\\xa0'"),
            ("\u{301}", "'\u{301}'"),
        ] {
            assert_eq!(repr(text), expect);
        }
    }

    #[test]
    fn query_text_goes_both_ways() {
        assert_eq!(unquote_plus("a+b%20c%2Bd%zz%f"), "a b c+d%zz%f");
        assert_eq!(unquote_plus("%ff"), "\u{fffd}");
        let mut out = String::new();
        quote_plus(&mut out, "gt:2020 密~");
        assert_eq!(out, "gt%3A2020+%E5%AF%86~");
    }
}
