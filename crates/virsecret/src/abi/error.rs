//! `virError`: what a function says beside its result, to the thread that called it, and about its connection.
//!
//! ```text
//!  body ──Err──▶ the thread's last error ──▶ the connection's ──▶ the connection's handler, or the program's,
//!                                                                 or a line on stderr
//! ```
//!
//! Every function that can fail runs in [`enter`]. A panic ends there too, as an internal error.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use libvirt_rpc::error::{Code, Domain, RemoteError};

use super::handle::{Connect, Scope};
use super::log::{self, Level, Place};
use super::raw::{self, Opaque};
use super::vir_error::{ErrorFunc, Handler, NONE, Slot, VirError, copy, copy_out, reset, zero};

/// The program's, for errors of connections that have none and for those without a connection.
static HANDLER: Mutex<Handler> = Mutex::new(Handler::NONE);

/// `VIR_ERR_WARNING`
pub(super) const WARNING: i32 = 1;

thread_local! {
    static LAST: Slot = const { Slot::new() };
}

/// The thread's last error; NULL while the thread ends.
fn last() -> *mut VirError {
    LAST.try_with(Slot::get).unwrap_or(ptr::null_mut())
}

/// The same, unless there is none.
fn last_if_any() -> *mut VirError {
    let last = last();
    // SAFETY: it is the thread's own.
    if last.is_null() || unsafe { (*last).code } == 0 { ptr::null_mut() } else { last }
}

/// Makes the thread's last error this one.
fn set_last(error: &RemoteError) {
    let last = last();
    if last.is_null() {
        return;
    }
    let text = |text: &Option<_>| text.as_deref().map_or(ptr::null_mut(), raw::copy_text);
    // SAFETY: it is the thread's own.
    unsafe {
        reset(last);
        last.write(VirError {
            code: error.code,
            domain: error.domain,
            message: text(&error.message),
            level: error.level,
            str1: text(&error.str1),
            str2: text(&error.str2),
            str3: text(&error.str3),
            int1: error.int1,
            int2: error.int2,
            ..NONE
        });
    }
}

/// Runs the body of a function of the API: forgets the thread's last error, and makes it what the body fails with.
#[track_caller]
pub(super) fn enter<T, F>(failure: T, body: F) -> T
where
    F: FnOnce(&mut Scope) -> Result<T, RemoteError>,
{
    // A closure's type is named after the function that it stands in.
    let function = || {
        let function = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
        function.rsplit_once("::").map_or(function, |(_, name)| name)
    };
    enter_as(function, failure, body)
}

/// The same, for a function whose name is not where the body is.
#[track_caller]
pub(super) fn enter_as<T>(
    function: impl FnOnce() -> &'static str,
    failure: T,
    body: impl FnOnce(&mut Scope) -> Result<T, RemoteError>,
) -> T {
    // SAFETY: both are the thread's own.
    let before = unsafe {
        reset(last());
        *libc::__errno_location()
    };
    let caller = Location::caller();
    let place = log::get().map(|_| Place::of_function(function(), caller.line()));
    let begun = place.filter(|place| log::wants(Level::Debug, place)).map(|place| {
        log::say(Level::Debug, place, || "called".into());
        (place, Instant::now())
    });
    let mut scope = Scope::default();
    let error = match catch_unwind(AssertUnwindSafe(|| body(&mut scope))) {
        Ok(Ok(value)) => {
            if let Some((place, begun)) = begun {
                log::say(Level::Debug, place, || scope.told("returned", begun));
            }
            return value;
        }
        Ok(Err(error)) => error,
        Err(panic) => {
            std::mem::forget(panic); // What is in it may panic again.
            RemoteError::new(Code::InternalError, Domain::None, &b"a fault in libvirsecret"[..])
        }
    };
    if let Some((place, begun)) = begun {
        log::say(Level::Debug, place, || scope.told("failed", begun));
    }
    tell(scope.connect.as_deref(), &error, place);
    // SAFETY: it is the thread's own. A failure leaves it as it was, as libvirt's do.
    unsafe { *libc::__errno_location() = before }
    failure
}

/// Makes something the last error of the thread, and of the connection, and tells whoever is told of errors.
pub(super) fn tell(connect: Option<&Connect>, error: &RemoteError, place: Option<Place>) {
    let level = if error.level == WARNING { Level::Warning } else { Level::Error };
    if let Some(place) = place {
        log::say(level, place, || {
            String::from_utf8_lossy(error.message.as_deref().unwrap_or_default()).into_owned()
        });
    }
    set_last(error);
    let last = last();
    if last.is_null() {
        return;
    }
    let mut handler = lock(&HANDLER);
    if let Some(connect) = connect {
        let own = connect.keep_error(|slot| {
            // SAFETY: both are errors of ours.
            unsafe { copy(last, slot) }
        });
        handler = if own.function.is_some() { own } else { handler };
    }
    // SAFETY: the program gave us both together, and the error is the thread's own.
    unsafe {
        match handler.function {
            Some(function) => function(handler.data.0, last),
            None => virDefaultErrorFunc(last),
        }
    }
}

