//! Requests that web pages make browsers send.
//!
//! A server that believes its callers admits the machine that a browser runs on, and with it every page in that browser.
//! Two checks keep pages out:
//!
//! - A page can make its own name lead to 127.0.0.1 later, and then has the same origin as this server (DNS rebinding).
//!   So a request must be for a name of this server, or for an address.
//! - The browser names the site of a page in `Origin` or in `Sec-Fetch-Site`. No page can change these headers.
//!
//! Other programs can send any headers, and pass. They need no page to reach this server.
//!
//! Listed pages have access, and get the same headers of CORS as from oslo.middleware.

use std::fmt;
use std::str::FromStr;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};

use crate::host::{Host, HostName, Names, host_of_url};

/// The origin of a page: scheme, host and port, as browsers write it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebOrigin(String);

/// Not the origin of a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the origin of a page")]
pub struct NoWebOrigin;

impl FromStr for WebOrigin {
    type Err = NoWebOrigin;

    /// In the form of browsers, since it is compared: small letters, and no default port.
    fn from_str(text: &str) -> Result<Self, NoWebOrigin> {
        let text = text.to_ascii_lowercase();
        let host = host_of_url(&text).ok_or(NoWebOrigin)?;
        let (scheme, rest) = text.split_once("://").ok_or(NoWebOrigin)?;
        if host.as_sent() != rest {
            return Err(NoWebOrigin); // There is a path.
        }
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let rest = rest.strip_suffix(default_port).unwrap_or(rest).trim_end_matches(':');
        Ok(Self(format!("{scheme}://{rest}")))
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Foreign {
    /// It is for a name that this server does not have.
    #[error("the request is for a host that is not this server's")]
    Host,
    /// A page of another site sent it.
    #[error("the request was sent by a web page of another site")]
    Page,
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The pages that have access, and the names that this server has.
#[derive(Clone, Debug, Default)]
pub struct Browsers {
    names: Names,
    allowed: Vec<WebOrigin>,
    cors: Cors,
}

/// The methods and headers of an interface that CORS lets an allowed page use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cors {
    /// The methods that a page may use.
    pub methods: &'static [&'static str],
    /// The headers that a page may send and read, separated by commas.
    pub headers: &'static str,
}

impl Browsers {
    /// The names listed and that in the URL which references begin with; the pages allowed, and what for.
    pub fn new(listed: &[HostName], host_href: Option<&str>, allowed: Vec<WebOrigin>, cors: Cors) -> Self {
        Self { names: Names::new(listed, host_href), allowed, cors }
    }

    /// The names of this server.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Refuses requests that a page without access may have sent.
    pub fn check(&self, headers: &HeaderMap, host: Option<&Host<'_>>) -> Result<(), Foreign> {
        if host.is_some_and(|host| !self.is_own(host)) {
            return Err(Foreign::Host);
        }
        let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
        if origins.peek().is_some() {
            let has_access = |origin: &HeaderValue| self.allows(origin) || self.is_page_of(origin, host);
            if !origins.all(has_access) {
                return Err(Foreign::Page);
            }
            if self.allowed_origin(headers).is_some() {
                return Ok(()); // From whatever site.
            }
        }
        let is_near = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"same-site" | b"none");
        if headers.get_all(&SEC_FETCH_SITE).iter().all(is_near) { Ok(()) } else { Err(Foreign::Page) }
    }

    fn is_own(&self, host: &Host<'_>) -> bool {
        let localhost = Host::parse("localhost").is_some_and(|localhost| host.is_same_name(&localhost));
        host.is_address() || localhost || self.names.has(host)
    }

    /// Whether a page is from the requested host, or from another name of this server. A proxy may have changed the port
    /// or the scheme.
    fn is_page_of(&self, origin: &HeaderValue, host: Option<&Host<'_>>) -> bool {
        let Some(page) = origin.to_str().ok().and_then(host_of_url) else { return false };
        host.is_some_and(|host| host.is_same_name(&page)) || self.names.has(&page)
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.allowed.iter().any(|allowed| origin.as_bytes() == allowed.0.as_bytes())
    }

