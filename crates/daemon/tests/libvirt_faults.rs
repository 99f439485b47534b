//! Faulty and slow clients of the libvirt door affect only themselves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::net::Shutdown;
use std::time::{Duration, Instant};

use libvirt_rpc::frame::{self, Header, Kind, PING, PONG};
use libvirt_rpc::procedures::Procedure;
use support::rpc::{self, Event, Id, Raw, Refused};
use support::{Server, until};
use tempfile::TempDir;

/// `FRAME_TIME_MAX`, which is also the time of a client with keepalive: five pings, five seconds apart, and the last wait.
const PATIENCE_OF_THE_SERVER: Duration = Duration::from_secs(30);
/// How much later that may be noticed on a busy machine.
const LATE: Duration = Duration::from_secs(20);

struct Place {
    folder: TempDir,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { server: Server::start_with(folder.path(), &["--libvirt-project", "p"]), folder }
    }

    fn connect(&self) -> Raw {
        Raw::connect(self.server.socket()).unwrap()
    }

    fn open(&self) -> Raw {
        Raw::open(self.server.socket()).unwrap()
    }

    fn open_read_only(&self) -> Raw {
        Raw::open(&self.folder.path().join("virtsecretd-sock-ro")).unwrap()
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("common/system.token")).unwrap()
    }

    /// Lines of the log that have this in them.
    fn logged(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("stderr.txt")).unwrap();
        log.lines().filter(|line| line.contains(text)).count()
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap()
    }
}

/// Defines a secret and gives it a value.
fn store(client: &mut Raw, number: u64, attributes: &str, value: &[u8]) -> Id {
    let id = client.define(&rpc::xml(rpc::id(number), attributes, "")).unwrap().unwrap();
    client.set_value(id, value).unwrap().unwrap();
    id
}

fn refused<T>(code: i32, text: &str) -> Result<T, Refused> {
    Err(Refused { code, text: text.to_owned() })
}

// Bytes that are no messages.

