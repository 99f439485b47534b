//! libvirt's schema of a secret as rules, for `VIR_SECRET_DEFINE_VALIDATE`.
//!
//! ```text
//! secret   ephemeral, private: yes or no     in any order, each once at most, nothing else but white space:
//!   uuid          32 hexadecimal digits, or the printed form
//!   description   text
//!   usage         type, and one element:     volume: a path from the root
//!                                            name, target: no slash, no line end, not empty
//! ```
//!
//! A document that breaks several rules gets libxml2's first error: a known element that is wrong, then an unknown one,
//! then an attribute. As in libxml2 the text of an entity counts as no text.

use model::UsageType;

use super::document::{Element, Source};
use super::error::quoted;
use super::names::is_blank;
use super::parse::tag;

/// The schema's findings in a document.
#[derive(Default)]
pub(super) struct Schema {
    namespaced: bool,
    /// The first attribute that is not allowed.
    attribute: Option<String>,
    /// The first content that is not allowed. Later content is ignored.
    content: Option<String>,
    members: Vec<Member>,
    /// Whether the last member is open.
    open: bool,
}

/// A known element in the root.
struct Member {
    kind: Kind,
    wrong: bool,
    /// The type of a usage.
    usage_type: Option<UsageType>,
    /// How many elements there are in it.
    elements: usize,
    /// The text whose form is checked.
    text: String,
}

/// The known elements, in the order in which libxml2 finds errors.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Id,
    Description,
    Usage,
}

impl Schema {
    /// An element begins.
    pub(super) fn start(&mut self, element: &Element<'_>) {
        match element.depth {
            1 => self.root(element),
            _ if self.content.is_some() => {}
            2 => self.member(element),
            _ => self.in_member(element),
        }
    }

    /// Text comes.
    pub(super) fn text(&mut self, depth: usize, text: &str, source: Source) {
        if source == Source::Entity || self.content.is_some() {
            return;
        }
        if let Some(member) = self.opened() {
            return member.text(depth, text);
        }
        if depth == 1 && !is_white(text) {
            // The names of libxml2's nodes. A CDATA node has none.
            self.content = Some(if source == Source::Cdata { "" } else { "text" }.to_owned());
        }
    }

    /// An entity is referred to.
    pub(super) fn reference(&mut self, depth: usize, name: &str) {
        if let Some(member) = self.opened() {
            member.wrong |= depth == 2 && member.kind != Kind::Id;
        } else if depth == 1 {
            self.content.get_or_insert_with(|| quoted(name));
        }
    }

    /// An element ends.
    pub(super) fn end(&mut self, depth: usize) {
        self.open &= depth != 2;
    }

    /// The verdict: libxml2's error, if there is one.
    pub(super) fn verdict(self) -> Result<(), String> {
        if self.namespaced {
            return Err("Expecting no namespace for element secret".to_owned());
        }
        for kind in Kind::ALL {
            let members = || self.members.iter().filter(|member| member.kind == kind);
            if members().count() > 1 || members().any(|member| !member.is_right()) {
                let name = kind.name();
                return Err(format!(
                    "Extra element {name} in interleave\nElement secret failed to validate content"
                ));
            }
        }
        match (self.content, self.attribute) {
            (Some(content), _) => Err(format!("Element secret has extra content: {content}")),
            (None, Some(attribute)) => Err(format!("Invalid attribute {attribute} for element secret")),
            (None, None) => Ok(()),
        }
    }

    fn in_member(&mut self, element: &Element<'_>) {
        if let Some(member) = self.opened() {
            member.start(element);
        }
    }

    fn opened(&mut self) -> Option<&mut Member> {
        self.members.last_mut().filter(|_| self.open)
    }

    fn root(&mut self, element: &Element<'_>) {
        self.namespaced = element.namespaced;
        let allowed =
            |name, value| matches!(name, "ephemeral" | "private") && matches!(token(value), "yes" | "no");
        let wrong = element.attributes().find(|(written, _, value)| !allowed(*written, *value));
        self.attribute = wrong.map(|(_, name, _)| quoted(name));
    }

    fn member(&mut self, element: &Element<'_>) {
        let known = Kind::ALL.into_iter().find(|kind| element.is(kind.name()));
        match known {
            Some(kind) => {
                self.members.push(Member::new(kind, element));
                self.open = true;
            }
            None => self.content = Some(quoted(element.name)),
        }
    }
}

impl Kind {
    const ALL: [Self; 3] = [Self::Id, Self::Description, Self::Usage];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "uuid",
            Self::Description => "description",
            Self::Usage => "usage",
        }
    }
}

impl Member {
    fn new(kind: Kind, element: &Element<'_>) -> Self {
        let usage_type = element.attribute("type").and_then(|text| UsageType::parse(token(text)));
        let attributes = if kind == Kind::Usage { usize::from(usage_type.is_some()) } else { 0 };
        let wrong = element.attributes().count() != attributes;
        Self { kind, wrong, usage_type, elements: 0, text: String::new() }
    }

    /// An element begins in it.
    fn start(&mut self, element: &Element<'_>) {
        self.elements += 1;
        let expected = element.depth == 3
            && self.kind == Kind::Usage
            && self.usage_type.is_some_and(|usage_type| element.is(tag(usage_type)));
        self.wrong |= !expected || element.attributes().next().is_some();
    }

    /// Text comes in it, or in the element in it.
    fn text(&mut self, depth: usize, text: &str) {
        match (self.kind, depth) {
            (Kind::Id, 2) | (Kind::Usage, 3) => self.text.push_str(text),
            (Kind::Usage, 2) => self.wrong |= !is_white(text),
            _ => {}
        }
    }

    fn is_right(&self) -> bool {
        let form = match (self.kind, self.usage_type) {
            (Kind::Id, _) => is_uuid(&self.text),
            (Kind::Description, _) => true,
            (Kind::Usage, None) => false,
            (Kind::Usage, Some(UsageType::Volume)) => self.elements == 1 && is_path(&self.text),
            (Kind::Usage, Some(_)) => self.elements == 1 && is_object_name(&self.text),
        };
        form && !self.wrong
    }
}

/// A value without white space around it, for comparing.
fn token(value: &str) -> &str {
    value.trim_matches([' ', '\t', '\n', '\r'])
}

fn is_white(text: &str) -> bool {
    text.bytes().all(is_blank)
}

/// `UUID` of libvirt's basictypes.rng: in lower or upper case, with hyphens in the usual places or without any.
fn is_uuid(text: &str) -> bool {
    let printed = |(place, char): (usize, char)| match place {
        8 | 13 | 18 | 23 => char == '-',
        _ => char.is_ascii_hexdigit(),
    };
    match text.len() {
        32 => text.chars().all(|char| char.is_ascii_hexdigit()),
        36 => text.char_indices().all(printed),
        _ => false,
    }
}

/// `absFilePath`: from the root or a Windows drive, without line ends.
fn is_path(text: &str) -> bool {
    let drive = text.split_once(":\\").filter(|(letter, _)| {
        let mut letters = letter.bytes();
        letters.next().is_some_and(|byte| byte.is_ascii_alphabetic()) && letters.next().is_none()
    });
    let rest = text.strip_prefix('/').or(drive.map(|(_, rest)| rest));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['\n', '\r']))
}

/// `objectName`: no slash, no new line, not empty.
fn is_object_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '\n'])
}
