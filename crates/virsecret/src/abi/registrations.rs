//! The functions that a program has registered with a connection, and what they are called with.
//!
//! `C` is the connection's handle and `S` a secret's: a connection holds its registrations, and each of them the connection.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::default_loop::FreeCallback;
use super::raw::Opaque;
use crate::Connection;

/// `virConnectSecretEventGenericCallback`, which is also that of value-changed.
pub(super) type Generic<C, S> = unsafe extern "C" fn(*const C, *const S, *mut c_void);
/// One registration. It keeps its connection open, as libvirt's do.
pub(super) struct Callback<C, S> {
    pub(super) id: c_int,
    pub(super) event: c_int,
    pub(super) of: Option<[u8; 16]>,
    pub(super) function: Generic<C, S>,
    pub(super) opaque: Opaque,
    pub(super) free: FreeCallback,
    /// The daemon's number for what it tells.
    pub(super) registration: i32,
    pub(super) is_over: AtomicBool,
    pub(super) connect: Arc<C>,
}

impl<C, S> Drop for Callback<C, S> {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // SAFETY: the program gave both together, and this is the last use of them.
            unsafe { free(self.opaque.0) }
        }
    }
}

pub(super) struct Callbacks<C, S> {
    pub(super) next_id: c_int,
    pub(super) all: Vec<Arc<Callback<C, S>>>,
}

/// The registrations of a connection. While the daemon is asked for one, events stay where they are, so that none of
/// its own comes before it is there.
pub(super) struct Dispatcher<C, S> {
    pub(super) client: Arc<Connection>,
    /// Held by who changes registrations, also while the daemon and the event loop are asked. Never by who dispatches.
    pub(super) changing: Mutex<()>,
    pub(super) is_asking: AtomicBool,
    pub(super) callbacks: Mutex<Callbacks<C, S>>,
    /// -1 while there is none.
    pub(super) timer: AtomicI32,
}

impl<C, S> Dispatcher<C, S> {
    pub(super) fn new(client: Arc<Connection>) -> Self {
        Self {
            client,
            changing: Mutex::default(),
            is_asking: AtomicBool::new(false),
            callbacks: Mutex::new(Callbacks { next_id: 0, all: Vec::new() }),
            timer: AtomicI32::new(-1),
        }
    }

    pub(super) fn callbacks(&self) -> MutexGuard<'_, Callbacks<C, S>> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `virConnectCloseFunc`
pub(super) type CloseFunction<C> = unsafe extern "C" fn(*const C, c_int, *mut c_void);

/// What is called, once, when the connection ends otherwise than by the program's doing. Until then it keeps the
/// connection open, as libvirt's does.
pub(super) struct CloseCallback<C> {
    pub(super) function: CloseFunction<C>,
    pub(super) opaque: Opaque,
    pub(super) free: FreeCallback,
    pub(super) connect: Arc<C>,
}

impl<C> Drop for CloseCallback<C> {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // SAFETY: the program gave both together, and this is the last use of them.
            unsafe { free(self.opaque.0) }
        }
    }
}

/// The one that a connection may have.
pub(super) struct CloseCallbacks<C>(Mutex<Option<CloseCallback<C>>>);

impl<C> Default for CloseCallbacks<C> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<C> CloseCallbacks<C> {
    pub(super) fn slot(&self) -> MutexGuard<'_, Option<CloseCallback<C>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
