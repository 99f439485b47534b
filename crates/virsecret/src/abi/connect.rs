//! `virConnect*`: a connection, from opening to the last handle that needs it; and what a program asks before.

use std::ffi::{CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::procedures::Procedure;

use super::error::{enter, enter_as};
use super::events;
use super::faults::{invalid_arg, invalid_connection, new, of};
use super::handle::Connect;
use super::log::{self, Level, Place};
use super::raw::{self, quietly};
use super::typed::{self, TypedParameter};
use crate::close::{CloseReason, Notice};
use crate::uri::Uri;
use crate::{Access, Connection};

/// The release of libvirt whose API this is: 12.8.0.
const VERSION: c_ulong = 12_008_000;
const DOMAIN: i32 = Domain::Domain as i32;
/// `VIR_CONNECT_RO`
const READ_ONLY: c_uint = 1;

/// `virInitialize`: nothing needs it, and it may be called at any time. It fails where the log cannot be had that the
/// environment asks for, as every opening does then.
#[unsafe(no_mangle)]
pub extern "C" fn virInitialize() -> c_int {
    match log::check() {
        Ok(()) => 0,
        Err(error) => enter(-1, |_| Err(error)),
    }
}

/// `virGetVersion`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virGetVersion(
    version: *mut c_ulong,
    _driver: *const c_char,
    driver_version: *mut c_ulong,
) -> c_int {
    enter(-1, |_| {
        if version.is_null() {
            return Err(unknown());
        }
        // SAFETY: both can be written to or are NULL, as the header asks.
        unsafe {
            raw::put(version, VERSION);
            raw::put(driver_version, VERSION);
        }
        Ok(0)
    })
}

/// What libvirt says where it says nothing.
fn unknown() -> RemoteError {
    RemoteError {
        code: Code::InternalError as i32,
        domain: 0,
        message: Some(b"An error occurred, but the cause is unknown"[..].into()),
        level: libvirt_rpc::error::LEVEL_ERROR,
        str1: None,
        str2: None,
        str3: None,
        int1: 0,
        int2: 0,
    }
}

/// `virConnectOpen`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectOpen(uri: *const c_char) -> *const Connect {
    // SAFETY: as the header asks.
    unsafe { open("virConnectOpen", uri, Access::ReadWrite) }
}

/// `virConnectOpenReadOnly`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectOpenReadOnly(uri: *const c_char) -> *const Connect {
    // SAFETY: as the header asks.
    unsafe { open("virConnectOpenReadOnly", uri, Access::ReadOnly) }
}

/// `virConnectOpenAuth`: no way to authenticate that is here asks anything, so `auth` is not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectOpenAuth(
    uri: *const c_char,
    _auth: *const Auth,
    flags: c_uint,
) -> *const Connect {
    let access = if flags & READ_ONLY == 0 { Access::ReadWrite } else { Access::ReadOnly };
    // SAFETY: as the header asks.
    unsafe { open("virConnectOpenAuth", uri, access) }
}

/// # Safety
/// The URI is NULL or a text.
#[track_caller]
unsafe fn open(name: &'static str, uri: *const c_char, access: Access) -> *const Connect {
    enter_as(
        || name,
        ptr::null(),
        |_| {
            log::check()?;
            // SAFETY: as the caller promises.
            let given = unsafe { raw::text(uri) }.map(|text| String::from_utf8_lossy(text).into_owned());
            let given = given.filter(|text| !text.is_empty()).unwrap_or_else(default_uri);
            say(Level::Debug, || format!("name={given}"));
            let uri: Uri = given.parse().map_err(|error| of(crate::Error::Uri(error)))?;
            let has_loop = events::is_registered();
            let (client, answers) = Connection::open_for_ever(&uri, access, has_loop).map_err(of)?;
            let keepalive = has_loop.then_some(answers);
            let text = CString::new(uri.normal()).unwrap_or_default();
            let connect = Connect::new(client, text, access == Access::ReadOnly, keepalive);
            attend(&connect);
            if connect.client.link().is_closed() {
                return Err(of(crate::Error::Closed)); // Before anybody was there to be told.
            }
            say(Level::Info, || {
                let (way, asked) = (uri.way(), uri.name());
                format!(
                    "connect={:p} opened over {way}, asking for {asked}, {access:?}",
                    Arc::as_ptr(&connect)
                )
            });
            Ok(Arc::into_raw(connect))
        },
    )
}

