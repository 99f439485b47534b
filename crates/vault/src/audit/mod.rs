//! The audit trail: one line of JSON for every request that reaches the vault, chained by a keyed hash.
//!
//! ```text
//! {"time":"2026-11-23T08:00:00.000001","request":"req-…","door":"rest","project":"…","user":"…","roles":["admin"],
//!  "action":"secret:decrypt","secret":"…","outcome":"ok","committed":41,"n":7,"link":"<64 hex digits>"}
//! ```
//!
//! `door` names the front-end: `rest`, `libvirt` or `libvirt-system`. It is `upkeep` if the service itself deletes an
//! expired secret; that line has the project of the secret, no user and no roles.
//!
//! In a line about a container, an order, a transport key or the quotas of a project, `secret` is null, and `container`,
//! `order`, `transport_key` or `quotas_of` follows it.
//!
//! A line about a change has the number of the change, `"change":42`, after the outcome. Every line names the newest
//! change on disk, `"committed":41`. If later changes were written down but not answered yet, it names the newest of
//! them, `"pending":44`. So the last line says which changes the store must have: see [`check`].
//!
//! The service also writes lines about itself, with `door` `service`, no project and no user: see [`note`].
//!
//! `link` is HMAC-SHA256, under a key derived from the master key, of the line before's link and this line up to
//! `,"link"`. So the holder of the master key finds every line that was altered, removed, inserted or moved, and nobody
//! else can forge a line that fits. The store is told now and then (and at the end) the number of the last line, so a
//! check also finds lines that were cut off the end, except those after the last such moment.
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

/// A queued line and its outcome.
#[derive(Clone, Debug, Default)]
pub struct Ticket(Arc<Fate>);

#[derive(Debug, Default)]
struct Fate {
    outcome: OnceLock<Result<(), io::ErrorKind>>,
    /// Wakes the tasks that wait until another thread knows the outcome.
    known: Notify,
}

impl Ticket {
    /// A ticket for what is done already.
    pub fn settled(outcome: &io::Result<()>) -> Self {
        let ticket = Self::default();
        ticket.settle(outcome);
        ticket
    }

    /// Tells every holder of the ticket the outcome; only the first call counts.
    fn settle(&self, outcome: &io::Result<()>) {
        let _ = self.0.outcome.set(outcome.as_ref().copied().map_err(io::Error::kind));
    }

    /// As [`Self::settle`], and wakes the tasks that wait.
    fn settle_for_others(&self, outcome: &io::Result<()>) {
        self.settle(outcome);
        self.0.known.notify_waiters();
    }

    /// The outcome of the line, if it is known.
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
    /// The caller, the time and the front-end.
    pub call: &'a Call,
    /// The requested action.
    pub action: Action,
    /// The thing that the action is about, if it is one thing.
    pub of: Option<&'a Object>,
    /// The outcome.
    pub outcome: Outcome,
    /// The number of the change, if it was one that has a number.
    pub change: Option<u64>,
}

/// The thing that a request was about.
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

/// The outcome of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The caller lacks permission.
    Denied,
    /// There is no such secret, or it has no payload.
    Absent,
    /// It conflicts with what is stored.
    Conflict,
    /// The request was malformed.
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
