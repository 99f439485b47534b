//! The audit trail as a stream, for a program that collects standard output.
//!
//! ```text
//! request ──line──▶ waiting ──▶ thread: numbers, links, writes ──▶ reader
//!    └◀── written, or not read in time: refused ◀──┘
//! ```
//!
//! The reader may stop reading, and then a write to a full pipe waits. So a thread writes, and a request waits for the
//! thread no longer than [`WAIT_MAX`], without blocking other requests. After that, lines are refused at once until the
//! thread has written one. A line gets its number when it is written, so a line that was given up leaves no gap. A line
//! that was being written when its request gave up may still come out, although its request was refused.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::chain::content;
use super::tail::TrailEnd;
use super::{AuditSink, Chain, Entry, Note, Ticket, note};

/// How long a request waits for its line to be written.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);
/// How many bytes of lines may wait; the last line may exceed this. Further lines are refused.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Writes lines to a stream. A start continues the chain from the position that the store was last told. If the service
/// ended abruptly, the numbers of the lines after that position come a second time.
#[derive(Debug)]
pub struct StreamSink(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread when a line waits, or when no further line can come.
    more: Condvar,
    /// Wakes requests that wait on threads of their own.
    written: Condvar,
}

#[derive(Debug)]
struct State {
    chain: Chain,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Whether a request waited too long and no line was written since.
    stalled: bool,
    ended: bool,
}

#[derive(Debug)]
struct Waiting {
    content: Vec<u8>,
    change: Option<u64>,
    ticket: Ticket,
}

impl StreamSink {
    /// Writes to `stream`, and continues `chain`.
    pub fn new<W: Write + Send + 'static>(stream: W, chain: Chain) -> io::Result<Self> {
        let (waiting, waiting_bytes) = (VecDeque::new(), 0);
        let state = Mutex::new(State { chain, waiting, waiting_bytes, stalled: false, ended: false });
        let shared = Arc::new(Shared { state, more: Condvar::new(), written: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("audit-stream".into()).spawn(move || of_thread.write_all(stream))?;
        Ok(Self(shared))
    }

    fn wait_here(&self, ticket: &Ticket) -> io::Result<()> {
        let state = self.0.lock();
        let unknown = |_: &mut State| ticket.outcome().is_none();
        let waited = self.0.written.wait_timeout_while(state, WAIT_MAX, unknown);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        ticket.outcome().unwrap_or_else(|| state.give_up(ticket))
    }
}

impl Drop for StreamSink {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.more.notify_all();
    }
}

#[async_trait]
impl AuditSink for StreamSink {
    fn found(&self) -> TrailEnd {
        TrailEnd::default() // A stream cannot be read back.
    }

    fn record(&self, entry: &Entry<'_>) -> io::Result<()> {
        self.wait_here(&self.queue(entry))
    }

    fn note(&self, note: &Note) -> io::Result<()> {
        let mut line = Vec::new();
        note::content(&mut line, note);
        self.wait_here(&self.0.queue(line, None))
    }

    fn queue(&self, entry: &Entry<'_>) -> Ticket {
        let mut line = Vec::new();
        content(&mut line, entry);
        self.0.queue(line, entry.change)
    }

    fn settle(&self, ticket: &Ticket) -> Option<io::Result<()>> {
        ticket.outcome()
    }

    async fn wait(&self, ticket: &Ticket) -> io::Result<()> {
        match tokio::time::timeout(WAIT_MAX, ticket.settled_by_another()).await {
            Ok(outcome) => outcome,
            Err(_) => self.0.lock().give_up(ticket),
        }
    }

    fn synced_head(&self) -> io::Result<(u64, [u8; 32])> {
        let at = self.0.lock().chain.at;
        Ok((at.number, at.link)) // The reader decides whether to keep it.
    }

    fn committed(&self) -> u64 {
        self.0.lock().chain.at.committed
    }

    fn reopen(&self) -> io::Result<bool> {
        Ok(false)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, content: Vec<u8>, change: Option<u64>) -> Ticket {
        let mut state = self.lock();
        if state.stalled || state.waiting_bytes > WAITING_BYTES_MAX {
            return Ticket::settled(&Err(io::ErrorKind::TimedOut.into()));
        }
        let ticket = Ticket::default();
        state.waiting_bytes += content.len();
        state.waiting.push_back(Waiting { content, change, ticket: ticket.clone() });
        self.more.notify_one();
        ticket
    }

    /// Runs on the thread: writes waiting lines until no further line can come.
    fn write_all(&self, mut stream: impl Write) {
        let mut lines = Vec::new();
        loop {
            let state = self.lock();
            let idle = |state: &mut State| state.waiting.is_empty() && !state.ended;
            let mut state = self.more.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            let Some(Waiting { content, change, ticket }) = state.waiting.pop_front() else { return };
            state.waiting_bytes -= content.len();
            lines.clear();
            lines.extend_from_slice(&content);
            let before = state.chain.at;
            let after = state.chain.complete(&mut lines, change);
            state.chain.at = after;
            drop(state); // The write takes as long as the reader takes.
            let written = stream.write_all(&lines).and_then(|()| stream.flush());
            let mut state = self.lock();
            if written.is_err() {
                state.chain.at = before;
            }
            state.stalled = false;
            ticket.settle_for_others(&written);
            drop(state);
            self.written.notify_all();
        }
    }
}

impl State {
    /// Takes a line back, unless the thread is writing it. Until a line is written, further requests do not wait.
    fn give_up(&mut self, ticket: &Ticket) -> io::Result<()> {
        if let Some(outcome) = ticket.outcome() {
            return outcome; // The line was written at the last moment.
        }
        self.stalled = true;
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.ticket.is(ticket))
            && let Some(given_up) = self.waiting.remove(at)
        {
            self.waiting_bytes -= given_up.content.len();
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "whoever reads the audit trail stands still"))
    }
}