    /// The only origin of a request, if it has access.
    fn allowed_origin<'r>(&self, headers: &'r HeaderMap) -> Option<&'r HeaderValue> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = origins.next().filter(|origin| self.allows(origin))?;
        origins.next().is_none().then_some(origin)
    }

    /// Adds the headers of CORS to the answer, if the page has access.
    pub fn add_cors_headers<B>(&self, request: &Parts, response: &mut Response<B>) {
        let Some(origin) = self.allowed_origin(&request.headers) else { return };
        let headers = response.headers_mut();
        if request.method == Method::OPTIONS {
            add_preflight_headers(self.cors, &request.headers, origin, headers);
        } else {
            let vary = headers.get(header::VARY).and_then(|vary| vary.to_str().ok());
            let vary = vary.and_then(|vary| HeaderValue::from_str(&format!("{vary},Origin")).ok());
            headers.insert(header::VARY, vary.unwrap_or(ORIGIN));
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
            headers
                .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(self.cors.headers));
        }
    }
}

const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const TRUE: HeaderValue = HeaderValue::from_static("true");
/// Seconds for which a browser remembers a preflight answer: oslo.middleware's default.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("3600");
/// Allowed in requests as well: oslo.middleware's simple headers.
const SIMPLE: &str =
    "Accept,Accept-Language,Content-Type,Cache-Control,Content-Language,Expires,Last-Modified,Pragma";

