//! A position in a text: reading there, and showing the position in an error.
//!
//! The text is bytes. UTF-8 is checked while reading, so an error before a bad byte is found first, as in libxml2.

use std::borrow::Cow;

use super::error::{Malformed, QUOTE_BYTES_MAX, cut, quoted};
use super::names::{continues_name, is_blank, is_char, starts_name};

/// `XML_MAX_NAME_LENGTH` of libxml2.
const NAME_BYTES_MAX: usize = 50_000;

/// How much of the line an error shows before the wrong piece of markup: `LINE_LEN` of libxml2.
const BEFORE_BYTES_MAX: usize = 80;

/// How much of an unfinished comment or CDATA section an error quotes: `%.50s` in libxml2.
const UNFINISHED_BYTES_MAX: usize = 50;

/// What is wrong, in libxml2's words. The cursor knows where.
pub(super) type Fault = Cow<'static, str>;

/// A position in the document, or in the text of an entity.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the current piece of markup begins.
    piece: usize,
    /// The number of the text's first line.
    line: usize,
}

/// The target of `&…;`.
pub(super) enum Reference<'a> {
    /// A character by its number.
    Char(char),
    /// An entity.
    Entity(&'a str),
}

impl<'a> Cursor<'a> {
    /// A position in a text whose first line has the given number.
    pub(super) fn new(text: &'a [u8], at: usize, line: usize) -> Self {
        Self { text, at, piece: at, line }
    }

    /// How many bytes of the text are read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The number of the line.
    pub(super) fn line(&self) -> usize {
        self.line_at(self.at)
    }

    /// The line number of another position.
    pub(super) fn line_at(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        self.line + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Notes that a piece of markup begins here.
    pub(super) fn begin(&mut self) {
        self.piece = self.at;
    }

    /// The unread text.
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Whether a text is next.
    pub(super) fn at(&self, next: &str) -> bool {
        self.rest().starts_with(next.as_bytes())
    }

    /// Skips bytes.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = self.text.len().min(self.at + bytes);
    }

    /// Skips a text if it is next.
    pub(super) fn eat(&mut self, next: &str) -> bool {
        let there = self.at(next);
        if there {
            self.skip(next.len());
        }
        there
    }

    /// Skips white space. Returns whether there was any.
    pub(super) fn blanks(&mut self) -> bool {
        let blanks = self.rest().iter().take_while(|byte| is_blank(**byte)).count();
        self.skip(blanks);
        blanks > 0
    }

