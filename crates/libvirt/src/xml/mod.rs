//! The XML of a secret, as libvirt 12.8.0 reads, checks and prints it.
//!
//! ```text
//! bytes ─▶ encoding ─▶ cursor ─▶ syntax, doctype ─▶ document ─┬▶ parse     ─▶ Definition
//!          decoded     errors    well-formed, expanded names  └▶ validate  ─▶ refused by the schema
//! ```
//!
//! [`parse`] accepts and refuses the same documents as libvirt, with the same errors; [`write`] prints what `virsh
//! secret-dumpxml` prints, byte for byte. Nothing outside the document is ever loaded. There is one pass and no tree: only
//! the open elements, the entities and the five texts of a definition are kept beside the input.
//!
//! The parser is our own because `roxmltree`, the first choice, refuses undeclared prefixes, external and parameter
//! entities and every encoding but UTF-8; keeps a tree although five texts are needed; shows elements inside an entity,
//! where libvirt's XPath sees none; and has other texts and positions in its errors, which libvirt's clients print.
//!
//! Differences, in documents that no client writes:
//! - `<!ATTLIST>`, `<!ELEMENT>` and `<!NOTATION>` are skipped unread: there are no default values and no trimmed tokens,
//!   and errors in them are not noticed.
//! - libxml2 reads all of iconv's encodings. Here those of browsers are read, and others are refused as unknown.
//! - Two attributes of one name are refused even if their prefix is undeclared, and content after the root even after a
//!   wrong namespace. libxml2 does not look then.

mod cursor;
mod doctype;
mod document;
mod encoding;
mod error;
mod names;
mod parse;
mod references;
mod syntax;
mod validate;
mod write;

pub(crate) use error::{Wire, XmlError};
pub(crate) use parse::{Definition, parse};
pub(crate) use write::write;

/// Reads any bytes, with and without the schema. A definition is printed and read again.
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Err(error) = parse(bytes, true) {
        assert!(!error.wire().detail.is_empty());
    }
    let Ok(Definition { id, facets }) = parse(bytes, false) else { return };
    let id = id.unwrap_or(model::SecretId::NIL);
    let printed = write(id, &facets);
    let again = parse(printed.as_bytes(), false).expect("what is printed can be read");
    assert_eq!(again.id, Some(id));
    assert_eq!(again.facets, as_printed(facets));
}

/// A carriage return is printed unchanged, as in libvirt, and by XML's rules is read as a line end.
fn as_printed(facets: model::Facets) -> model::Facets {
    let lines = |text: String| text.replace("\r\n", "\n").replace('\r', "\n");
    model::Facets {
        description: facets.description.map(lines),
        usage_id: facets.usage_id.map(lines),
        ..facets
    }
}

#[cfg(test)]
mod tests;
