//! How a URI is written: RFC 3986, as libxml2 reads it for libvirt, and RFC 2396, by which libxml2 writes it.
//!
//! ```text
//! SCHEME:[//[[USER@]HOST[:PORT]]]PATH[?QUERY][#FRAGMENT]
//! ```
//!
//! The `url` crate follows other rules: docs/decisions/0027.

use super::error::UriError;

/// The largest number that libvirt takes as a port.
const PORT_MAX: u32 = i32::MAX as u32;

/// Where the daemon is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Host {
    /// Empty for this machine.
    pub(crate) name: String,
    pub(crate) user: Option<String>,
    /// A URI may name a port above 65535, which does not exist, and ssh is given that number too.
    pub(crate) port: Option<u32>,
}

impl Host {
    pub(crate) fn name_or_localhost(&self) -> &str {
        if self.name.is_empty() { "localhost" } else { &self.name }
    }

    fn parse(text: &str) -> Option<Self> {
        let (user, rest) = text.split_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
        let (name, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                (is_written_with(name, ":").then(|| name.to_owned())?, port)
            }
            None => {
                let (name, port) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
                (is_written_with(name, "").then(|| unescaped(name))??, port)
            }
        };
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port.strip_prefix(':') {
            Some(digits) if is_digits(digits) => Some(digits.parse().ok().filter(|port| *port <= PORT_MAX)?),
            None if port.is_empty() => None,
            _ => return None,
        };
        let user = match user {
            Some(user) => Some(is_written_with(user, ":").then(|| unescaped(user))??),
            None => None,
        };
        Some(Self { name, user, port })
    }
}

/// The parts of a URI as they are written.
pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    pub(super) host: Host,
    pub(super) path: String,
    pub(super) query: Option<&'a str>,
    pub(super) fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(super) fn parse(whole: &'a str) -> Result<Self, UriError> {
        Self::well_written(whole)
            .ok_or_else(|| UriError::Unparsable(whole.into()))?
            .ok_or_else(|| UriError::NotUri(whole.into()))
    }

    /// `Some(None)` is well written and has no scheme, such as a path or a word.
    fn well_written(whole: &'a str) -> Option<Option<Self>> {
        let (rest, fragment) = cut(whole, '#');
        let (rest, query) = cut(rest, '?');
        let (scheme, rest) = match rest.find([':', '/']).map(|end| rest.split_at(end)) {
            Some((scheme, rest)) if rest.starts_with(':') => (Some(scheme), rest.strip_prefix(':')?),
            _ => (None, rest),
        };
        let is_scheme = |scheme: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(good)
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let is_good = scheme.is_none_or(is_scheme)
            && is_written_with(path, ":@/")
            && is_written_with(query.unwrap_or_default(), ":@/?")
            && is_written_with(fragment.unwrap_or_default(), ":@/?[]");
        let (host, path) = (Host::parse(authority)?, unescaped(path)?);
        is_good.then(|| scheme.map(|scheme| Self { scheme, host, path, query, fragment }))
    }

    pub(super) fn normal(&self) -> String {
        let Host { name, user, port } = &self.host;
        let user = user.as_ref().map_or_else(String::new, |user| escaped(user, ";:&=+$,") + "@");
        let name = if name.contains(':') { format!("[{name}]") } else { name.clone() };
        let port = port
            .filter(|port| *port != 0 && !name.is_empty())
            .map_or_else(String::new, |port| format!(":{port}"));
        let query = self.query.map_or_else(String::new, |query| format!("?{query}"));
        let fragment = self.fragment.and_then(unescaped).map(|text| escaped(&text, ";/?:@&=+$,[]"));
        let fragment = fragment.map_or_else(String::new, |fragment| format!("#{fragment}"));
        format!("{}://{user}{name}{port}{}{query}{fragment}", self.scheme, escaped_path(&self.path))
    }
}

/// The text before a character, and the text after it.
fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Decodes `%XX`. A NUL is refused, because no path and no name has one.
pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => {
                let (digits, after) = after.split_first_chunk::<2>()?;
                (digit(digits[0])? << 4 | digit(digits[1])?, after)
            }
            plain => (plain, after),
        };
        bytes.push(Some(byte).filter(|byte| *byte != 0)?);
        rest = after;
    }
    Some(bytes)
}

/// The same as a text.
fn unescaped(text: &str) -> Option<String> {
    String::from_utf8(unescape(text)?).ok()
}

/// Whether a text has only the characters that every part of a URI may have, and `others`.
fn is_written_with(text: &str, others: &str) -> bool {
    let bytes = text.bytes();
    let may_stand = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=%".contains(&byte)
            || others.as_bytes().contains(&byte)
    };
    bytes.into_iter().all(may_stand) && unescape(text).is_some()
}

/// Writes `%XX` for every character but letters, digits, marks and `others`: RFC 2396, as libxml2 does.
fn escaped(text: &str, others: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
        if is_plain || others.as_bytes().contains(&byte) {
            escaped.push(byte.into());
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

pub(super) fn escaped_path(path: &str) -> String {
    escaped(path, "/;@&=+$,")
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
