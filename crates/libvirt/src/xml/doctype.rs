//! The document type: its entities. Other declarations do not matter to a secret and are skipped.
//!
//! Nothing external is loaded: an external entity is empty. After a reference to external declarations an unknown entity
//! is not an error.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::cursor::{Cursor, Fault, Reference};
use super::error::{Malformed, quoted};
use super::references::in_string;
use super::syntax::DocumentReader;

/// What an entity's name stands for.
#[derive(Clone)]
pub(super) enum Entity {
    /// Text, and maybe markup.
    Internal(Rc<Replacement>),
    /// Something outside the document.
    External,
    /// Something outside the document that is not XML.
    Unparsed,
}

/// The text of an entity.
pub(super) struct Replacement {
    /// The text, with references to characters replaced.
    pub(super) text: String,
    /// The size of its full expansion, once known. See [`super::references::Expansions`].
    pub(super) cost: Cell<Option<usize>>,
    /// Whether it is being expanded: a reference to it would be a loop.
    pub(super) open: Cell<bool>,
}

/// All entities of a document.
#[derive(Default)]
pub(super) struct Entities {
    general: HashMap<Box<str>, Entity>,
    parameters: HashMap<Box<str>, Entity>,
    /// Whether some declarations may be unread.
    unread: bool,
    /// Whether the document says that none matter.
    standalone: bool,
}

impl Entities {
    /// No entities yet.
    pub(super) fn new(standalone: bool) -> Self {
        Self { standalone, ..Self::default() }
    }

    /// The entity of a name: its first declaration counts. A missing one is an error only if all declarations were read.
    pub(super) fn find(&self, name: &str) -> Result<Option<Entity>, Fault> {
        match self.general.get(name) {
            None if self.standalone || !self.unread => {
                Err(format!("Entity '{}' not defined", quoted(name)).into())
            }
            entity => Ok(entity.cloned()),
        }
    }
}

/// The character of a predefined entity, which no declaration changes.
pub(super) fn predefined(name: &str) -> Option<&'static str> {
    match name {
        "lt" => Some("<"),
        "gt" => Some(">"),
        "amp" => Some("&"),
        "apos" => Some("'"),
        "quot" => Some("\""),
        _ => None,
    }
}

impl DocumentReader {
    /// Reads a document type, at its `<!DOCTYPE`.
    pub(super) fn doctype(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        cursor.skip("<!DOCTYPE".len());
        blanks(cursor, "Space required after 'DOCTYPE'")?;
        cursor.required("xmlParseDocTypeDecl : no DOCTYPE name !")?;
        cursor.blanks();
        if external_id(cursor)?.is_some() {
            self.entities.unread = true;
        }
        cursor.blanks();
        if cursor.eat("[") {
            self.declarations(cursor)?;
            if !cursor.eat("]") {
                return Err(cursor.fail("Content error in the internal subset"));
            }
            cursor.blanks();
        }
        if cursor.eat(">") { Ok(()) } else { Err(cursor.fail("DOCTYPE improperly terminated")) }
    }

