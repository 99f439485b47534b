//! Turns: how the connections of one thread share it.
//!
//! ```text
//! a call now and then ──────────────────────────────▶ served at once
//! more work than a turn ──▶ one after the other ──┬─▶ the next turn, after whatever else has come in
//!                                  ▲──────────────┘
//! ```
//!
//! A connection that asks, waits and asks again does less than a turn each time it is woken, and is served at once. One
//! that sends a thousand calls in a row does a turn of them and then queues with its like: of all those one does a turn,
//! then sockets are looked at and everybody else is served, then the next one. So nobody waits for more than one turn of
//! a busy connection, however many of them there are. Work is counted, not timed, and a long answer is much of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{ANSWER_BYTES_A_WORK, TURN_WORK_MAX};

thread_local! {
    /// Whose turn it is on this thread, of those that queue.
    static QUEUE: Arc<Semaphore> = Arc::new(Semaphore::new(1));
}

/// The work of one connection, in turns.
pub(crate) struct Turns {
    queue: Arc<Semaphore>,
    left: u32,
    state: State,
}

enum State {
    /// It has not done more than a turn since it was woken.
    Light,
    /// It waits for its next turn.
    Queued(Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>),
    /// It has its next turn.
    Served { _turn: Option<OwnedSemaphorePermit> },
}

impl Turns {
    /// Those of a connection that is served on this thread.
    pub(crate) fn new() -> Self {
        Self { queue: QUEUE.with(Arc::clone), left: TURN_WORK_MAX, state: State::Light }
    }

    /// A connection was woken: ready when it may work.
    pub(crate) fn poll_begin(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let State::Queued(turn) = &mut self.state {
            let Poll::Ready(turn) = turn.as_mut().poll(context) else { return Poll::Pending };
            self.state = State::Served { _turn: turn };
        }
        self.left = TURN_WORK_MAX;
        Poll::Ready(())
    }

    /// Something was done: the socket was read, or a call, with an answer of so many bytes.
    pub(crate) fn spend(&mut self, bytes: usize) {
        let work = u32::try_from(1 + bytes / ANSWER_BYTES_A_WORK).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(work);
    }

    /// Whether the turn is over.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// There is nothing more to be done for now.
    pub(crate) fn rest(&mut self) {
        self.state = State::Light; // Whoever is next has their turn.
    }

    /// There is more to be done, and the turn is over.
    pub(crate) fn queue(&mut self) {
        let queue = Arc::clone(&self.queue);
        self.state = State::Queued(Box::pin(async move {
            let turn = queue.acquire_owned().await.ok();
            tokio::task::yield_now().await; // Not before sockets were looked at, and others were served.
            turn
        }));
    }
}
