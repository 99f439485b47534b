//! Reads a document, and reports elements and text to a [`Document`] as they come.
//!
//! The content of an entity is reported as text only: libvirt's XPath does not find elements there, but takes their text.
//!
//! Time and memory grow with the input. OpenElement elements are on a list, at most [`DEPTH_MAX`]. The depth of entities and the
//! text that they add are limited: see [`super::references`].

use std::collections::HashSet;

use super::cursor::{Cursor, Fault, Reference};
use super::doctype::Entities;
use super::document::{Document, Source};
use super::encoding::Text;
use super::error::{Malformed, quoted};
use super::names::split;
use super::references::Expansions;

/// Elements in each other, the root included: the limit of libxml2 without `XML_PARSE_HUGE`.
const DEPTH_MAX: usize = 256;

/// An attribute of an element.
pub(super) struct Attribute<'a> {
    /// The name as written, with its prefix.
    pub(super) name: &'a str,
    /// The value, with blanks for line ends and with references replaced.
    pub(super) value: String,
}

/// The reader of a document.
pub(super) struct DocumentReader {
    pub(super) entities: Entities,
    pub(super) expansions: Expansions,
    pub(super) document: Document,
    /// How many elements and expansions are open.
    depth: usize,
}

/// An element that is not closed yet.
struct OpenElement<'a> {
    name: &'a str,
    at: usize,
}

impl DocumentReader {
    /// Reads a document, and reports it.
    pub(super) fn read(text: &Text<'_>, document: Document) -> Result<Document, Malformed> {
        let (entities, expansions) = (Entities::new(text.standalone), Expansions::default());
        let mut reader = Self { entities, expansions, document, depth: 0 };
        let mut cursor = text.cursor();
        miscellany(&mut cursor)?;
        if cursor.at("<!DOCTYPE") {
            reader.doctype(&mut cursor)?;
            miscellany(&mut cursor)?;
        }
        reader.root(&mut cursor)?;
        miscellany(&mut cursor)?;
        match cursor.peek() {
            None => Ok(reader.document),
            Some(_) => Err(cursor.fail("Extra content at the end of the document")),
        }
    }

    /// Reads the root and its content.
    fn root(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        cursor.begin();
        if !cursor.at("<") {
            return Err(cursor.fail("Start tag expected, '<' not found"));
        }
        match self.start_tag(cursor)? {
            Some(root) => self.content(cursor, vec![root]),
            None => Ok(()),
        }
    }