    /// Reads a quotation mark.
    pub(super) fn quote(&mut self) -> Option<u8> {
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''))?;
        self.skip(1);
        Some(quote)
    }

    /// Reads the ASCII characters for which `holds` is true.
    pub(super) fn ascii(&mut self, mut holds: impl FnMut(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.iter().position(|byte| !byte.is_ascii() || !holds(*byte)).unwrap_or(rest.len());
        self.skip(end);
        rest.get(..end).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// Reads up to a byte, or to the end.
    pub(super) fn until(&mut self, byte: u8) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|next| *next == byte).unwrap_or(rest.len());
        self.skip(end);
        rest.get(..end).unwrap_or_default()
    }

    /// Reads text up to a byte that `stops` it, or to the end. `words` makes the error for a character that is not allowed
    /// out of its number.
    pub(super) fn run(
        &mut self,
        stops: impl Fn(u8) -> bool,
        words: impl Fn(u32) -> Fault,
    ) -> Result<&'a str, Malformed> {
        let rest = self.rest();
        let end = rest.iter().position(|byte| stops(*byte)).unwrap_or(rest.len());
        self.take(end, words)
    }

    /// Reads the characters of content, up to markup. A character that is not allowed begins a piece of its own.
    pub(super) fn characters(&mut self) -> Result<&'a str, Malformed> {
        let rest = self.rest();
        let end = rest.iter().position(|byte| matches!(byte, b'<' | b'&')).unwrap_or(rest.len());
        let (text, _) = legal(rest.get(..end).unwrap_or_default());
        let from = self.at;
        self.skip(text.len());
        if text.contains("]]>") {
            return Err(self.fail_at(from, "Sequence ']]>' not allowed in content"));
        }
        self.begin();
        self.take(end - text.len(), |char| format!("PCDATA invalid Char value {char}").into())?;
        Ok(text)
    }

    /// Reads text up to `mark`, or to the end. Returns whether the mark was found; it stays unread.
    fn up_to(&mut self, mark: &str, words: impl Fn(u32) -> Fault) -> Result<(&'a str, bool), Malformed> {
        let rest = self.rest();
        let end = rest.windows(mark.len()).position(|window| window == mark.as_bytes());
        Ok((self.take(end.unwrap_or(rest.len()), words)?, end.is_some()))
    }

    /// Reads a number of bytes as text.
    fn take(&mut self, bytes: usize, words: impl Fn(u32) -> Fault) -> Result<&'a str, Malformed> {
        let (text, fault) = legal(self.rest().get(..bytes).unwrap_or_default());
        self.skip(text.len());
        match fault {
            None => Ok(text),
            Some(Illegal::Char(char)) => Err(self.fail(words(char as u32))),
            Some(Illegal::Bytes) => Err(self.fail(self.bad_bytes())),
        }
    }

    /// The error for bytes that are not UTF-8.
    fn bad_bytes(&self) -> Fault {
        let cut_off = str::from_utf8(self.rest()).is_err_and(|error| error.error_len().is_none());
        match self.peek() {
            Some(byte) if cut_off => format!("Incomplete UTF-8 sequence starting with {byte:02X}").into(),
            _ => "Invalid bytes in character encoding".into(),
        }
    }

    /// The next character, if there is one.
    fn char(&self) -> Result<Option<char>, Fault> {
        let rest = self.rest();
        let next = rest.get(..rest.len().min(char::MAX_LEN_UTF8)).unwrap_or_default();
        let (text, _) = utf8_prefix(next);
        match text.chars().next() {
            None if !next.is_empty() => Err(self.bad_bytes()),
            char => Ok(char),
        }
    }

    /// Reads a name, if one begins here.
    pub(super) fn name(&mut self) -> Result<Option<&'a str>, Fault> {
        if !self.char()?.is_some_and(starts_name) {
            return Ok(None);
        }
        let rest = self.rest();
        let from = self.at;
        while let Some(char) = self.char()?.filter(|char| continues_name(*char)) {
            self.skip(char.len_utf8());
        }
        let bytes = self.at - from;
        if bytes > NAME_BYTES_MAX {
            self.at = from;
            return Err("Name too long: Name".into());
        }
        Ok(rest.get(..bytes).and_then(|name| str::from_utf8(name).ok()))
    }

    /// Reads a reference, at its `&`.
    pub(super) fn reference(&mut self) -> Result<Reference<'a>, Fault> {
        self.skip(1);
        if self.eat("#x") {
            return self.number(16, "CharRef: invalid hexadecimal value").map(Reference::Char);
        }
        if self.eat("#") {
            return self.number(10, "CharRef: invalid decimal value").map(Reference::Char);
        }
        let name = self.name()?.ok_or("xmlParseEntityRef: no name")?;
        if self.eat(";") { Ok(Reference::Entity(name)) } else { Err("EntityRef: expecting ';'".into()) }
    }

    /// The digits of a reference to a character, and its semicolon.
    fn number(&mut self, radix: u32, words: &'static str) -> Result<char, Fault> {
        let digits = self.ascii(|byte| char::from(byte).is_digit(radix));
        if !self.eat(";") {
            return Err(words.into());
        }
        // An empty reference is one to character 0; one too long for a number is out of bounds, like 0x110000.
        let number =
            if digits.is_empty() { 0 } else { u32::from_str_radix(digits, radix).unwrap_or(u32::MAX) };
        if number > char::MAX.into() {
            return Err("xmlParseCharRef: character reference out of bounds".into());
        }
        char::from_u32(number)
            .filter(|char| is_char(*char))
            .ok_or_else(|| format!("xmlParseCharRef: invalid xmlChar value {number}").into())
    }

    /// Skips a comment, at its `<!--`.
    pub(super) fn comment(&mut self) -> Result<(), Malformed> {
        self.skip("<!--".len());
        let invalid = |char| format!("xmlParseComment: invalid xmlChar value {char}").into();
        let (comment, closed) = self.up_to("--", invalid)?;
        if !closed {
            return Err(self.fail("Comment not terminated"));
        }
        if !self.eat("-->") {
            let comment = cut(comment, UNFINISHED_BYTES_MAX);
            return Err(self.fail(format!("Double hyphen within comment: <!--{comment}")));
        }
        Ok(())
    }

    /// Skips a processing instruction, at its `<?`.
    pub(super) fn instruction(&mut self) -> Result<(), Malformed> {
        self.skip("<?".len());
        let target = self.required("xmlParsePI : no target name")?;
        if target == "xml" {
            return Err(self.fail("XML declaration allowed only at the start of the document"));
        }
        if target.eq_ignore_ascii_case("xml") {
            return Err(self.fail("Invalid PI name"));
        }
        if self.eat("?>") {
            return Ok(());
        }
        if !self.blanks() {
            return Err(self.fail(format!("ParsePI: PI {} space expected", quoted(target))));
        }
        let endless = || format!("ParsePI: PI {} never end ...", quoted(target));
        self.up_to("?>", |_| endless().into())?;
        if self.eat("?>") { Ok(()) } else { Err(self.fail(endless())) }
    }

    /// Reads a CDATA section, at its `<![CDATA[`.
    pub(super) fn cdata(&mut self) -> Result<&'a str, Malformed> {
        self.skip("<![CDATA[".len());
        let rest = self.rest();
        let end = rest.windows("]]>".len()).position(|window| window == b"]]>");
        let (cdata, illegal) = legal(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
        self.skip(cdata.len());
        match illegal {
            None if self.eat("]]>") => Ok(cdata),
            Some(Illegal::Bytes) => Err(self.fail(self.bad_bytes())),
            // A character that is not allowed is the same error as the end of the text.
            None | Some(Illegal::Char(_)) => Err(self.fail(unfinished(cdata))),
        }
    }

    /// Reads a name that must be here.
    pub(super) fn required(&mut self, words: &'static str) -> Result<&'a str, Malformed> {
        let name = self.name();
        name.and_then(|name| name.ok_or(words.into())).map_err(|fault| self.fail(fault))
    }

    /// An error at this position.
    pub(super) fn fail(&self, what: impl Into<Fault>) -> Malformed {
        self.fail_at(self.at, what)
    }

    /// An error at another position.
    pub(super) fn fail_at(&self, at: usize, what: impl Into<Fault>) -> Malformed {
        let (near, pointer) = self.near(at);
        Malformed { line: self.line_at(at), what: what.into(), near, pointer }
    }

    /// The line of a position, from a little before the current piece, and dashes up to the position. The end of a line
    /// belongs to that line.
    fn near(&self, at: usize) -> (Vec<u8>, String) {
        let first = self.piece.saturating_sub(BEFORE_BYTES_MAX).max(at.saturating_sub(QUOTE_BYTES_MAX));
        let ends_line = |at: usize| self.text.get(at).is_none_or(|byte| matches!(byte, b'\n' | b'\r'));
        let within = (first..=at).rev().find(|at| !ends_line(*at));
        // There are only line ends: the line between the first two is empty.
        let Some(within) = within else { return Default::default() };
        let start = (first..within).rev().find(|at| ends_line(*at)).map_or(first, |end| end + 1);
        let rest = self.text.get(start..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let end = end.min(at.saturating_sub(start) + QUOTE_BYTES_MAX);
        let near = rest.get(..end).unwrap_or_default();
        let column = near.iter().take(at.saturating_sub(start));
        let pointer = column.map(|byte| if *byte == b'\t' { '\t' } else { '-' }).collect();
        (near.to_vec(), pointer)
    }
}

/// libxml2's error for a CDATA section without an end. It leaves out two characters; a shorter section gets another text.
fn unfinished(cdata: &str) -> Fault {
    let mut chars = cdata.chars();
    match (chars.next_back(), chars.next_back()) {
        (Some(_), Some(_)) => {
            format!("CData section not finished\n{}", cut(chars.as_str(), UNFINISHED_BYTES_MAX)).into()
        }
        _ => "Unregistered error message".into(),
    }
}

/// Why a text ends early.
enum Illegal {
    /// A character that XML does not allow.
    Char(char),
    /// Bytes that are not UTF-8.
    Bytes,
}

/// The text up to the first character that is not allowed, and that character.
fn legal(bytes: &[u8]) -> (&str, Option<Illegal>) {
    let (text, whole) = utf8_prefix(bytes);
    match text.char_indices().find(|(_, char)| !is_char(*char)) {
        Some((at, char)) => (text.get(..at).unwrap_or_default(), Some(Illegal::Char(char))),
        None => (text, (!whole).then_some(Illegal::Bytes)),
    }
}

/// The text up to the first byte that is not UTF-8, and whether that is the whole text.
fn utf8_prefix(bytes: &[u8]) -> (&str, bool) {
    match str::from_utf8(bytes) {
        Ok(text) => (text, true),
        Err(error) => {
            let text = bytes.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok());
            (text.unwrap_or_default(), false)
        }
    }
}
