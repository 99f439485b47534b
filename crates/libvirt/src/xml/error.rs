//! Why a document is not a definition, and libvirt's errors for it.
//!
//! Each is the caller's fault. Texts quote the caller's words, cut to [`QUOTE_BYTES_MAX`]. libvirt does not cut them, but
//! an error should not hold a document of 4 MiB.

use std::borrow::Cow;

use model::UsageType;

/// The most of the caller's text that an error quotes. The longest quote in a recorded answer has 1424 bytes.
pub(super) const QUOTE_BYTES_MAX: usize = 2048;

/// Why a document is not a definition. The text is libvirt's detail.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum XmlError {
    /// It is not XML, or beyond the limits.
    #[error("{0}")]
    Malformed(Malformed),
    /// Its root is not a secret.
    #[error("expecting root element of 'secret', not '{0}'")]
    WrongRoot(String),
    /// The caller asked for the schema, and it does not allow the document. The text is libxml2's.
    #[error("Unable to validate doc against {SCHEMA}\n{0}\n")]
    Schema(String),
    /// The attribute is not `yes`, `no` or empty.
    #[error("invalid value of '{0}'")]
    NoFlag(&'static str),
    /// The id is not a UUID.
    #[error("malformed uuid element")]
    MalformedId,
    /// A usage without its type.
    #[error("Missing required attribute 'type' in element 'usage'")]
    UsageWithoutType,
    /// A usage of an unknown type.
    #[error("Invalid value for attribute 'type' in element 'usage': '{0}'.")]
    UnknownUsage(String),
    /// A usage without its id.
    #[error("{}", missing(.0))]
    UsageWithoutId(UsageType),
}

/// The error as libvirt's clients get it. The message is `detail` in `format`; there is no `str3`, and both numbers
/// are -1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wire {
    /// `virErrorNumber`
    pub(crate) code: i32,
    /// `virErrorDomain`
    pub(crate) domain: i32,
    /// `str1`
    pub(crate) format: &'static str,
    /// `str2`. Bytes, because a diagnostic shows the caller's line unchanged.
    pub(crate) detail: Vec<u8>,
}

/// Where libvirt's packages put the schema: errors name the file.
const SCHEMA: &str = "/usr/share/libvirt/schemas/secret.rng";

/// `VIR_ERR_INTERNAL_ERROR`
const INTERNAL_ERROR: (i32, &str) = (1, "internal error: %1$s");
/// `VIR_ERR_XML_ERROR`
const XML_ERROR: (i32, &str) = (27, "XML error: %1$s");
/// `VIR_ERR_XML_DETAIL`
const XML_DETAIL: (i32, &str) = (35, "%s");
/// `VIR_ERR_XML_INVALID_SCHEMA`
const INVALID_SCHEMA: (i32, &str) = (92, "XML document failed to validate against schema: %1$s");

/// `VIR_FROM_XML`
const FROM_XML: i32 = 5;
/// `VIR_FROM_SECRET`
const FROM_SECRET: i32 = 30;

impl XmlError {
    /// The error as a client gets it from libvirtd 12.8.0 (recorded).
    pub(crate) fn wire(&self) -> Wire {
        let ((code, format), domain) = match self {
            Self::Malformed(_) => (XML_DETAIL, FROM_SECRET),
            Self::Schema(_) => (INVALID_SCHEMA, FROM_XML),
            Self::WrongRoot(_) | Self::UsageWithoutType | Self::UnknownUsage(_) => (XML_ERROR, FROM_XML),
            Self::NoFlag(_) => (XML_ERROR, FROM_SECRET),
            Self::MalformedId | Self::UsageWithoutId(_) => (INTERNAL_ERROR, FROM_SECRET),
        };
        let detail = match self {
            Self::Malformed(malformed) => malformed.detail(),
            other => other.to_string().into_bytes(),
        };
        Wire { code, domain, format, detail }
    }
}

/// libvirt's words for a usage without its id: each type has its own.
fn missing(usage: &UsageType) -> &'static str {
    match usage {
        UsageType::Volume => "volume usage specified, but volume path is missing",
        UsageType::Ceph => "Ceph usage specified, but name is missing",
        UsageType::Iscsi => "iSCSI usage specified, but target is missing",
        UsageType::Tls => "TLS usage specified, but name is missing",
        UsageType::Vtpm => "vTPM usage specified, but name is missing",
    }
}

/// What is wrong with the XML, in libxml2's words, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(&self.detail()))]
pub(crate) struct Malformed {
    /// The number of the line, from 1.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) what: Cow<'static, str>,
    /// The line, or the part of it around the position.
    pub(super) near: Vec<u8>,
    /// Dashes up to the position in `near`, with tabs where the line has tabs.
    pub(super) pointer: String,
}

impl Malformed {
    /// Three lines; only the first if the line is empty.
    fn detail(&self) -> Vec<u8> {
        let mut detail = format!("at line {}: {}\n", self.line, self.what).into_bytes();
        if !self.near.is_empty() {
            detail.extend_from_slice(&self.near);
            detail.extend_from_slice(format!("\n{}^", self.pointer).as_bytes());
        }
        detail
    }
}

/// The beginning of a text that an error quotes.
pub(super) fn quoted(text: &str) -> String {
    cut(text, QUOTE_BYTES_MAX).to_owned()
}

/// As much of the beginning of a text as fits into a number of bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}
