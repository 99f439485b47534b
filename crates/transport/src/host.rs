//! The host that a request was sent to (RFC 9112, section 3.2), and the names that this server has.
//!
//! ```text
//! host  =  name | IPv4 | "[" IPv6 "]"    and maybe ":" port
//! ```
//!
//! A name has letters, digits and `- . _ ~`. RFC 3986 allows more, but names of machines have no more. References begin
//! with this name, so it has no character that has a meaning in URLs, texts or headers.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use http::request::Parts;
use http::{HeaderMap, Version, header};

/// The longest name of a host (RFC 1035, as text).
const NAME_BYTES_MAX: usize = 253;

/// A host as a request names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Host<'r> {
    as_sent: &'r str,
    name: &'r str,
}

impl<'r> Host<'r> {
    /// Reads a host with or without a port.
    pub fn parse(text: &'r str) -> Option<Self> {
        let name_ends = match text.strip_prefix('[') {
            Some(address) => address.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at_checked(name_ends)?;
        let fits = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => is_name(name),
        };
        (fits && is_port(port)).then_some(Self { as_sent: text, name })
    }

    /// With the port, as it came.
    pub fn as_sent(&self) -> &'r str {
        self.as_sent
    }

    /// Whether it is an address. Nobody can make an address lead elsewhere, as is possible with a name.
    pub fn is_address(&self) -> bool {
        self.name.starts_with('[') || self.name.parse::<Ipv4Addr>().is_ok()
    }

    /// Whether the names are the same, whatever the ports.
    pub fn is_same_name(&self, other: &Host<'_>) -> bool {
        without_root(self.name).eq_ignore_ascii_case(without_root(other.name))
    }
}

fn is_name(text: &str) -> bool {
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.len() <= NAME_BYTES_MAX
        && text.bytes().all(may_be)
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// A colon and a port, or nothing, or the colon alone.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.is_empty() || digits.parse::<u16>().is_ok_and(|_| !digits.starts_with('+')),
        None => text.is_empty(),
    }
}

/// Without the dot at the end of a fully qualified name.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// A name of a server, without a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostName(String);

/// Not the name of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the name of a host")]
pub struct NoHostName;

impl HostName {
    /// The host in a URL, if it has one.
    pub fn of_url(url: &str) -> Option<Self> {
        host_of_url(url).map(|host| Self(without_root(host.name).to_ascii_lowercase()))
    }
}

impl FromStr for HostName {
    type Err = NoHostName;

    fn from_str(text: &str) -> Result<Self, NoHostName> {
        let host = Host::parse(text).filter(|host| host.name == text).ok_or(NoHostName)?;
        Ok(Self(without_root(host.name).to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names of this server, beside its addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<HostName>);

impl Names {
    /// The names listed, and that in the URL which references begin with.
    pub fn new(listed: &[HostName], host_href: Option<&str>) -> Self {
        Self(listed.iter().cloned().chain(host_href.and_then(HostName::of_url)).collect())
    }

    /// Whether a host is one of them.
    pub fn has(&self, host: &Host<'_>) -> bool {
        self.0.iter().any(|name| without_root(host.name).eq_ignore_ascii_case(&name.0))
    }

    /// Whether a URL leads to one of them.
    pub fn has_host_of(&self, url: &str) -> bool {
        host_of_url(url).is_some_and(|host| self.has(&host))
    }
}

/// The host in a URL of one of the two schemes of HTTP.
pub fn host_of_url(url: &str) -> Option<Host<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    known_scheme(scheme)?;
    Host::parse(rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// One of the schemes of HTTP.
pub(crate) fn known_scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|known| text.eq_ignore_ascii_case(known))
}

/// The target of a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Target<'r> {
    /// The host, which only HTTP/1.0 may leave out.
    pub host: Option<Host<'r>>,
    /// The scheme, where the target is a whole URL.
    pub scheme: Option<&'static str>,
}

/// Why the target of a request is unknown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadTarget {
    /// HTTP/1.1 requires one.
    #[error("the request has no Host header")]
    NoHost,
    /// Proxies differ in which one they look at.
    #[error("the request has more than one Host header")]
    SeveralHosts,
    /// The header does not name a host.
    #[error("the Host header is not the name or address of a host, with or without a port")]
    BadHost,
    /// The URL in the first line does not name one.
    #[error("the URL in the first line of the request is not one of a host of http or https")]
    BadUrl,
}

impl<'r> Target<'r> {
    /// Reads it from a head. A whole URL counts more than a Host header, which has to be valid all the same.
    pub fn of_request(head: &'r Parts) -> Result<Self, BadTarget> {
        let sent = host_header(&head.headers)?;
        if sent.is_none() && head.version >= Version::HTTP_11 {
            return Err(BadTarget::NoHost);
        }
        let Some(authority) = head.uri.authority() else { return Ok(Self { host: sent, scheme: None }) };
        let scheme = head.uri.scheme_str().map(|scheme| known_scheme(scheme).ok_or(BadTarget::BadUrl));
        let host = Host::parse(authority.as_str()).ok_or(BadTarget::BadUrl)?;
        Ok(Self { host: Some(host), scheme: scheme.transpose()? })
    }
}

