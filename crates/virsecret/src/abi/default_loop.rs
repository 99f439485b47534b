//! The event loop of programs that have none: `virEventRegisterDefaultImpl`, `virEventRunDefaultImpl`.
//!
//! ```text
//!  add, update, remove ──▶ entries ──wake──▶ run_once: poll, then each callback that is due, then what is to be freed
//! ```
//!
//! No lock is held while a callback runs, so a callback may do anything, to its own entry too. What is removed is never
//! called again; what the program gave to free it is called by the next turn of the loop. If several threads run the
//! loop, they take turns.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::raw::{Opaque, quietly};

/// `virEventHandleCallback`
pub(super) type HandleCallback =
    Option<unsafe extern "C" fn(watch: c_int, fd: c_int, events: c_int, opaque: *mut c_void)>;
/// `virEventTimeoutCallback`
pub(super) type TimeoutCallback = Option<unsafe extern "C" fn(timer: c_int, opaque: *mut c_void)>;
/// `virFreeCallback`
pub(super) type FreeCallback = Option<unsafe extern "C" fn(opaque: *mut c_void)>;

/// `virEventHandleType` and the flag of poll that it is.
const EVENTS: [(c_int, PollFlags); 4] =
    [(1, PollFlags::IN), (2, PollFlags::OUT), (4, PollFlags::ERR), (8, PollFlags::HUP)];

/// Something to call, and what it is called with.
#[derive(Clone, Copy)]
struct Call<F> {
    function: F,
    opaque: Opaque,
}

struct Handle {
    fd: c_int,
    events: c_int,
    call: Call<HandleCallback>,
    free: FreeCallback,
}

struct Timer {
    /// `None` while it is switched off.
    every: Option<Duration>,
    due: Instant,
    call: Call<TimeoutCallback>,
    free: FreeCallback,
}

impl Timer {
    fn set(&mut self, milliseconds: c_int) {
        self.every = u64::try_from(milliseconds).ok().map(Duration::from_millis);
        self.due = Instant::now() + self.every.unwrap_or_default();
    }
}

struct Entries {
    next_watch: c_int,
    next_timer: c_int,
    handles: BTreeMap<c_int, Handle>,
    timers: BTreeMap<c_int, Timer>,
    to_free: Vec<Call<FreeCallback>>,
    /// Callbacks that run just now, in whatever thread: until there are none, nothing is freed under them.
    running: usize,
}

static ENTRIES: Mutex<Entries> = Mutex::new(Entries {
    next_watch: 1,
    next_timer: 1,
    handles: BTreeMap::new(),
    timers: BTreeMap::new(),
    to_free: Vec::new(),
    running: 0,
});
/// Held by the thread whose turn it is.
static TURN: Mutex<()> = Mutex::new(());

fn entries() -> MutexGuard<'static, Entries> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What ends a poll when something has changed.
fn bell() -> io::Result<&'static OwnedFd> {
    static BELL: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(bell) = BELL.get() {
        return Ok(bell);
    }
    let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    Ok(BELL.get_or_init(|| made))
}

fn ring() {
    if let Ok(bell) = bell() {
        let _ = rustix::io::write(bell, &1_u64.to_ne_bytes()); // It only fails if it rings already.
    }
}

/// Changes the entries and lets the loop know.
fn change<T>(failure: T, what: impl FnOnce(&mut Entries) -> T) -> T {
    quietly(failure, || {
        let result = what(&mut entries());
        ring();
        result
    })
}

/// Each once, as far as there are numbers.
fn number(next: &mut c_int) -> c_int {
    let number = *next;
    *next = next.checked_add(1).unwrap_or(1);
    number
}

pub(super) unsafe extern "C" fn add_handle(
    fd: c_int,
    events: c_int,
    function: HandleCallback,
    opaque: *mut c_void,
    free: FreeCallback,
) -> c_int {
    change(-1, |entries| {
        let watch = number(&mut entries.next_watch);
        let call = Call { function, opaque: Opaque(opaque) };
        entries.handles.insert(watch, Handle { fd, events, call, free });
        watch
    })
}

