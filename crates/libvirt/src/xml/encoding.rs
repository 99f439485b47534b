//! The XML declaration, and the bytes of a document as UTF-8.
//!
//! Only encodings without zero bytes come this way: the text of an RPC ends at the first one, so that a document in
//! UTF-16 or UTF-32 is never whole. A byte order mark of UTF-8 outweighs what is declared.

use std::borrow::Cow;

use super::cursor::{Cursor, Fault};
use super::error::{Malformed, quoted};

/// A document as UTF-8, up to bytes that are not: the cursor finds those.
pub(super) struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    at: usize,
    line: usize,
    /// Whether it declares that no external declaration has a bearing on it.
    pub(super) standalone: bool,
}

/// The encodings that are read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Encoding {
    Utf8,
    Ascii,
    Latin1,
    /// Two or four bytes a character: what was read up to here was not so.
    Wide,
}

/// What a declaration says of its encoding, and where it says so.
struct Declared {
    encoding: Encoding,
    end: usize,
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

impl<'a> Text<'a> {
    /// Reads the declaration if there is one, and decodes the rest.
    pub(super) fn of(xml: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(xml, 0, 1);
        if xml.is_empty() {
            return Err(cursor.fail("Document is empty"));
        }
        let marked = cursor.eat(BYTE_ORDER_MARK);
        let mut text = Self { bytes: Cow::Borrowed(xml), at: 0, line: 1, standalone: false };
        if is_declaration(&cursor) {
            let declared = declaration(&mut cursor, marked, &mut text.standalone)?;
            if let Some(declared) = declared.filter(|declared| declared.encoding != Encoding::Utf8 && !marked)
            {
                let from = xml.get(declared.end..).unwrap_or_default();
                text.bytes = decoded(from, declared.encoding)?.into();
                text.at = cursor.position() - declared.end;
                text.line = cursor.line_at(declared.end);
                return Ok(text);
            }
        }
        text.at = cursor.position();
        Ok(text)
    }

    /// Where the declaration ends.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&self.bytes, self.at, self.line)
    }
}

/// `<?xml` and a blank; anything else is a processing instruction, or none.
fn is_declaration(cursor: &Cursor<'_>) -> bool {
    ["<?xml ", "<?xml\t", "<?xml\r", "<?xml\n"].into_iter().any(|start| cursor.at(start))
}

/// Reads a declaration.
fn declaration(
    cursor: &mut Cursor<'_>,
    marked: bool,
    standalone: &mut bool,
) -> Result<Option<Declared>, Malformed> {
    cursor.skip("<?xml".len());
    cursor.blanks();
    version(cursor)?;
    let mut declared = None;
    if parted(cursor)? && cursor.at("encoding") {
        declared = Some(encoding(cursor, marked)?);
        parted(cursor)?;
    }
    if cursor.at("standalone") {
        *standalone = is_standalone(cursor)?;
    }
    cursor.blanks();
    if cursor.eat("?>") { Ok(declared) } else { Err(cursor.fail("parsing XML declaration: '?>' expected")) }
}

/// Passes over what parts one of a declaration's values from the next. Whether there may be a next.
fn parted(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    if cursor.at("?>") {
        return Ok(false);
    }
    if cursor.blanks() { Ok(true) } else { Err(cursor.fail("Blank needed here")) }
}

/// Any version 1 will do, which is more than XML allows.
fn version(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    let malformed = "Malformed declaration expecting version";
    if !cursor.at("version") {
        return Err(cursor.fail(malformed));
    }
    let version = value(cursor, "version", |cursor| Ok(version_number(cursor)))?;
    match version.split_once('.') {
        Some(("1", _)) => Ok(()),
        Some(_) => Err(cursor.fail(format!("Unsupported version '{}'", quoted(version)))),
        None => Err(cursor.fail(malformed)),
    }
}

/// A digit, a point and digits, as far as they are there.
fn version_number<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    let mut place = 0;
    cursor.ascii(|byte| {
        place += 1;
        if place == 2 { byte == b'.' } else { byte.is_ascii_digit() }
    })
}

