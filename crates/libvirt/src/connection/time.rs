//! The time limits of a connection, and its keepalive.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use libvirt_rpc::frame::{self, Header, PING};
use tokio::time::{Instant, sleep_until};

use super::{Connection, End};
use crate::limits::{FRAME_TIME_MAX, KEEPALIVE_COUNT, KEEPALIVE_INTERVAL, UNREAD_TIME_MAX};
use crate::output::Frame;

/// How soon a connection that waits for memory looks again.
const MEMORY_RETRY: Duration = Duration::from_millis(20);

/// The state of a connection whose client asked to be pinged.
pub(super) struct Keepalive {
    /// When the next ping is due, unless the client sends something before.
    at: Instant,
    unanswered: u32,
}

impl Keepalive {
    pub(super) fn heard(&mut self) {
        *self = Self::from_now();
    }

    pub(super) fn from_now() -> Self {
        Self { at: Instant::now() + KEEPALIVE_INTERVAL, unanswered: 0 }
    }
}

impl<S> Connection<S> {
    /// Checks all time limits, and waits for the next one.
    pub(super) fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            let now = Instant::now();
            if let Some(end) = self.expired(now) {
                return Poll::Ready(end);
            }
            if self.ping(now) {
                context.waker().wake_by_ref(); // The ping must be sent.
            }
            let Some(next) = self.next_deadline() else {
                self.timer = None;
                return Poll::Pending;
            };
            let (at, timer) = self.timer.get_or_insert_with(|| (next, Box::pin(sleep_until(next))));
            if *at != next {
                *at = next;
                timer.as_mut().reset(next);
            }
            ready!(timer.as_mut().poll(context));
            if self.waits_for_memory {
                self.waits_for_memory = false;
                context.waker().wake_by_ref();
            }
        }
    }

    fn expired(&self, now: Instant) -> Option<End> {
        let past = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        if past(self.drain_until) {
            return Some(End::Drained);
        }
        if past(self.begun.map(|begun| begun + FRAME_TIME_MAX)) {
            return Some(End::HalfAMessage);
        }
        if past(self.unread_since.map(|since| since + UNREAD_TIME_MAX)) {
            return Some(End::Unread);
        }
        if past(self.unauthenticated_until) {
            return Some(End::Unauthenticated);
        }
        let keepalive = self.keepalive.as_ref()?;
        (keepalive.at <= now && keepalive.unanswered >= KEEPALIVE_COUNT).then_some(End::Silent)
    }

    /// Pings the client if a ping is due.
    fn ping(&mut self, now: Instant) -> bool {
        let Some(keepalive) = self.keepalive.as_mut().filter(|keepalive| keepalive.at <= now) else {
            return false;
        };
        keepalive.at = now + KEEPALIVE_INTERVAL;
        keepalive.unanswered += 1;
        self.output.push(Frame::open(frame::empty(Header::keepalive(PING))));
        true
    }

    fn next_deadline(&self) -> Option<Instant> {
        let memory = self.waits_for_memory.then(|| Instant::now() + MEMORY_RETRY);
        [
            self.drain_until,
            self.begun.map(|begun| begun + FRAME_TIME_MAX),
            self.unread_since.map(|since| since + UNREAD_TIME_MAX),
            self.unauthenticated_until,
            self.keepalive.as_ref().map(|keepalive| keepalive.at),
            memory,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