/// Says something about ways to daemons.
#[track_caller]
fn say(level: Level, message: impl FnOnce() -> String) {
    let line = std::panic::Location::caller().line();
    log::say(level, Place::of_client("virConnectOpen", line), message);
}

/// What a program that names no URI means: the environment's, or the secrets of the system, or of the user.
fn default_uri() -> String {
    let named = std::env::var("LIBVIRT_DEFAULT_URI").ok().filter(|text| !text.is_empty());
    named.unwrap_or_else(|| {
        let is_root = rustix::process::geteuid().is_root();
        if is_root { "secret:///system".into() } else { "secret:///session".into() }
    })
}

/// Has the event loop take part, and the callbacks be called.
fn attend(connect: &Arc<Connect>) {
    let weak = Arc::downgrade(connect);
    connect.client.link().watch(Box::new(move |notice| {
        let Some(connect) = weak.upgrade() else { return };
        match notice {
            Notice::Events => connect.dispatcher.schedule(),
            Notice::Closed(reason) => {
                let is_in_loop = connect.watch.stop();
                tell_closed(&connect, reason, is_in_loop);
            }
            Notice::ClosedBeyond(reason) => tell_closed(&connect, reason, events::is_registered()),
        }
    }));
    connect.watch.start(&connect.client);
}

/// By the loop, if the connection is in one: whoever is just calling us may hold what the callback wants, as Nova does.
fn tell_closed(connect: &Arc<Connect>, reason: CloseReason, is_in_loop: bool) {
    say(Level::Info, || format!("connect={:p} has ended: {reason:?}", Arc::as_ptr(connect)));
    if !connect.close_callbacks.is_set() {
        return;
    }
    let later = Arc::clone(connect);
    if !is_in_loop || !events::soon(move || later.close_callbacks.run(reason)) {
        connect.close_callbacks.run(reason);
    }
}

/// `virConnectClose`: 0 if that was the last reference, else 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectClose(connect: *const Connect) -> c_int {
    enter(-1, |_| {
        // SAFETY: it is a connection or NULL, as the header asks.
        if unsafe { Connect::of(connect) }.is_none() {
            return Err(invalid_connection("virConnectClose", 0));
        }
        // SAFETY: the program gives back a reference that it holds.
        let last = Arc::into_inner(unsafe { Arc::from_raw(connect) });
        Ok(if last.is_some() { 0 } else { 1 })
    })
}

/// `virConnectRef`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectRef(connect: *const Connect) -> c_int {
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks; if one, the program holds it.
        unsafe {
            Connect::enter(scope, connect, "virConnectRef", DOMAIN)?;
            Arc::increment_strong_count(connect);
        }
        Ok(0)
    })
}

/// `virConnectGetURI`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectGetURI(connect: *const Connect) -> *mut c_char {
    enter(ptr::null_mut(), |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let connect = unsafe { Connect::enter(scope, connect, "virConnectGetURI", DOMAIN) }?;
        Ok(raw::copy_text(connect.uri.to_bytes()))
    })
}

/// `virConnectGetType`: it stays as long as the connection. Where the daemon does not tell, it is the name of libvirt's
/// driver for daemons, with the error beside it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectGetType(connect: *const Connect) -> *const c_char {
    let mut answer = ptr::null();
    enter((), |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let connect = unsafe { Connect::enter(scope, connect, "virConnectGetType", DOMAIN) }?;
        if let Some(known) = connect.driver.get() {
            answer = known.as_ptr();
            return Ok(());
        }
        answer = c"remote".as_ptr();
        let read = |from: &mut libvirt_rpc::xdr::Decoder<'_>| from.string().map(<[u8]>::to_vec);
        let told = connect.client.call(Procedure::ConnectGetType, |_| Ok(()), read).map_err(of)?;
        let told = CString::new(told).unwrap_or_default();
        answer = connect.driver.get_or_init(|| told).as_ptr();
        Ok(())
    });
    answer
}

/// `virConnectGetLibVersion`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectGetLibVersion(connect: *const Connect, version: *mut c_ulong) -> c_int {
    const NAME: &str = "virConnectGetLibVersion";
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let connect = unsafe { Connect::enter(scope, connect, NAME, DOMAIN) }?;
        if version.is_null() {
            return Err(invalid_arg(DOMAIN, NAME, "libVer", format!("libVer in {NAME} must not be NULL")));
        }
        let told = connect.client.lib_version().map_err(of)?;
        // SAFETY: it can be written to, as the header asks.
        unsafe { raw::put(version, told) }
        Ok(0)
    })
}

