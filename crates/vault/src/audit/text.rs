//! JSON strings that no line reader and no terminal misreads.
//!
//! JSON itself asks for C0 characters, quote and backslash to be escaped. Some readers end a line at U+0085, U+2028 or
//! U+2029 too, terminals obey C1 characters, and right-to-left marks change the order in which text is shown. All of
//! these are escaped, and so are characters that show nothing.

/// Appends text as a JSON string.
pub(super) fn text(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    // Nearly all names are plain ASCII, so this test comes before the slower one of each character.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        line.extend_from_slice(text.as_bytes());
    } else {
        text.chars().for_each(|character| push(line, character));
    }
    line.push(b'"');
}

fn push(line: &mut Vec<u8>, character: char) {
    match character {
        '"' => line.extend_from_slice(b"\\\""),
        '\\' => line.extend_from_slice(b"\\\\"),
        '\n' => line.extend_from_slice(b"\\n"),
        '\r' => line.extend_from_slice(b"\\r"),
        '\t' => line.extend_from_slice(b"\\t"),
        character if is_deceptive(character) => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                line.extend_from_slice(b"\\u");
                let [high, low] = unit.to_be_bytes();
                line.extend([high, low].iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]));
            }
        }
        character => line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// A digit of a link or of an escape.
pub(super) const fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Whether a character is a control character, breaks a line, changes the direction of the text beside it, or shows
/// nothing.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &str) -> String {
        let mut line = Vec::new();
        text(&mut line, content);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn characters_that_break_lines_or_terminals_are_escaped_and_read_back() {
        let odd =
            "a\u{85}b\u{9b}31mc\u{2028}d\u{2029}e\u{202e}f\u{7f}g\u{1b}h\u{feff}i\u{e0041}j\"\\\n\r\t\0";
        let line = written(odd);
        assert!(line.is_ascii(), "{line}");
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), odd);
        assert!(line.contains(r"\u0085") && line.contains(r"\u2028") && line.contains(r"\u202e"), "{line}");
    }

    #[test]
    fn every_character_reads_back() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32) {
            let content = String::from(character);
            let line = written(&content);
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), content);
            assert!(!line.chars().any(is_deceptive), "{line:?}");
        }
    }

    #[test]
    fn letters_of_all_scripts_stay_as_they_are() {
        assert_eq!(written("Jörg 漢字 🔑 plain"), "\"Jörg 漢字 🔑 plain\"");
    }
}
