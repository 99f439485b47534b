//! Asks Keystone about tokens: one question for all requests with the same token, with a limit on their number and time.
//!
//! ```text
//! door-0 ─▶ known? ──▶ yes: done, on the thread it is
//! door-1 ─▶   │ no
//!             ▼
//!         a question about this token under way? ─▶ wait for its answer
//!             │ no, Keystone answers, and few are under way
//!             ▼
//!         a task on the daemon's own runtime ─▶ Keystone ─▶ cache ─▶ all waiting requests
//! ```
//!
//! The task belongs to no request: a client that leaves takes no answer from others. All connections to Keystone are on
//! that one runtime, so a door's thread needs no connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info, warn};
use zeroize::Zeroizing;

use super::cache::{Cache, Expired, Key, Moment};
use super::circuit::{Change, Circuit};
use super::client::{Client, Failure, OwnToken, Verdict};
use super::metrics::Metrics;
use super::settings::KeystoneConfig;
use super::wire::Token;

/// Valid tokens that are remembered.
const TOKENS_MAX: usize = 16_384;
/// Invalid tokens that are remembered.
const INVALID_TOKENS_MAX: usize = 4_096;
/// How long an invalid token is remembered at most. It may become valid: another Keystone may have made it with a key that
/// the asked one does not have yet.
const INVALID_TIME_MAX: Duration = Duration::from_secs(10);
/// Questions under way or waiting, about a token each; more are turned away.
const QUESTIONS_MAX: usize = 256;
/// Questions that Keystone has at once. Its usual servers have fewer workers than this.
const CONNECTIONS_MAX: usize = 32;
/// How long before its end the service's own token is renewed.
const RENEWAL_MICROS: i64 = 60_000_000;
/// How often Keystone is asked again after a 403, and how long after it.
const FORBIDDEN_MAX: u32 = 2;
const FORBIDDEN_PAUSE: Duration = Duration::from_millis(200);
/// The pause between attempts to get the first token of the service.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The answer about a token.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Keystone knows it.
    Valid(Arc<Token>),
    /// Keystone does not know it.
    Invalid,
    /// Keystone could not be asked.
    Unknown,
}

type Waiting = watch::Receiver<Option<Outcome>>;

/// The state that the threads share.
#[derive(Debug)]
pub(super) struct Inquiry {
    client: Client,
    valid: Cache<Arc<Token>>,
    invalid: Cache<()>,
    cache_time: Duration,
    time_max: Duration,
    under_way: Mutex<HashMap<Key, Waiting>>,
    connections: Semaphore,
    own: AsyncMutex<Option<Arc<OwnToken>>>,
    circuit: Circuit,
    metrics: Metrics,
    runtime: Handle,
}

impl Inquiry {
    pub(super) fn new(config: &KeystoneConfig, client: Client, metrics: Metrics, runtime: Handle) -> Self {
        Self {
            client,
            valid: Cache::new(TOKENS_MAX),
            invalid: Cache::new(INVALID_TOKENS_MAX),
            cache_time: config.cache_time,
            time_max: config.request_time_max,
            under_way: Mutex::default(),
            connections: Semaphore::new(CONNECTIONS_MAX),
            own: AsyncMutex::default(),
            circuit: Circuit::default(),
            metrics,
            runtime,
        }
    }

