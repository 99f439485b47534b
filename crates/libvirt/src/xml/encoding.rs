//! The XML declaration, and the bytes of a document as UTF-8.
//!
//! Documents have no zero bytes: a text of the RPC ends at the first one, so UTF-16 and UTF-32 cannot arrive complete. A
//! byte order mark of UTF-8 outweighs the declaration.
//!
//! libxml2 leaves other encodings to iconv. The usual ones are decoded here, under the names of glibc's iconv. Code pages
//! of DOS and of mainframes are left out, and so are encodings that only iconv has.

use std::borrow::Cow;

use encoding_rs::{self as known, DecoderResult};

use super::cursor::{Cursor, Fault};
use super::error::{Malformed, quoted};

/// A document as UTF-8. It may still hold invalid bytes, which the cursor finds.
pub(super) struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    at: usize,
    line: usize,
    /// Whether it declares that no external declaration matters.
    pub(super) standalone: bool,
}

/// The encodings that are read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Encoding {
    Utf8,
    Ascii,
    Latin1,
    /// An extension of ASCII, as browsers decode it.
    Other(&'static known::Encoding),
    /// The same, but bytes from 80 to 9F are control characters.
    WithControls(&'static known::Encoding),
    /// Two or four bytes a character, which the declaration itself contradicts.
    Wide,
}

/// The declared encoding, and where the declaration of it ends.
struct Declared {
    encoding: Encoding,
    end: usize,
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

impl<'a> Text<'a> {
    /// Reads the declaration if there is one, and decodes the rest.
    pub(super) fn decode(xml: &'a [u8]) -> Result<Self, Malformed> {
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

    /// A cursor after the declaration.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&self.bytes, self.at, self.line)
    }
}

/// `<?xml` and a blank. Anything else is not a declaration.
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
    if skip_separator(cursor)? && cursor.at("encoding") {
        declared = Some(encoding(cursor, marked)?);
        skip_separator(cursor)?;
    }
    if cursor.at("standalone") {
        *standalone = is_standalone(cursor)?;
    }
    cursor.blanks();
    if cursor.eat("?>") { Ok(declared) } else { Err(cursor.fail("parsing XML declaration: '?>' expected")) }
}

/// Skips the blanks between two values of a declaration. Returns whether there may be a next value.
fn skip_separator(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    if cursor.at("?>") {
        return Ok(false);
    }
    if cursor.blanks() { Ok(true) } else { Err(cursor.fail("Blank needed here")) }
}

/// Reads the version. As in libxml2, any version 1 is accepted, although XML allows fewer.
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

/// Reads a digit, a point and digits, or the beginning of that.
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

/// Skips the name and the equals sign of a value, and reads with `inner` between quotation marks. An error of `inner` says
/// how many bytes back it is.
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
    /// The encoding with a name. libxml2 and iconv know several names for most.
    fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        match name.as_str() {
            "UTF-8" | "UTF8" => Some(Self::Utf8),
            "US-ASCII" | "ASCII" => Some(Self::Ascii),
            "ISO-8859-1" | "ISO8859-1" | "ISO_8859-1" | "ISO-LATIN-1" | "LATIN1" | "L1" => Some(Self::Latin1),
            "UTF-16" | "UTF16" | "UTF-16LE" | "UTF-16BE" | "UCS-2" | "UCS2" | "ISO-10646-UCS-2" | "UCS-4"
            | "UCS4" | "ISO-10646-UCS-4" | "UTF-32" | "UTF-32LE" | "UTF-32BE" => Some(Self::Wide),
            "ISO-8859-9" | "ISO8859-9" | "ISO_8859-9" | "LATIN5" | "L5" => {
                Some(Self::WithControls(known::WINDOWS_1254))
            }
            "ISO-8859-11" | "ISO8859-11" => Some(Self::WithControls(known::WINDOWS_874)),
            name => iconv_encoding(name).map(Self::Other),
        }
    }
}

