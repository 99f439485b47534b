//! Two requests to Keystone, over HTTP or HTTPS, on connections that are kept. Redirects are not followed: they would
//! lead tokens elsewhere.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as HttpClient, Error as HttpError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use model::Timestamp;
use zeroize::Zeroizing;

use super::cache::Expired;
use super::settings::{Credentials, KeystoneConfig, KeystoneError};
use super::tls;
use super::wire::{self, NotUnderstood, Token};

/// The longest answer that is read. A token without the catalogue of services is about one kilobyte.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Connections that are kept while nobody uses them.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// How long they are kept: a little less than most servers and balancers do.
const IDLE_TIME_MAX: Duration = Duration::from_secs(45);

const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Why a question to Keystone failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No connection, or it broke off.
    #[error("{}", causes(.0))]
    Unreachable(#[source] HttpError),
    /// The answer broke off, or is too long.
    #[error("its answer is longer than {ANSWER_BYTES_MAX} bytes, or broke off")]
    Broken,
    /// No answer in time.
    #[error("no answer in time")]
    Slow,
    /// An unexpected status.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// Not an answer of its API.
    #[error(transparent)]
    NotUnderstood(#[from] NotUnderstood),
    /// The service's own credentials are refused.
    #[error("it refuses the credentials of this service ({0})")]
    Credentials(StatusCode),
    /// The service's own token is refused as soon as it is made.
    #[error("it refuses the token that it gave this service")]
    OwnToken,
    /// The service may not look at tokens.
    #[error("it does not let this service look at tokens (403)")]
    Forbidden,
    /// The secret cannot be read.
    #[error("the secret of this service's credentials cannot be read: {0}")]
    Secret(#[from] io::Error),
}

impl Failure {
    /// Advice for the operator.
    pub(super) const fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Slow => {
                "look whether keystone.auth_url is reached from here, and its certificate is one of keystone.cafile"
            }
            Self::Broken | Self::Status(_) | Self::NotUnderstood(_) => {
                "look at Keystone's own log, and whether keystone.auth_url is its address"
            }
            Self::Credentials(_) | Self::OwnToken => {
                "look at username, password, project and domains of [keystone], or at its application credential"
            }
            Self::Forbidden => "give the user of [keystone] the role admin or service in its project",
            Self::Secret(_) => "let the user that runs donjond read the file named in [keystone]",
        }
    }
}

/// The text of an error with its causes, which tell more than the error itself.
fn causes(error: &HttpError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The token of this service.
#[derive(Debug)]
pub(super) struct OwnToken {
    token: HeaderValue, // Marked as sensitive, so that Debug does not print it.
    pub(super) expires: Timestamp,
}

/// Keystone's answer about a token.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is valid.
    Valid(Token),
    /// It is not, or no longer.
    Invalid,
    /// This service's own token has ended.
    OwnTokenEnded,
}

/// How Keystone is asked.
#[derive(Debug)]
pub(super) struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    tokens: Uri,
    /// The same, for a token that may have expired.
    stale_tokens: Uri,
    credentials: Credentials,
}

impl Client {
    /// A client without connections; it needs no runtime yet.
    pub(super) fn new(config: &KeystoneConfig) -> Result<Self, KeystoneError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.connect_time_max));
        connector.set_nodelay(true);
        connector.enforce_http(false); // TLS is put on top.
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(config)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(ANSWER_BYTES_MAX)
            .build(https);
        let uri = |query: &str| {
            let address = format!("{}/auth/tokens{query}", config.auth_url.as_str());
            address.parse::<Uri>().map_err(|_| KeystoneError::Address(address))
        };
        Ok(Self {
            http,
            tokens: uri("?nocatalog")?,
            stale_tokens: uri("?nocatalog&allow_expired=1")?,
            credentials: config.credentials.clone(),
        })
    }

    /// Gets a token for this service.
    pub(super) async fn authenticate(&self) -> Result<OwnToken, Failure> {
        let body = wire::authentication(&self.credentials, &self.credentials.secret().read()?);
        let request = Request::post(self.tokens.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_owner(Wiped(body))));
        let (head, answer) = self.ask(request).await?;
        match head.status() {
            StatusCode::CREATED | StatusCode::OK => {}
            refused @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Failure::Credentials(refused));
            }
            other => return Err(Failure::Status(other)),
        }
        let mut token = head.headers().get(SUBJECT_TOKEN).cloned().ok_or(NotUnderstood)?;
        token.set_sensitive(true);
        Ok(OwnToken { token, expires: wire::parse_expiry(&answer)? })
    }

    /// Asks about a token.
    pub(super) async fn validate(
        &self,
        own: &OwnToken,
        token: &str,
        expired: Expired,
    ) -> Result<Verdict, Failure> {
        let uri = match expired {
            Expired::Refused => &self.tokens,
            Expired::Allowed => &self.stale_tokens,
        };
        let mut subject = HeaderValue::from_str(token).map_err(|_| NotUnderstood)?;
        subject.set_sensitive(true);
        let request = Request::get(uri.clone())
            .header(AUTH_TOKEN, own.token.clone())
            .header(SUBJECT_TOKEN, subject)
            .body(Full::default());
        let (head, answer) = self.ask(request).await?;
        match head.status() {
            StatusCode::OK => Ok(Verdict::Valid(wire::parse_token(&answer)?)),
            StatusCode::NOT_FOUND => Ok(Verdict::Invalid),
            StatusCode::UNAUTHORIZED => Ok(Verdict::OwnTokenEnded),
            StatusCode::FORBIDDEN => Err(Failure::Forbidden),
            other => Err(Failure::Status(other)),
        }
    }

    async fn ask(
        &self,
        request: http::Result<Request<Full<Bytes>>>,
    ) -> Result<(Response<()>, Bytes), Failure> {
        let mut request = request.map_err(|_| NotUnderstood)?; // Cannot fail: URI and headers were parsed before.
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static("donjond"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let (head, body) = self.http.request(request).await.map_err(Failure::Unreachable)?.into_parts();
        let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|_| Failure::Broken)?;
        Ok((Response::from_parts(head, ()), whole.to_bytes()))
    }
}

/// A body that is wiped once it is sent.
struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
