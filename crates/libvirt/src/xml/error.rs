//! Why a document is no definition, and how libvirt says so on the wire.
//!
//! Every one of these is the caller's fault. Texts quote what the caller sent, cut to [`QUOTE_BYTES_MAX`]; libvirt cuts
//! nothing, but a document of 4 MiB has no business in an error.

use std::borrow::Cow;

use model::UsageType;

/// The most of the caller's text that an error quotes. The longest that a recorded answer quotes is 1424 bytes.
pub(super) const QUOTE_BYTES_MAX: usize = 2048;

/// Why a document is no definition. The text is libvirt's detail.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum XmlError {
    /// It is not XML, or more XML than is accepted.
    #[error("{0}")]
    Malformed(Malformed),
    /// It is about something else than a secret.
    #[error("expecting root element of 'secret', not '{0}'")]
    WrongRoot(String),
    /// The schema does not allow it, and the caller asked for it to be checked. Says what libxml2 says of it.
    #[error("Unable to validate doc against {SCHEMA}\n{0}\n")]
    Schema(String),
    /// The attribute is there, and neither `yes` nor `no` nor empty.
    #[error("invalid value of '{0}'")]
    NoFlag(&'static str),
    /// The id is no UUID.
    #[error("malformed uuid element")]
    MalformedId,
    /// A usage does not say for what.
    #[error("Missing required attribute 'type' in element 'usage'")]
    UsageWithoutType,
    /// A usage is for something unknown.
    #[error("Invalid value for attribute 'type' in element 'usage': '{0}'.")]
    UnknownUsage(String),
    /// A usage does not say which one.
    #[error("{}", missing(.0))]
    UsageWithoutId(UsageType),
}

/// What a client of libvirt gets as an error. The message is `detail` put into `format`; there is no `str3`, and both
/// numbers are -1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wire {
    /// `virErrorNumber`
    pub(crate) code: i32,
    /// `virErrorDomain`
    pub(crate) domain: i32,
    /// `str1`
    pub(crate) format: &'static str,
    /// `str2`. Bytes, because a diagnostic shows the line it is about as it was sent.
    pub(crate) detail: Vec<u8>,
}

/// Where libvirt's packages put the schema. Its answers name the file, so ours do.
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
    /// The error as a client gets it: measured, libvirtd 12.8.0.
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
    /// The line, or the part of it around the place.
    pub(super) near: Vec<u8>,
    /// Dashes up to the place in `near`, and tabs where it has tabs.
    pub(super) pointer: String,
}

impl Malformed {
    /// Three lines, of which the second and third are not there if the line is empty.
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