#[test]
fn bytes_that_are_not_a_message_end_only_their_connection_and_are_logged_once() {
    let place = Place::new();
    let mut other = place.open();
    let id = store(&mut other, 1, "", b"hunter2");
    let lengths = [0, 4, 27, 33_554_437, u32::MAX].map(|length: u32| length.to_be_bytes().to_vec());
    let bytes = [
        &b"garbage that goes on for a while, and then some more of it"[..],
        b"GET /v1/secrets HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    let all: Vec<Vec<u8>> = lengths.into_iter().chain(bytes.map(<[u8]>::to_vec)).collect();
    for (before, bytes) in all.iter().enumerate() {
        let mut client = place.connect();
        client.send(bytes).unwrap();
        assert!(client.is_closed(), "{bytes:?}");
        assert_eq!(other.value(id).unwrap().unwrap(), b"hunter2");
        until("it is logged", || place.logged("not_a_message") == before + 1);
    }
    // Also within a conversation: earlier calls are still answered.
    let mut client = place.open();
    let good = rpc::message(Procedure::ConnectNumOfSecrets, 9, |_| {});
    client.send(&[&good[..], &[0; 40]].concat()).unwrap();
    let _ = client.message();
    assert!(client.is_closed());
    until("it is logged", || place.logged("not_a_message") == all.len() + 1);
    assert_eq!(place.logged("was cut off"), all.len() + 1);
}

#[test]
fn a_flood_of_bad_connections_is_counted_and_fills_no_log() {
    const BAD: usize = 500;
    let place = Place::new();
    for _ in 0..BAD {
        let mut client = place.connect();
        client.send(b"GET / HTTP/1.1\r\n").unwrap();
        assert!(client.is_closed());
    }
    let lines = place.logged("was cut off");
    assert!((1..=60).contains(&lines), "{lines} lines"); // 30 a minute, and a minute may end meanwhile.
}

#[test]
fn undecodable_arguments_are_answered_and_the_connection_stays() {
    let place = Place::new();
    let mut client = place.open();
    for procedure in Procedure::ALL.iter().filter(|known| !matches!(known, Procedure::ConnectClose)) {
        for garbage in [&[][..], &[0xff; 3], &[0xff; 64]] {
            let _ = client
                .call(*procedure, |to| {
                    for word in garbage.chunks_exact(4) {
                        to.u32(u32::from_be_bytes(word.try_into().unwrap()));
                    }
                })
                .unwrap();
        }
    }
    assert_eq!(client.count().unwrap(), 0);
    assert_eq!(place.logged("was cut off"), 0);
}

#[test]
fn replies_and_events_from_a_client_are_dropped() {
    let place = Place::new();
    let mut client = place.open();
    for kind in [Kind::Reply, Kind::Message, Kind::Other(3), Kind::Other(5), Kind::Other(-1)] {
        let header = Header { kind, ..Header::call(Procedure::ConnectNumOfSecrets as i32, 77) };
        client.send(&frame::empty(header)).unwrap();
    }
    let serial = client.begin(Procedure::ConnectNumOfSecrets, |_| {}).unwrap();
    assert_eq!(client.message().unwrap().header.serial, serial, "the first answer is that to the call");
}

// Messages that do not become whole.

#[test]
fn half_a_call_is_not_executed_and_a_complete_one_is() {
    let place = Place::new();
    let mut other = place.open();
    let define =
        |number| rpc::message(Procedure::SecretDefineXml, 1, rpc::define(&rpc::xml(rpc::id(number), "", "")));
    for cut in [5, 27, 28, 60, define(1).len() - 1] {
        let mut client = place.open();
        client.send(&define(1)[..cut]).unwrap();
        drop(client);
    }
    let mut client = place.open();
    client.send(&define(2)).unwrap();
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert!(client.is_closed(), "nothing is answered any more, as with libvirtd");
    until("the whole one is executed", || other.list().unwrap().contains(&rpc::id(2)));
    assert_eq!(other.list().unwrap(), [rpc::id(2)]);
    assert_eq!(place.logged("was cut off"), 0, "to leave is no fault");
}

#[test]
fn a_client_that_stops_half_way_is_cut_off_after_thirty_seconds_and_holds_up_nobody() {
    let place = Place::new();
    let whole = rpc::message(Procedure::ConnectNumOfSecrets, 5, |_| {});
    let begin = Instant::now();
    let mut halves: Vec<Raw> = [1, 4, 27]
        .into_iter()
        .cycle()
        .take(300)
        .map(|part| {
            let mut client = place.open();
            client.send(&whole[..part]).unwrap();
            client
        })
        .collect();
    let mut slow = place.open(); // One byte now and then, but whole in the end.
    let mut idle = place.open(); // It has nothing to say, and may be silent for as long as it likes.
    let mut other = place.open();
    let mut slowest = Duration::ZERO;
    for byte in &whole {
        slow.send(&[*byte]).unwrap();
        let asked = Instant::now();
        let id = store(&mut other, 1, "", b"hunter2");
        assert_eq!(other.value(id).unwrap().unwrap(), b"hunter2");
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(300)); // The client is slow.
    }
    assert_eq!(slow.message().unwrap().header.serial, 5);
    assert!(slowest < Duration::from_secs(5), "another client waited for {slowest:?}");
    assert_eq!(place.logged("half_a_message"), 0, "it is not time yet: {:?}", begin.elapsed());
    for client in &mut halves {
        assert!(client.is_closed());
    }
    let took = begin.elapsed();
    assert!(took >= PATIENCE_OF_THE_SERVER && took < PATIENCE_OF_THE_SERVER + LATE, "{took:?}");
    until("the first are logged", || place.logged("half_a_message") >= 30); // Of so many not each.
    assert_eq!(idle.count().unwrap(), 1);
    assert_eq!(place.logged("was cut off"), place.logged("half_a_message"));
}

