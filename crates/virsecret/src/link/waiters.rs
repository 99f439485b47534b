//! Threads that wait, and which of them reads for all.
//!
//! Of the threads that wait one reads, and the others sleep. A thread that stops waiting wakes another, which reads from then
//! on; one that is woken and stops too does the same, so nobody sleeps while nobody reads.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The threads that sleep.
#[derive(Default)]
pub(super) struct Waiters(Vec<Waiter>);

/// A thread that sleeps until something is there for it, or until it is its turn to read.
struct Waiter {
    bell: Arc<Bell>,
    waits_for: WaitsFor,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WaitsFor {
    /// The reply to the call with this serial.
    Reply(u32),
    /// Any event.
    Event,
}

/// What wakes one thread. Not the standard library's handle of a thread, which every thread of a foreign program would
/// keep until it ends.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_one();
    }

    /// Sleeps until it has rung, or until a moment.
    pub(super) fn wait(&self, deadline: Option<Instant>) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            rung = match left {
                None => self.ringing.wait(rung).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return,
                Some(left) => self.ringing.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl Waiters {
    /// Adds a thread, which then sleeps at its bell.
    pub(super) fn add(&mut self, waits_for: WaitsFor) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        self.0.push(Waiter { bell: Arc::clone(&bell), waits_for });
        bell
    }

    /// Removes a thread that woke up.
    pub(super) fn remove(&mut self, bell: &Arc<Bell>) {
        self.0.retain(|waiter| !Arc::ptr_eq(&waiter.bell, bell));
    }

    /// Wakes the threads that wait for something.
    pub(super) fn wake(&self, waits_for: WaitsFor) {
        self.0.iter().filter(|waiter| waiter.waits_for == waits_for).for_each(|waiter| waiter.bell.ring());
    }

    pub(super) fn wake_all(&self) {
        self.0.iter().for_each(|waiter| waiter.bell.ring());
    }

    /// Wakes the thread that waits longest, to read.
    pub(super) fn elect_reader(&self) {
        if let Some(next) = self.0.first() {
            next.bell.ring();
        }
    }
}