/// `virConnectIsAlive`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectIsAlive(connect: *const Connect) -> c_int {
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let connect = unsafe { Connect::enter(scope, connect, "virConnectIsAlive", DOMAIN) }?;
        Ok(connect.client.is_alive().into())
    })
}

/// `virConnectIsSecure`: the daemon is asked too, whose own way may be longer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectIsSecure(connect: *const Connect) -> c_int {
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let connect = unsafe { Connect::enter(scope, connect, "virConnectIsSecure", DOMAIN) }?;
        let told =
            connect.client.call(Procedure::ConnectIsSecure, |_| Ok(()), |from| from.i32()).map_err(of)?;
        Ok((told != 0 && connect.client.link().is_secure()).into())
    })
}

/// `virConnectIsEncrypted`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectIsEncrypted(connect: *const Connect) -> c_int {
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let connect = unsafe { Connect::enter(scope, connect, "virConnectIsEncrypted", DOMAIN) }?;
        connect.client.call(Procedure::ConnectIsSecure, |_| Ok(()), |from| from.i32()).map_err(of)?;
        Ok(connect.client.link().is_encrypted().into())
    })
}

/// `virConnectSetKeepAlive`: an interval that is not above zero switches it off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectSetKeepAlive(
    connect: *const Connect,
    interval: c_int,
    count: c_uint,
) -> c_int {
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let connect = unsafe { Connect::enter(scope, connect, "virConnectSetKeepAlive", DOMAIN) }?;
        match connect.keepalive.filter(|_| !connect.client.link().is_closed()) {
            Some(false) if interval > 0 => return Ok(1),
            Some(_) => {}
            None => {
                let text = "the caller doesn't support keepalive protocol; \
                            perhaps it's missing event loop implementation";
                return Err(new(Code::InternalError, Domain::Remote, text));
            }
        }
        let seconds = u64::try_from(interval).ok().filter(|seconds| *seconds > 0);
        let every = seconds.map(|seconds| (Duration::from_secs(seconds), count));
        if connect.watch.keep_alive(&connect.client, every) {
            return Ok(0);
        }
        Err(new(Code::InternalError, Domain::Rpc, "keepalive interval already set"))
    })
}

/// `virConnectSetIdentity`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectSetIdentity(
    connect: *const Connect,
    parameters: *const TypedParameter,
    count: c_int,
    flags: c_uint,
) -> c_int {
    const NAME: &str = "virConnectSetIdentity";
    enter(-1, |scope| {
        // SAFETY: it is a connection or NULL, as the header asks.
        let connect = unsafe { Connect::enter(scope, connect, NAME, DOMAIN) }?;
        let count = usize::try_from(count).unwrap_or_default();
        let given = if parameters.is_null() {
            &[]
        } else {
            // SAFETY: there are as many, as the header asks.
            unsafe { std::slice::from_raw_parts(parameters, count) }
        };
        typed::set_identity(connect, given, flags).map(|()| 0)
    })
}

/// `virConnectCredential` is only ever passed on by others; nothing here makes one.
type AuthCallback = unsafe extern "C" fn(*mut c_void, c_uint, *mut c_void) -> c_int;

/// `virConnectAuth`
#[repr(C)]
pub struct Auth {
    kinds: *const c_int,
    count: c_uint,
    callback: Option<AuthCallback>,
    data: *mut c_void,
}

/// A pointer to data that nobody changes.
#[repr(transparent)]
pub struct Constant<T>(*const T);

// SAFETY: what it points to is never written.
unsafe impl<T> Sync for Constant<T> {}

// SAFETY: what it points to is never written.
unsafe impl Sync for Auth {}

/// AUTHNAME, ECHOPROMPT, REALM, PASSPHRASE, NOECHOPROMPT, EXTERNAL: what libvirt's own asks for at a terminal.
static CREDENTIALS: [c_int; 6] = [2, 6, 8, 5, 7, 9];
static DEFAULT: Auth =
    Auth { kinds: CREDENTIALS.as_ptr(), count: 6, callback: Some(ask_nobody), data: ptr::null_mut() };

/// `virConnectAuthPtrDefault`
#[unsafe(no_mangle)]
pub static virConnectAuthPtrDefault: Constant<Auth> = Constant(&raw const DEFAULT);

/// No way to authenticate that is here asks anything.
unsafe extern "C" fn ask_nobody(_credentials: *mut c_void, _count: c_uint, _data: *mut c_void) -> c_int {
    quietly(-1, || -1)
}
