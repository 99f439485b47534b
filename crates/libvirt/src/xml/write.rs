//! Writes a secret as XML, byte for byte as `virsh secret-dumpxml` prints it.
//!
//! ```text
//! <secret ephemeral='no' private='no'>
//!   <uuid>5ec2e700-0000-4000-8000-000000000001</uuid>
//!   <description>a text for people</description>       if there is one
//!   <usage type='ceph'>                                 if there is one
//!     <name>client.admin</name>
//!   </usage>
//! </secret>
//! ```
//!
//! Line ends and tabs in a text are printed unchanged; an XML reader turns a carriage return into a new line. Characters
//! that XML cannot hold are left out: both doors refuse them, but an older database may have some.

use model::{Facets, SecretId};

use super::names::is_char;
use super::parse::tag;

/// Room for the markup beside the texts: enough for the longest usage.
const FRAME_BYTES: usize = 256;

/// Prints a secret.
pub(crate) fn write(id: SecretId, facets: &Facets) -> String {
    let (description, usage_id) = (facets.description.as_deref(), facets.usage_id.as_deref());
    let texts = description.map_or(0, str::len) + usage_id.map_or(0, str::len);
    let mut xml = String::with_capacity(FRAME_BYTES + texts);
    let (ephemeral, private) = (yes_no(facets.ephemeral), yes_no(facets.private));
    xml.push_str(&format!("<secret ephemeral='{ephemeral}' private='{private}'>\n  <uuid>{id}</uuid>\n"));
    if let Some(description) = description.filter(|text| !text.is_empty()) {
        element(&mut xml, "  ", "description", description);
    }
    if let Some((usage_type, usage_id)) = facets.usage_type.zip(usage_id) {
        xml.extend(["  <usage type='", usage_type.as_str(), "'>\n"]);
        element(&mut xml, "    ", tag(usage_type), usage_id);
        xml.push_str("  </usage>\n");
    }
    xml.push_str("</secret>\n");
    xml
}

fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

/// An element with a text, on a line of its own.
fn element(xml: &mut String, indent: &str, name: &str, text: &str) {
    xml.extend([indent, "<", name, ">"]);
    escape(xml, text);
    xml.extend(["</", name, ">\n"]);
}

/// A text with its markup escaped. Both quotation marks are escaped, too, as libvirt does.
fn escape(xml: &mut String, mut text: &str) {
    while let Some(at) = text.find(|char| matches!(char, '&' | '<' | '>' | '"' | '\'') || !is_char(char)) {
        let (plain, rest) = text.split_at(at);
        let mut rest = rest.chars();
        xml.extend([plain, rest.next().map_or("", escaped)]);
        text = rest.as_str();
    }
    xml.push_str(text);
}

fn escaped(char: char) -> &'static str {
    match char {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&apos;",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use model::UsageType;

    use super::*;

    fn check(facets: Facets, expect: &str) {
        let id = "5ec2e700-0000-4000-8000-000000000001".parse().unwrap();
        assert_eq!(write(id, &facets), expect);
    }

    /// Cases of virsh and libvirtd 12.8.0: `define: no usage`, `usage name entities`, `usage name charref`,
    /// `usage volume relative`, `ephemeral+private yes`.
    #[test]
    fn secrets_are_printed_as_libvirt_prints_them() {
        check(
            Facets::default(),
            "<secret ephemeral='no' private='no'>\n  <uuid>5ec2e700-0000-4000-8000-000000000001</uuid>\n</secret>\n",
        );
        for (usage_type, usage_id, printed) in [
            (UsageType::Ceph, "a&b<c>d\"e'f", "<name>a&amp;b&lt;c&gt;d&quot;e&apos;f</name>"),
            (UsageType::Ceph, "a\nb\tc\rd", "<name>a\nb\tc\rd</name>"),
            (UsageType::Volume, "rel/path", "<volume>rel/path</volume>"),
            (UsageType::Iscsi, "é☃", "<target>é☃</target>"),
            (UsageType::Tls, "a\u{1}b\u{ffff}c", "<name>abc</name>"),
        ] {
            check(
                Facets {
                    description: Some("l1\nl2".into()),
                    usage_type: Some(usage_type),
                    usage_id: Some(usage_id.into()),
                    private: true,
                    ephemeral: true,
                    ..Facets::default()
                },
                &format!(
                    "<secret ephemeral='yes' private='yes'>\n  <uuid>5ec2e700-0000-4000-8000-000000000001</uuid>\n  \
                     <description>l1\nl2</description>\n  <usage type='{}'>\n    {printed}\n  </usage>\n</secret>\n",
                    usage_type.as_str()
                ),
            );
        }
    }

    #[test]
    fn nothing_is_printed_for_half_a_usage_and_no_description() {
        let half = Facets {
            description: Some(String::new()),
            usage_type: Some(UsageType::Ceph),
            ..Facets::default()
        };
        check(
            half,
            "<secret ephemeral='no' private='no'>\n  <uuid>5ec2e700-0000-4000-8000-000000000001</uuid>\n</secret>\n",
        );
    }
}
