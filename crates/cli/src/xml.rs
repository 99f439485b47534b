//! libvirt's XML of a secret: written for define, and read for show.
//!
//! ```xml
//! <secret ephemeral='no' private='yes'>
//!   <uuid>3a8f0c52-8a1e-4a57-9d3e-0c5b8d6f7e21</uuid>
//!   <description>Ceph key of Nova</description>
//!   <usage type='ceph'>
//!     <name>client.x</name>
//!   </usage>
//! </secret>
//! ```
//!
//! Source: libvirt's `docs/formatsecret.rst` and `src/conf/schemas/secret.rng`, release 12.8.0. The value is never in it.

use std::fmt::Write;
use std::str::FromStr;

use virsecret::UsageType;

use crate::cli::Define;

/// A text that XML can hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct XmlText(String);

/// A character that XML cannot hold, escaped or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the character {0:?} cannot be in XML, so in no description and no usage")]
pub(crate) struct NotXml(pub(crate) char);

impl XmlText {
    /// The text, not escaped.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for XmlText {
    type Err = NotXml;

    fn from_str(text: &str) -> Result<Self, NotXml> {
        match text.chars().find(|character| !is_xml(*character)) {
            Some(character) => Err(NotXml(character)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// `Char` of XML 1.0, section 2.2; surrogates are not in a Rust text to begin with.
const fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// The XML that `define` sends for its options.
pub(crate) fn write(wanted: &Define) -> String {
    let yes_no = |is| if is { "yes" } else { "no" };
    let mut xml =
        format!("<secret ephemeral='{}' private='{}'>\n", yes_no(wanted.ephemeral), yes_no(wanted.private));
    let mut put = |line: std::fmt::Arguments<'_>| {
        let _ = xml.write_fmt(line); // Writing to a String does not fail.
    };
    if let Some(uuid) = wanted.uuid {
        put(format_args!("  <uuid>{uuid}</uuid>\n"));
    }
    if let Some(text) = &wanted.description {
        put(format_args!("  <description>{}</description>\n", escape(text)));
    }
    if let Some(usage) = &wanted.usage {
        let (name, element) = (usage.usage_type.name().unwrap_or_default(), element(usage.usage_type));
        let id = escape(&usage.id);
        put(format_args!("  <usage type='{name}'>\n    <{element}>{id}</{element}>\n  </usage>\n"));
    }
    put(format_args!("</secret>\n"));
    xml
}

/// The element of a usage's name.
const fn element(usage_type: UsageType) -> &'static str {
    match usage_type {
        UsageType::Volume => "volume",
        UsageType::Iscsi => "target",
        UsageType::Ceph | UsageType::Tls | UsageType::Vtpm | UsageType::None | UsageType::Other(_) => "name",
    }
}

/// A carriage return is escaped too, because a parser reads an unescaped one as a newline.
fn escape(text: &XmlText) -> String {
    let mut escaped = String::with_capacity(text.0.len());
    for character in text.0.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\r' => escaped.push_str("&#13;"),
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// The attributes of a secret that only its XML has.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    /// For people. An empty one means the same as none.
    pub(crate) description: Option<String>,
    /// Only hypervisors can read the value.
    pub(crate) private: bool,
    /// It is never written to disk.
    pub(crate) ephemeral: bool,
}

/// Reads the XML of a daemon.
pub(crate) fn read(xml: &str) -> Result<Facts, roxmltree::Error> {
    let document = roxmltree::Document::parse(xml)?;
    let secret = document.root_element();
    let description = secret.children().find(|child| child.has_tag_name("description"));
    let is_yes = |attribute| secret.attribute(attribute) == Some("yes");
    Ok(Facts {
        description: description.map(|element| element.text().unwrap_or_default().to_owned()),
        private: is_yes("private"),
        ephemeral: is_yes("ephemeral"),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn of(arguments: &[&str]) -> String {
        match Cli::parse_from(["donjon", "define"].iter().chain(arguments)).command {
            Command::Define(define) => write(&define),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_become_xml() {
        expect_test::expect![[r#"
            <secret ephemeral='no' private='no'>
            </secret>
        "#]]
        .assert_eq(&of(&[]));
        expect_test::expect![[r#"
            <secret ephemeral='yes' private='yes'>
              <uuid>3a8f0c52-8a1e-4a57-9d3e-0c5b8d6f7e21</uuid>
              <description>a &lt;b> &amp;amp; "c" 'd'</description>
              <usage type='volume'>
                <volume>/dev/a&amp;b</volume>
              </usage>
            </secret>
        "#]]
        .assert_eq(
            &of(&[
                "--private",
                "--ephemeral",
                "--uuid=3a8f0c52-8a1e-4a57-9d3e-0c5b8d6f7e21",
                "--description=a <b> &amp; \"c\" 'd'",
                "--usage=volume:/dev/a&b",
            ])
            .replace("b&gt;", "b>"),
        );
    }

    #[test]
    fn each_usage_has_its_element() {
        for (usage, expect) in [
            ("volume:x", "<volume>x</volume>"),
            ("ceph:x", "<name>x</name>"),
            ("iscsi:x", "<target>x</target>"),
            ("tls:x", "<name>x</name>"),
            ("vtpm:x", "<name>x</name>"),
        ] {
            let xml = of(&["--usage", usage]);
            assert!(xml.contains(expect), "{xml}");
        }
    }

    #[test]
    fn a_text_survives_writing_and_reading() {
        for text in ["plain", "]]>", "<!-- & -->", "a\r\nb\tc", "  ä\u{1f511}  ", "&#65;", "\u{9b}"] {
            let xml = of(&["--description", text]);
            assert_eq!(read(&xml).unwrap().description.as_deref(), Some(text), "{xml}");
        }
    }

    #[test]
    fn characters_that_xml_cannot_hold_are_refused() {
        for text in ["\0", "a\u{1}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
            assert!(text.parse::<XmlText>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn attributes_are_read_from_libvirts_xml() {
        let told = "<secret ephemeral='no' private='yes'>\n  <uuid>x</uuid>\n  <description>Ceph &amp; key</description>\n</secret>";
        let expect = Facts { description: Some("Ceph & key".into()), private: true, ephemeral: false };
        assert_eq!(read(told), Ok(expect));
        let least = Facts { description: None, private: false, ephemeral: false };
        assert_eq!(read("<secret/>"), Ok(least));
        assert!(read("<secret").is_err());
    }
}
