//! A definition out of a document, as libvirt looks for it.
//!
//! Of elements of one name the first counts, of unknown ones none. The text of an element is all text in it, at any
//! depth. An empty text is as none, an empty flag is a `no`.

use model::{Facets, SecretId, UsageType};

use super::document::{Document, Element};
use super::encoding::Text;
use super::error::{XmlError, quoted};
use super::syntax::Reader;

/// What a secret is defined to be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Definition {
    /// Which secret, if the caller says so.
    pub(crate) id: Option<SecretId>,
    /// All else. How the value is rendered is no part of a definition.
    pub(crate) facets: Facets,
}

/// Reads a definition out of an XML document, which with `validate` has to be as libvirt's schema wants it.
///
/// A document that is not XML is refused for that before all else, and one about something else than a secret for that.
pub(crate) fn parse(xml: &[u8], validate: bool) -> Result<Definition, XmlError> {
    let text = Text::of(xml).map_err(XmlError::Malformed)?;
    let document = Reader::read(&text, Document::new(validate)).map_err(XmlError::Malformed)?;
    if document.fields.root != "secret" {
        return Err(XmlError::WrongRoot(quoted(&document.fields.root)));
    }
    if let Some(schema) = document.schema {
        schema.verdict().map_err(XmlError::Schema)?;
    }
    document.fields.definition()
}

/// The texts of which a definition is made.
#[derive(Default)]
pub(super) struct Fields {
    root: String,
    ephemeral: String,
    private: String,
    id: Option<String>,
    description: Option<String>,
    usage: Option<UsageText>,
    /// Whether the usage is open.
    in_usage: bool,
    /// Whose text is read, and how deep its element is.
    reading: Option<(Field, usize)>,
}

/// The texts of which a usage is made.
struct UsageText {
    usage_type: Option<String>,
    /// The element that names its id, if the type has one.
    tag: Option<&'static str>,
    id: Option<String>,
}

/// A field that is the text of an element.
#[derive(Clone, Copy)]
enum Field {
    Id,
    Description,
    UsageId,
}

impl Fields {
    /// An element begins.
    pub(super) fn start(&mut self, element: &Element<'_>) {
        match element.depth {
            1 => self.root(element),
            2 => self.member(element),
            3 if self.in_usage => self.member_of_usage(element),
            _ => {}
        }
    }

    /// Text comes.
    pub(super) fn text(&mut self, text: &str) {
        let field = match self.reading {
            None => return,
            Some((Field::Id, _)) => &mut self.id,
            Some((Field::Description, _)) => &mut self.description,
            Some((Field::UsageId, _)) => return self.usage_id(text),
        };
        field.get_or_insert_default().push_str(text);
    }

    /// An element ends.
    pub(super) fn end(&mut self, depth: usize) {
        self.reading.take_if(|(_, own)| *own == depth);
        self.in_usage &= depth != 2;
    }

    fn root(&mut self, element: &Element<'_>) {
        self.root = element.name.to_owned();
        self.ephemeral = element.attribute("ephemeral").unwrap_or_default().to_owned();
        self.private = element.attribute("private").unwrap_or_default().to_owned();
    }

    fn member(&mut self, element: &Element<'_>) {
        if element.is("uuid") && self.id.is_none() {
            self.id = Some(String::new());
            self.reading = Some((Field::Id, element.depth));
        } else if element.is("description") && self.description.is_none() {
            self.description = Some(String::new());
            self.reading = Some((Field::Description, element.depth));
        } else if element.is("usage") && self.usage.is_none() {
            let usage_type = element.any_attribute("type").map(str::to_owned);
            let tag = usage_type.as_deref().and_then(UsageType::parse).map(tag);
            self.usage = Some(UsageText { usage_type, tag, id: None });
            self.in_usage = true;
        }
    }

    fn member_of_usage(&mut self, element: &Element<'_>) {
        let Some(usage) = &mut self.usage else { return };
        if usage.tag.is_some_and(|tag| element.is(tag)) && usage.id.is_none() {
            usage.id = Some(String::new());
            self.reading = Some((Field::UsageId, element.depth));
        }
    }

    fn usage_id(&mut self, text: &str) {
        if let Some(usage) = &mut self.usage {
            usage.id.get_or_insert_default().push_str(text);
        }
    }

    /// The definition. What is wrong is told in libvirt's order.
    fn definition(self) -> Result<Definition, XmlError> {
        let ephemeral = flag("ephemeral", &self.ephemeral)?;
        let private = flag("private", &self.private)?;
        let id = self.id.filter(|text| !text.is_empty());
        let id = id.map(|text| secret_id(&text).ok_or(XmlError::MalformedId)).transpose()?;
        let description = self.description.filter(|text| !text.is_empty());
        let (usage_type, usage_id) = match self.usage {
            Some(usage) => usage.parse()?.unzip(),
            None => (None, None),
        };
        let facets = Facets { description, usage_type, usage_id, private, ephemeral, ..Facets::default() };
        Ok(Definition { id, facets })
    }
}

impl UsageText {
    /// The usage: `none` is a type, too.
    fn parse(self) -> Result<Option<(UsageType, String)>, XmlError> {
        let text = self.usage_type.ok_or(XmlError::UsageWithoutType)?;
        if text == "none" {
            return Ok(None);
        }
        let usage_type = UsageType::parse(&text).ok_or_else(|| XmlError::UnknownUsage(quoted(&text)))?;
        let id = self.id.filter(|id| !id.is_empty()).ok_or(XmlError::UsageWithoutId(usage_type))?;
        Ok(Some((usage_type, id)))
    }
}

/// The element in a usage that says which one.
pub(super) fn tag(usage_type: UsageType) -> &'static str {
    match usage_type {
        UsageType::Volume => "volume",
        UsageType::Iscsi => "target",
        UsageType::Ceph | UsageType::Tls | UsageType::Vtpm => "name",
    }
}

fn flag(name: &'static str, text: &str) -> Result<bool, XmlError> {
    match text {
        "yes" => Ok(true),
        "no" | "" => Ok(false),
        _ => Err(XmlError::NoFlag(name)),
    }
}

/// Reads an id as libvirt does: white space around it, and before each byte any hyphens and blanks.
fn secret_id(text: &str) -> Option<SecretId> {
    let mut text = text.trim_matches([' ', '\t', '\n', '\r']);
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        text = text.trim_start_matches(['-', ' ']);
        let (digits, rest) = text.split_at_checked(2)?;
        // A sign is no digit, and from_str_radix takes one.
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
        text = rest;
    }
    text.is_empty().then(|| SecretId::from_bytes(bytes))
}