    /// Reads declarations, up to something else.
    fn declarations(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        loop {
            cursor.blanks();
            cursor.begin();
            if cursor.at("%") {
                self.parameter(cursor)?;
            } else if cursor.at("<!ENTITY") {
                self.entity(cursor)?;
            } else if ["<!ELEMENT", "<!ATTLIST", "<!NOTATION"].into_iter().any(|start| cursor.at(start)) {
                skip_declaration(cursor)?;
            } else if cursor.at("<!--") {
                cursor.comment()?;
            } else if cursor.at("<?") {
                cursor.instruction()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Reads the declarations that a parameter entity stands for.
    fn parameter(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        cursor.skip("%".len());
        let name = cursor.required("PEReference: no name")?;
        if !cursor.eat(";") {
            return Err(cursor.fail("PEReference: expecting ';'"));
        }
        self.entities.unread = true;
        let Some(Entity::Internal(entity)) = self.entities.parameters.get(name).cloned() else {
            return Ok(());
        };
        self.expand(cursor, &entity, |reader, inner| {
            reader.declarations(inner)?;
            match inner.peek() {
                None => Ok(()),
                Some(_) => Err(inner.fail("Content error in the internal subset")),
            }
        })
    }

    /// Reads the declaration of an entity.
    fn entity(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        cursor.skip("<!ENTITY".len());
        blanks(cursor, "Space required after '<!ENTITY'")?;
        let parameter = cursor.eat("%");
        if parameter {
            blanks(cursor, "Space required after '%'")?;
        }
        let name = cursor.required("xmlParseEntityDecl: no name")?;
        blanks(cursor, "Space required after the entity name")?;
        let entity = self.definition(cursor, parameter)?;
        cursor.blanks();
        if !cursor.eat(">") {
            return Err(cursor.fail(format!("xmlParseEntityDecl: entity {} not terminated", quoted(name))));
        }
        let all = if parameter { &mut self.entities.parameters } else { &mut self.entities.general };
        all.entry(name.into()).or_insert(entity);
        Ok(())
    }

    /// Reads the definition of an entity.
    fn definition(&mut self, cursor: &mut Cursor<'_>, parameter: bool) -> Result<Entity, Malformed> {
        if let Some(quote) = cursor.quote() {
            return self.replacement(cursor, quote);
        }
        let Some(id) = external_id(cursor)? else { return Err(cursor.fail("Entity value required")) };
        if id.contains('#') {
            return Err(cursor.fail("Fragment not allowed"));
        }
        let parted = cursor.blanks();
        if parameter || cursor.at(">") {
            return Ok(Entity::External);
        }
        if !parted {
            return Err(cursor.fail("Space required before 'NDATA'"));
        }
        if !cursor.eat("NDATA") {
            return Ok(Entity::External);
        }
        blanks(cursor, "Space required after 'NDATA'")?;
        cursor.required("xmlParseEntityDecl: no name")?;
        Ok(Entity::Unparsed)
    }

    /// Reads the text of an entity, up to its quotation mark. Errors in the text are found at its end.
    fn replacement(&mut self, cursor: &mut Cursor<'_>, quote: u8) -> Result<Entity, Malformed> {
        let literal = cursor.until(quote);
        if cursor.peek().is_none() {
            return Err(cursor.fail("EntityValue: \" or ' expected"));
        }
        let text = self.replaced(literal).map_err(|fault| cursor.fail(fault))?;
        cursor.skip(1);
        Ok(Entity::Internal(Rc::new(Replacement { text, cost: Cell::new(None), open: Cell::new(false) })))
    }

    /// The text of an entity with its references to characters replaced. References to entities stay.
    fn replaced(&mut self, literal: &[u8]) -> Result<String, Fault> {
        let mut text = String::new();
        let mut cursor = Cursor::new(literal, 0, 1);
        loop {
            let invalid = |_| "invalid character in entity value".into();
            text.push_str(
                cursor.run(|byte| matches!(byte, b'&' | b'%'), invalid).map_err(|error| error.what)?,
            );
            match cursor.peek() {
                None => return Ok(text),
                Some(b'&') => match Self::reference_in_value(&mut cursor)? {
                    Reference::Char(char) => text.push(char),
                    Reference::Entity(name) => text.extend(["&", name, ";"]),
                },
                // A declared parameter entity is an error here. An undeclared one ends the text.
                Some(_) if self.is_declared(&mut cursor)? => {
                    return Err("PEReferences forbidden in internal subset".into());
                }
                Some(_) => {
                    self.entities.unread = true;
                    return Ok(text);
                }
            }
        }
    }

    /// Reads a reference in the text of an entity.
    fn reference_in_value<'c>(cursor: &mut Cursor<'c>) -> Result<Reference<'c>, Fault> {
        let numbered = cursor.at("&#");
        cursor.reference().map_err(|fault| match numbered {
            true => in_string(&fault),
            false => "EntityValue: '&' forbidden except for entities references".into(),
        })
    }

    /// Whether the parameter entity of this reference is declared.
    fn is_declared(&self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        cursor.skip("%".len());
        let name = cursor.name()?.ok_or("xmlParseStringPEReference: no name")?;
        if !cursor.eat(";") {
            return Err("EntityRef: expecting ';'".into());
        }
        Ok(self.entities.parameters.contains_key(name))
    }
}

/// Skips white space that must be here.
fn blanks(cursor: &mut Cursor<'_>, words: &'static str) -> Result<(), Malformed> {
    if cursor.blanks() { Ok(()) } else { Err(cursor.fail(words)) }
}

/// Reads an external identifier, if one is next. Returns the system identifier.
fn external_id<'c>(cursor: &mut Cursor<'c>) -> Result<Option<&'c str>, Malformed> {
    if cursor.eat("SYSTEM") {
        blanks(cursor, "Space required after 'SYSTEM'")?;
    } else if cursor.eat("PUBLIC") {
        blanks(cursor, "Space required after 'PUBLIC'")?;
        public_id(cursor)?;
        blanks(cursor, "Space required after the Public Identifier")?;
    } else {
        return Ok(None);
    }
    let quote = opening(cursor)?;
    let invalid = |char| format!("Invalid char in SystemLiteral {char}").into();
    let id = cursor.run(|byte| byte == quote, invalid)?;
    closing(cursor, quote)?;
    Ok(Some(id))
}

/// Skips a public identifier. <https://www.w3.org/TR/xml/#NT-PubidLiteral>
fn public_id(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    let quote = opening(cursor)?;
    cursor.ascii(|byte| {
        byte != quote && (byte.is_ascii_alphanumeric() || b" \r\n-'()+,./:=?;!*#@$_%".contains(&byte))
    });
    closing(cursor, quote)
}

/// The quotation mark before an identifier.
fn opening(cursor: &mut Cursor<'_>) -> Result<u8, Malformed> {
    cursor.quote().ok_or_else(|| cursor.fail("SystemLiteral \" or ' expected"))
}

/// The quotation mark after it.
fn closing(cursor: &mut Cursor<'_>, quote: u8) -> Result<(), Malformed> {
    if cursor.peek() != Some(quote) {
        return Err(cursor.fail("Unfinished System or Public ID \" or ' expected"));
    }
    cursor.skip(1);
    Ok(())
}

/// Skips a declaration unread, up to the `>` outside quotation marks.
fn skip_declaration(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    loop {
        let invalid = |_| "Content error in the internal subset".into();
        cursor.run(|byte| matches!(byte, b'>' | b'"' | b'\''), invalid)?;
        match cursor.quote() {
            Some(quote) => {
                cursor.run(|byte| byte == quote, invalid)?;
                cursor.skip(1);
            }
            None if cursor.eat(">") => return Ok(()),
            None => return Err(cursor.fail("Content error in the internal subset")),
        }
    }
}
