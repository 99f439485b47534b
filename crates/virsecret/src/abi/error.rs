//! `virError`: what a function says beside its result, to the thread that called it, and about its connection.
//!
//! ```text
//!  body ──Err──▶ the thread's last error ──▶ the connection's ──▶ the connection's handler, or the program's,
//!                                                                 or a line on stderr
//! ```
//!
//! Every function that can fail runs in [`enter`]. A panic ends there too, as an internal error.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use libvirt_rpc::error::{Code, Domain, RemoteError};

use super::handle::{Connect, First, Secret};
use super::log::{self, Level, Place};
use super::raw::{self, Opaque};
use crate::error::{Error, TlsError, Unfit};
use crate::uri::UriError;

/// `virError`
#[repr(C)]
pub struct VirError {
    code: c_int,
    domain: c_int,
    message: *mut c_char,
    level: c_int,
    conn: *mut c_void,
    dom: *mut c_void,
    str1: *mut c_char,
    str2: *mut c_char,
    str3: *mut c_char,
    int1: c_int,
    int2: c_int,
    net: *mut c_void,
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

/// The program's, for errors of connections that have none and for those without a connection.
static HANDLER: Mutex<Handler> = Mutex::new(Handler::NONE);

/// `VIR_ERR_WARNING`
pub(super) const WARNING: i32 = 1;

const NONE: VirError = VirError {
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

/// Frees the texts of an error and makes it none.
///
/// # Safety
/// It is NULL, or can be written to and its texts are its own.
unsafe fn reset(error: *mut VirError) {
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
unsafe fn zero(to: *mut VirError) {
    // SAFETY: as the caller promises; nothing but zeros is no error.
    unsafe { ptr::write_bytes(to, 0, 1) }
}

/// Makes what may never have been written to an error, and a copy of another if that is one.
///
/// # Safety
/// One is NULL, or an error whose texts are its own; the other can be written to.
unsafe fn copy_out(from: *const VirError, to: *mut VirError) -> c_int {
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
unsafe fn copy(from: *const VirError, to: *mut VirError) {
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

/// What a function turned out to be about, if anything: the connection's handler is told of its error. Both are held until
/// then, for a callback that runs meanwhile may give the program's own references back.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) connect: Option<Arc<Connect>>,
    pub(super) secret: Option<Arc<Secret>>,
}

impl Scope {
    /// How a function ended, for the log.
    fn told(&self, how: &str, begun: Instant) -> String {
        let connect = self.connect.as_ref().map(|connect| format!(", connect={:p}", Arc::as_ptr(connect)));
        let secret =
            self.secret.as_ref().map(|secret| format!(", secret {}", uuid::Uuid::from_bytes(secret.uuid)));
        let micros = begun.elapsed().as_micros();
        format!("{how} after {micros} us{}{}", connect.unwrap_or_default(), secret.unwrap_or_default())
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

/// Runs what neither forgets nor makes errors.
pub(super) fn quietly<T>(failure: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        std::mem::forget(panic);
        failure
    })
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

/// An error with the text that its code begins with.
pub(super) fn new(code: Code, domain: Domain, detail: impl Into<String>) -> RemoteError {
    RemoteError::new(code, domain, detail.into().into_bytes())
}

/// An error whose text is given whole, and its format.
pub(super) fn report(code: i32, domain: i32, format: &'static str, text: String) -> RemoteError {
    let text = text.into_bytes();
    RemoteError::from_parts(code, domain, text.clone().into(), format, text.into())
}

/// An argument that a function refuses, as `uuid in virSecretGetUUID must not be NULL`.
pub(super) fn invalid_arg(
    domain: i32,
    function: &'static str,
    argument: &'static str,
    message: String,
) -> RemoteError {
    RemoteError { domain, ..RemoteError::invalid_argument(function, argument, message.into_bytes()) }
}

/// An error that the system numbers.
pub(super) fn system(domain: Domain, number: c_int, what: &str) -> RemoteError {
    let text = format!("{what}: {}", raw::system_text(number));
    RemoteError { int1: number, ..new(Code::SystemError, domain, text) }
}

/// A NULL or something else in the place of a connection.
pub(super) fn invalid_connection(function: &'static str, domain: i32) -> RemoteError {
    invalid_handle(
        6,
        domain,
        "invalid connection pointer in ",
        "invalid connection pointer in %1$s",
        function,
    )
}

/// A NULL or something else in the place of a handle.
pub(super) fn invalid_handle(
    code: i32,
    domain: i32,
    prefix: &'static str,
    format: &'static str,
    function: &'static str,
) -> RemoteError {
    let message = format!("{prefix}{function}").into_bytes();
    RemoteError::from_parts(code, domain, message.into(), format, function.as_bytes().into())
}

/// What a function says that the library exports and does not have.
pub(super) fn unsupported(
    scope: &mut Scope,
    first: First,
    name: &'static str,
    driver_function: &'static str,
    domain: i32,
) -> RemoteError {
    match first {
        First::Connect(connect) => {
            // SAFETY: it is the first argument, which the header says is a connection or NULL.
            match unsafe { Connect::enter(scope, connect, name, domain) } {
                Err(error) => return error,
                // libvirt's client would have asked the daemon.
                Ok(connect) if connect.client.link().is_closed() => return of(Error::Closed),
                Ok(_) => {}
            }
        }
        First::Object { ptr, null_code, null_domain, prefix, format } if ptr.is_null() => {
            return invalid_handle(null_code, null_domain, prefix, format, name);
        }
        First::Object { .. } => {}
    }
    RemoteError { domain, ..new(Code::NoSupport, Domain::Domain, driver_function) }
}

/// What libvirt's client says in the place of our errors.
pub(super) fn of(error: Error) -> RemoteError {
    match error {
        Error::Remote(error) => *error,
        Error::Uri(error) => of_uri(&error),
        Error::TooLong(_) => new(Code::Rpc, Domain::Rpc, "Unable to encode message payload"),
        Error::Protocol(_) => new(Code::Rpc, Domain::Rpc, "Unable to decode message payload"),
        Error::Connect { path, source } => {
            let what = format!("Failed to connect socket to '{}'", path.display());
            system(Domain::Rpc, source.raw_os_error().unwrap_or(libc::EIO), &what)
        }
        Error::Resolve { host, port, source } => {
            let why = source.to_string();
            let why = why.rsplit_once(": ").map_or(why.as_str(), |(_, why)| why);
            let text = format!("Unable to resolve address '{host}' service '{port}': {why}");
            new(Code::SystemError, Domain::Rpc, text)
        }
        Error::Refused { host, port, source } => {
            let what = format!("unable to connect to server at '{host}:{port}'");
            system(Domain::Rpc, source.raw_os_error().unwrap_or(libc::EIO), &what)
        }
        Error::Program { program, source } => {
            let what = format!("Cannot find '{}' in path", program.display());
            system(Domain::None, source.raw_os_error().unwrap_or(libc::ENOENT), &what)
        }
        Error::Tls(error) => of_tls(&error),
        Error::Authentication(types) => report(
            Code::AuthFailed as i32,
            Domain::Remote as i32,
            "authentication failed: %1$s",
            format!(
                "authentication failed: unsupported authentication type {}",
                types.first().copied().unwrap_or_default()
            ),
        ),
        Error::Ended => system(Domain::Rpc, libc::EIO, "End of file while reading data"),
        Error::Unsent(source) => {
            system(Domain::Rpc, source.raw_os_error().unwrap_or(libc::EPIPE), "Cannot write data")
        }
        Error::Io(source) => {
            system(Domain::Rpc, source.raw_os_error().unwrap_or(libc::EIO), "Cannot recv data")
        }
        Error::Silent => new(Code::InternalError, Domain::Rpc, "connection closed due to keepalive timeout"),
        Error::Timeout => system(Domain::Rpc, libc::ETIMEDOUT, "Cannot write data"),
        Error::Closed | Error::EventsLost(_) => {
            new(Code::InternalError, Domain::Rpc, "client socket is closed")
        }
    }
}

fn of_uri(error: &UriError) -> RemoteError {
    let invalid = |text: String| new(Code::InvalidArg, Domain::Remote, text);
    match error {
        UriError::NotUri(text) => {
            new(Code::NoConnect, Domain::None, format!("URI '{text}' does not include a driver name"))
        }
        UriError::Unparsable(text) => {
            let domain = 45; // VIR_FROM_URI
            let text = format!("Unable to parse URI {text}");
            RemoteError { domain, ..new(Code::InternalError, Domain::None, text) }
        }
        UriError::Mode(mode) => invalid(format!("Unknown remote mode '{mode}'")),
        UriError::Transport(_) => invalid(
            "remote_open: transport in URL not recognised (should be tls|unix|ssh|ext|tcp|libssh2|libssh)"
                .into(),
        ),
        UriError::NotHere(transport) => {
            new(Code::NoSupport, Domain::Rpc, format!("{transport} transport support was not enabled"))
        }
        UriError::Host(host) => {
            invalid(format!("using unix socket and remote server '{host}' is not supported."))
        }
        UriError::Proxy(proxy) => invalid(format!("Unnkown proxy type '{proxy}'")), // As it is spelt there.
        UriError::NoNetcat => {
            new(Code::InvalidArg, Domain::Rpc, "netcat path not valid with native proxy mode")
        }
        UriError::NotDirect => {
            let text = "Cannot use direct socket mode for ssh transport";
            let (message, format) =
                (format!("Operation not supported: {text}"), "Operation not supported: %1$s");
            let unsupported = 84; // VIR_ERR_OPERATION_UNSUPPORTED
            RemoteError::from_parts(
                unsupported,
                Domain::Remote as i32,
                message.into_bytes().into(),
                format,
                text.as_bytes().into(),
            )
        }
        UriError::NoCommand => invalid("remote_open: for 'ext' transport, command is required".into()),
        UriError::Priority(priority) => {
            let text = format!("Failed to set TLS session priority to {priority}: The request is invalid.");
            new(Code::SystemError, Domain::Rpc, text)
        }
        UriError::NotNumber(name) => invalid(format!("Failed to parse value of URI component {name}")),
    }
}

fn of_tls(error: &TlsError) -> RemoteError {
    let number = |source: &std::io::Error, other| source.raw_os_error().unwrap_or(other);
    let bad = |domain, text: String| new(Code::SystemError, domain, text);
    let pair = |key: &Path, certificate: &Path, why: &str| {
        let (key, certificate) = (key.display(), certificate.display());
        bad(Domain::Rpc, format!("Unable to set x509 key and certificate: {key}, {certificate}: {why}"))
    };
    match error {
        TlsError::NoAuthority { path, source } => {
            let what = format!("CA certificate '{}' does not exist", path.display());
            system(Domain::Rpc, number(source, libc::ENOENT), &what)
        }
        TlsError::NoCertificate { certificate, key, source } => {
            let (certificate, key) = (certificate.display(), key.display());
            let what = format!("Certificate '{certificate}' does not exist, but key '{key}' does");
            system(Domain::Rpc, number(source, libc::ENOENT), &what)
        }
        TlsError::NoKey { key, certificate, source } => {
            let (key, certificate) = (key.display(), certificate.display());
            let what = format!("Key '{key}' does not exist, but certificate '{certificate}' does");
            system(Domain::Rpc, number(source, libc::ENOENT), &what)
        }
        TlsError::Unreadable { path, source } => {
            let what = format!("Failed to open file '{}'", path.display());
            system(Domain::None, number(source, libc::EIO), &what)
        }
        TlsError::NotAuthorities(path) => {
            bad(Domain::None, format!("Unable to import CA certificate list {}", path.display()))
        }
        TlsError::NotCertificate(path) => {
            bad(Domain::None, format!("Unable to import client certificate {}", path.display()))
        }
        TlsError::NotRevocations(path) => {
            let path = path.display();
            let text =
                format!("Unable to set x509 certificate revocation list: {path}: Base64 decoding error.");
            bad(Domain::Rpc, text)
        }
        TlsError::OldRevocations(path) => {
            let path = path.display();
            let text =
                format!("Unable to set x509 certificate revocation list: {path}: it is not of version 2.");
            bad(Domain::Rpc, text)
        }
        TlsError::Key { key, certificate } => {
            pair(key, certificate, "The requested data were not available.")
        }
        TlsError::OtherKey { key, certificate } => {
            pair(key, certificate, "The certificate and the given key do not match.")
        }
        TlsError::Certificate { path, fault } => bad(Domain::None, unfit("client", path, *fault)),
        TlsError::Authority { path, fault } => bad(Domain::None, unfit("CA", path, *fault)),
        TlsError::Issuer { certificate, authority, fault } => {
            let why = match fault {
                rustls::CertificateError::UnknownIssuer => "The certificate hasn't got a known issuer.",
                rustls::CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
                    "The certificate uses an insecure algorithm"
                }
                _ => "The certificate is not trusted.",
            };
            let (certificate, authority) = (certificate.display(), authority.display());
            let text =
                format!("Our own certificate {certificate} failed validation against {authority}: {why}");
            bad(Domain::None, text)
        }
        TlsError::Handshake(source) => {
            let text = format!("TLS handshake failed {}", handshake_text(source));
            new(Code::AuthFailed, Domain::Rpc, text)
        }
        TlsError::Untrusted(_) => new(Code::AuthFailed, Domain::Rpc, "Failed to verify peer's certificate"),
        TlsError::Unconfirmed(source) => {
            // EIO is what libvirt has for all that GnuTLS calls an error.
            let in_time = source.kind() != std::io::ErrorKind::TimedOut;
            let number = if in_time { libc::EIO } else { libc::ETIMEDOUT };
            system(Domain::Rpc, number, "Unable to read TLS confirmation")
        }
        TlsError::Refused => {
            let text = "server verification (of our certificate or IP address) failed";
            new(Code::Rpc, Domain::Rpc, text)
        }
    }
}

fn unfit(whose: &str, path: &Path, fault: Unfit) -> String {
    let path = path.display();
    match fault {
        Unfit::Expired => format!("The {whose} certificate {path} has expired"),
        Unfit::NotYetValid => format!("The {whose} certificate {path} is not yet active"),
        Unfit::Authority => {
            format!("The certificate {path} basic constraints show a CA, but we need one for a client")
        }
        Unfit::NoAuthority => format!("The certificate {path} basic constraints do not show a CA"),
        Unfit::NoConstraints => format!("The certificate {path} is missing basic constraints for a CA"),
    }
}

/// What GnuTLS says, where it has the same thing to say.
fn handshake_text(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (inner, error.kind()) {
        (Some(rustls::Error::InvalidMessage(_)), _) => "An unexpected TLS packet was received.".into(),
        (Some(rustls::Error::AlertReceived(_)), _) => "A TLS fatal alert has been received.".into(),
        (_, UnexpectedEof) => "The TLS connection was non-properly terminated.".into(),
        (_, ConnectionReset) => "Error in the pull function.".into(),
        _ => error.to_string(),
    }
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