#[test]
fn a_client_that_leaves_replies_or_events_unread_is_cut_off_after_a_minute() {
    const MINUTE: Duration = Duration::from_secs(60); // `UNREAD_TIME_MAX`
    let place = Place::new();
    let mut other = place.open();
    let id = store(&mut other, 1, "", &[b'v'; 65_536]);
    let begin = Instant::now();
    let mut asking = place.open();
    for serial in 100..116 {
        asking.send(&rpc::message(Procedure::SecretGetValue, serial, rpc::get(id))).unwrap();
    }
    let mut listening = place.open();
    listening.register(1, None).unwrap().unwrap();
    let usage = format!("<usage type='ceph'><name>{}</name></usage>", "u".repeat(32_768));
    let long = other.define(&rpc::xml(rpc::id(2), "", &usage)).unwrap().unwrap();
    for _ in 0..40 {
        other.set_value(long, b"hunter2").unwrap().unwrap();
    }
    let mut slow = place.open(); // It takes its time, but takes something.
    for serial in 200..216 {
        slow.send(&rpc::message(Procedure::SecretGetValue, serial, rpc::get(id))).unwrap();
    }
    for _ in 0..14 {
        std::thread::sleep(Duration::from_secs(4)); // The client is slow.
        assert_eq!(slow.message().unwrap().payload.len(), 65_540);
    }
    assert_eq!(place.logged("was cut off"), 0, "it is not time yet: {:?}", begin.elapsed());
    while place.logged("unread") < 2 {
        assert!(begin.elapsed() < MINUTE + LATE, "they are not let go");
        std::thread::sleep(Duration::from_millis(50));
    }
    while asking.message().is_ok() {} // What was on its way, and then the end.
    while listening.message().is_ok() {}
    for _ in 0..2 {
        assert_eq!(slow.message().unwrap().payload.len(), 65_540);
    }
    assert_eq!((slow.count().unwrap(), place.logged("was cut off")), (2, 2));
}

// Keepalive.

#[test]
fn a_client_that_does_not_answer_pings_is_cut_off_and_one_that_answers_stays() {
    let place = Place::new();
    let pinged = || {
        let mut client = place.open();
        let yes = client.call(Procedure::ConnectSupportsFeature, |to| {
            to.i32(10);
        });
        assert_eq!(yes.unwrap().unwrap(), [0, 0, 0, 1]);
        client
    };
    let (mut silent, mut answering, mut plain) = (pinged(), pinged(), place.open());
    let ping = Header::keepalive(PING);
    std::thread::scope(|scope| {
        let answers = scope.spawn(|| {
            let begin = Instant::now();
            let mut pings = 0;
            while begin.elapsed() < PATIENCE_OF_THE_SERVER + Duration::from_secs(5) {
                assert_eq!(answering.message().unwrap().header, ping);
                answering.send(&frame::empty(Header::keepalive(PONG))).unwrap();
                pings += 1;
            }
            assert!(pings >= 5, "{pings}");
            answering.count().unwrap()
        });
        let begin = Instant::now();
        for _ in 0..5 {
            assert_eq!(silent.message().unwrap().header, ping);
        }
        assert!(silent.is_closed());
        let took = begin.elapsed();
        let early = Duration::from_secs(1); // It was asked for a moment before this began.
        assert!(took + early >= PATIENCE_OF_THE_SERVER && took < PATIENCE_OF_THE_SERVER + LATE, "{took:?}");
        assert_eq!(answers.join().unwrap(), 0);
    });
    assert_eq!(plain.count().unwrap(), 0, "who did not ask is not pinged");
    assert_eq!((place.logged("silent"), place.logged("was cut off")), (1, 1));
}

#[test]
fn a_ping_is_answered_before_any_other_message() {
    let place = Place::new();
    let mut client = place.connect();
    client.send(&frame::empty(Header::keepalive(PING))).unwrap();
    assert_eq!(client.message().unwrap().header, Header::keepalive(PONG));
}

// Events.

#[test]
fn registrations_have_a_limit_and_belong_to_their_connection() {
    let place = Place::new();
    let (mut one, mut two) = (place.open(), place.open());
    let everything = one.register(0, None).unwrap().unwrap();
    assert_eq!(
        one.register(0, None).unwrap(),
        refused(8, "invalid argument: event callback already tracked")
    );
    for number in 1..1024 {
        one.register(1, Some(rpc::id(number))).unwrap().unwrap();
    }
    let full = one.register(1, Some(rpc::id(5000))).unwrap().unwrap_err();
    assert_eq!(full.code, 1, "{full:?}");
    two.register(1, Some(rpc::id(5000))).unwrap().expect("the limit is each connection's own");

    let text = format!("internal error: node device event callback {everything} not registered");
    assert_eq!(two.deregister(everything).unwrap(), refused(1, &text));
    let id = store(&mut two, 3, "", b"hunter2");
    assert_eq!(one.event().unwrap(), (everything, Event::Defined(id)));
    assert!(matches!(one.event().unwrap(), (_, Event::ValueChanged(changed)) if changed == id));
    one.deregister(everything).unwrap().unwrap();
    assert_eq!(one.deregister(everything).unwrap(), refused(1, &text));
    one.register(1, Some(rpc::id(5000))).unwrap().expect("there is room again");
    two.undefine(id).unwrap().unwrap();
    two.set_value(id, b"x").unwrap().unwrap_err();
    assert_eq!(one.count().unwrap(), 0, "no event came before this answer");
}

