//! Reads a definition from a document, as libvirt does.
//!
//! Of several elements with one name the first counts; unknown elements are ignored. The text of an element is all text in
//! it, at any depth. An empty text counts as missing, an empty flag as `no`.

use model::{Facets, SecretId, UsageType};

use super::document::{Document, Element};
use super::encoding::Text;
use super::error::{XmlError, quoted};
use super::syntax::DocumentReader;

/// The definition of a secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Definition {
    /// The id, if the caller names one.
    pub(crate) id: Option<SecretId>,
    /// The rest. A definition does not say how the value is rendered.
    pub(crate) facets: Facets,
}

/// Reads a definition from an XML document, and with `validate` checks it against libvirt's schema.
///
/// Malformed XML is the first error that is reported, a wrong root the second.
pub(crate) fn parse(xml: &[u8], validate: bool) -> Result<Definition, XmlError> {
    let text = Text::decode(xml).map_err(XmlError::Malformed)?;
    let document = DocumentReader::read(&text, Document::new(validate)).map_err(XmlError::Malformed)?;
    if document.fields.root != "secret" {
        return Err(XmlError::WrongRoot(quoted(&document.fields.root)));
    }
    if let Some(schema) = document.schema {
        schema.verdict().map_err(XmlError::Schema)?;
    }
    document.fields.definition()
}

/// The texts of a definition.
#[derive(Default)]
pub(super) struct Fields {
    root: String,
    ephemeral: String,
    private: String,
    id: Option<String>,
    description: Option<String>,
    usage: Option<UsageText>,
    /// Whether the usage element is open.
    in_usage: bool,
    /// The field whose text is being read, and the depth of its element.
    reading: Option<(Field, usize)>,
}

/// The texts of a usage.
struct UsageText {
    usage_type: Option<String>,
    /// The name of the element that holds its id, if the type has one.
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

    /// The definition. Errors are reported in libvirt's order.
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
    /// The usage. The type `none` means no usage.
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

/// The name of the element that holds the id of a usage.
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

/// Reads an id as libvirt does: with white space around it, and any hyphens and blanks before each byte.
fn secret_id(text: &str) -> Option<SecretId> {
    let mut text = text.trim_matches([' ', '\t', '\n', '\r']);
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        text = text.trim_start_matches(['-', ' ']);
        let (digits, rest) = text.split_at_checked(2)?;
        // from_str_radix accepts a sign.
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
        text = rest;
    }
    text.is_empty().then(|| SecretId::from_bytes(bytes))
}
