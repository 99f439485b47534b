//! References, and the text that they add to a document.
//!
//! Entities may contain references, so their depth and the text that they add in all are limited, as in libxml2.

use super::cursor::{Cursor, Fault, Reference};
use super::doctype::{Entity, Replacement, predefined};
use super::document::Source;
use super::error::{Malformed, quoted};
use super::syntax::{DocumentReader, blank};

/// Entities in each other. Measured with libxml2 2.15: 19 pass, 20 do not.
const EXPANSIONS_MAX: usize = 19;

/// `XML_PARSER_ALLOWED_EXPANSION` of libxml2: up to here the ratio is not checked.
const EXPANSION_FREE_MAX: usize = 1_000_000;

/// `XML_MAX_AMPLIFICATION_DEFAULT` of libxml2: the largest ratio of expansions to read text beyond that.
const AMPLIFICATION_MAX: usize = 5;

/// `XML_ENT_FIXED_COST` of libxml2: the cost of each reference beside its text.
const REFERENCE_COST: usize = 20;

impl DocumentReader {
    /// Reads a reference in text.
    pub(super) fn reference(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let source = if self.expansions.none() { Source::Text } else { Source::Entity };
        let name = match cursor.reference().map_err(|fault| cursor.fail(fault))? {
            Reference::Char(char) => {
                self.document.text(char.encode_utf8(&mut [0; char::MAX_LEN_UTF8]), source);
                return Ok(());
            }
            Reference::Entity(name) => name,
        };
        if let Some(text) = predefined(name) {
            self.document.text(text, source);
            return Ok(());
        }
        let entity = self.entities.find(name).map_err(|fault| cursor.fail(fault))?;
        if self.expansions.none() {
            self.document.reference(name);
        }
        match entity {
            None | Some(Entity::External) => Ok(()),
            Some(Entity::Unparsed) => Err(cursor.fail(unparsed(name))),
            Some(Entity::Internal(entity)) => {
                self.expand(cursor, &entity, |reader, inner| reader.content_of_entity(inner))
            }
        }
    }

    /// Adds the text of an entity to the value of an attribute. Errors in it are reported at the reference.
    pub(super) fn entity_in_value(
        &mut self,
        cursor: &Cursor<'_>,
        name: &str,
        value: &mut String,
    ) -> Result<(), Malformed> {
        if let Some(text) = predefined(name) {
            value.push_str(text);
            return Ok(());
        }
        match self.entities.find(name).map_err(|fault| cursor.fail(fault))? {
            None => Ok(()),
            Some(Entity::External) => {
                Err(cursor.fail(format!("Attribute references external entity '{}'", quoted(name))))
            }
            Some(Entity::Unparsed) => Err(cursor.fail(unparsed(name))),
            Some(Entity::Internal(entity)) => {
                self.expansions.enter(cursor, &entity)?;
                let before = self.expansions.added;
                let read = self.replacement_in_value(&entity, name, value);
                self.expansions.leave(&entity, before);
                read.map_err(|error| cursor.fail(error.what))
            }
        }
    }

    /// The same, once the entity is entered.
    fn replacement_in_value(
        &mut self,
        entity: &Replacement,
        name: &str,
        value: &mut String,
    ) -> Result<(), Malformed> {
        let mut cursor = Cursor::new(entity.text.as_bytes(), 0, 1);
        let stops = |byte| matches!(byte, b'<' | b'&' | b'\t' | b'\n' | b'\r');
        loop {
            value.push_str(cursor.run(stops, |_| "invalid character in attribute value".into())?);
            match cursor.peek() {
                None => return Ok(()),
                Some(b'<') => {
                    let words =
                        format!("'<' in entity '{}' is not allowed in attributes values", quoted(name));
                    return Err(cursor.fail(words));
                }
                Some(b'&') => match cursor.reference().map_err(|fault| cursor.fail(in_string(&fault)))? {
                    Reference::Char(char) => value.push(char),
                    Reference::Entity(name) => self.entity_in_value(&cursor, name, value)?,
                },
                Some(_) => blank(&mut cursor, value),
            }
        }
    }

    /// Reads the text of an entity in place of the reference that was just read.
    pub(super) fn expand(
        &mut self,
        cursor: &Cursor<'_>,
        entity: &Replacement,
        read: impl FnOnce(&mut Self, &mut Cursor<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expansions.enter(cursor, entity)?;
        let before = self.expansions.added;
        let result = read(self, &mut Cursor::new(entity.text.as_bytes(), 0, 1));
        self.expansions.leave(entity, before);
        result.map_err(|error| Malformed { line: cursor.line(), ..error })
    }
}

/// The open expansions, and the text that expansions have added so far.
#[derive(Default)]
pub(super) struct Expansions {
    /// How many are open.
    open: usize,
    /// How many of them are of an entity that was expanded before, or in one of those.
    counted: usize,
    /// The text that all have added, in bytes.
    added: usize,
    /// The bytes of the document read when the outermost began.
    read: usize,
}

impl Expansions {
    /// Whether the document itself is being read.
    pub(super) fn none(&self) -> bool {
        self.open == 0
    }

    /// Begins an expansion, unless it is a loop, too deep or too much.
    ///
    /// The first expansion of an entity is counted piece by piece. From then on its full size is known and counted at once.
    fn enter(&mut self, cursor: &Cursor<'_>, entity: &Replacement) -> Result<(), Malformed> {
        if entity.open.get() {
            return Err(cursor.fail("Detected an entity reference loop"));
        }
        if self.open >= EXPANSIONS_MAX {
            return Err(cursor.fail("Maximum entity nesting depth exceeded"));
        }
        if self.none() {
            self.read = cursor.position();
        }
        if self.counted == 0 {
            self.added += entity.cost.get().unwrap_or(entity.text.len()) + REFERENCE_COST;
        }
        if self.added > EXPANSION_FREE_MAX && self.added / AMPLIFICATION_MAX > self.read {
            let words = "Maximum entity amplification factor exceeded, see xmlCtxtSetMaxAmplification.";
            return Err(cursor.fail(words));
        }
        self.counted += usize::from(self.counted > 0 || entity.cost.get().is_some());
        self.open += 1;
        entity.open.set(true);
        Ok(())
    }

    /// Ends an expansion. `before` is the added text at its beginning.
    fn leave(&mut self, entity: &Replacement, before: usize) {
        entity.open.set(false);
        self.open -= 1;
        if self.counted > 0 {
            self.counted -= 1;
        } else {
            entity.cost.set(Some(entity.text.len() + self.added - before));
        }
    }
}

/// The error for a reference to an unparsed entity.
fn unparsed(name: &str) -> Fault {
    format!("Entity reference to unparsed entity {}", quoted(name)).into()
}

/// libxml2 has another function for references in the text of an entity, and its errors name the function.
pub(super) fn in_string(fault: &str) -> Fault {
    fault
        .replace("xmlParseCharRef", "xmlParseStringCharRef")
        .replace("xmlParseEntityRef", "xmlParseStringEntityRef")
        .into()
}
