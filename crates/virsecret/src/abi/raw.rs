//! What every function of the C API does with raw memory: texts that come in, texts and numbers that go out.
//!
//! Whatever a caller is to `free()` comes from libc's allocator, whatever ours is.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// A pointer that only the program knows the meaning of. It goes back to the program as it came, from whatever thread.
#[derive(Clone, Copy)]
pub(super) struct Opaque(pub(super) *mut c_void);

// SAFETY: it is never looked behind; that a callback may run in another thread than the one that registered it is part of
// what the API promises to whoever registers.
unsafe impl Send for Opaque {}
// SAFETY: as above.
unsafe impl Sync for Opaque {}

/// The bytes of a text, without its NUL; `None` for NULL.
///
/// # Safety
/// It is NULL, or a text that ends in NUL and stays for as long as `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Writes what a function answers through a pointer, unless that is NULL.
///
/// # Safety
/// It is NULL, or can be written to.
pub(super) unsafe fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: as the caller promises.
        unsafe { to.write(value) }
    }
}

/// Memory of libc's with these bytes in it, never of no size; NULL if there is none left.
pub(super) fn copy(bytes: &[u8]) -> *mut u8 {
    // SAFETY: malloc may be asked for any size.
    let to: *mut u8 = unsafe { libc::malloc(bytes.len().max(1)) }.cast();
    if !to.is_null() {
        // SAFETY: it was just made for as many bytes, and is nobody else's.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
    }
    to
}

/// The same with a NUL after it, and cut at one that is in it.
pub(super) fn copy_text(bytes: &[u8]) -> *mut c_char {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    // SAFETY: malloc may be asked for any size.
    let to: *mut u8 = unsafe { libc::malloc(bytes.len() + 1) }.cast();
    if !to.is_null() {
        // SAFETY: it was just made for as many bytes and one more, and is nobody else's.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            to.add(bytes.len()).write(0);
        }
    }
    to.cast()
}

/// Frees what was made by [`copy`] or [`copy_text`].
///
/// # Safety
/// It is NULL, or libc's memory that nobody uses any more.
pub(super) unsafe fn free<T>(memory: *mut T) {
    // SAFETY: as the caller promises.
    unsafe { libc::free(memory.cast()) }
}

/// The system's text for an error number.
pub(super) fn system_text(number: c_int) -> String {
    let mut text = [0 as c_char; 256];
    // SAFETY: the buffer is as long as is said.
    let failed = unsafe { libc::strerror_r(number, text.as_mut_ptr(), text.len()) };
    if failed != 0 {
        return format!("error {number}");
    }
    // SAFETY: strerror_r has put a text that ends in NUL there.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}

/// Runs what neither forgets nor makes errors.
pub(super) fn quietly<T>(failure: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        std::mem::forget(panic);
        failure
    })
}
