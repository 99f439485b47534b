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
    is_started: bool,
    handle: Option<c_int>,
    keepalive: Option<Arc<Timer>>,
    was_kept_alive: bool,
    stopped: bool,
}

/// A timer's number, -1 as long as it has none.
struct Timer(AtomicI32);

impl Timer {
    fn remove(&self) -> Option<c_int> {
        let number = self.0.swap(-1, Ordering::SeqCst);
        (number >= 0).then(|| events::virEventRemoveTimeout(number))
    }
}

impl Watch {
    /// Has the loop read, if there is one and it does not yet.
    pub(super) fn start(&self, client: &Arc<Connection>) {
        let mut entries = self.entries();
        if entries.is_started || entries.stopped || !events::is_registered() {
            return;
        }
        entries.is_started = true;
        drop(entries); // The loop is the program's, and may have locks of its own.
        let fd = client.link().fd().as_raw_fd();
        let reader = Arc::clone(client);
        let handle = events::when_readable(fd, Arc::new(move || reader.link().receive_ready()));
        let mut entries = self.entries();
        // What has ended before anybody was told of it can be read for ever.
        if !entries.stopped && !client.link().is_closed() {
            entries.handle = handle;
            return;
        }
        drop(entries);
        handle.map(|watch| events::virEventRemoveHandle(watch));
    }

    /// Has the loop ask for signs of life; with no interval, no more. If it does already, that is not changed. False if it
    /// did before and was told to stop: as with libvirt's, it does not begin again.
    pub(super) fn keep_alive(&self, client: &Arc<Connection>, every: Option<(Duration, u32)>) -> bool {
        let mut entries = self.entries();
        let Some((interval, _)) = every else {
            let timer = entries.keepalive.take();
            drop(entries);
            client.link().set_keepalive(None);
            timer.and_then(|timer| timer.remove());
            return true;
        };
        if entries.keepalive.is_some() || std::mem::replace(&mut entries.was_kept_alive, true) {
            return entries.keepalive.is_some();
        }
        let timer = Arc::new(Timer(AtomicI32::new(-1)));
        entries.keepalive = Some(Arc::clone(&timer));
        let stopped = entries.stopped;
        drop(entries);
        client.link().set_keepalive(every);
        if !stopped {
            let (client, its_timer) = (Arc::clone(client), Arc::clone(&timer));
            let look = move || {
                let left = client.link().keep_alive();
                let number = its_timer.0.load(Ordering::SeqCst);
                if let Some(left) = left.filter(|_| number >= 0) {
                    events::virEventUpdateTimeout(number, milliseconds(left));
                }
            };
            let number = events::when_due(milliseconds(interval), Arc::new(look)).unwrap_or(-1);
            timer.0.store(number, Ordering::SeqCst);
            if !self.entries().keepalive.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &timer)) {
                timer.remove(); // Switched off meanwhile, or stopped.
            }
        }
        true
    }

    /// Leaves the loop. Whether it was in one.
    pub(super) fn stop(&self) -> bool {
        let mut entries = self.entries();
        entries.stopped = true;
        let (handle, keepalive) = (entries.handle.take(), entries.keepalive.take());
        drop(entries);
        keepalive.and_then(|timer| timer.remove());
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
