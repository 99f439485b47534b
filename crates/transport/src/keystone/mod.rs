//! Callers with a token of Keystone in `X-Auth-Token`: the part of keystonemiddleware at Barbican.
//!
//! ```text
//! X-Service-Token ─▶ valid, of a service? ─▶ then the user's token may have expired meanwhile
//! X-Auth-Token ────▶ valid, for a project? ─▶ the caller: project, user, roles, all as Keystone says
//! ```
//!
//! No other header identifies a caller. Keystone is asked about an unknown token ([`inquiry`]), and its answer is remembered
//! for a time ([`cache`]). A token that Keystone revokes in this time stays valid until its end, and then ends on all threads
//! at once. While Keystone does not answer, an unknown token is answered 503.
//!
//! Not supported: tokens bound to Kerberos, which Keystone no longer makes and which identify nobody here; access rules of
//! application credentials (Keystone refuses their tokens to services that do not declare support).

mod cache;
mod circuit;
mod client;
mod inquiry;
mod metrics;
mod settings;
mod tls;
mod wire;

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use model::Caller;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

pub use self::settings::{
    AuthUrl, Credentials, Domain, KeystoneConfig, KeystoneError, Named, NotAnAddress, ServiceSecret,
};

use self::cache::{Expired, Moment};
use self::client::Client;
use self::inquiry::{Inquiry, Outcome};
use self::metrics::Metrics;
use self::wire::Token;
use crate::identity::Unidentified;

/// The longest token that Keystone is asked about. Fernet's have some 200 characters, signed ones (JWS) some 1000, and
/// the servers in front of Keystone take headers of 4 KiB at least.
const TOKEN_BYTES_MAX: usize = 2048;

// Static, so that a lookup parses no name.
static AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// The former name of X-Auth-Token, which keystonemiddleware still accepts.
static STORAGE_TOKEN: HeaderName = HeaderName::from_static("x-storage-token");
static SERVICE_TOKEN: HeaderName = HeaderName::from_static("x-service-token");

/// The Keystone that this service asks. Clones ask the same.
#[derive(Clone)]
pub struct Keystone(Arc<Shared>);

struct Shared {
    inquiry: Arc<Inquiry>,
    challenge: HeaderValue,
    service_roles: Vec<model::Role>,
    service_roles_required: bool,
}

impl fmt::Debug for Keystone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keystone({:?})", self.0.challenge)
    }
}

/// A header with a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TokenHeader<'h> {
    /// It is missing or empty.
    Absent,
    /// It cannot be valid: too long, with characters that no token has, or there more than once.
    Unusable,
    /// It may be valid.
    Token(&'h str),
}

impl Keystone {
    /// Prepares the requests to Keystone. They run on the given runtime, whichever thread needs them. The service's own
    /// token is requested there at once, so that the log tells at the start whether that works.
    pub fn new(
        config: &KeystoneConfig,
        runtime: Handle,
        registry: &mut Registry,
    ) -> Result<Self, KeystoneError> {
        Self::check(config)?;
        let client = Client::new(config)?;
        let inquiry = Arc::new(Inquiry::new(config, client, Metrics::register(registry), runtime.clone()));
        let asker = Arc::clone(&inquiry);
        runtime.spawn(async move { asker.introduce().await });
        let uri = config.www_authenticate_uri.as_deref().unwrap_or_else(|| config.auth_url.as_str());
        let challenge = HeaderValue::from_str(&format!("Keystone uri=\"{uri}\""))
            .map_err(|_| KeystoneError::Address(uri.to_owned()))?;
        Ok(Self(Arc::new(Shared {
            inquiry,
            challenge,
            service_roles: config.service_roles.clone(),
            service_roles_required: config.service_roles_required,
        })))
    }

    /// Checks the certificates and the secret, without a request to Keystone.
    pub fn check(config: &KeystoneConfig) -> Result<(), KeystoneError> {
        Client::new(config)?;
        let secret = config.credentials.secret();
        let path = match secret {
            ServiceSecret::Given(_) => None,
            ServiceSecret::File(path) => Some(path.clone()),
        };
        secret.read().map(drop).map_err(|source| KeystoneError::Secret { path, source })
    }

    /// The `WWW-Authenticate` header of a 401, which names the place to get a token.
    pub(crate) fn challenge(&self) -> HeaderValue {
        self.0.challenge.clone()
    }

    /// Finds the caller.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Unidentified> {
        let now = Moment::now();
        let user = token_header(headers, &AUTH_TOKEN, Some(&STORAGE_TOKEN));
        let TokenHeader::Token(user) = user else { return Err(Unidentified::Unauthenticated) };
        let expired = match token_header(headers, &SERVICE_TOKEN, None) {
            TokenHeader::Absent => Expired::Refused,
            TokenHeader::Unusable => return Err(Unidentified::Unauthenticated),
            TokenHeader::Token(service) => {
                self.expiry_allowed_by(&*self.token(service, Expired::Refused, now).await?)?
            }
        };
        let token = self.token(user, expired, now).await?;
        token.caller.clone().ok_or(Unidentified::NoProject)
    }

    /// Keystone's description of a token. Only an unknown token takes more than a lookup.
    async fn token(&self, token: &str, expired: Expired, now: Moment) -> Result<Arc<Token>, Unidentified> {
        let inquiry = &self.0.inquiry;
        let outcome = match inquiry.known(token, expired, now) {
            Some(known) => known,
            None => Box::pin(inquiry.ask(token, expired)).await, // Boxed, so that the common way stays small.
        };
        match outcome {
            Outcome::Valid(token) => Ok(token),
            Outcome::Invalid => Err(Unidentified::Unauthenticated),
            Outcome::Unknown => Err(Unidentified::Unavailable),
        }
    }

    /// Whether a service token allows an expired token of the user.
    fn expiry_allowed_by(&self, service: &Token) -> Result<Expired, Unidentified> {
        let has_role = service.roles.iter().any(|role| self.0.service_roles.contains(role));
        match (has_role, self.0.service_roles_required) {
            (true, _) => Ok(Expired::Allowed),
            (false, false) => Ok(Expired::Refused),
            (false, true) => Err(Unidentified::Unauthenticated),
        }
    }
}

/// The token in a header, or in the second header where the first is missing.
fn token_header<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    otherwise: Option<&HeaderName>,
) -> TokenHeader<'h> {
    let name = otherwise.filter(|_| !headers.contains_key(name)).unwrap_or(name);
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return TokenHeader::Absent };
    if values.next().is_some() {
        return TokenHeader::Unusable; // Neither may be preferred.
    }
    let Ok(text) = std::str::from_utf8(first.as_bytes()).map(str::trim) else { return TokenHeader::Unusable };
    match text {
        "" => TokenHeader::Absent,
        token if token.len() <= TOKEN_BYTES_MAX && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            TokenHeader::Token(token)
        }
        _ => TokenHeader::Unusable,
    }
}
