//! `virError`, as a program sees it: its fields, where one is kept, and who is told of it.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::raw::{self, Opaque};

/// `virError`
#[repr(C)]
pub struct VirError {
    pub(super) code: c_int,
    pub(super) domain: c_int,
    pub(super) message: *mut c_char,
    pub(super) level: c_int,
    pub(super) conn: *mut c_void,
    pub(super) dom: *mut c_void,
    pub(super) str1: *mut c_char,
    pub(super) str2: *mut c_char,
    pub(super) str3: *mut c_char,
    pub(super) int1: c_int,
    pub(super) int2: c_int,
    pub(super) net: *mut c_void,
}

/// `virErrorFunc`
pub(super) type ErrorFunc = Option<unsafe extern "C" fn(data: *mut c_void, error: *mut VirError)>;

/// Who is told of errors.
#[derive(Clone, Copy)]
pub(super) struct Handler {
    pub(super) function: ErrorFunc,
    pub(super) data: Opaque,
}

impl Handler {
    pub(super) const NONE: Self = Self { function: None, data: Opaque(ptr::null_mut()) };
}

pub(super) const NONE: VirError = VirError {
    code: 0,
    domain: 0,
    message: ptr::null_mut(),
    level: 0,
    conn: ptr::null_mut(),
    dom: ptr::null_mut(),
    str1: ptr::null_mut(),
    str2: ptr::null_mut(),
    str3: ptr::null_mut(),
    int1: 0,
    int2: 0,
    net: ptr::null_mut(),
};

/// An error that is kept, and freed with its keeper.
pub(super) struct Slot(UnsafeCell<VirError>);

// SAFETY: what the API says of pointers to it: the thread's is for that thread alone, and whoever looks at the
// connection's sees to it that no other thread uses the connection meanwhile. We write it under a lock.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Slot {
    pub(super) const fn new() -> Self {
        Self(UnsafeCell::new(NONE))
    }

    pub(super) fn get(&self) -> *mut VirError {
        self.0.get()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: its texts are its own, and nobody uses it any more.
        unsafe { reset(self.get()) }
    }
}

/// Frees the texts of an error and makes it none.
///
/// # Safety
/// It is NULL, or can be written to and its texts are its own.
pub(super) unsafe fn reset(error: *mut VirError) {
    if error.is_null() {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe {
        for text in [(*error).message, (*error).str1, (*error).str2, (*error).str3] {
            raw::free(text);
        }
        error.write(NONE);
    }
}

/// Zeroes all of it, and what lies between its parts: a program may compare it whole.
///
/// # Safety
/// It can be written to.
pub(super) unsafe fn zero(to: *mut VirError) {
    // SAFETY: as the caller promises; nothing but zeros is no error.
    unsafe { ptr::write_bytes(to, 0, 1) }
}

/// Makes what may never have been written to an error, and a copy of another if that is one.
///
/// # Safety
/// One is NULL, or an error whose texts are its own; the other can be written to.
pub(super) unsafe fn copy_out(from: *const VirError, to: *mut VirError) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        zero(to);
        if !from.is_null() && (*from).code != 0 {
            copy(from, to);
        }
        (*to).code
    }
}

/// Makes one error a copy of another.
///
/// # Safety
/// Both are errors whose texts are their own.
pub(super) unsafe fn copy(from: *const VirError, to: *mut VirError) {
    if ptr::eq(from, to) {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe {
        reset(to);
        let text = |text: *mut c_char| raw::text(text).map_or(ptr::null_mut(), raw::copy_text);
        to.write(VirError {
            message: text((*from).message),
            str1: text((*from).str1),
            str2: text((*from).str2),
            str3: text((*from).str3),
            conn: ptr::null_mut(),
            dom: ptr::null_mut(),
            net: ptr::null_mut(),
            ..*from
        });
    }
}
