//! The user metadata keys that libvirt's side of a secret is shown and changed as.
//!
//! | key | value | default |
//! |---|---|---|
//! | `libvirt_description` | any text that XML can hold | |
//! | `libvirt_usage_type` | `volume`, `ceph`, `iscsi`, `tls`, `vtpm` | |
//! | `libvirt_usage_id` | any text that XML can hold | |
//! | `libvirt_private` | `yes`, `no` | `no` |
//! | `libvirt_ephemeral` | `yes`, `no` | `no` |
//! | `libvirt_encoding` | `raw`, `hex`, `base64` | `raw` |
//!
//! A key is shown only where it differs from its default, and the empty text sets it back.
//!
//! Texts are part of a definition, which the libvirt door shows as XML. A character that XML does not have would be
//! missing there, and the definition that a client reads and gives back would be another.

use model::{Encoding, Facet, Facets, UsageType};

use crate::problem::Problem;

/// The beginning of all these keys.
const PREFIX: &str = "libvirt_";

/// One of the keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    Description,
    UsageType,
    UsageId,
    Private,
    Ephemeral,
    Encoding,
}

impl Key {
    const ALL: [Self; 6] =
        [Self::Description, Self::UsageType, Self::UsageId, Self::Private, Self::Ephemeral, Self::Encoding];

    /// The key as it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Description => "libvirt_description",
            Self::UsageType => "libvirt_usage_type",
            Self::UsageId => "libvirt_usage_id",
            Self::Private => "libvirt_private",
            Self::Ephemeral => "libvirt_ephemeral",
            Self::Encoding => "libvirt_encoding",
        }
    }

    /// Which of the keys it is: none if the name is the user's own, an error if it only looks like one of these.
    pub(crate) fn parse(name: &str) -> Result<Option<Self>, Problem> {
        if !name.starts_with(PREFIX) {
            return Ok(None);
        }
        match Self::ALL.into_iter().find(|key| key.as_str() == name) {
            Some(key) => Ok(Some(key)),
            None => Err(Problem::bad_request(format!(
                "Invalid Key. A key that begins with '{PREFIX}' must be one of: {}.",
                Self::ALL.map(Self::as_str).join(", ")
            ))),
        }
    }

    /// The change that a value for the key asks for. The empty value asks for the default.
    pub(crate) fn facet(self, value: &str) -> Result<Facet, Problem> {
        if matches!(self, Self::Description | Self::UsageId) {
            self.require_xml(value)?;
        }
        let text = (!value.is_empty()).then(|| value.to_owned());
        let known = match self {
            Self::Description => Some(Facet::Description(text)),
            Self::UsageId => Some(Facet::UsageId(text)),
            Self::UsageType if value.is_empty() => Some(Facet::UsageType(None)),
            Self::UsageType => UsageType::parse(value).map(|usage_type| Facet::UsageType(Some(usage_type))),
            Self::Private => yes_or_no(value).map(Facet::Private),
            Self::Ephemeral => yes_or_no(value).map(Facet::Ephemeral),
            Self::Encoding if value.is_empty() => Some(Facet::Encoding(Encoding::default())),
            Self::Encoding => Encoding::parse(value).map(Facet::Encoding),
        };
        known.ok_or_else(|| {
            let allowed = self.values().join(", ");
            Problem::bad_request(format!("Invalid Metadata. '{}' must be one of: {allowed}.", self.as_str()))
        })
    }

    fn require_xml(self, value: &str) -> Result<(), Problem> {
        match value.chars().find(|&c| !is_xml(c)) {
            None => Ok(()),
            Some(c) => Err(Problem::bad_request(format!(
                "Invalid Metadata. '{}' must be text that XML can hold: not U+{:04X}.",
                self.as_str(),
                u32::from(c)
            ))),
        }
    }

    /// The values there are, where not any text will do.
    fn values(self) -> Vec<&'static str> {
        match self {
            Self::Description | Self::UsageId => Vec::new(),
            Self::UsageType => UsageType::ALL.map(UsageType::as_str).to_vec(),
            Self::Private | Self::Ephemeral => vec!["yes", "no"],
            Self::Encoding => [Encoding::Raw, Encoding::Hex, Encoding::Base64].map(Encoding::as_str).to_vec(),
        }
    }

    /// The value shown under the key. A default is not shown.
    fn shown(self, facets: &Facets) -> Option<&str> {
        match self {
            Self::Description => facets.description.as_deref(),
            Self::UsageType => facets.usage_type.map(UsageType::as_str),
            Self::UsageId => facets.usage_id.as_deref(),
            Self::Private => facets.private.then_some("yes"),
            Self::Ephemeral => facets.ephemeral.then_some("yes"),
            Self::Encoding => (facets.encoding != Encoding::default()).then(|| facets.encoding.as_str()),
        }
    }
}