// Permissions.

#[test]
fn a_private_value_leaves_only_for_the_right_token() {
    let place = Place::new();
    let mut client = place.open();
    let id = store(&mut client, 1, "private='yes'", b"hunter2");
    let right = place.token();
    let private = || refused(65, "Invalid secret: secret is private");
    assert_eq!(client.value(id).unwrap(), private());
    let mut wrong = right.clone().into_bytes();
    wrong[31] ^= 1;
    let wrong = String::from_utf8(wrong).unwrap();
    for token in [&wrong, "", &right[..31], &right[1..], &format!("{right}0"), &right.to_uppercase()] {
        if *token == right {
            continue; // All of its digits are decimal ones.
        }
        client.identify(None, Some(token)).unwrap().expect("no error, it just proves nothing");
        assert_eq!(client.value(id).unwrap(), private(), "{} of its digits", token.len());
    }
    client.identify(None, Some(&right)).unwrap().unwrap();
    assert_eq!(client.value(id).unwrap().unwrap(), b"hunter2");
    client.identify(Some(0), None).unwrap().unwrap();
    assert_eq!(client.value(id).unwrap(), private(), "the token was for the identity it came with");

    let mut reader = place.open_read_only();
    reader.identify(None, Some(&right)).unwrap().unwrap();
    assert_eq!(reader.value(id).unwrap().unwrap_err().code, 29, "read-only is read-only");
    assert_eq!(place.server.connect().payload(&rpc::text(id)).unwrap().status, 403);
    let told = place.audit() + &std::fs::read_to_string(place.folder.path().join("stderr.txt")).unwrap();
    assert!(!told.contains(&right) && !told.contains("hunter2"));
}

#[test]
fn an_identity_is_written_down_when_it_is_believed() {
    let place = Place::new();
    let mut client = place.open();
    let id = store(&mut client, 1, "", b"hunter2");
    let own = rustix::process::getuid().as_raw();
    assert!(place.audit().contains(&format!("\"user\":\"unix:{own}\"")));
    if own == 0 {
        // Root may name the user of a call.
        client.identify(Some(4711), None).unwrap().unwrap();
        client.value(id).unwrap().unwrap();
        assert!(place.audit().contains("\"user\":\"unix:4711\""));
    }
    client.identify(Some(4712), Some(&place.token())).unwrap().unwrap();
    client.value(id).unwrap().unwrap();
    assert!(place.audit().contains("\"user\":\"unix:4712\""), "whoever has the token is believed");
    client.identify(None, None).unwrap().unwrap();
    client.value(id).unwrap().unwrap();
    let last = place.audit().lines().last().unwrap().to_owned();
    assert!(last.contains(&format!("\"user\":\"unix:{own}\"")), "{last}");
}

#[test]
fn the_read_only_socket_refuses_changes_and_shows_no_value() {
    let place = Place::new();
    let id = store(&mut place.open(), 1, "", b"hunter2");
    let mut reader = place.open_read_only();
    let no = |function| format!("operation forbidden: read only access prevents virSecret{function}");
    assert_eq!(reader.define("<secret/>").unwrap(), refused(29, &no("DefineXML")));
    assert_eq!(reader.set_value(id, b"x").unwrap(), refused(29, &no("SetValue")));
    assert_eq!(reader.value(id).unwrap(), refused(29, &no("GetValue")));
    assert_eq!(reader.undefine(id).unwrap(), refused(29, &no("Undefine")));
    assert_eq!(reader.list().unwrap(), [id]);
    assert!(reader.xml(id).unwrap().is_ok());
    let callback = reader.register(0, None).unwrap().unwrap();
    let mut writer = place.open();
    assert_eq!(writer.value(id).unwrap().unwrap(), b"hunter2");
    writer.undefine(id).unwrap().unwrap();
    assert_eq!(reader.event().unwrap(), (callback, Event::Undefined(id)));
}