fn host_header(headers: &HeaderMap) -> Result<Option<Host<'_>>, BadTarget> {
    let mut values = headers.get_all(header::HOST).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BadTarget::SeveralHosts);
    }
    let text = first.to_str().map_err(|_| BadTarget::BadHost)?;
    if text.is_empty() { Ok(None) } else { Host::parse(text).map(Some).ok_or(BadTarget::BadHost) }
}

/// An address as URLs write it.
pub(crate) fn address_in_url(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_names_and_addresses() {
        for (text, name, is_address) in [
            ("h", "h", false),
            ("keys.example:9311", "keys.example", false),
            ("Keys_1.example.", "Keys_1.example.", false),
            ("127.0.0.1:9311", "127.0.0.1", true),
            ("[::1]:9311", "[::1]", true),
            ("[fe80::1]", "[fe80::1]", true),
            ("h:", "h", false),
            ("127.1", "127.1", false),
            ("2130706433", "2130706433", false),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!((host.as_sent(), host.name, host.is_address()), (text, name, is_address));
        }
        for text in [
            "",
            ":80",
            ".",
            "a b",
            "a\"b",
            "a'b",
            "a,b",
            "a%2fb",
            "evil.example/x?y=",
            "evil.example?",
            "evil.example#",
            "user@h",
            "h:65536",
            "h:+1",
            "h:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[h]",
            "[::1%eth0]",
            "h\\",
            "h<",
            "é",
            &"a".repeat(254),
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }

    fn target(version: Version, uri: &str, hosts: &[&str]) -> String {
        let mut request = http::Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        match Target::of_request(&head) {
            Ok(Target { host, scheme }) => {
                format!("{} {}", scheme.unwrap_or("-"), host.map_or("-", |host| host.as_sent()))
            }
            Err(bad) => format!("{bad:?}"),
        }
    }

    #[test]
    fn a_request_is_sent_to_one_host() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        assert_eq!(target(new, "/", &["h:1"]), "- h:1");
        assert_eq!(target(new, "/", &[]), "NoHost");
        assert_eq!(target(new, "/", &[""]), "NoHost");
        assert_eq!(target(old, "/", &[]), "- -");
        assert_eq!(target(old, "/", &["", ""]), "SeveralHosts");
        assert_eq!(target(new, "/", &["h", "h"]), "SeveralHosts");
        assert_eq!(target(old, "/", &["a b"]), "BadHost");
        assert_eq!(target(new, "http://there:2/v1", &["h"]), "http there:2");
        assert_eq!(target(new, "HTTPS://there/v1", &["h"]), "https there");
        assert_eq!(target(new, "http://there/v1", &["a b"]), "BadHost");
        assert_eq!(target(new, "http://there/v1", &[]), "NoHost");
        assert_eq!(target(new, "ftp://there/v1", &["h"]), "BadUrl");
        assert_eq!(target(new, "http://user@there/v1", &["h"]), "BadUrl");
    }

    #[test]
    fn a_server_s_names_are_listed_or_in_its_references() {
        let listed = ["keys.Example.".parse().unwrap(), "10.0.0.5".parse().unwrap()];
        let names = Names::new(&listed, Some("https://kms.example:9311/key-manager"));
        for (text, is_one) in [
            ("KEYS.example:80", true),
            ("keys.example.", true),
            ("kms.example", true),
            ("x.keys.example", false),
            ("keys.example.x", false),
        ] {
            assert_eq!(names.has(&Host::parse(text).unwrap()), is_one, "{text}");
        }
        assert!(names.has_host_of("http://kms.example/v1") && names.has_host_of("https://10.0.0.5:1"));
        assert!(!names.has_host_of("http://kms.example@evil/v1") && !names.has_host_of("ftp://kms.example"));
        for text in ["", "keys.example:9311", "http://keys.example", "*.example", "a/b"] {
            assert_eq!(text.parse::<HostName>(), Err(NoHostName), "{text}");
        }
    }

    #[test]
    fn addresses_are_written_as_urls_have_them() {
        for (address, expect) in [
            ("127.0.0.1:9311", "127.0.0.1:9311"),
            ("[::1]:80", "[::1]:80"),
            ("[::ffff:10.0.0.5]:80", "10.0.0.5:80"),
        ] {
            assert_eq!(address_in_url(address.parse().unwrap()), expect);
        }
        let zoned = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 2);
        assert_eq!(address_in_url(zoned.into()), "[fe80::1]:80");
    }

    proptest! {
        #[test]
        fn no_host_panics(text in "\\PC*") {
            let _ = Host::parse(&text);
            let _ = host_of_url(&format!("http://{text}"));
        }

        #[test]
        fn no_hostish_text_panics(text in "[\\[\\]:a0.é]{0,12}") {
            let _ = Host::parse(&text);
        }
    }
}
