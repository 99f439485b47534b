//! The document as its reader reports it: elements with their namespaces resolved.
//!
//! libvirt's XPath expressions look for names without a namespace, three elements deep. Deeper elements matter only as
//! text, and to the schema, which refuses them.

use std::collections::HashSet;

use super::names::split;
use super::parse::Fields;
use super::syntax::Attribute;
use super::validate::Schema;

/// The depth of elements that are told apart: root, member, value, and one that must not be in a value.
const DEPTH_TOLD: usize = 4;

/// Namespaces that no prefix may be declared for. <https://www.w3.org/TR/xml-names/#ns-decl>
const RESERVED: [&str; 2] = ["http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/"];

/// Where text comes from.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Source {
    /// Text, or a reference to a character.
    Text,
    /// A CDATA section.
    Cdata,
    /// The text of an entity.
    Entity,
}

/// An element, its namespaces resolved.
pub(super) struct Element<'a> {
    /// How deep it is: 1 for the root.
    pub(super) depth: usize,
    /// Its name, without a prefix that is declared.
    pub(super) name: &'a str,
    /// Whether it is in a namespace.
    pub(super) namespaced: bool,
    attributes: &'a [Attribute<'a>],
    scope: &'a Scope,
}

/// Reads a document as a definition, and with the schema if asked to.
pub(super) struct Document {
    /// The texts of a definition.
    pub(super) fields: Fields,
    /// The checks of the schema, if asked for.
    pub(super) schema: Option<Schema>,
    depth: usize,
    scope: Scope,
}

/// The namespaces that the open elements declare, down to [`DEPTH_TOLD`].
#[derive(Default)]
struct Scope(Vec<Declared>);

/// The namespaces that an element declares.
struct Declared {
    /// Whether a name without a prefix has a namespace, if the element says so.
    default: Option<bool>,
    prefixes: HashSet<Box<str>>,
}

impl Document {
    /// A document before its first element.
    pub(super) fn new(validate: bool) -> Self {
        let schema = validate.then(Schema::default);
        Self { fields: Fields::default(), schema, depth: 0, scope: Scope::default() }
    }

    /// An element begins.
    pub(super) fn start(&mut self, name: &str, attributes: &[Attribute<'_>]) {
        self.depth += 1;
        if self.depth > DEPTH_TOLD {
            return;
        }
        self.scope.enter(attributes);
        let (name, namespaced) = self.scope.element(name);
        let element = Element { depth: self.depth, name, namespaced, attributes, scope: &self.scope };
        self.fields.start(&element);
        if let Some(schema) = &mut self.schema {
            schema.start(&element);
        }
    }

    /// Text comes.
    pub(super) fn text(&mut self, text: &str, source: Source) {
        self.fields.text(text);
        if let Some(schema) = &mut self.schema {
            schema.text(self.depth, text, source);
        }
    }

    /// An entity is referred to. Its text comes next.
    pub(super) fn reference(&mut self, name: &str) {
        if let Some(schema) = &mut self.schema {
            schema.reference(self.depth, name);
        }
    }

    /// An element ends.
    pub(super) fn end(&mut self) {
        if self.depth <= DEPTH_TOLD {
            self.scope.leave();
            self.fields.end(self.depth);
            if let Some(schema) = &mut self.schema {
                schema.end(self.depth);
            }
        }
        self.depth -= 1;
    }
}

impl<'a> Element<'a> {
    /// Whether it has this name and no namespace.
    pub(super) fn is(&self, name: &str) -> bool {
        !self.namespaced && self.name == name
    }

    /// The value of an attribute without a namespace.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
            .map(|attribute| attribute.value.as_str())
    }

    /// The value of the first attribute with this name, in any namespace.
    pub(super) fn any_attribute(&self, name: &str) -> Option<&'a str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|attribute| self.scope.name(attribute.name) == name)
            .map(|attribute| attribute.value.as_str())
    }

    /// All attributes that declare no namespace: the name as written, the name without a prefix that is declared, the
    /// value.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let own = self.attributes.iter().filter(|attribute| declares(attribute.name).is_none());
        own.map(|attribute| (attribute.name, self.scope.name(attribute.name), attribute.value.as_str()))
    }
}

impl Scope {
    /// An element with these attributes begins.
    fn enter(&mut self, attributes: &[Attribute<'_>]) {
        let mut declared = Declared { default: None, prefixes: HashSet::new() };
        for Attribute { name, value } in attributes {
            match declares(name) {
                None => {}
                Some(_) if RESERVED.contains(&value.as_str()) => {}
                Some("") => declared.default = Some(!value.is_empty()),
                Some("xml" | "xmlns") => {}
                Some(_) if value.is_empty() => {}
                Some(prefix) => {
                    declared.prefixes.insert(prefix.into());
                }
            }
        }
        self.0.push(declared);
    }

    /// An element ends.
    fn leave(&mut self) {
        self.0.pop();
    }

    /// The name of an element, and whether it is in a namespace.
    fn element<'n>(&self, name: &'n str) -> (&'n str, bool) {
        match split(name) {
            (Some(prefix), local) if self.is_declared(prefix) => (local, true),
            _ => (name, self.0.iter().rev().find_map(|declared| declared.default).unwrap_or(false)),
        }
    }

    /// A name without its prefix, if the prefix is declared.
    fn name<'n>(&self, name: &'n str) -> &'n str {
        match split(name) {
            (Some(prefix), local) if self.is_declared(prefix) => local,
            _ => name,
        }
    }

    /// Whether a prefix is declared.
    fn is_declared(&self, prefix: &str) -> bool {
        prefix == "xml" || self.0.iter().any(|declared| declared.prefixes.contains(prefix))
    }
}

/// The prefix that an attribute declares; empty for the default namespace.
fn declares(name: &str) -> Option<&str> {
    match split(name) {
        (None, "xmlns") => Some(""),
        (Some("xmlns"), prefix) => Some(prefix),
        _ => None,
    }
}
