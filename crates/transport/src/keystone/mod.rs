//! Callers whom Keystone vouches for, by the token in `X-Auth-Token`: what keystonemiddleware is to Barbican.
//!
//! ```text
//! X-Service-Token ─▶ valid, of a service? ─▶ then the user's token may have expired meanwhile
//! X-Auth-Token ────▶ valid, for a project? ─▶ the caller: project, user, roles, all as Keystone says
//! ```
//!
//! No other header says who anybody is. A token that nothing is known of is asked about ([`inquiry`]), and what is known
//! of it is remembered for a time ([`cache`]), so a token that Keystone has revoked since is good until that time is over,
//! and then on no thread any more. Where Keystone does not answer, the answer is 503 and never a yes.
//!
//! Not here: tokens bound to Kerberos, which Keystone makes no more and are nobody's; access rules of application
//! credentials, whose tokens Keystone refuses to a service that does not say it knows them.

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

pub use self::client::KeystoneError;
pub use self::settings::{AuthUrl, Credentials, Domain, KeystoneConfig, Named, NotAnAddress, Secret};

use self::cache::{Expired, Moment};
use self::client::Client;
use self::inquiry::{Inquiry, Outcome};
use self::metrics::Metrics;
use self::wire::Token;
use crate::identity::Unidentified;

/// The longest token that Keystone is asked about. Fernet's have some 200 characters, signed ones (JWS) some 1000, and
/// the servers in front of Keystone take headers of 4 KiB at least.
const TOKEN_BYTES_MAX: usize = 2048;

// Static, so that looking one up parses no name.
static AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// What X-Auth-Token was called once, which keystonemiddleware still takes.
static STORAGE_TOKEN: HeaderName = HeaderName::from_static("x-storage-token");
static SERVICE_TOKEN: HeaderName = HeaderName::from_static("x-service-token");

/// The Keystone that this service asks. Clones ask the same.
#[derive(Clone)]
pub struct Keystone(Arc<Parts>);

struct Parts {
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

/// A token as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sent<'h> {
    /// None, or an empty one.
    Nothing,
    /// One that none can be: too long, of characters that no token has, or several.
    Unusable,
    /// One that may be one.
    Token(&'h str),
}

impl Keystone {
    /// Reads what is needed to ask it. The requests themselves run on the runtime given, from whichever thread they are
    /// made, and the service's own token is got there at once, so that the log says whether that works.
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
        Ok(Self(Arc::new(Parts {
            inquiry,
            challenge,
            service_roles: config.service_roles.clone(),
            service_roles_required: config.service_roles_required,
        })))
    }

    /// Whether it can be asked, as far as that shows without asking: certificates and secret are there.
    pub fn check(config: &KeystoneConfig) -> Result<(), KeystoneError> {
        Client::new(config)?;
        let secret = config.credentials.secret();
        let path = match secret {
            Secret::Given(_) => None,
            Secret::File(path) => Some(path.clone()),
        };
        secret.read().map(drop).map_err(|source| KeystoneError::Secret { path, source })
    }

    /// What a 401 says of where to get a token.
    pub(crate) fn challenge(&self) -> HeaderValue {
        self.0.challenge.clone()
    }

    /// Says who is asking.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Unidentified> {
        let now = Moment::now();
        let user = sent(headers, &AUTH_TOKEN, Some(&STORAGE_TOKEN));
        let Sent::Token(user) = user else { return Err(Unidentified::Unauthenticated) };
        let expired = match sent(headers, &SERVICE_TOKEN, None) {
            Sent::Nothing => Expired::Refused,
            Sent::Unusable => return Err(Unidentified::Unauthenticated),
            Sent::Token(service) => self.vouched_by(&*self.token(service, Expired::Refused, now).await?)?,
        };
        let token = self.token(user, expired, now).await?;
        token.caller.clone().ok_or(Unidentified::NoProject)
    }

    /// What a token is. Only one that nothing is known of takes more than a look.
    async fn token(&self, token: &str, expired: Expired, now: Moment) -> Result<Arc<Token>, Unidentified> {
        let inquiry = &self.0.inquiry;
        let outcome = match inquiry.known(token, expired, now) {
            Some(known) => known,
            None => Box::pin(inquiry.ask(token, expired)).await, // Boxed: the rest stays small without it.
        };
        match outcome {
            Outcome::Valid(token) => Ok(token),
            Outcome::Invalid => Err(Unidentified::Unauthenticated),
            Outcome::Unknown => Err(Unidentified::Unavailable),
        }
    }

    /// Whether a service token lets the user's token have expired.
    fn vouched_by(&self, service: &Token) -> Result<Expired, Unidentified> {
        let has_role = service.roles.iter().any(|role| self.0.service_roles.contains(role));
        match (has_role, self.0.service_roles_required) {
            (true, _) => Ok(Expired::Allowed),
            (false, false) => Ok(Expired::Refused),
            (false, true) => Err(Unidentified::Unauthenticated),
        }
    }
}

/// The token in a header, or in another where that is not there at all.
fn sent<'h>(headers: &'h HeaderMap, name: &HeaderName, otherwise: Option<&HeaderName>) -> Sent<'h> {
    let mut values = headers.get_all(name).iter();
    let mut first = values.next();
    if first.is_none()
        && let Some(otherwise) = otherwise
    {
        values = headers.get_all(otherwise).iter();
        first = values.next();
    }
    let Some(first) = first else { return Sent::Nothing };
    if values.next().is_some() {
        return Sent::Unusable; // Which of them would be a matter of taste, and not everybody's the same.
    }
    let Ok(text) = std::str::from_utf8(first.as_bytes()).map(str::trim) else { return Sent::Unusable };
    match text {
        "" => Sent::Nothing,
        token if token.len() <= TOKEN_BYTES_MAX && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Sent::Token(token)
        }
        _ => Sent::Unusable,
    }
}
