//! The `virt` crate, libvirt's own for Rust, on whatever `libvirt.so.0` it finds: all it has for secrets works.
//!
//! ```text
//! usage: [LD_LIBRARY_PATH=LIBDIR LIBDIR=LIBDIR] virt-binding SECRET-URI
//! ```
//!
//! With LIBDIR, only a `libvirt.so.0` in there will do. Prints `ok NAME` for each part and stops at the first that
//! fails. The crate has the event loop, but no events of secrets.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Debug;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;
use virt::connect::{Connect, ConnectAuth, ConnectCredentialType};
use virt::error::{Error, ErrorDomain, ErrorLevel, ErrorNumber, clear_error_callback};
use virt::event::{event_add_handle, event_add_timeout, event_register_default_impl, event_run_default_impl};
use virt::secret::Secret;
use virt::sys;

const PATIENCE: Duration = Duration::from_secs(30);
const THREADS: usize = 8;
const VALUES_PER_THREAD: usize = 500;

/// Its name, and what it does at a URI.
type Part = (&'static str, fn(&str));

fn main() {
    let uri = std::env::args().nth(1).expect("usage: virt-binding SECRET-URI");
    clear_error_callback(); // They are returned; it would print them as well.
    event_register_default_impl().unwrap();
    let parts: &[Part] = &[
        ("library", library),
        ("connection", connection),
        ("open_auth", open_auth),
        ("define_value_undefine", define_value_undefine),
        ("lookups_and_lists", lookups_and_lists),
        ("read_only", read_only),
        ("references", references),
        ("errors", errors),
        ("unsupported", unsupported),
        ("threads", threads),
        ("event_loop", event_loop),
    ];
    for (name, part) in parts {
        part(&uri);
        println!("ok {name}");
    }
}

/// Which one was loaded.
fn library(_: &str) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let loaded: HashSet<_> = maps
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .filter(|path| path.contains("/libvirt.so") || path.contains("/libvirsecret"))
        .collect();
    println!("     {loaded:?} {}", Connect::version().unwrap());
    assert_eq!(loaded.len(), 1);
    if let Some(folder) = std::env::var_os("LIBDIR") {
        let path = std::fs::canonicalize(loaded.into_iter().next().unwrap()).unwrap();
        assert_eq!(path.parent().unwrap(), std::fs::canonicalize(folder).unwrap());
    }
}

fn connection(uri: &str) {
    let connection = open(uri);
    assert_eq!(connection.driver_type().unwrap(), "secret");
    assert_eq!(connection.uri().unwrap(), uri);
    assert!(connection.is_alive().unwrap() && connection.is_secure().unwrap());
    assert!(!connection.is_encrypted().unwrap());
    assert!(connection.lib_version().unwrap() > 1_000_000);
    connection.set_keep_alive(5, 3).unwrap();
}

fn open_auth(uri: &str) {
    let mut auth =
        ConnectAuth::new(vec![ConnectCredentialType::AuthName], |_| panic!("a UNIX socket needs none"));
    let connection = Connect::open_auth(Some(uri), &mut auth, 0).unwrap();
    assert_eq!(connection.driver_type().unwrap(), "secret");
    Connect::open(Some("secret:///system?socket=/nowhere")).unwrap_err();
}

fn define_value_undefine(uri: &str) {
    let connection = open(uri);
    let id = Uuid::new_v4();
    let usage = "<description>a &lt;text&gt;</description><usage type='ceph'><name>client.ü</name></usage>";
    let before = connection.num_of_secrets().unwrap();
    let secret = define(&connection, id, "ephemeral='no' private='no'", usage);
    assert_eq!((secret.uuid().unwrap(), secret.uuid_string().unwrap()), (id, id.to_string()));
    assert_eq!(secret.usage_type().unwrap(), sys::VIR_SECRET_USAGE_TYPE_CEPH);
    // Not `secret.usage_id()`: virt 0.5.0 frees that text, which is the secret's own and is freed with it again.
    let xml = secret.xml_desc(0).unwrap();
    assert!(xml.contains(&format!("<uuid>{id}</uuid>")) && xml.contains("a &lt;text&gt;"), "{xml}");
    assert_eq!(connection.num_of_secrets().unwrap(), before + 1);

    refused(ErrorNumber::NoSecret, secret.value(0));
    let all: Vec<u8> = (0..=255).collect();
    for value in [b"hunter2".as_slice(), b"\0", &all, &[7; 65_536]] {
        secret.set_value(value, 0).unwrap();
        assert!(secret.value(0).unwrap() == value, "another value than that of {} bytes", value.len());
    }
    secret.set_value(&[7; 65_537], 0).unwrap_err();
    secret.undefine().unwrap();
    refused(ErrorNumber::NoSecret, secret.value(0));
    refused(ErrorNumber::NoSecret, secret.undefine());
    assert_eq!(connection.num_of_secrets().unwrap(), before);
}

