//! The memory that clients of the libvirt door cost, and that no secret stays in it.
//!
//! Sizes are the kernel's (`VmRSS`), with some room: the real daemon grew by hundreds of MiB where this one grows by a few.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails may panic, and one that measures says what it has measured"
)]

mod support;

use std::io::{ErrorKind, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use libvirt_rpc::procedures::Procedure;
use support::process::{count_in, count_in_memory, files, raise_open_files, resident_kib};
use support::rpc::{self, Event, Id, Raw};
use support::{DONJOND, Server, until};

const MIB: i64 = 1024;
/// The longest wait because of others: far above the usual, so that a busy machine does not matter.
const NOTICED: Duration = Duration::from_secs(5);

/// The growth of a server since the last look, and the waits of other clients.
struct Watch {
    pid: u32,
    before_kib: i64,
    other: Raw,
    id: Id,
    slowest: Duration,
}

impl Watch {
    fn new(server: &Server) -> Self {
        let mut other = Raw::open(server.socket()).unwrap();
        let id = other.define("<secret/>").unwrap().unwrap();
        let mut watch = Self { pid: server.pid(), before_kib: 0, other, id, slowest: Duration::ZERO };
        for _ in 0..50 {
            watch.probe(); // What is needed once is there now.
        }
        watch.before_kib = resident_kib(watch.pid);
        watch
    }

    /// Another client's calls, which must be answered.
    fn probe(&mut self) {
        let begin = Instant::now();
        self.other.set_value(self.id, b"hunter2").unwrap().unwrap();
        assert_eq!(self.other.value(self.id).unwrap().unwrap(), b"hunter2");
        self.slowest = self.slowest.max(begin.elapsed());
    }

    fn grown_kib(&self) -> i64 {
        resident_kib(self.pid) - self.before_kib
    }

    #[track_caller]
    fn check(&mut self, what: &str, grown_mib_max: i64) {
        self.probe();
        let grown = self.grown_kib();
        eprintln!("{what}: grew by {grown} KiB, others waited {:?} at most", self.slowest);
        assert!(grown < grown_mib_max * MIB, "{what}: grew by {grown} KiB");
        assert!(self.slowest < NOTICED, "{what}: others waited {:?}", self.slowest);
    }
}

#[test]
fn a_long_message_that_is_only_announced_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut watch = Watch::new(&server);
    let clients: Vec<Raw> = (0..200)
        .map(|_| {
            let mut client = Raw::open(server.socket()).unwrap();
            client.send(&33_554_436_u32.to_be_bytes()).unwrap();
            client
        })
        .collect();
    watch.check("200 clients that announce 32 MiB", 8);
    drop(clients);
    watch.check("after they left", 8);
}

#[test]
fn long_messages_of_many_clients_share_a_bounded_room() {
    const CLIENTS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut watch = Watch::new(&server);
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let clients: Vec<Raw> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Raw::open(server.socket()).unwrap();
                    client.send(&33_554_436_u32.to_be_bytes()).unwrap();
                    client.stream().set_write_timeout(Some(Duration::from_secs(2))).unwrap();
                    let part = vec![b'x'; 64 * 1024];
                    for _ in 0..256 {
                        match client.stream().write(&part) {
                            Ok(count) => sent.fetch_add(count, std::sync::atomic::Ordering::Relaxed),
                            Err(error) if error.kind() == ErrorKind::WouldBlock => break, // It waits for room.
                            Err(error) => panic!("{error}"),
                        };
                    }
                    client
                })
            })
            .collect();
        let clients = threads.into_iter().map(|thread| {
            watch.probe();
            thread.join().unwrap()
        });
        clients.collect()
    });
    let sent_mib = sent.into_inner() / (1024 * 1024);
    watch.check(&format!("{sent_mib} MiB of {CLIENTS} messages of 32 MiB"), 128);
    assert!(sent_mib > 64, "{sent_mib} MiB: too few were let in");
    drop(clients);
    // One that is whole is answered all the same, once there is room.
    let mut client = Raw::open(server.socket()).unwrap();
    let long = rpc::message(Procedure::ConnectNumOfSecrets, 9, |to| {
        for _ in 0..2_000_000 {
            to.u32(0);
        }
    });
    client.send(&long).unwrap();
    assert_eq!(client.answer_to(9).unwrap().unwrap(), [0, 0, 0, 1]);
    watch.check("after they left", 128);
}

#[test]
fn idle_connections_cost_little_and_slow_nobody_down() {
    const CONNECTIONS: i64 = 5000;
    assert!(raise_open_files() > 5100, "the system allows too few open files for this test");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 256; exec \"$0\" \"$@\"", DONJOND]); // It raises its own.
    let server = Server::start_by(command, folder.path(), &[]);
    let mut watch = Watch::new(&server);
    let mut clients = Vec::new();
    for n in 0..CONNECTIONS {
        clients.push(Raw::open(server.socket()).unwrap());
        if n % 500 == 0 {
            watch.probe();
        }
    }
    let each = watch.grown_kib() * 1024 / CONNECTIONS;
    eprintln!("an idle connection takes {each} bytes");
    watch.check("5000 idle connections", 5000 * 8 / 1024);
    for client in clients.iter_mut().step_by(99) {
        assert_eq!(client.count().unwrap(), 1, "each of them can still ask");
    }
    drop(clients);
    watch.check("after they left", 5000 * 8 / 1024);
}