    /// Reads content until the last open element is closed; without open elements, to the end.
    fn content<'c>(
        &mut self,
        cursor: &mut Cursor<'c>,
        mut open: Vec<OpenElement<'c>>,
    ) -> Result<(), Malformed> {
        let whole = open.is_empty();
        while whole || !open.is_empty() {
            cursor.begin();
            if cursor.at("</") {
                let element = open.pop().ok_or_else(|| cursor.fail("chunk is not well balanced"))?;
                self.end_tag(cursor, &element)?;
            } else if cursor.at("<![CDATA[") {
                let cdata = cursor.cdata()?;
                self.text(cdata, Source::Cdata);
            } else if cursor.at("<!--") {
                cursor.comment()?;
            } else if cursor.at("<?") {
                cursor.instruction()?;
            } else if cursor.at("<") {
                open.extend(self.start_tag(cursor)?);
            } else if cursor.at("&") {
                self.reference(cursor)?;
            } else if cursor.peek().is_some() {
                let text = cursor.characters()?;
                self.text(text, Source::Text);
            } else {
                return open.last().map_or(Ok(()), |element| Err(premature(cursor, element)));
            }
        }
        Ok(())
    }

    /// Reads an entity as content. libxml2 puts it into an element of its own.
    pub(super) fn content_of_entity(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        if self.depth >= DEPTH_MAX {
            return Err(cursor.fail(too_deep()));
        }
        self.depth += 1;
        self.content(cursor, Vec::new())?;
        self.depth -= 1;
        Ok(())
    }

    /// Reads a start tag. Returns the element, unless it is closed at once.
    fn start_tag<'c>(&mut self, cursor: &mut Cursor<'c>) -> Result<Option<OpenElement<'c>>, Malformed> {
        let at = cursor.position();
        cursor.skip("<".len());
        let element = OpenElement { name: cursor.required("StartTag: invalid element name")?, at };
        let attributes = self.attributes(cursor, &element)?;
        if self.depth >= DEPTH_MAX {
            return Err(cursor.fail(too_deep()));
        }
        if self.expansions.none() {
            self.document.start(element.name, &attributes);
        }
        let empty = cursor.eat("/>");
        if empty {
            self.close();
            return Ok(None);
        }
        cursor.skip(">".len());
        self.depth += 1;
        Ok(Some(element))
    }

    /// Reads the attributes of an element, up to the end of its tag.
    fn attributes<'c>(
        &mut self,
        cursor: &mut Cursor<'c>,
        element: &OpenElement<'_>,
    ) -> Result<Vec<Attribute<'c>>, Malformed> {
        let mut attributes = Vec::new();
        let ends = |cursor: &Cursor<'_>| cursor.at(">") || cursor.at("/>");
        cursor.blanks();
        while !ends(cursor) {
            if cursor.peek().is_none_or(|byte| byte < b' ') {
                return Err(cursor.fail(endless(cursor, element)));
            }
            attributes.push(self.attribute(cursor)?);
            if !ends(cursor) && !cursor.blanks() {
                return Err(cursor.fail("attributes construct error"));
            }
        }
        match repeated(&attributes) {
            Some(name) => Err(cursor.fail(format!("Attribute {} redefined", quoted(name)))),
            None => Ok(attributes),
        }
    }

    /// Reads an attribute.
    fn attribute<'c>(&mut self, cursor: &mut Cursor<'c>) -> Result<Attribute<'c>, Malformed> {
        let name = cursor.required("error parsing attribute name")?;
        cursor.blanks();
        if !cursor.eat("=") {
            let name = quoted(split(name).1);
            return Err(cursor.fail(format!("Specification mandates value for attribute {name}")));
        }
        cursor.blanks();
        Ok(Attribute { name, value: self.value(cursor)? })
    }

    /// Reads the value of an attribute.
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<String, Malformed> {
        let quote = cursor.quote().ok_or_else(|| cursor.fail("AttValue: \" or ' expected"))?;
        let stops = |byte| byte == quote || matches!(byte, b'<' | b'&' | b'\t' | b'\n' | b'\r');
        let mut value = String::new();
        loop {
            value.push_str(cursor.run(stops, |_| "invalid character in attribute value".into())?);
            match cursor.peek() {
                None => return Err(cursor.fail("AttValue: ' expected")),
                Some(b'<') => return Err(cursor.fail("Unescaped '<' not allowed in attributes values")),
                Some(b'&') => match cursor.reference().map_err(|fault| cursor.fail(fault))? {
                    Reference::Char(char) => value.push(char),
                    Reference::Entity(name) => self.entity_in_value(cursor, name, &mut value)?,
                },
                Some(byte) if byte == quote => {
                    cursor.skip(1);
                    return Ok(value);
                }
                Some(_) => blank(cursor, &mut value),
            }
        }
    }

    /// Reads the end tag of an element.
    fn end_tag(&mut self, cursor: &mut Cursor<'_>, element: &OpenElement<'_>) -> Result<(), Malformed> {
        cursor.skip("</".len());
        let name = cursor.name().map_err(|fault| cursor.fail(fault))?;
        cursor.blanks();
        if !cursor.eat(">") {
            return Err(cursor.fail("expected '>'"));
        }
        if name != Some(element.name) {
            return Err(mismatch(cursor, element, name));
        }
        self.depth -= 1;
        self.close();
        Ok(())
    }

    /// Reports the end of an element.
    fn close(&mut self) {
        if self.expansions.none() {
            self.document.end();
        }
    }

    /// Reports text, with one character for each line end.
    fn text(&mut self, text: &str, source: Source) {
        let source = if self.expansions.none() { source } else { Source::Entity };
        let mut lines = text.split('\r');
        self.document.text(lines.next().unwrap_or_default(), source);
        for line in lines {
            self.document.text("\n", source);
            self.document.text(line.strip_prefix('\n').unwrap_or(line), source);
        }
    }
}

/// Skips comments, processing instructions and white space.
fn miscellany(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    loop {
        cursor.blanks();
        cursor.begin();
        if cursor.at("<!--") {
            cursor.comment()?;
        } else if cursor.at("<?") {
            cursor.instruction()?;
        } else {
            return Ok(());
        }
    }
}

/// Reads a white space character as a blank. A line end of two characters is one blank.
pub(super) fn blank(cursor: &mut Cursor<'_>, value: &mut String) {
    if !cursor.eat("\r\n") {
        cursor.skip(1);
    }
    value.push(' ');
}

/// The first repeated name.
fn repeated<'c>(attributes: &[Attribute<'c>]) -> Option<&'c str> {
    let mut names = HashSet::new();
    attributes.iter().map(|attribute| attribute.name).find(|name| !names.insert(*name))
}

/// The error for a document that ends within an element.
fn premature(cursor: &Cursor<'_>, element: &OpenElement<'_>) -> Malformed {
    let (name, line) = (quoted(split(element.name).1), cursor.line_at(element.at));
    cursor.fail(format!("Premature end of data in tag {name} line {line}"))
}

/// The error for an end tag of another element.
fn mismatch(cursor: &Cursor<'_>, element: &OpenElement<'_>, name: Option<&str>) -> Malformed {
    let (prefix, local) = split(element.name);
    let name = match name {
        None => "unparsable",
        Some(name) if prefix.is_some() => split(name).1,
        Some(name) => name,
    };
    let (local, name, line) = (quoted(local), quoted(name), cursor.line_at(element.at));
    cursor.fail(format!("Opening and ending tag mismatch: {local} line {line} and {name}"))
}

/// The error for a start tag without an end.
fn endless(cursor: &Cursor<'_>, element: &OpenElement<'_>) -> Fault {
    let (name, line) = (quoted(split(element.name).1), cursor.line_at(element.at));
    format!("Couldn't find end of Start Tag {name} line {line}").into()
}

/// The error for too many elements in each other.
fn too_deep() -> Fault {
    format!("Excessive depth in document: {DEPTH_MAX}, use XML_PARSE_HUGE option").into()
}