/// An encoding by a name of glibc's iconv.
fn iconv_encoding(name: &str) -> Option<&'static known::Encoding> {
    Some(match name {
        "ISO-8859-2" | "ISO8859-2" | "ISO_8859-2" | "LATIN2" | "L2" => known::ISO_8859_2,
        "ISO-8859-3" | "ISO8859-3" | "ISO_8859-3" | "LATIN3" | "L3" => known::ISO_8859_3,
        "ISO-8859-4" | "ISO8859-4" | "ISO_8859-4" | "LATIN4" | "L4" => known::ISO_8859_4,
        "ISO-8859-5" | "ISO8859-5" | "ISO_8859-5" | "CYRILLIC" => known::ISO_8859_5,
        "ISO-8859-6" | "ISO8859-6" | "ISO_8859-6" | "ARABIC" => known::ISO_8859_6,
        "ISO-8859-7" | "ISO8859-7" | "ISO_8859-7" | "GREEK" => known::ISO_8859_7,
        "ISO-8859-8" | "ISO8859-8" | "ISO_8859-8" | "HEBREW" => known::ISO_8859_8,
        "ISO-8859-10" | "ISO8859-10" | "ISO_8859-10" | "LATIN6" | "L6" => known::ISO_8859_10,
        "ISO-8859-13" | "ISO8859-13" | "LATIN7" | "L7" => known::ISO_8859_13,
        "ISO-8859-14" | "ISO8859-14" | "ISO_8859-14" | "LATIN8" | "L8" => known::ISO_8859_14,
        "ISO-8859-15" | "ISO8859-15" | "ISO_8859-15" | "LATIN-9" => known::ISO_8859_15,
        "ISO-8859-16" | "ISO8859-16" | "ISO_8859-16" | "LATIN10" | "L10" => known::ISO_8859_16,
        "WINDOWS-1250" | "CP1250" => known::WINDOWS_1250,
        "WINDOWS-1251" | "CP1251" => known::WINDOWS_1251,
        "WINDOWS-1252" | "CP1252" => known::WINDOWS_1252,
        "WINDOWS-1253" | "CP1253" => known::WINDOWS_1253,
        "WINDOWS-1254" | "CP1254" => known::WINDOWS_1254,
        "WINDOWS-1255" | "CP1255" => known::WINDOWS_1255,
        "WINDOWS-1256" | "CP1256" => known::WINDOWS_1256,
        "WINDOWS-1257" | "CP1257" => known::WINDOWS_1257,
        "WINDOWS-1258" | "CP1258" => known::WINDOWS_1258,
        "CP874" | "WINDOWS-874" => known::WINDOWS_874,
        "KOI8-R" | "CP878" => known::KOI8_R,
        "KOI8-U" => known::KOI8_U,
        "IBM866" | "CP866" => known::IBM866,
        "GB2312" | "EUC-CN" | "EUCCN" | "GBK" | "CP936" | "MS936" | "WINDOWS-936" => known::GBK,
        "GB18030" => known::GB18030,
        "BIG5" | "BIG-5" | "CN-BIG5" | "BIG5-HKSCS" | "BIG5HKSCS" | "CP950" => known::BIG5,
        "EUC-JP" | "EUCJP" => known::EUC_JP,
        "SHIFT_JIS" | "SHIFT-JIS" | "SJIS" | "CP932" | "MS932" | "WINDOWS-31J" => known::SHIFT_JIS,
        "ISO-2022-JP" => known::ISO_2022_JP,
        "EUC-KR" | "EUCKR" | "CP949" | "UHC" => known::EUC_KR,
        _ => return None,
    })
}

/// Decodes the text after the declaration.
fn decoded(bytes: &[u8], encoding: Encoding) -> Result<Vec<u8>, Malformed> {
    match encoding {
        Encoding::Utf8 => Ok(bytes.to_vec()),
        Encoding::Latin1 => Ok(bytes.iter().copied().map(char::from).collect::<String>().into_bytes()),
        Encoding::Ascii => match bytes.iter().position(|byte| !byte.is_ascii()) {
            None => Ok(bytes.to_vec()),
            Some(end) => Err(bad_bytes(
                bytes.get(..end).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default(),
            )),
        },
        Encoding::Other(encoding) => {
            let mut text = String::new();
            let is_whole = decode(encoding, bytes, &mut text);
            // Browsers decode undefined bytes of a Windows code page as control characters; iconv refuses them.
            let controls = text.find(|char| matches!(char, '\u{80}'..='\u{9f}'));
            match controls.filter(|_| encoding.name().starts_with("windows")) {
                None if is_whole => Ok(text.into_bytes()),
                end => Err(bad_bytes(text.get(..end.unwrap_or(text.len())).unwrap_or_default())),
            }
        }
        Encoding::WithControls(encoding) => {
            let mut text = String::new();
            for part in bytes.split_inclusive(|byte| is_control(*byte)) {
                let (control, plain) = match part.split_last() {
                    Some((last, plain)) if is_control(*last) => (Some(char::from(*last)), plain),
                    _ => (None, part),
                };
                if !decode(encoding, plain, &mut text) {
                    return Err(bad_bytes(&text));
                }
                text.extend(control);
            }
            Ok(text.into_bytes())
        }
        // libxml2 goes on decoding and finds no blank.
        Encoding::Wide => Err(Cursor::new(&[], 0, 1).fail("Blank needed here")),
    }
}

fn is_control(byte: u8) -> bool {
    (0x80..=0x9f).contains(&byte)
}

/// The error for invalid bytes. libxml2 points at the beginning of the decoded text.
fn bad_bytes(text: &str) -> Malformed {
    Cursor::new(text.as_bytes(), 0, 1).fail("Invalid bytes in character encoding")
}

/// Decodes bytes and appends the result. Returns whether all bytes are valid.
fn decode(encoding: &'static known::Encoding, bytes: &[u8], text: &mut String) -> bool {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut rest = bytes;
    loop {
        text.reserve(decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(rest.len()));
        let (result, read) = decoder.decode_to_string_without_replacement(rest, text, true);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            DecoderResult::InputEmpty => return true,
            DecoderResult::Malformed(..) => return false,
            DecoderResult::OutputFull => {} // The next round reserves more.
        }
    }
}