/// `encoding="…"`
fn encoding(cursor: &mut Cursor<'_>, marked: bool) -> Result<Declared, Malformed> {
    let name = value(cursor, "encoding", |cursor| {
        let name = cursor.ascii(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        match name.bytes().next() {
            Some(first) if first.is_ascii_alphabetic() => Ok(name),
            _ => Err((name.len(), "Invalid XML encoding name".into())),
        }
    })?;
    let known = Encoding::named(name).or(marked.then_some(Encoding::Utf8));
    let encoding = known.ok_or_else(|| cursor.fail(format!("Unsupported encoding: {}", quoted(name))))?;
    Ok(Declared { encoding, end: cursor.position() })
}

/// `standalone="…"`
fn is_standalone(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    value(cursor, "standalone", |cursor| {
        if cursor.eat("yes") {
            Ok(true)
        } else if cursor.eat("no") {
            Ok(false)
        } else {
            Err((0, "standalone accepts only 'yes' or 'no'".into()))
        }
    })
}

/// A name that is there, an equals sign, and in quotation marks what `inner` reads. Its errors say how far back they
/// are.
fn value<'a, T>(
    cursor: &mut Cursor<'a>,
    name: &str,
    inner: impl FnOnce(&mut Cursor<'a>) -> Result<T, (usize, Fault)>,
) -> Result<T, Malformed> {
    cursor.skip(name.len());
    cursor.blanks();
    if !cursor.eat("=") {
        return Err(cursor.fail("expected '='"));
    }
    cursor.blanks();
    let quote = cursor.quote().ok_or_else(|| cursor.fail("String not started expecting ' or \""))?;
    let value = inner(cursor).map_err(|(back, fault)| cursor.fail_at(cursor.position() - back, fault))?;
    if cursor.peek() != Some(quote) {
        return Err(cursor.fail("String not closed expecting \" or '"));
    }
    cursor.skip(1);
    Ok(value)
}

impl Encoding {
    /// The encoding of a name, of which libxml2 and iconv know several for each.
    fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        match name.as_str() {
            "UTF-8" | "UTF8" => Some(Self::Utf8),
            "US-ASCII" | "ASCII" => Some(Self::Ascii),
            "ISO-8859-1" | "ISO8859-1" | "ISO_8859-1" | "ISO-LATIN-1" | "LATIN1" | "L1" => Some(Self::Latin1),
            "UTF-16" | "UTF16" | "UTF-16LE" | "UTF-16BE" | "UCS-2" | "UCS2" | "ISO-10646-UCS-2" | "UCS-4"
            | "UCS4" | "ISO-10646-UCS-4" | "UTF-32" | "UTF-32LE" | "UTF-32BE" => Some(Self::Wide),
            _ if extends_ascii(&name) => Some(Self::Ascii),
            _ => None,
        }
    }
}

/// Whether an encoding is one that adds to ASCII. A document in it that needs no more than ASCII is read.
fn extends_ascii(name: &str) -> bool {
    let families = ["ISO-8859-", "WINDOWS-125", "CP125", "KOI8-", "EUC-"];
    let others = ["BIG5", "GB2312", "GBK", "GB18030", "SHIFT_JIS"];
    families.into_iter().any(|family| name.starts_with(family)) || others.contains(&name)
}

/// The text after its declaration, as UTF-8.
fn decoded(bytes: &[u8], encoding: Encoding) -> Result<Vec<u8>, Malformed> {
    match encoding {
        Encoding::Utf8 => Ok(bytes.to_vec()),
        Encoding::Latin1 => Ok(bytes.iter().copied().map(char::from).collect::<String>().into_bytes()),
        Encoding::Ascii => match bytes.iter().position(|byte| !byte.is_ascii()) {
            None => Ok(bytes.to_vec()),
            Some(end) => {
                let text = bytes.get(..end).unwrap_or_default();
                Err(Cursor::new(text, 0, 1).fail("Invalid bytes in character encoding"))
            }
        },
        // libxml2 goes on and finds no blank in what it decodes.
        Encoding::Wide => Err(Cursor::new(&[], 0, 1).fail("Blank needed here")),
    }
}
