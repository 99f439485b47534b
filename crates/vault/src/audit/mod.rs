//! The audit trail: one line of JSON for every request that reaches the vault, chained by a keyed hash.
//!
//! ```text
//! {"time":"2026-11-23T08:00:00.000001","request":"req-…","door":"rest","project":"…","user":"…","roles":["admin"],
//!  "action":"secret:decrypt","secret":"…","outcome":"ok","n":7,"link":"<64 hex digits>"}
//! ```
//!
//! `door` is where the request came in: `rest`, `libvirt` or `libvirt-system`; it is `upkeep` where nobody asked and the
//! service takes away a secret that has expired, with the secret's project, no user and no roles.
//!
//! What is asked of a container, an order, a transport key or a project's quotas has `secret` null, and after it
//! `container`, `order`, `transport_key` or `quotas_of`.
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
mod stream;

use std::io;
use std::sync::{Arc, OnceLock};

use model::{Call, ContainerId, Guarded, OrderId, ProjectId, SecretId, TransportKeyId};

use crate::Action;

pub use chain::Chain;
pub use check::{CheckedTrail, TrailError, check_trail};
pub use file::{FileSink, Sync};
pub use stream::StreamSink;

/// Where audit lines go.
pub trait AuditSink: Send + std::marker::Sync {
    /// Hands one line to the operating system. If this fails, nothing of the line stands.
    fn record(&self, entry: &Entry<'_>) -> io::Result<()>;

    /// Puts one line after those that wait to be handed over together.
    fn queue(&self, entry: &Entry<'_>) -> Ticket;

    /// Makes sure that a queued line was handed to the operating system, with all that wait, and says whether it was.
    /// If not, nothing of it stands.
    fn settle(&self, ticket: &Ticket) -> io::Result<()>;

    /// The number and link of the last line, once it is on disk.
    fn synced_head(&self) -> io::Result<(u64, [u8; 32])>;

    /// Starts afresh after the trail was moved away by its keeper; the chain goes on.
    fn reopen(&self) -> io::Result<()>;
}

/// A line that was queued, and what became of it.
#[derive(Clone, Debug, Default)]
pub struct Ticket(Arc<OnceLock<Result<(), io::ErrorKind>>>);

impl Ticket {
    /// A ticket for what is done already.
    pub fn settled(outcome: &io::Result<()>) -> Self {
        let ticket = Self::default();
        ticket.settle(outcome);
        ticket
    }

    /// Tells everybody who has it; once.
    fn settle(&self, outcome: &io::Result<()>) {
        let _ = self.0.set(outcome.as_ref().copied().map_err(io::Error::kind));
    }

    /// What became of the line, if that is known.
    pub fn outcome(&self) -> Option<io::Result<()>> {
        self.0.get().map(|outcome| outcome.map_err(io::Error::from))
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
