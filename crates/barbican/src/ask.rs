//! A request to the API, once it is known who asks for what: what every handler is given.

use std::borrow::Cow;

use http::{HeaderMap, header};
use model::{Call, ContainerId, Guarded, SecretId};
use tracing::error;
use vault::{Action, Error, Vault};

use crate::accept::Accept;
use crate::microversion::Microversion;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::Route;

/// One request.
pub(crate) struct Ask<'r> {
    /// Where it goes.
    pub vault: &'r Vault,
    /// Who asks, and when.
    pub call: &'r Call,
    /// Its row of the table.
    pub route: &'static Route,
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// What it can take as an answer.
    pub accept: &'r Accept<'r>,
    /// Its query string.
    pub query: &'r Query<'r>,
    /// The revision of the API it is written for.
    pub version: Microversion,
    /// What references to this server begin with.
    pub origin: &'r Origin<'r>,
    /// Its body, as far as it is looked at.
    pub body: &'r [u8],
}

impl Ask<'_> {
    /// What an error of the vault means to the caller. What failed inside goes to the log.
    pub(crate) fn failed(&self, error: &Error) -> Problem {
        let problem = Problem::of_vault(self.route.name, error);
        if problem.status.is_server_error() {
            error!(request = %self.call.request, operation = self.route.name, %error, "request failed");
        }
        problem
    }

    /// The problem of a request that is wrong in itself, unless its caller may not even make it: that comes first, and
    /// the attempt is written down.
    pub(crate) async fn refuse(&self, action: Action, id: Option<SecretId>, problem: Problem) -> Problem {
        match self.vault.refuse(self.call, action, id).await {
            Ok(()) => problem,
            Err(error) => self.failed(&error),
        }
    }

    /// The same, for what belongs to a secret or a container.
    pub(crate) async fn refuse_of(&self, action: Action, of: Guarded, problem: Problem) -> Problem {
        match self.vault.refuse_of(self.call, action, of).await {
            Ok(()) => problem,
            Err(error) => self.failed(&error),
        }
    }

    /// Something wrong in this operation.
    pub(crate) fn issue(&self, status: http::StatusCode, reason: &str) -> Problem {
        Problem::issue(status, self.route.name, reason)
    }

    /// The media type of the body, without parameters: compared exactly, as Barbican does.
    pub(crate) fn content_type(&self) -> &str {
        content_type(self.headers)
    }

    /// A reference to a secret.
    pub(crate) fn secret_ref(&self, id: SecretId) -> String {
        format!("{}/v1/secrets/{id}", self.origin.url())
    }

    /// A reference to a container.
    pub(crate) fn container_ref(&self, id: ContainerId) -> String {
        format!("{}/v1/containers/{id}", self.origin.url())
    }

    /// A reference to a secret or a container.
    pub(crate) fn guarded_ref(&self, of: Guarded) -> String {
        match of {
            Guarded::Secret(id) => self.secret_ref(id),
            Guarded::Container(id) => self.container_ref(id),
        }
    }
}

/// The media type of a body, without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split_once(';').map_or(value, |(media_type, _)| media_type)
}

/// What references to this server begin with: what is configured, or else what the request was sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'r> {
    /// The configured URL.
    pub host_href: Option<&'r str>,
    /// The request's headers.
    pub headers: &'r HeaderMap,
}

impl<'r> Origin<'r> {
    /// Barbican's default port on this machine, for requests of HTTP/1.0 that name no host.
    const FALLBACK_HOST: &'static str = "localhost:9311";

    /// Scheme and host, without a slash at the end. TLS ends elsewhere, so the scheme is what a proxy says it is.
    pub(crate) fn url(&self) -> Cow<'r, str> {
        if let Some(url) = self.host_href {
            return Cow::Borrowed(url.trim_end_matches('/'));
        }
        let scheme = self.forwarded_scheme().unwrap_or("http");
        Cow::Owned(format!("{scheme}://{}", self.text("host").unwrap_or(Self::FALLBACK_HOST)))
    }

    /// The scheme that the proxy nearest to the client was reached by: proxies behind each other each add theirs. What
    /// is no scheme of this API is passed over, for it would end up in every reference.
    fn forwarded_scheme(&self) -> Option<&'static str> {
        let nearest = self.text("x-forwarded-proto")?.split(',').next()?.trim();
        ["https", "http"].into_iter().find(|known| nearest.eq_ignore_ascii_case(known))
    }

    fn text(&self, name: &'static str) -> Option<&'r str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_where_the_request_came_from() {
        let mut headers = HeaderMap::new();
        let url = |headers: &HeaderMap, host_href| Origin { host_href, headers }.url().into_owned();
        assert_eq!(url(&headers, None), "http://localhost:9311");
        headers.insert("host", "keys.example:8080".parse().unwrap());
        assert_eq!(url(&headers, None), "http://keys.example:8080");
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
            headers.insert("x-forwarded-proto", forwarded.parse().unwrap());
            assert_eq!(url(&headers, None), format!("{scheme}://keys.example:8080"), "{forwarded}");
        }
        headers.insert("x-forwarded-host", "other.example".parse().unwrap());
        assert_eq!(url(&headers, None), "https://keys.example:8080");
        assert_eq!(
            url(&headers, Some("https://kms.example/key-manager/")),
            "https://kms.example/key-manager"
        );
    }
}