/// The answer to a preflight request. If any part of it is not allowed, no header is added, and the browser does not send
/// the request itself.
fn add_preflight_headers(cors: Cors, asked: &HeaderMap, origin: &HeaderValue, answer: &mut HeaderMap) {
    let Some(method) = asked.get(header::ACCESS_CONTROL_REQUEST_METHOD) else { return };
    if !cors.methods.iter().any(|known| method.as_bytes() == known.as_bytes()) {
        return;
    }
    let Ok(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).map_or(Ok(""), HeaderValue::to_str)
    else {
        return;
    };
    let names: Vec<_> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let known = cors.headers.split(',').chain(SIMPLE.split(','));
    let is_known = |name: &&str| known.clone().any(|known| known.eq_ignore_ascii_case(name));
    if !names.iter().all(is_known) {
        return;
    }
    answer.insert(header::VARY, ORIGIN);
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    if !names.is_empty()
        && let Ok(names) = HeaderValue::from_str(&names.join(","))
    {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browsers() -> Browsers {
        let listed = ["keys.example".parse().unwrap()];
        let cors = Cors { methods: &["GET", "POST"], headers: "X-Auth-Token,X-Project-Id" };
        Browsers::new(&listed, None, vec!["https://ui.example".parse().unwrap()], cors)
    }

    fn check(host: &str, sent: &[(&'static str, &str)]) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        browsers().check(&headers, Host::parse(host).as_ref())
    }

    #[test]
    fn a_request_is_for_a_name_of_this_server() {
        for host in
            ["127.0.0.1:9311", "10.0.0.5", "[::1]", "localhost:1", "LOCALHOST.", "Keys.example:9311", ""]
        {
            assert_eq!(check(host, &[]), Ok(()), "{host}");
        }
        for host in
            ["attacker.example:9311", "localhost.attacker.example", "127.0.0.1.nip.example", "h", "127.1"]
        {
            assert_eq!(check(host, &[]), Err(Foreign::Host), "{host}");
        }
    }

    #[test]
    fn a_page_is_of_this_server_or_listed() {
        let origin = |origin| [("origin", origin)];
        for sent in
            ["http://127.0.0.1:9311", "http://127.0.0.1", "https://keys.example", "https://ui.example"]
        {
            assert_eq!(check("127.0.0.1:9311", &origin(sent)), Ok(()), "{sent}");
        }
        for sent in [
            "http://attacker.example:9311",
            "null",
            "",
            "http://localhost:9311",
            "https://ui.example:8443",
            "http://ui.example",
        ] {
            assert_eq!(check("127.0.0.1:9311", &origin(sent)), Err(Foreign::Page), "{sent}");
        }
        let twice = [("origin", "https://ui.example"), ("origin", "https://attacker.example")];
        assert_eq!(check("localhost", &twice), Err(Foreign::Page));
        for (site, expect) in [
            ("same-origin", Ok(())),
            ("same-site", Ok(())),
            ("none", Ok(())),
            ("cross-site", Err(Foreign::Page)),
            ("", Err(Foreign::Page)),
            ("else", Err(Foreign::Page)),
        ] {
            assert_eq!(check("localhost", &[("sec-fetch-site", site)]), expect, "{site}");
        }
        let listed = [("origin", "https://ui.example"), ("sec-fetch-site", "cross-site")];
        assert_eq!(check("localhost", &listed), Ok(()));
        let own = [("origin", "http://localhost"), ("sec-fetch-site", "cross-site")];
        assert_eq!(check("localhost", &own), Err(Foreign::Page));
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        for (text, expect) in [
            ("https://UI.example", "https://ui.example"),
            ("https://ui.example:443", "https://ui.example"),
            ("http://ui.example:443", "http://ui.example:443"),
            ("http://ui.example:80", "http://ui.example"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(text.parse::<WebOrigin>().unwrap().to_string(), expect);
        }
        for text in
            ["", "*", "null", "ui.example", "https://ui.example/", "https://u@ui.example", "ftp://ui.example"]
        {
            assert_eq!(text.parse::<WebOrigin>(), Err(NoWebOrigin), "{text}");
        }
    }

    fn shared(method: &str, sent: &[(&str, &str)], vary: Option<&str>) -> String {
        let mut request = http::Request::builder().method(method).uri("/");
        for (name, value) in sent {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let mut response = Response::new(());
        if let Some(vary) = vary {
            response.headers_mut().insert("vary", vary.parse().unwrap());
        }
        browsers().add_cors_headers(&head, &mut response);
        let mut lines: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| {
                format!(
                    "{}: {}",
                    name.as_str().trim_start_matches("access-control-"),
                    value.to_str().unwrap()
                )
            })
            .collect();
        lines.sort_unstable();
        lines.join("\n")
    }

    #[test]
    fn listed_pages_get_the_headers_of_oslo_middleware() {
        let origin = ("origin", "https://ui.example");
        assert_eq!(
            shared("GET", &[origin], Some("openstack-api-version")),
            "allow-credentials: true\nallow-origin: https://ui.example\nexpose-headers: X-Auth-Token,X-Project-Id\nvary: \
             openstack-api-version,Origin"
        );
        assert!(shared("GET", &[origin], None).ends_with("\nvary: Origin"));
        for other in ["https://attacker.example", "https://ui.example/", "HTTPS://ui.example", "null"] {
            assert_eq!(shared("GET", &[("origin", other)], None), "", "{other}");
        }
        assert_eq!(shared("GET", &[], None), "");
    }

    #[test]
    fn a_preflight_is_allowed_as_a_whole_or_not_at_all() {
        let origin = ("origin", "https://ui.example");
        let post = ("access-control-request-method", "POST");
        let ask = |names| ("access-control-request-headers", names);
        assert_eq!(
            shared("OPTIONS", &[origin, post, ask("x-auth-token, content-type,,")], None),
            "allow-credentials: true\nallow-headers: x-auth-token,content-type\nallow-methods: POST\nallow-origin: \
             https://ui.example\nmax-age: 3600\nvary: Origin"
        );
        assert!(!shared("OPTIONS", &[origin, post], None).contains("allow-headers"));
        for sent in [
            vec![origin],
            vec![post],
            vec![origin, ("access-control-request-method", "TRACE")],
            vec![origin, ("access-control-request-method", "post")],
            vec![origin, post, ask("x-auth-token, x-other")],
            vec![("origin", "https://attacker.example"), post],
        ] {
            assert_eq!(shared("OPTIONS", &sent, None), "", "{sent:?}");
        }
    }
}
