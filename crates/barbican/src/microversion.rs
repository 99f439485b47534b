//! `OpenStack-API-Version: key-manager 1.1`: which revision of the API the caller speaks.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::python::text::{int, repr};

/// Static, so that looking it up parses no name.
static HEADER: HeaderName = HeaderName::from_static("openstack-api-version");

/// A revision of the API. Later ones show consumers of secrets (1.1) and protect a secret that has some (1.2).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Microversion {
    V1_0,
    V1_1,
    V1_2,
}

/// Why a version cannot be spoken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadVersion {
    /// It is not a version. The text is Python's.
    #[error("Invalid microversion: invalid version string: {0}; {1}")]
    Malformed(String, String),
    /// No such version exists.
    #[error("Invalid microversion: Unacceptable version header: {0}")]
    Unacceptable(String),
}

impl Microversion {
    const ALL: [(i128, Self); 3] = [(0, Self::V1_0), (1, Self::V1_1), (2, Self::V1_2)];

    /// The `openstack-api-version` header of an answer.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::V1_0 => "key-manager 1.0",
            Self::V1_1 => "key-manager 1.1",
            Self::V1_2 => "key-manager 1.2",
        })
    }

    /// Reads the request's header. The last mention of this service counts; none at all means the oldest version.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, BadVersion> {
        let lines = headers.get_all(&HEADER).iter().filter_map(|line| line.to_str().ok());
        let asked = lines.flat_map(|line| line.split(',')).filter_map(version_for_us).next_back();
        match asked {
            None | Some("") => Ok(Self::V1_0),
            Some("latest") => Ok(Self::V1_2),
            Some(text) => Self::parse(text),
        }
    }

    fn parse(text: &str) -> Result<Self, BadVersion> {
        let malformed = |reason| BadVersion::Malformed(text.to_owned(), reason);
        let number = |text: &str| int(text).ok_or_else(|| malformed(bad_number(text)));
        let Some((major, minor)) = text.split_once('.') else {
            number(text)?;
            let reason = "Version.__new__() missing 1 required positional argument: 'minor'";
            return Err(malformed(reason.to_owned()));
        };
        let (major, minor) = (number(major)?, number(minor)?);
        let known = Self::ALL.into_iter().find(|(known, _)| (major, minor) == (1, *known));
        known.map(|(_, version)| version).ok_or_else(|| BadVersion::Unacceptable(text.to_owned()))
    }
}

fn bad_number(text: &str) -> String {
    format!("invalid literal for int() with base 10: {}", repr(text))
}

/// The version in `service version`, if the service is this one.
fn version_for_us(item: &str) -> Option<&str> {
    let (service, version) = item.trim().split_once(char::is_whitespace)?;
    service.eq_ignore_ascii_case("key-manager").then(|| version.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_choose_a_version() {
        for (header, expect) in [
            ("key-manager 1.1", "key-manager 1.1"),
            ("Key-Manager 1.2", "key-manager 1.2"),
            ("key-manager latest", "key-manager 1.2"),
            ("key-manager", "key-manager 1.0"),
            ("1.1", "key-manager 1.0"),
            ("compute 2.1", "key-manager 1.0"),
            ("compute 2.1, key-manager 1.1", "key-manager 1.1"),
            ("key-manager 1.1,key-manager 1.2", "key-manager 1.2"),
            ("key-manager 1.3", "Invalid microversion: Unacceptable version header: 1.3"),
            (
                "key-manager abc",
                "Invalid microversion: invalid version string: abc; invalid literal for int() with base 10: 'abc'",
            ),
            (
                "key-manager 1.2.3",
                "Invalid microversion: invalid version string: 1.2.3; invalid literal for int() with base 10: '2.3'",
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("openstack-api-version", header.parse().unwrap());
            let found = Microversion::from_headers(&headers);
            let found = found.map_or_else(|e| e.to_string(), |v| v.header().to_str().unwrap().to_owned());
            assert_eq!(found, expect);
        }
    }
}
