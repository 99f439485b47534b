//! How an event loop takes part in a connection: it reads while nobody waits for a reply, and asks for signs of life.

use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::events;
use crate::Connection;

/// What of a connection is in the event loop.
#[derive(Default)]
pub(super) struct Watch(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    handle: Option<c_int>,
    keepalive: Option<c_int>,
    stopped: bool,
}

impl Watch {
    /// Has the loop read, if there is one and it does not yet.
    pub(super) fn start(&self, client: &Arc<Connection>) {
        let mut entries = self.entries();
        if entries.handle.is_some() || entries.stopped || !events::is_registered() {
            return;
        }
        let fd = client.link().fd().as_raw_fd();
        let client = Arc::clone(client);
        entries.handle = events::when_readable(fd, Box::new(move || client.link().receive_ready()));
    }

    /// Has the loop ask for signs of life; with no interval, no more. False if it does already: that is not changed.
    pub(super) fn keep_alive(&self, client: &Arc<Connection>, every: Option<(Duration, u32)>) -> bool {
        let mut entries = self.entries();
        let Some((interval, _)) = every else {
            client.link().set_keepalive(None);
            entries.keepalive.take().map(|timer| events::virEventRemoveTimeout(timer));
            return true;
        };
        if entries.keepalive.is_some() {
            return false;
        }
        client.link().set_keepalive(every);
        if !entries.stopped {
            let client = Arc::clone(client);
            let timer = Arc::new(AtomicI32::new(-1));
            let its_timer = Arc::clone(&timer);
            let look = move || {
                let left = client.link().keep_alive().unwrap_or(interval);
                events::virEventUpdateTimeout(its_timer.load(Ordering::SeqCst), milliseconds(left));
            };
            entries.keepalive = events::when_due(milliseconds(interval), Box::new(look));
            timer.store(entries.keepalive.unwrap_or(-1), Ordering::SeqCst);
        }
        true
    }

    /// Leaves the loop. Whether it was in one.
    pub(super) fn stop(&self) -> bool {
        let mut entries = self.entries();
        entries.stopped = true;
        let (handle, keepalive) = (entries.handle.take(), entries.keepalive.take());
        drop(entries);
        keepalive.map(|timer| events::virEventRemoveTimeout(timer));
        handle.map(|watch| events::virEventRemoveHandle(watch)).is_some()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounded up: a loop that wakes too early finds nothing to do.
fn milliseconds(time: Duration) -> c_int {
    c_int::try_from(time.as_millis().saturating_add(1)).unwrap_or(c_int::MAX)
}
