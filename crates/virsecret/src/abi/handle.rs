//! What the pointers are that a program holds: a connection, a secret. Each is counted, and knows its kind.
//!
//! A pointer is checked for NULL and for the kind it should be, as libvirt checks it. One to something that was freed
//! is the program's fault, and may not be noticed.

use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use libvirt_rpc::error::RemoteError;
use libvirt_rpc::messages;

use super::faults::{invalid_connection, invalid_handle};
use super::registrations::{CloseCallbacks, Dispatcher};
use super::vir_error::{Handler, Slot, VirError};
use super::watch::Watch;
use crate::Connection;

const CONNECT: u32 = 0x6c5f_c4a1;
const SECRET: u32 = 0x6c5f_5ec2;

/// What every handle begins with.
struct Kind(AtomicU32);

impl Kind {
    /// # Safety
    /// The handle is NULL, or points to something of ours, of whatever kind.
    unsafe fn is<T>(handle: *const T, kind: u32) -> bool {
        let kind_of = handle.cast::<Self>();
        // SAFETY: as the caller promises; every handle begins with its kind.
        kind_of.is_aligned() && !kind_of.is_null() && unsafe { &*kind_of }.0.load(Ordering::Relaxed) == kind
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// `virConnect`
#[repr(C)]
pub struct Connect {
    kind: Kind,
    pub(super) client: Arc<Connection>,
    /// As the program gave it, or should have.
    pub(super) uri: CString,
    pub(super) read_only: bool,
    /// Whether the daemon answers PINGs; `None` if it was not asked, because no event loop is there to send them.
    pub(super) keepalive: Option<bool>,
    pub(super) driver: OnceLock<CString>,
    pub(super) dispatcher: Arc<Dispatcher<Self, Secret>>,
    pub(super) close_callbacks: CloseCallbacks<Self>,
    pub(super) watch: Watch,
    error: Mutex<()>,
    last: Slot,
    handler: Mutex<Handler>,
}

impl Connect {
    pub(super) fn new(
        client: Connection,
        uri: CString,
        read_only: bool,
        keepalive: Option<bool>,
    ) -> Arc<Self> {
        let client = Arc::new(client);
        Arc::new(Self {
            kind: Kind(AtomicU32::new(CONNECT)),
            dispatcher: Arc::new(Dispatcher::new(Arc::clone(&client))),
            client,
            uri,
            read_only,
            keepalive,
            driver: OnceLock::new(),
            close_callbacks: CloseCallbacks::default(),
            watch: Watch::default(),
            error: Mutex::new(()),
            last: Slot::new(),
            handler: Mutex::new(Handler::NONE),
        })
    }

    /// # Safety
    /// The handle is NULL, or points to something of ours that lives for as long as `'a`.
    pub(super) unsafe fn of<'a>(handle: *const Self) -> Option<&'a Self> {
        // SAFETY: as the caller promises.
        unsafe { Kind::is(handle, CONNECT).then(|| &*handle) }
    }

    /// The same, as the beginning of a function.
    ///
    /// # Safety
    /// As above.
    pub(super) unsafe fn enter<'a>(
        scope: &mut Scope,
        handle: *const Self,
        function: &'static str,
        domain: i32,
    ) -> Result<&'a Self, RemoteError> {
        // SAFETY: as the caller promises.
        unsafe {
            let connect = Self::of(handle).ok_or_else(|| invalid_connection(function, domain))?;
            scope.connect = Some(Self::hold(handle));
            Ok(connect)
        }
    }

    /// A reference of our own.
    ///
    /// # Safety
    /// The handle is a connection that somebody holds.
    pub(super) unsafe fn hold(handle: *const Self) -> Arc<Self> {
        // SAFETY: as the caller promises; every connection is in an `Arc`.
        unsafe {
            Arc::increment_strong_count(handle);
            Arc::from_raw(handle)
        }
    }