pub(super) unsafe extern "C" fn update_handle(watch: c_int, events: c_int) {
    change((), |entries| {
        if let Some(handle) = entries.handles.get_mut(&watch) {
            handle.events = events;
        }
    });
}

pub(super) unsafe extern "C" fn remove_handle(watch: c_int) -> c_int {
    change(-1, |entries| match entries.handles.remove(&watch) {
        None => -1,
        Some(Handle { call, free, .. }) => {
            entries.to_free.push(Call { function: free, opaque: call.opaque });
            0
        }
    })
}

pub(super) unsafe extern "C" fn add_timeout(
    milliseconds: c_int,
    function: TimeoutCallback,
    opaque: *mut c_void,
    free: FreeCallback,
) -> c_int {
    change(-1, |entries| {
        let number = number(&mut entries.next_timer);
        let call = Call { function, opaque: Opaque(opaque) };
        let mut timer = Timer { every: None, due: Instant::now(), call, free };
        timer.set(milliseconds);
        entries.timers.insert(number, timer);
        number
    })
}

pub(super) unsafe extern "C" fn update_timeout(timer: c_int, milliseconds: c_int) {
    change((), |entries| {
        if let Some(timer) = entries.timers.get_mut(&timer) {
            timer.set(milliseconds);
        }
    });
}

pub(super) unsafe extern "C" fn remove_timeout(timer: c_int) -> c_int {
    change(-1, |entries| match entries.timers.remove(&timer) {
        None => -1,
        Some(Timer { call, free, .. }) => {
            entries.to_free.push(Call { function: free, opaque: call.opaque });
            0
        }
    })
}

/// One turn: waits until something is due or changes, and does what is due.
pub(super) fn run_once() -> io::Result<()> {
    free_removed();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let polled: Vec<(c_int, c_int, c_int)> =
        entries().handles.iter().map(|(watch, handle)| (*watch, handle.fd, handle.events)).collect();
    let ready = wait(&polled)?;
    drop(turn); // A callback may run the loop itself.
    for (watch, events) in ready {
        run_handle(watch, events);
    }
    run_timers();
    free_removed();
    Ok(())
}

/// The handles that are ready, each with its events.
fn wait(polled: &[(c_int, c_int, c_int)]) -> io::Result<Vec<(c_int, c_int)>> {
    let bell = bell()?;
    let mut fds = vec![PollFd::new(bell, PollFlags::IN)];
    let polled: Vec<_> = polled.iter().filter(|(_, fd, events)| *fd >= 0 && *events != 0).collect();
    for (_, fd, events) in &polled {
        let wanted = EVENTS.iter().filter(|(bit, _)| events & bit != 0).map(|(_, flag)| *flag).collect();
        // SAFETY: whoever added the handle keeps it open until it is removed; if not, poll says so.
        fds.push(PollFd::from_borrowed_fd(unsafe { BorrowedFd::borrow_raw(*fd) }, wanted));
    }
    let timeout = time_left().and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut rung = [0; 8];
    let _ = rustix::io::read(bell.as_fd(), &mut rung); // Nothing is there to read if it has not rung.
    let came = |found: PollFlags| {
        EVENTS.iter().filter(|(_, flag)| found.contains(*flag)).fold(0, |sum, (bit, _)| sum | bit)
    };
    for ((watch, ..), fd) in polled.iter().zip(fds.iter().skip(1)) {
        if fd.revents().contains(PollFlags::NVAL) {
            // It is closed: nobody is called, as in libvirt's loop, and it is polled no more.
            if let Some(handle) = entries().handles.get_mut(watch) {
                handle.events = 0;
            }
        }
    }
    let found = polled.iter().zip(fds.iter().skip(1)).map(|((watch, ..), fd)| (*watch, came(fd.revents())));
    Ok(found.filter(|(_, events)| *events != 0).collect())
}