fn lock<T: Copy>(mutex: &Mutex<T>) -> T {
    *mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `virGetLastError`
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastError() -> *mut VirError {
    last_if_any()
}

/// `virGetLastErrorCode`
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastErrorCode() -> c_int {
    let last = last();
    // SAFETY: it is the thread's own.
    if last.is_null() { 0 } else { unsafe { (*last).code } }
}

/// `virGetLastErrorDomain`
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastErrorDomain() -> c_int {
    let last = last();
    // SAFETY: it is the thread's own.
    if last.is_null() { 0 } else { unsafe { (*last).domain } }
}

/// `virGetLastErrorMessage`
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastErrorMessage() -> *const c_char {
    let last = last_if_any();
    if last.is_null() {
        return c"no error".as_ptr();
    }
    // SAFETY: it is the thread's own.
    let message = unsafe { (*last).message };
    if message.is_null() { c"unknown error".as_ptr() } else { message }
}

/// `virSaveLastError`
#[unsafe(no_mangle)]
pub extern "C" fn virSaveLastError() -> *mut VirError {
    let size = size_of::<VirError>();
    // SAFETY: malloc may be asked for any size.
    let to: *mut VirError = unsafe { libc::malloc(size) }.cast();
    if !to.is_null() {
        // SAFETY: it was just made for this.
        unsafe { copy_out(last(), to) };
    }
    to
}

/// `virCopyLastError`: what is there already may be anything, and is not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virCopyLastError(to: *mut VirError) -> c_int {
    if to.is_null() {
        return -1;
    }
    // SAFETY: one is the thread's own, the other the program's, as the header asks.
    unsafe { copy_out(last(), to) }
}

/// `virResetError`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virResetError(error: *mut VirError) {
    // SAFETY: it is the program's, as the header asks.
    unsafe { reset(error) }
}

/// `virFreeError`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virFreeError(error: *mut VirError) {
    // SAFETY: it came from `virSaveLastError`, as the header asks.
    unsafe {
        reset(error);
        raw::free(error);
    }
}

/// `virResetLastError`
#[unsafe(no_mangle)]
pub extern "C" fn virResetLastError() {
    // SAFETY: it is the thread's own.
    unsafe { reset(last()) }
}

/// `virConnGetLastError`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnGetLastError(connect: *mut Connect) -> *mut VirError {
    // SAFETY: it is a connection or NULL, as the header asks.
    unsafe { Connect::of(connect) }.map_or(ptr::null_mut(), |connect| connect.error())
}

/// `virConnCopyLastError`: as above, and a connection that is none is no error in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnCopyLastError(connect: *mut Connect, to: *mut VirError) -> c_int {
    if to.is_null() {
        return -1;
    }
    // SAFETY: it can be written to, as the header asks.
    unsafe { zero(to) }
    // SAFETY: it is a connection or NULL, as the header asks.
    let Some(connect) = (unsafe { Connect::of(connect) }) else { return -1 };
    let mut code = 0;
    connect.keep_error(|slot| {
        // SAFETY: one is the program's, as the header asks, the other the connection's.
        code = unsafe { copy_out(slot, to) };
    });
    code
}

/// `virConnResetLastError`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnResetLastError(connect: *mut Connect) {
    // SAFETY: it is a connection or NULL, as the header asks.
    if let Some(connect) = unsafe { Connect::of(connect) } {
        connect.keep_error(|slot| {
            // SAFETY: it is the connection's own.
            unsafe { reset(slot) }
        });
    }
}

/// `virSetErrorFunc`
#[unsafe(no_mangle)]
pub extern "C" fn virSetErrorFunc(data: *mut c_void, function: ErrorFunc) {
    *HANDLER.lock().unwrap_or_else(PoisonError::into_inner) = Handler { function, data: Opaque(data) };
}

/// `virConnSetErrorFunc`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnSetErrorFunc(connect: *mut Connect, data: *mut c_void, function: ErrorFunc) {
    // SAFETY: it is a connection or NULL, as the header asks.
    if let Some(connect) = unsafe { Connect::of(connect) } {
        connect.set_handler(Handler { function, data: Opaque(data) });
    }
}

/// `virDefaultErrorFunc`: a line on stderr.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virDefaultErrorFunc(error: *mut VirError) {
    if error.is_null() {
        return;
    }
    // SAFETY: it is an error, as the header asks.
    let (code, domain, level, message) =
        unsafe { ((*error).code, (*error).domain, (*error).level, raw::text((*error).message)) };
    if code == 0 {
        return;
    }
    let line = super::texts::line(domain, level, message);
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        // SAFETY: the bytes are there. Rust's own stderr has a lock that a fork may leave locked.
        let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
            _ => return,
        }
    }
}