    /// Looks at, or changes, the last error of the connection, and says who is told of errors.
    pub(super) fn keep_error(&self, with: impl FnOnce(*mut VirError)) -> Handler {
        let _guard = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        with(self.last.get());
        *self.handler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self) -> *mut VirError {
        self.last.get()
    }

    pub(super) fn set_handler(&self, handler: Handler) {
        *self.handler.lock().unwrap_or_else(PoisonError::into_inner) = handler;
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        let _ = self.client.goodbye(); // Nobody is left who would want to know.
        self.watch.stop();
    }
}

/// `virSecret`
#[repr(C)]
pub struct Secret {
    kind: Kind,
    pub(super) connect: Arc<Connect>,
    pub(super) uuid: [u8; 16],
    pub(super) usage_type: i32,
    pub(super) usage_id: CString,
}

impl Secret {
    pub(super) fn new(connect: Arc<Connect>, of: &messages::Secret<'_>) -> Arc<Self> {
        Arc::new(Self {
            kind: Kind(AtomicU32::new(SECRET)),
            connect,
            uuid: of.uuid,
            usage_type: of.usage_type,
            // What came has no NUL in it: the decoder cuts there.
            usage_id: CString::new(of.usage_id).unwrap_or_default(),
        })
    }

    pub(super) fn wire(&self) -> messages::Secret<'_> {
        messages::Secret { uuid: self.uuid, usage_type: self.usage_type, usage_id: self.usage_id.to_bytes() }
    }

    /// # Safety
    /// The handle is NULL, or points to something of ours that lives for as long as `'a`.
    pub(super) unsafe fn of<'a>(handle: *const Self) -> Option<&'a Self> {
        // SAFETY: as the caller promises.
        unsafe { Kind::is(handle, SECRET).then(|| &*handle) }
    }

    /// The same, as the beginning of a function.
    ///
    /// # Safety
    /// As above.
    pub(super) unsafe fn enter<'a>(
        scope: &mut Scope,
        handle: *const Self,
        function: &'static str,
    ) -> Result<&'a Self, RemoteError> {
        // SAFETY: as the caller promises; every secret is in an `Arc`.
        unsafe {
            let secret = Self::find(handle, function)?;
            Arc::increment_strong_count(handle);
            scope.secret = Some(Arc::from_raw(handle));
            scope.connect = Some(Arc::clone(&secret.connect));
            Ok(secret)
        }
    }

    /// As an argument beside a connection.
    ///
    /// # Safety
    /// As above.
    pub(super) unsafe fn find<'a>(
        handle: *const Self,
        function: &'static str,
    ) -> Result<&'a Self, RemoteError> {
        // SAFETY: as the caller promises.
        unsafe { Self::of(handle) }
            .ok_or_else(|| invalid_handle(65, 30, "Invalid secret: ", "Invalid secret: %1$s", function))
    }
}

/// The first argument of a function that the library exports and does not have.
pub(super) enum First {
    /// A connection.
    Connect(*const Connect),
    /// Something that nobody can have got from this library, and what a NULL in its place is called.
    Object {
        ptr: *const c_void,
        null_code: i32,
        null_domain: i32,
        prefix: &'static str,
        format: &'static str,
    },
}

/// What a function turned out to be about, if anything: the connection's handler is told of its error. Both are held until
/// then, for a callback that runs meanwhile may give the program's own references back.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) connect: Option<Arc<Connect>>,
    pub(super) secret: Option<Arc<Secret>>,
}

impl Scope {
    /// How a function ended, for the log.
    pub(super) fn told(&self, how: &str, begun: Instant) -> String {
        let connect = self.connect.as_ref().map(|connect| format!(", connect={:p}", Arc::as_ptr(connect)));
        let secret =
            self.secret.as_ref().map(|secret| format!(", secret {}", uuid::Uuid::from_bytes(secret.uuid)));
        let micros = begun.elapsed().as_micros();
        format!("{how} after {micros} us{}{}", connect.unwrap_or_default(), secret.unwrap_or_default())
    }
}