/// Until the first timer is due; `None` if none will be.
fn time_left() -> Option<Duration> {
    let entries = entries();
    let due = entries.timers.values().filter(|timer| timer.every.is_some()).map(|timer| timer.due).min()?;
    // Rounded up to the clock's next tick, so that poll does not return just before.
    Some(due.saturating_duration_since(Instant::now()))
}

/// That a callback runs.
struct Running;

impl Running {
    fn begin(entries: &mut Entries) -> Self {
        entries.running += 1;
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        entries().running -= 1;
    }
}

fn run_handle(watch: c_int, events: c_int) {
    let mut entries = entries();
    let Some(handle) = entries.handles.get(&watch).filter(|handle| handle.events != 0) else { return };
    let (fd, Call { function, opaque }) = (handle.fd, handle.call);
    let Some(function) = function else { return };
    let running = Running::begin(&mut entries);
    drop(entries);
    // SAFETY: the program gave both together, and they are not freed while it runs.
    unsafe { function(watch, fd, events, opaque.0) }
    drop(running);
}

fn run_timers() {
    let now = Instant::now();
    let is_due = |timer: &Timer| timer.every.is_some() && timer.due <= now;
    let due: Vec<c_int> =
        entries().timers.iter().filter(|(_, timer)| is_due(timer)).map(|(number, _)| *number).collect();
    for number in due {
        let mut entries = entries();
        let Some(timer) = entries.timers.get_mut(&number).filter(|timer| is_due(timer)) else { continue };
        timer.due = now + timer.every.unwrap_or_default();
        let Call { function, opaque } = timer.call;
        let Some(function) = function else { continue };
        let running = Running::begin(&mut entries);
        drop(entries);
        // SAFETY: the program gave both together, and they are not freed while it runs.
        unsafe { function(number, opaque.0) }
        drop(running);
    }
}

fn free_removed() {
    let mut entries = entries();
    if entries.running > 0 {
        return;
    }
    let removed = std::mem::take(&mut entries.to_free);
    drop(entries);
    for Call { function, opaque } in removed {
        if let Some(function) = function {
            // SAFETY: the program gave both together; this is the last use of them.
            unsafe { function(opaque.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicI32, Ordering};

    use super::*;

    static SEEN: AtomicI32 = AtomicI32::new(0);
    static FREED: AtomicI32 = AtomicI32::new(0);

    unsafe extern "C" fn seen(watch: c_int, _fd: c_int, events: c_int, _opaque: *mut c_void) {
        SEEN.fetch_or(events, Ordering::SeqCst);
        // SAFETY: it takes any number.
        assert_eq!(unsafe { remove_handle(watch) }, 0);
    }

    unsafe extern "C" fn ticked(timer: c_int, _opaque: *mut c_void) {
        SEEN.fetch_add(1000, Ordering::SeqCst);
        // SAFETY: it takes any number.
        unsafe { update_timeout(timer, -1) }
    }

    unsafe extern "C" fn freed(_opaque: *mut c_void) {
        FREED.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn what_is_due_is_called_and_what_is_removed_is_freed_once() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let nothing = std::ptr::null_mut();
        // SAFETY: the functions take no data.
        let (watch, timer) = unsafe {
            (
                add_handle(ours.as_raw_fd(), 1, Some(seen), nothing, Some(freed)),
                add_timeout(5, Some(ticked), nothing, Some(freed)),
            )
        };
        assert!(watch > 0 && timer > 0);
        while SEEN.load(Ordering::SeqCst) < 1000 {
            run_once().unwrap();
        }
        assert_eq!(SEEN.load(Ordering::SeqCst), 1000, "nothing could be read yet");
        theirs.write_all(b"x").unwrap();
        while SEEN.load(Ordering::SeqCst) & 1 == 0 {
            run_once().unwrap();
        }
        // SAFETY: they take any number.
        unsafe {
            assert_eq!(remove_handle(watch), -1, "it removed itself");
            assert_eq!(remove_timeout(timer), 0);
        }
        run_once().unwrap();
        assert_eq!(FREED.load(Ordering::SeqCst), 2);
        assert_eq!(SEEN.load(Ordering::SeqCst), 1001);
    }
}
