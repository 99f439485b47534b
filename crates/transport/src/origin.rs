//! The beginning of references to this server.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::HeaderMap;

use crate::host::{Names, Target, address_in_url, known_scheme};

/// The configured URL, or else the host that the request was sent to.
#[derive(Clone, Debug)]
pub struct Origin<'r> {
    host_href: Option<&'r str>,
    scheme: &'static str,
    host: Cow<'r, str>,
    names: &'r Names,
}

impl<'r> Origin<'r> {
    /// For a request to a target, which came in at an address of this machine. TLS ends at a proxy, which names the
    /// scheme.
    pub fn new(
        host_href: Option<&'r str>,
        names: &'r Names,
        headers: &HeaderMap,
        target: &Target<'r>,
        here: SocketAddr,
    ) -> Self {
        let host = target.host.map_or_else(|| Cow::Owned(address_in_url(here)), |host| host.as_sent().into());
        let scheme = forwarded_scheme(headers).or(target.scheme).unwrap_or("http");
        Self { host_href, scheme, host, names }
    }

    /// Scheme and host, without a slash at the end.
    pub fn url(&self) -> Cow<'r, str> {
        match self.host_href {
            Some(url) => Cow::Borrowed(url.trim_end_matches('/')),
            None => Cow::Owned(format!("{}://{}", self.scheme, self.host)),
        }
    }

    /// Whether a reference leads to this server, by any of its names.
    pub fn leads_here(&self, reference: &str) -> bool {
        reference.starts_with(self.url().as_ref()) || self.names.has_host_of(reference)
    }
}

/// The scheme by which the client reached the first proxy: each proxy of a chain adds its own. Schemes other than those of
/// HTTP are ignored, since every reference would begin with them.
fn forwarded_scheme(headers: &HeaderMap) -> Option<&'static str> {
    known_scheme(headers.get("x-forwarded-proto")?.to_str().ok()?.split(',').next()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    fn url(target: &Target<'_>, forwarded: Option<&str>, host_href: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(forwarded) = forwarded {
            headers.insert("x-forwarded-proto", forwarded.parse().unwrap());
        }
        let here = "[::ffff:127.0.0.1]:8311".parse().unwrap();
        Origin::new(host_href, &Names::default(), &headers, target, here).url().into_owned()
    }

    #[test]
    fn references_lead_where_the_request_came_from() {
        let no_target = Target::default();
        let target = Target { host: Host::parse("keys.example:8080"), scheme: None };
        assert_eq!(url(&no_target, None, None), "http://127.0.0.1:8311");
        assert_eq!(url(&target, None, None), "http://keys.example:8080");
        for (forwarded, scheme) in [
            ("https, http", "https"),
            (" HTTPS ,http", "https"),
            ("http,https", "http"),
            ("", "http"),
            (", https", "http"),
            ("javascript", "http"),
            ("https://evil.example/?", "http"),
            ("https", "https"),
        ] {
            assert_eq!(
                url(&target, Some(forwarded), None),
                format!("{scheme}://keys.example:8080"),
                "{forwarded}"
            );
        }
        let whole = Target { scheme: Some("https"), ..target };
        assert_eq!(url(&whole, None, None), "https://keys.example:8080");
        assert_eq!(url(&whole, Some("http"), None), "http://keys.example:8080");
        assert_eq!(
            url(&target, None, Some("https://kms.example/key-manager/")),
            "https://kms.example/key-manager"
        );
    }

    #[test]
    fn a_reference_by_another_name_of_this_server_leads_here() {
        let names = Names::new(&["keys.internal".parse().unwrap()], None);
        let target = Target { host: Host::parse("keys.example"), scheme: None };
        let origin = Origin::new(None, &names, &HeaderMap::new(), &target, "127.0.0.1:9311".parse().unwrap());
        for (reference, expect) in [
            ("http://keys.example/v1/secrets/x", true),
            ("https://keys.internal:9311/v1/secrets/x", true),
            ("http://Keys.Internal/v1/secrets/x", true),
            ("http://evil.example/v1/secrets/x", false),
            ("http://keys.internal@evil.example/v1/secrets/x", false),
            ("keys.internal/v1/secrets/x", false),
        ] {
            assert_eq!(origin.leads_here(reference), expect, "{reference}");
        }
    }
}