    /// Gets the first token of this service, so that the log tells at the start whether that works. Later tokens are
    /// requested when they are needed.
    pub(super) async fn introduce(&self) {
        loop {
            let own = timeout(self.time_max, self.own_token(None)).await.unwrap_or(Err(Failure::Slow));
            match own {
                Ok(_) => return info!("Keystone knows this service"),
                Err(failure) => {
                    warn!(advice = failure.advice(), "Keystone does not know this service yet: {failure}");
                }
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
    }

    /// The remembered answer about a token.
    pub(super) fn known(&self, token: &str, expired: Expired, now: Moment) -> Option<Outcome> {
        let known = self.remembered(&Key::of_token(token, Expired::Refused), now);
        let known = match (expired, known) {
            (Expired::Refused, known) => known,
            (Expired::Allowed, Some(valid @ Outcome::Valid(_))) => Some(valid),
            (Expired::Allowed, _) => self.remembered(&Key::of_token(token, expired), now),
        };
        if known.is_some() {
            self.metrics.hits.inc();
        }
        known
    }

    fn remembered(&self, key: &Key, now: Moment) -> Option<Outcome> {
        let valid = self.valid.get(key, now).map(Outcome::Valid);
        valid.or_else(|| self.invalid.get(key, now).map(|()| Outcome::Invalid))
    }

    /// Asks about a token. Requests with the same token meanwhile get the same answer.
    pub(super) async fn ask(self: &Arc<Self>, token: &str, expired: Expired) -> Outcome {
        let mut waiting = match self.join(token, expired) {
            Ok(waiting) => waiting,
            Err(outcome) => return outcome,
        };
        let outcome = waiting.wait_for(Option::is_some).await;
        outcome.ok().and_then(|outcome| outcome.clone()).unwrap_or(Outcome::Unknown) // Its task has panicked.
    }

    /// The question under way, or a new one; or the remembered answer.
    fn join(self: &Arc<Self>, token: &str, expired: Expired) -> Result<Waiting, Outcome> {
        let (key, now) = (Key::of_token(token, expired), Moment::now());
        let mut under_way = self.under_way();
        if let Some(waiting) = under_way.get(&key) {
            return Ok(waiting.clone());
        }
        if let Some(known) = self.remembered(&key, now) {
            return Err(known); // The answer has just come.
        }
        if under_way.len() >= QUESTIONS_MAX || !self.circuit.lets_through(now.steady) {
            self.metrics.turned_away.inc();
            return Err(Outcome::Unknown);
        }
        let (tell, waiting) = watch::channel(None);
        under_way.insert(key, waiting.clone());
        drop(under_way);
        let question =
            Question { inquiry: Arc::clone(self), key, token: Zeroizing::new(token.to_owned()), expired };
        self.runtime.spawn(async move {
            let outcome = question.answer().await;
            drop(question); // First, so that later requests find the answer in the cache.
            tell.send_replace(Some(outcome));
        });
        Ok(waiting)
    }

    /// A token of this service that does not end soon, and is not the refused one.
    async fn own_token(&self, refused: Option<&Arc<OwnToken>>) -> Result<Arc<OwnToken>, Failure> {
        let mut own = self.own.lock().await; // A request that waits here gets the token of the one before.
        let soon = Moment::now().wall.plus_micros(RENEWAL_MICROS);
        let is_good = |own: &&Arc<OwnToken>| {
            own.expires > soon && !refused.is_some_and(|refused| Arc::ptr_eq(refused, own))
        };
        if let Some(good) = own.as_ref().filter(is_good) {
            return Ok(Arc::clone(good));
        }
        let got = self.client.authenticate().await;
        self.metrics.authenticated(if got.is_ok() { "done" } else { "failed" });
        let got = Arc::new(got?);
        *own = Some(Arc::clone(&got));
        debug!("Keystone gave this service a token");
        Ok(got)
    }

    async fn validate(&self, token: &str, expired: Expired) -> Result<Option<Token>, Failure> {
        let _connection = self.connection().await?;
        let mut own = self.own_token(None).await?;
        let (mut may_repeat, mut forbidden) = (true, 0);
        loop {
            match self.client.validate(&own, token, expired).await {
                Ok(Verdict::Valid(token)) => return Ok(Some(token)),
                Ok(Verdict::Invalid) => return Ok(None),
                Ok(Verdict::OwnTokenEnded) if may_repeat => own = self.own_token(Some(&own)).await?,
                Ok(Verdict::OwnTokenEnded) => return Err(Failure::OwnToken),
                // An idle connection may end just as it is used.
                Err(Failure::Unreachable(error)) if may_repeat => debug!(%error, "Keystone is asked again"),
                // A Keystone that has just started refuses some of many requests while it reads its rules.
                Err(Failure::Forbidden) if forbidden < FORBIDDEN_MAX => {
                    forbidden += 1;
                    tokio::time::sleep(FORBIDDEN_PAUSE).await;
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            may_repeat = false;
        }
    }

    /// A permit for a connection. A request that had to wait for it gets none if others have failed meanwhile.
    async fn connection(&self) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(free) = self.connections.try_acquire() {
            return Ok(free);
        }
        let freed = self.connections.acquire().await.map_err(|_| Failure::Slow)?; // It is never closed.
        if self.circuit.is_open() { Err(Failure::Slow) } else { Ok(freed) }
    }

    fn failed(&self, failure: &Failure) {
        let now = Instant::now();
        let change = match failure {
            // A 403 is not a failed login, so Keystone locks nobody out for it.
            Failure::Unreachable(_) | Failure::Slow | Failure::Broken | Failure::Forbidden => {
                self.circuit.failed(now)
            }
            Failure::Status(status) if status.is_server_error() => self.circuit.failed(now),
            Failure::Credentials(_) | Failure::OwnToken | Failure::Secret(_) => self.circuit.refused(now),
            // It answers, and may answer correctly about the next token.
            Failure::Status(_) | Failure::NotUnderstood(_) => Change::None,
        };
        match change {
            Change::Opened => error!(
                advice = failure.advice(),
                "Keystone cannot be asked; only tokens it was asked about before are known until it can: {failure}"
            ),
            Change::Closed | Change::None => debug!(%failure, "Keystone could not be asked"),
        }
    }

    fn succeeded(&self) {
        if self.circuit.succeeded() == Change::Closed {
            info!("Keystone answers again");
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, Waiting>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question that is under way, until this is dropped.
struct Question {
    inquiry: Arc<Inquiry>,
    key: Key,
    token: Zeroizing<String>,
    expired: Expired,
}

impl Question {
    async fn answer(&self) -> Outcome {
        let Self { inquiry, token, expired, .. } = self;
        let asked = Moment::now();
        let answer = timeout(inquiry.time_max, inquiry.validate(token, *expired)).await;
        let (name, outcome) = match answer.unwrap_or(Err(Failure::Slow)) {
            Ok(Some(token)) => self.valid(token, asked),
            Ok(None) => self.invalid(asked),
            Err(failure) => {
                inquiry.failed(&failure);
                ("failed", Outcome::Unknown)
            }
        };
        if !matches!(outcome, Outcome::Unknown) {
            inquiry.succeeded();
        }
        inquiry.metrics.validated(name, asked.steady.elapsed());
        outcome
    }

    /// The time of the answer begins with the question: otherwise a token that was revoked meanwhile would be valid for
    /// longer than promised.
    fn valid(&self, token: Token, asked: Moment) -> (&'static str, Outcome) {
        let (inquiry, now) = (&self.inquiry, Moment::now());
        let left_micros = u64::try_from(token.expires.micros() - now.wall.micros()).unwrap_or(0);
        let token = Arc::new(token);
        let until = asked.plus(inquiry.cache_time);
        let (key, until) = match (left_micros, self.expired) {
            (0, Expired::Refused) => return self.invalid(asked), // Keystone's clock or its answer is late.
            (0, Expired::Allowed) => (self.key, until),
            (left, _) => {
                let key = Key::of_token(&self.token, Expired::Refused); // It is valid without the service token too.
                (key, until.or_earlier(now.plus(Duration::from_micros(left))))
            }
        };
        inquiry.valid.insert(key, Arc::clone(&token), now, until);
        ("valid", Outcome::Valid(token))
    }

    fn invalid(&self, asked: Moment) -> (&'static str, Outcome) {
        let time = self.inquiry.cache_time.min(INVALID_TIME_MAX);
        self.inquiry.invalid.insert(self.key, (), Moment::now(), asked.plus(time));
        ("invalid", Outcome::Invalid)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.inquiry.under_way().remove(&self.key);
    }
}
