//! The audit trail: one line of JSON for every request that reaches the vault, chained by a keyed hash.
//!
//! ```text
//! {"time":"2026-11-23T08:00:00.000001","request":"req-…","door":"rest","project":"…","user":"…","roles":["admin"],
//!  "action":"secret:decrypt","secret":"…","outcome":"ok","committed":41,"n":7,"link":"<64 hex digits>"}
//! ```
//!
//! `door` is where the request came in: `rest`, `libvirt` or `libvirt-system`; it is `upkeep` where nobody asked and the
//! service takes away a secret that has expired, with the secret's project, no user and no roles.
//!
//! What is asked of a container, an order, a transport key or a project's quotas has `secret` null, and after it
//! `container`, `order`, `transport_key` or `quotas_of`.
//!
//! A line of a change has its number, `"change":42`, after the outcome. Every line says which change was the newest one on
//! disk, `"committed":41`, and, if later ones were written down by then and not answered yet, the newest of them,
//! `"pending":44`. So whoever reads the last line knows what the store must have: see [`check`].
//!
//! The service writes lines of itself too, with `door` `service`, no project and no user: see [`note`].
//!
//! `link` is HMAC-SHA256, under a key derived from the master key, of the line before's link and this line up to
//! `,"link"`. So a line that was altered, removed, inserted or moved is found by whoever has the master key, and
//! cannot be made to fit by whoever has not. Lines cut off at the end are found by the store, which is told now and
//! then (and at the end) where the trail stands; what came after the last such moment is not covered.
//!
//! A line is handed to the operating system before plaintext leaves and before a change is committed. If that fails,
//! the request fails. Requests that are ready at the same moment share one call to the operating system. A change that then fails to commit has a second line with the same request and the outcome
//! `failed`. No line has a payload, a name or a metadata value.

mod chain;
mod check;
mod file;
mod lost;
mod note;
mod parse;
mod stream;
mod tail;
mod text;

use std::io;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use model::{Call, ContainerId, Guarded, OrderId, ProjectId, SecretId, TransportKeyId};
use tokio::sync::Notify;

use crate::Action;

pub use chain::Chain;
pub use check::{CheckedTrail, Declared, Notice, TrailError, check_trail};
pub use file::{FileSink, Sync};
pub use lost::{LostChange, LostChanges};
pub use note::{Cut, Event, Note};
pub use stream::StreamSink;
pub use tail::TrailEnd;
pub use text::is_deceptive;

/// Where audit lines go.
#[async_trait]
pub trait AuditSink: Send + std::marker::Sync {
    /// What the trail said at its end when it was opened.
    fn found(&self) -> TrailEnd;

    /// Hands one line to the operating system. If this fails, nothing of the line stands. May wait, with a bound.
    fn record(&self, entry: &Entry<'_>) -> io::Result<()>;

    /// The same, of a line about the service itself.
    fn note(&self, note: &Note) -> io::Result<()>;

    /// Puts one line after those that wait to be handed over together.
    fn queue(&self, entry: &Entry<'_>) -> Ticket;

    /// Makes sure that a queued line was handed to the operating system, with all that wait, and says whether it was.
    /// If not, nothing of it stands. Nothing is said yet if that takes longer: [`Self::wait`].
    fn settle(&self, ticket: &Ticket) -> Option<io::Result<()>>;

    /// Waits until that is known, with a bound.
    async fn wait(&self, ticket: &Ticket) -> io::Result<()>;

    /// The number and link of the last line, once it is on disk.
    fn synced_head(&self) -> io::Result<(u64, [u8; 32])>;

    /// The newest change that the last line says is on disk.
    fn committed(&self) -> u64;

    /// Starts afresh after the trail was moved away by its keeper; the chain goes on. Whether it was.
    fn reopen(&self) -> io::Result<bool>;
}

/// A line that was queued, and what became of it.
#[derive(Clone, Debug, Default)]
pub struct Ticket(Arc<Fate>);

#[derive(Debug, Default)]
struct Fate {
    outcome: OnceLock<Result<(), io::ErrorKind>>,
    /// Wakes whoever waits for another thread to find out.
    known: Notify,
}

impl Ticket {
    /// A ticket for what is done already.
    pub fn settled(outcome: &io::Result<()>) -> Self {
        let ticket = Self::default();
        ticket.settle(outcome);
        ticket
    }

    /// Tells everybody who has it; once.
    fn settle(&self, outcome: &io::Result<()>) {
        let _ = self.0.outcome.set(outcome.as_ref().copied().map_err(io::Error::kind));
    }

    /// The same, and wakes whoever waits.
    fn settle_for_others(&self, outcome: &io::Result<()>) {
        self.settle(outcome);
        self.0.known.notify_waiters();
    }

    /// What became of the line, if that is known.
    pub fn outcome(&self) -> Option<io::Result<()>> {
        self.0.outcome.get().map(|outcome| outcome.map_err(io::Error::from))
    }

    /// Waits for another thread to find out.
    async fn settled_by_another(&self) -> io::Result<()> {
        loop {
            let mut known = std::pin::pin!(self.0.known.notified());
            known.as_mut().enable(); // Before the look, or what comes between is missed.
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            known.await;
        }
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// One request, as it is written down.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Who asked, when, where.
    pub call: &'a Call,
    /// For what.
    pub action: Action,
    /// Of what, if of one thing.
    pub of: Option<&'a Object>,
    /// What came of it.
    pub outcome: Outcome,
    /// The number of the change, if it was one that has a number.
    pub change: Option<u64>,
}

/// What a request was about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Object {
    /// A secret.
    Secret(SecretId),
    /// A container.
    Container(ContainerId),
    /// An order.
    Order(OrderId),
    /// A transport key.
    TransportKey(TransportKeyId),
    /// What a project may have.
    Quotas(ProjectId),
}

impl From<SecretId> for Object {
    fn from(id: SecretId) -> Self {
        Self::Secret(id)
    }
}

impl From<Guarded> for Object {
    fn from(of: Guarded) -> Self {
        match of {
            Guarded::Secret(id) => Self::Secret(id),
            Guarded::Container(id) => Self::Container(id),
        }
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The caller may not.
    Denied,
    /// There is no such secret, or it has no payload.
    Absent,
    /// What is there is in the way.
    Conflict,
    /// The request was wrong in itself.
    Refused,
    /// It could not be done. After a `Done` of the same request: it was not done after all.
    Failed,
}

impl Outcome {
    /// The word in the trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}