/// `Char` of XML 1.0, section 2.2. Surrogates are no characters of Rust's.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

fn yes_or_no(value: &str) -> Option<bool> {
    match value {
        "yes" => Some(true),
        "no" | "" => Some(false),
        _ => None,
    }
}

/// The pairs that facets are shown as.
pub(crate) fn pairs(facets: &Facets) -> impl Iterator<Item = (&str, &str)> {
    Key::ALL.into_iter().filter_map(move |key| Some((key.as_str(), key.shown(facets)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_facets_are_each_others_inverse() {
        assert_eq!(pairs(&Facets::default()).count(), 0);
        let facets = Facets {
            description: Some("d".into()),
            usage_type: Some(UsageType::Ceph),
            usage_id: Some("client.x".into()),
            private: true,
            ephemeral: true,
            encoding: Encoding::Hex,
        };
        let mut again = Facets { ephemeral: true, ..Facets::default() };
        for (name, value) in pairs(&facets) {
            again = again.with(Key::parse(name).unwrap().unwrap().facet(value).unwrap()).unwrap();
        }
        assert_eq!(again, facets);
    }

    #[test]
    fn the_empty_text_is_the_default() {
        let texts = [Facet::Description(None), Facet::UsageType(None), Facet::UsageId(None)];
        let others = [Facet::Private(false), Facet::Ephemeral(false), Facet::Encoding(Encoding::Raw)];
        let defaults: Vec<_> = texts.into_iter().chain(others).collect();
        assert_eq!(Key::ALL.map(|key| key.facet("").unwrap()).to_vec(), defaults);
    }

    #[test]
    fn texts_are_those_of_xml() {
        for key in [Key::Description, Key::UsageId] {
            for c in ('\0'..='\u{20}').chain(['\u{7f}', '\u{85}', '\u{fffd}', '\u{10000}', char::MAX]) {
                let is_kept = c >= ' ' || matches!(c, '\t' | '\n' | '\r');
                assert_eq!(key.facet(&format!("a{c}b")).is_ok(), is_kept, "{c:?}");
            }
            assert!(key.facet("\u{fffe}").is_err() && key.facet("\u{ffff}").is_err());
        }
    }

    #[test]
    fn refusals_say_what_is_allowed() {
        assert_eq!(Key::parse("description"), Ok(None));
        let text = |problem: Problem| problem.description.unwrap().into_owned();
        assert_eq!(
            text(Key::parse("libvirt_foo").unwrap_err()),
            "Invalid Key. A key that begins with 'libvirt_' must be one of: libvirt_description, libvirt_usage_type, \
             libvirt_usage_id, libvirt_private, libvirt_ephemeral, libvirt_encoding."
        );
        assert_eq!(
            text(Key::Private.facet("true").unwrap_err()),
            "Invalid Metadata. 'libvirt_private' must be one of: yes, no."
        );
        assert_eq!(
            text(Key::UsageType.facet("disk").unwrap_err()),
            "Invalid Metadata. 'libvirt_usage_type' must be one of: volume, ceph, iscsi, tls, vtpm."
        );
    }
}
