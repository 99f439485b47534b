//! The XML of a secret, as libvirt 12.8.0 reads, checks and prints it.
//!
//! ```text
//! bytes ─▶ encoding ─▶ cursor ─▶ syntax, doctype ─▶ document ─┬▶ parse     ─▶ Definition
//!          decoded     errors    well-formed, expanded names  └▶ validate  ─▶ refused by the schema
//! ```
//!
//! [`parse`] takes what libvirt takes and refuses what it refuses, with the same error on the wire; [`write`] is what
//! `virsh secret-dumpxml` prints, byte for byte. Nothing outside the document is ever loaded. One pass, no tree: what
//! is kept beside the input are the open elements, the entities and the five texts that a definition has.
//!
//! Our own parser and not a kept one: `roxmltree`, which we would have preferred, refuses undeclared prefixes, external
//! and parameter entities, and any encoding but UTF-8, keeps a tree of a document of which five texts are wanted, shows
//! elements inside an entity, where libvirt's XPath sees none, and has other texts and places for its errors, which
//! clients of libvirt print.
//!
//! Left out, for no client writes such documents:
//! - `<!ATTLIST>`, `<!ELEMENT>` and `<!NOTATION>` are passed over unread: no default values, no trimmed tokens, and
//!   nothing that is wrong in them is noticed.
//! - Of iconv's encodings, all of which libxml2 knows, those are read that browsers know; others are refused as unknown.
//! - Two attributes of one name are refused even if their prefix is undeclared, and what comes after the root even if
//!   a namespace was wrong before it: libxml2 then does not look.

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

/// Reads any bytes, with and without the schema, and what is a definition is printed and read again.
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

/// A carriage return is printed as it is, as libvirt does, and by XML's rules read as the end of a line.
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
