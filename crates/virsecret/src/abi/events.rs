//! The event loop that is registered, and what we ask of it.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::default_loop::{FreeCallback, HandleCallback, TimeoutCallback};
use super::raw::quietly;

/// `VIR_EVENT_HANDLE_READABLE`
pub(super) const READABLE: c_int = 1;

type AddHandle = unsafe extern "C" fn(c_int, c_int, HandleCallback, *mut c_void, FreeCallback) -> c_int;
type Update = unsafe extern "C" fn(c_int, c_int);
type Remove = unsafe extern "C" fn(c_int) -> c_int;
type AddTimeout = unsafe extern "C" fn(c_int, TimeoutCallback, *mut c_void, FreeCallback) -> c_int;

/// What an event loop offers: the six arguments of `virEventRegisterImpl`.
#[derive(Clone, Copy)]
struct Loop {
    add_handle: Option<AddHandle>,
    update_handle: Option<Update>,
    remove_handle: Option<Remove>,
    add_timeout: Option<AddTimeout>,
    update_timeout: Option<Update>,
    remove_timeout: Option<Remove>,
}

static LOOP: RwLock<Option<Loop>> = RwLock::new(None);

fn registered() -> Option<Loop> {
    *LOOP.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is one at all.
pub(super) fn is_registered() -> bool {
    registered().is_some()
}

/// `virEventRegisterImpl`: the first stays.
#[unsafe(no_mangle)]
pub extern "C" fn virEventRegisterImpl(
    add_handle: Option<AddHandle>,
    update_handle: Option<Update>,
    remove_handle: Option<Remove>,
    add_timeout: Option<AddTimeout>,
    update_timeout: Option<Update>,
    remove_timeout: Option<Remove>,
) {
    let given =
        Loop { add_handle, update_handle, remove_handle, add_timeout, update_timeout, remove_timeout };
    LOOP.write().unwrap_or_else(PoisonError::into_inner).get_or_insert(given);
}

/// `virEventAddHandle`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virEventAddHandle(
    fd: c_int,
    events: c_int,
    callback: HandleCallback,
    opaque: *mut c_void,
    free: FreeCallback,
) -> c_int {
    let add = registered().and_then(|registered| registered.add_handle);
    // SAFETY: the program registered the function for this, and passes what it asks for.
    quietly(-1, || add.map_or(-1, |add| unsafe { add(fd, events, callback, opaque, free) }))
}

/// `virEventUpdateHandle`
#[unsafe(no_mangle)]
pub extern "C" fn virEventUpdateHandle(watch: c_int, events: c_int) {
    if let Some(update) = registered().and_then(|registered| registered.update_handle) {
        // SAFETY: the program registered the function for this.
        quietly((), || unsafe { update(watch, events) });
    }
}

/// `virEventRemoveHandle`
#[unsafe(no_mangle)]
pub extern "C" fn virEventRemoveHandle(watch: c_int) -> c_int {
    let remove = registered().and_then(|registered| registered.remove_handle);
    // SAFETY: the program registered the function for this.
    quietly(-1, || remove.map_or(-1, |remove| unsafe { remove(watch) }))
}

/// `virEventAddTimeout`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virEventAddTimeout(
    milliseconds: c_int,
    callback: TimeoutCallback,
    opaque: *mut c_void,
    free: FreeCallback,
) -> c_int {
    let add = registered().and_then(|registered| registered.add_timeout);
    // SAFETY: the program registered the function for this, and passes what it asks for.
    quietly(-1, || add.map_or(-1, |add| unsafe { add(milliseconds, callback, opaque, free) }))
}

/// `virEventUpdateTimeout`
#[unsafe(no_mangle)]
pub extern "C" fn virEventUpdateTimeout(timer: c_int, milliseconds: c_int) {
    if let Some(update) = registered().and_then(|registered| registered.update_timeout) {
        // SAFETY: the program registered the function for this.
        quietly((), || unsafe { update(timer, milliseconds) });
    }
}

/// `virEventRemoveTimeout`
#[unsafe(no_mangle)]
pub extern "C" fn virEventRemoveTimeout(timer: c_int) -> c_int {
    let remove = registered().and_then(|registered| registered.remove_timeout);
    // SAFETY: the program registered the function for this.
    quietly(-1, || remove.map_or(-1, |remove| unsafe { remove(timer) }))
}

/// What the loop is to do. Counted, because a loop may forget it while it runs, when it takes itself out.
type Task = Arc<dyn Fn() + Send + Sync>;

/// Has something done whenever a descriptor can be read; the watch, or nothing if no loop takes it.
pub(super) fn when_readable(fd: c_int, task: Task) -> Option<c_int> {
    let opaque = Box::into_raw(Box::new(task)).cast();
    // SAFETY: `readable` and `forget` take what was made here, and the loop calls `forget` once, last.
    let watch = unsafe { virEventAddHandle(fd, READABLE, Some(readable), opaque, Some(forget)) };
    kept(watch, opaque)
}

/// Has something done after a time, again and again; -1 for not at all. The timer, or nothing if no loop takes it.
pub(super) fn when_due(milliseconds: c_int, task: Task) -> Option<c_int> {
    let opaque = Box::into_raw(Box::new(task)).cast();
    // SAFETY: `due` and `forget` take what was made here, and the loop calls `forget` once, last.
    let timer = unsafe { virEventAddTimeout(milliseconds, Some(due), opaque, Some(forget)) };
    kept(timer, opaque)
}

/// Has something done once by the loop, soon. False, and it is not done, if no loop takes it.
pub(super) fn soon(task: impl Fn() + Send + Sync + 'static) -> bool {
    let (timer, is_done) = (Arc::new(AtomicI32::new(-1)), Arc::new(AtomicBool::new(false)));
    let (its_timer, its_done) = (Arc::clone(&timer), Arc::clone(&is_done));
    let once = move || {
        if !its_done.swap(true, Ordering::SeqCst) {
            remove_known(&its_timer);
            task();
        }
    };
    let Some(number) = when_due(0, Arc::new(once)) else { return false };
    timer.store(number, Ordering::SeqCst);
    if is_done.load(Ordering::SeqCst) {
        remove_known(&timer); // Done by another thread before the number was known.
    }
    true
}

/// Once, whoever comes first: a loop may give the number to another timer.
fn remove_known(timer: &AtomicI32) {
    let number = timer.swap(-1, Ordering::SeqCst);
    if number >= 0 {
        virEventRemoveTimeout(number);
    }
}

fn kept(number: c_int, opaque: *mut c_void) -> Option<c_int> {
    if number < 0 {
        // SAFETY: the loop did not take it.
        unsafe { forget(opaque) };
        return None;
    }
    Some(number)
}

unsafe extern "C" fn readable(_watch: c_int, _fd: c_int, _events: c_int, opaque: *mut c_void) {
    // SAFETY: it is what `when_readable` gave, and not forgotten yet.
    quietly((), || unsafe { Task::clone(&*opaque.cast()) }());
}

unsafe extern "C" fn due(_timer: c_int, opaque: *mut c_void) {
    // SAFETY: it is what `when_due` gave, and not forgotten yet.
    quietly((), || unsafe { Task::clone(&*opaque.cast()) }());
}

unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: it was made by `when_readable` or `when_due`, and is used no more.
    quietly((), || drop(unsafe { Box::from_raw(opaque.cast::<Task>()) }));
}