#[test]
fn a_client_that_never_reads_replies_has_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut watch = Watch::new(&server);
    let value = vec![b'v'; 65_536];
    let id = watch.other.define("<secret/>").unwrap().unwrap();
    watch.other.set_value(id, &value).unwrap().unwrap();
    let clients: Vec<Raw> = (0..20)
        .map(|_| {
            let client = Raw::open(server.socket()).unwrap();
            client.stream().set_nonblocking(true).unwrap();
            client
        })
        .collect();
    let call = rpc::message(Procedure::SecretGetValue, 7, rpc::get(id));
    let (mut taken, begin) = (0_usize, Instant::now());
    while begin.elapsed() < Duration::from_secs(2) {
        for client in &clients {
            // Whole calls, as long as they are taken: a message of a few bytes is written whole or not at all.
            while let Ok(count) = client.stream().write(&call) {
                assert_eq!(count, call.len());
                taken += 1;
            }
        }
        watch.probe();
    }
    eprintln!("{taken} calls were sent that would be answered with {} MiB", taken / 16);
    watch.check("20 clients that do not read 64 KiB answers", 64);
    assert!(taken > 20 * 16, "{taken}: the clients did not get far");
}

#[test]
fn listeners_that_never_read_are_cut_off_and_others_get_every_event_in_order() {
    const EVENTS: usize = 4000;
    const LISTENERS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut watch = Watch::new(&server);
    let usage = |n: u64| format!("<usage type='ceph'><name>{n:04096}</name></usage>");
    let ids: Vec<Id> = (1..=7).map(rpc::id).collect();
    for (n, id) in (1..).zip(&ids) {
        watch.other.define(&rpc::xml(*id, "", &usage(n))).unwrap().unwrap();
    }
    let listen = || {
        let mut listener = Raw::open(server.socket()).unwrap();
        listener.register(1, None).unwrap().unwrap();
        listener.register(0, None).unwrap().unwrap();
        listener
    };
    let mut deaf: Vec<Raw> = (0..LISTENERS).map(|_| listen()).collect();
    let mut reader = listen();
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| (0..EVENTS).map(|_| reader.event().unwrap().1).collect::<Vec<_>>());
        let mut writer = Raw::open(server.socket()).unwrap();
        let (begin, mut done, mut highest) = (Instant::now(), Vec::new(), 0);
        for n in 0..EVENTS {
            let id = ids[n % ids.len()];
            if n % 50 == 49 {
                writer.define(&rpc::xml(id, "", &usage((n % ids.len()) as u64 + 1))).unwrap().unwrap();
                done.push(Event::Defined(id));
            } else {
                writer.set_value(id, &n.to_be_bytes()).unwrap().unwrap();
                done.push(Event::ValueChanged(id));
            }
            if n % 500 == 0 {
                highest = highest.max(watch.grown_kib());
            }
        }
        let took = begin.elapsed();
        eprintln!(
            "{EVENTS} changes took {took:?} with {LISTENERS} listeners that do not read; {highest} KiB"
        );
        assert!(took < Duration::from_secs(60) && highest < 64 * MIB, "{took:?}, {highest} KiB");
        assert!(reads.join().unwrap() == done, "the events are not the changes, in order");
    });
    watch.check("20 listeners that do not read", 64);
    for listener in &mut deaf {
        while listener.message().is_ok() {} // What was on its way. Then it ends, which says that there was more.
    }
    let log = || std::fs::read_to_string(folder.path().join("stderr.txt")).unwrap();
    until("each is logged", || log().matches("lagged").count() == LISTENERS);
    drop(deaf);
    watch.check("after they left", 64);
}

