//! Turns: how connections share their thread.
//!
//! ```text
//! a call now and then ──────────────────────────────▶ served at once
//! more work than a turn ──▶ one after the other ──┬─▶ the next turn, after whatever else has come in
//!                                  ▲──────────────┘
//! ```
//!
//! A connection that calls and waits for the reply does less than a turn of work each time, and is served at once. One
//! that sends a thousand calls in a row does a turn of them and then queues with other busy ones: one of these does a
//! turn, then the thread looks at its sockets and serves everybody else, then comes the next. So nobody waits for more
//! than one turn of a busy connection, however many there are. Work is counted, not timed; a long reply counts more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{ANSWER_BYTES_A_WORK, TURN_WORK_MAX};

thread_local! {
    /// The busy connections of this thread take this in turn.
    static QUEUE: Arc<Semaphore> = Arc::new(Semaphore::new(1));
}

/// The work of one connection, in turns.
pub(crate) struct Turns {
    queue: Arc<Semaphore>,
    left: u32,
    state: State,
}

enum State {
    /// It has done at most a turn since it was woken.
    Light,
    /// It waits for its next turn.
    Queued(Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>),
    /// It has its next turn.
    Served { _turn: Option<OwnedSemaphorePermit> },
}

impl Turns {
    /// Those of a connection of this thread.
    pub(crate) fn new() -> Self {
        Self { queue: QUEUE.with(Arc::clone), left: TURN_WORK_MAX, state: State::Light }
    }

    /// The connection was woken. Ready when it may work.
    pub(crate) fn poll_begin(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let State::Queued(turn) = &mut self.state {
            let Poll::Ready(turn) = turn.as_mut().poll(context) else { return Poll::Pending };
            self.state = State::Served { _turn: turn };
        }
        self.left = TURN_WORK_MAX;
        Poll::Ready(())
    }

    /// Counts work: a read of the socket, or a call with a reply of so many bytes.
    pub(crate) fn spend(&mut self, bytes: usize) {
        let work = u32::try_from(1 + bytes / ANSWER_BYTES_A_WORK).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(work);
    }

    /// Whether the turn is over.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Nothing is left to do for now.
    pub(crate) fn rest(&mut self) {
        self.state = State::Light; // This passes the turn on.
    }

    /// The turn is over and more is left to do.
    pub(crate) fn queue(&mut self) {
        let queue = Arc::clone(&self.queue);
        self.state = State::Queued(Box::pin(async move {
            let turn = queue.acquire_owned().await.ok();
            tokio::task::yield_now().await; // First sockets are looked at and others served.
            turn
        }));
    }
}