fn lookups_and_lists(uri: &str) {
    let connection = open(uri);
    let id = Uuid::new_v4();
    let usage = format!("<usage type='volume'><volume>/{id}</volume></usage>");
    let secret = define(&connection, id, "ephemeral='yes' private='no'", &usage);
    secret.set_value(b"hunter2", 0).unwrap();
    let volume = i32::try_from(sys::VIR_SECRET_USAGE_TYPE_VOLUME).unwrap();
    for found in [
        connection.lookup_secret_by_uuid(id),
        connection.lookup_secret_by_uuid_string(&id.to_string()),
        connection.lookup_secret_by_usage(volume, &format!("/{id}")),
    ] {
        assert_eq!(found.unwrap().value(0).unwrap(), b"hunter2");
    }
    let is_listed = |flags| {
        let secrets = connection.list_all_secrets(flags).unwrap();
        secrets.iter().any(|secret| secret.uuid().unwrap() == id)
    };
    assert!(is_listed(0) && is_listed(sys::VIR_CONNECT_LIST_SECRETS_EPHEMERAL));
    assert!(!is_listed(sys::VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL));
    assert!(connection.list_secrets().unwrap().contains(&id.to_string()));
    secret.undefine().unwrap();
    refused(ErrorNumber::NoSecret, connection.lookup_secret_by_uuid(id));
    refused(ErrorNumber::NoSecret, connection.lookup_secret_by_usage(volume, &format!("/{id}")));
    refused(ErrorNumber::InvalidArg, connection.lookup_secret_by_uuid_string("nonsense"));
}

fn read_only(uri: &str) {
    let connection = Connect::open_read_only(Some(uri)).unwrap();
    connection.num_of_secrets().unwrap();
    let error = refused(ErrorNumber::OperationDenied, connection.define_secret_xml("<secret/>", 0));
    assert_eq!(error.message(), "operation forbidden: read only access prevents virSecretDefineXML");
}

/// A secret keeps its connection open.
fn references(uri: &str) {
    let connection = open(uri);
    let id = Uuid::new_v4();
    let secret = define(&connection, id, "", "");
    drop(connection.clone());
    drop(connection);
    secret.set_value(b"hunter2", 0).unwrap();
    let again = secret.connect().unwrap();
    drop(secret);
    again.lookup_secret_by_uuid(id).unwrap().undefine().unwrap();
}

fn errors(uri: &str) {
    let id = Uuid::new_v4();
    let error = refused(ErrorNumber::NoSecret, open(uri).lookup_secret_by_uuid(id));
    assert_eq!(error.domain(), ErrorDomain::Secret.into());
    assert_eq!(error.level(), ErrorLevel::Error);
    assert_eq!(error.message(), format!("Secret not found: no secret with matching uuid '{id}'"));
}

fn unsupported(uri: &str) {
    let connection = open(uri);
    for error in [
        refused(ErrorNumber::NoSupport, connection.hostname()),
        refused(ErrorNumber::NoSupport, connection.list_all_domains(0)),
        refused(ErrorNumber::NoSupport, connection.capabilities()),
        refused(ErrorNumber::NoSupport, connection.node_info()),
        refused(ErrorNumber::NoSupport, connection.num_of_networks()),
    ] {
        assert_eq!(error.code().to_raw(), 3);
        let text = "this function is not supported by the connection driver: vir";
        assert!(error.message().starts_with(text), "{}", error.message());
    }
    assert!(connection.is_alive().unwrap());
}

/// Each with a connection of its own, as the crate does not let threads share one.
fn threads(uri: &str) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                let connection = open(uri);
                let secret = define(&connection, Uuid::new_v4(), "ephemeral='yes'", "");
                let value = format!("value {number}");
                secret.set_value(value.as_bytes(), 0).unwrap();
                for _ in 0..VALUES_PER_THREAD {
                    assert_eq!(secret.value(0).unwrap(), value.as_bytes());
                }
                secret.undefine().unwrap();
            });
        }
    });
}

/// libvirt's own loop, which the crate leaves to its user: a timer that ticks, and a pipe that becomes readable.
fn event_loop(_: &str) {
    let told = Rc::new(RefCell::new(Vec::new()));
    let (by_timer, by_pipe) = (Rc::clone(&told), Rc::clone(&told));
    let timer = event_add_timeout(10, move |_, _| by_timer.borrow_mut().push("tick"), null_mut()).unwrap();
    let (read, write) = std::io::pipe().unwrap();
    let handle = event_add_handle(
        read.as_raw_fd(),
        sys::VIR_EVENT_HANDLE_HANGUP,
        move |_, _, _, _| by_pipe.borrow_mut().push("hung up"),
        null_mut(),
    )
    .unwrap();
    let until = |what: &str| {
        let begin = Instant::now();
        while !told.borrow().contains(&what) {
            assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
            event_run_default_impl().unwrap();
        }
    };
    until("tick");
    drop(write);
    until("hung up");
    handle.event_remove_handle().unwrap();
    timer.event_remove_timeout().unwrap();
}

fn open(uri: &str) -> Connect {
    Connect::open(Some(uri)).unwrap()
}

fn define(connection: &Connect, id: Uuid, attributes: &str, rest: &str) -> Secret {
    connection
        .define_secret_xml(&format!("<secret {attributes}><uuid>{id}</uuid>{rest}</secret>"), 0)
        .unwrap()
}

#[track_caller]
fn refused<T: Debug>(number: ErrorNumber, answer: Result<T, Error>) -> Error {
    let error = answer.unwrap_err();
    assert_eq!(error.code(), number.into(), "{error}");
    error
}