#[test]
fn no_value_stays_in_memory_or_in_any_file() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root may look into the memory of a process that does not allow it: not tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--libvirt-project", "p", "--log", "debug"]);
    // Each value is this over and over, so that any part of it that stays is found.
    let marker = format!("m{:015x}", u64::from(std::process::id()) << 24 | 0x9e_3779);
    let values =
        [16, 200, 5000, 20_000, 65_536].map(|length| marker.repeat(length / marker.len()).into_bytes());
    let mut clients: Vec<Raw> = (0..8).map(|_| Raw::open(server.socket()).unwrap()).collect();
    let mut rest = server.connect();
    let mut ids = Vec::new();
    for n in 0..200 {
        let (client, value) = (n % 8, &values[n % values.len()]);
        let attributes = ["", "ephemeral='yes'", "private='yes'"][n % 3];
        let id = clients[client].define(&rpc::xml(rpc::id(n as u64), attributes, "")).unwrap().unwrap();
        clients[client].set_value(id, value).unwrap().unwrap();
        for reader in 0..3 {
            let read = clients[(client + reader) % 8].value(id).unwrap();
            assert_eq!(read.is_ok_and(|read| read == *value), n % 3 != 2);
        }
        if n % 10 == 0 {
            let read = rest.payload(&rpc::text(id)).unwrap();
            assert!(read.body == *value || n % 3 == 2);
            let metadata = format!("/v1/secrets/{}/metadata/libvirt_encoding", rpc::text(id));
            let hex = br#"{"key": "libvirt_encoding", "value": "hex"}"#;
            rest.ask("POST", &metadata[..metadata.len() - 17], "Content-Type: application/json\r\n", hex)
                .unwrap();
            let _ = clients[client].value(id).unwrap();
        }
        ids.push(id);
    }
    // Calls that fail with the value in them: no such secret, too long, not whole.
    let absent = rpc::set_value(rpc::id(9999), &values[3]);
    clients[0].call(Procedure::SecretSetValue, absent).unwrap().unwrap_err();
    let cut = rpc::message(Procedure::SecretSetValue, 1, rpc::set_value(ids[0], &values[3]));
    let mut gone = Raw::open(server.socket()).unwrap();
    gone.send(&cut[..cut.len() / 2]).unwrap();
    drop(gone);
    for id in ids {
        clients[1].undefine(id).unwrap().unwrap();
    }
    drop((clients, rest));
    let hex: String = marker.bytes().map(|byte| format!("{byte:02x}")).collect();
    let forms = [marker.as_bytes(), hex.as_bytes()];
    // The last answer is wiped once it has been sent, which the client may see first.
    let mut left = [0; 2];
    for _ in 0..20 {
        left = forms.map(|form| count_in_memory(server.pid(), form));
        if left == [0; 2] {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left, [0; 2], "copies of values, and of their hexadecimal form, in memory");
    for (name, bytes) in files(folder.path()) {
        assert_eq!(forms.map(|form| count_in(&bytes, form)), [0; 2], "a value is in {name}");
    }
    // The search itself works.
    let mut client = Raw::open(server.socket()).unwrap();
    client
        .define(&rpc::xml(rpc::id(1), "", &format!("<description>{marker}</description>")))
        .unwrap()
        .unwrap();
    let shown = client.xml(rpc::id(1)).unwrap().unwrap();
    assert!(shown.contains(&marker) && count_in_memory(server.pid(), marker.as_bytes()) > 0);
}

#[test]
fn nothing_of_a_request_stays_in_memory_once_its_connection_is_closed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root may look into the memory of a process that does not allow it: not tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let number = u64::from(std::process::id()) << 24 | 0x51_9c35;
    let (payload, token) = (format!("p{number:015x}"), format!("t{number:015x}"));
    for times in [3, 40, 1000] {
        let mut client = server.connect();
        let headers =
            format!("X-Auth-Token: {}\r\nContent-Type: application/json\r\n", token.repeat(times.min(100)));
        let json = format!(
            r#"{{"name": "n", "payload": "{}", "payload_content_type": "text/plain"}}"#,
            payload.repeat(times)
        );
        let id = client.ask("POST", "/v1/secrets", &headers, json.as_bytes()).unwrap().id();
        let read = client.ask("GET", &format!("/v1/secrets/{id}/payload"), &headers, b"").unwrap();
        assert_eq!(read.body, payload.repeat(times).as_bytes());
        let wrong = json.replace("payload_content_type", "payload_content_kind");
        client.ask("POST", "/v1/secrets", &headers, wrong.as_bytes()).unwrap();
        // Half a request, and then no more of it.
        client.send(format!("POST /v1/secrets HTTP/1.1\r\nHost: localhost\r\n{headers}").as_bytes()).unwrap();
    }
    // So often, because a program that is not optimised keeps on its stack the registers that it compares bytes with, some
    // hundred bytes of a head: this is about memory that was freed.
    let markers = [&payload, &token].map(|marker| marker.repeat(64));
    let mut left = [0; 2];
    for _ in 0..20 {
        left = [0, 1].map(|which: usize| count_in_memory(server.pid(), markers[which].as_bytes()));
        if left == [0; 2] {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left, [0; 2], "copies of the payload, and of the token");
}

#[test]
fn half_messages_at_the_read_only_socket_hold_up_no_definition_at_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let read_only = folder.path().join("virtsecretd-sock-ro");
    let part = vec![b'x'; 64 * 1024];
    let _halves: Vec<Raw> = (0..20)
        .map(|_| {
            let mut client = Raw::open(&read_only).unwrap();
            client.send(&33_554_436_u32.to_be_bytes()).unwrap();
            client.stream().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            for _ in 0..256 {
                if client.stream().write(&part).is_err() {
                    break; // There is no more room.
                }
            }
            client
        })
        .collect();
    let mut writer = Raw::open(server.socket()).unwrap();
    let long = format!("<secret><description>{}</description></secret>", "d".repeat(200_000));
    writer.define(&long).unwrap().unwrap();
    let log = std::fs::read_to_string(folder.path().join("stderr.txt")).unwrap();
    assert!(!log.contains("half_a_message"), "the writer waited until one of them was cut off");
}
