//! Every public function of libvirt that is about something else than secrets: it fails, as libvirt fails where the
//! driver does not support it.
//!
//! They are there so that bindings which link all of libvirt load. The table they are made from is `symbols.txt`.
//!
//! Each looks at its first argument, some empty what their second or third points to, as libvirt does before it checks
//! anything, and none declares more. That is sound: by the calling conventions of Linux (x86-64, AArch64, and every other
//! that C's variadic functions work on) it is the caller who makes and removes the arguments, and a number takes the place
//! of a pointer.
//!
//! Those of `libvirt-qemu.so.0` and `libvirt-lxc.so.0` are here too, under names of ours: the error is kept here.

use std::ffi::{c_int, c_uint, c_ulong, c_ulonglong, c_void};
use std::ptr;

use libvirt_rpc::error::{Code, Domain, RemoteError};

use super::error::enter_as;
use super::faults::{invalid_arg, invalid_handle, new, of};
use super::handle::{Connect, First, Scope};
use super::raw;

/// What a NULL is called in the place of an object: what comes before the function's name, and the format of both.
type Null = (&'static str, &'static str);

macro_rules! nulls {
    ($($name:ident $text:literal;)+) => {
        $(const $name: Null = ($text, concat!($text, "%1$s"));)+
    };
}

nulls! {
    CONNECT "invalid connection pointer in ";
    DOMAIN "invalid domain pointer in ";
    NETWORK "invalid network pointer in ";
    NETWORKPORT "Invalid network port pointer: ";
    STORAGEPOOL "invalid storage pool pointer in ";
    STORAGEVOL "invalid storage volume pointer in ";
    NODEDEVICE "invalid node device pointer in ";
    INTERFACE "invalid interface pointer in ";
    NWFILTER "Invalid network filter: ";
    NWFILTERBINDING "Invalid network filter binding: ";
    STREAM "invalid stream pointer in ";
    DOMAINCHECKPOINT "Invalid domain checkpoint: ";
    DOMAINSNAPSHOT "Invalid domain snapshot: ";
}

/// Arguments like others, by their names: an error about one names the function first.
const DOMAINS: Null = ("doms", "");
const MODEL: Null = ("model", "");

/// What a function says of itself: its name, the domain of its errors, and what a NULL in the first place is.
struct Row {
    name: &'static str,
    domain: i32,
    null: Null,
    null_code: i32,
    null_domain: i32,
}

/// A few do nothing but call another, and it is that one which complains.
#[cold]
#[inline(never)]
fn fail(first: *const c_void, row: &'static Row) {
    let Row { name, domain, null: (prefix, format), null_code, null_domain } = *row;
    let said = match name {
        "virConnectDomainEventRegister" => "virConnectDomainEventRegisterAny",
        "virDomainCreateLinux" => "virDomainCreateXML",
        "virDomainLookupByUUIDString" => "virDomainLookupByUUID",
        "virNetworkLookupByUUIDString" => "virNetworkLookupByUUID",
        "virNWFilterLookupByUUIDString" => "virNWFilterLookupByUUID",
        "virStoragePoolLookupByUUIDString" => "virStoragePoolLookupByUUID",
        same => same,
    };
    let first = match null_code {
        6 => First::Connect(first.cast()),
        _ => First::Object { ptr: first, null_code, null_domain, prefix, format },
    };
    enter_as(
        || name,
        (),
        |scope| {
            if format.is_empty() && matches!(first, First::Object { ptr, .. } if ptr.is_null()) {
                let message = format!("{prefix} in {name} must not be NULL");
                return Err(invalid_arg(null_domain, name, prefix, message));
            }
            let named = if name == "virDomainCreateLinux" { said } else { name };
            Err(unsupported(scope, first, named, said, domain))
        },
    );
}

macro_rules! failing {
    ($($kind:ident $type:ty, $value:expr;)+) => {
        $(macro_rules! $kind {
            ($name:ident, $said:literal, $domain:literal, $null:ident, $null_code:literal, $null_domain:literal) => {
                #[unsafe(no_mangle)]
                extern "C" fn $name(first: *const c_void) -> $type {
                    const ROW: Row = Row {
                        name: $said,
                        domain: $domain,
                        null: $null,
                        null_code: $null_code,
                        null_domain: $null_domain,
                    };
                    fail(first, &ROW);
                    $value
                }
            };
        })+
    };
}

failing! {
    int c_int, -1;
    uint c_uint, c_uint::MAX;
    ulong c_ulong, 0;
    ulonglong c_ulonglong, 0;
    pointer *mut c_void, ptr::null_mut();
}

/// Empties what it would have filled, and fails.
macro_rules! emptying {
    ($name:ident, $domain:literal, $null:ident, $null_code:literal, $null_domain:literal,
     [$($between:ident)?], $bytes:literal, $is_first_checked:literal) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            first: *const c_void,
            $($between: *const c_void,)?
            out: *mut [u8; $bytes],
        ) -> c_int {
            const ROW: Row = Row {
                name: stringify!($name),
                domain: $domain,
                null: $null,
                null_code: $null_code,
                null_domain: $null_domain,
            };
            if !$is_first_checked || !first.is_null() {
                // SAFETY: it can be written to or is NULL, as libvirt asks of programs.
                unsafe { raw::put(out, [0; $bytes]) }
            }
            fail(first, &ROW);
            -1
        }
    };
}

/// Frees something that nobody can have got from this library.
macro_rules! void {
    ($name:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn $name(_: *const c_void) {}
    };
}

include!(concat!(env!("OUT_DIR"), "/unsupported.rs"));

/// What a function says that the library exports and does not have.
fn unsupported(
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
                Ok(connect) if connect.client.link().is_closed() => return of(crate::Error::Closed),
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
