//! The link over a socket pair, whose other end is the test.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use libvirt_rpc::frame::{LENGTH_BYTES, LENGTH_MIN};
use libvirt_rpc::messages::{Secret, ValueChanged};
use libvirt_rpc::procedures::EVENT_VALUE_CHANGED;

use super::*;
use crate::limits::MESSAGE_BYTES_AT_ONCE;

const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(30);

fn pair() -> (Link, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    (Link::over(ours.into()).unwrap(), theirs)
}

fn call(link: &Link, procedure: i32, wait: Duration) -> Result<Vec<u8>> {
    link.call(procedure, 0, |_| Ok(()), Some(wait)).map(|message| message.payload().to_vec())
}

fn next_call(peer: &mut UnixStream) -> Header {
    let mut message = [0; LENGTH_MIN];
    peer.read_exact(&mut message).unwrap();
    Header::decode(&mut Decoder::new(&message[4..])).unwrap()
}

fn reply(call: Header, word: u32) -> Vec<u8> {
    frame::message(call.reply(frame::OK), 4, |to| {
        to.u32(word);
        Ok(())
    })
    .unwrap()
}

fn event(callback: i32) -> Vec<u8> {
    let secret = Secret { uuid: [9; 16], usage_type: 0, usage_id: b"" };
    let said = ValueChanged { callback, secret };
    frame::message(Header::event(EVENT_VALUE_CHANGED), 64, |to| said.encode(to)).unwrap()
}

#[test]
fn replies_find_their_callers_in_any_order() {
    const CALLERS: i32 = 16;
    let (link, mut peer) = pair();
    let link = Arc::new(link);
    let callers: Vec<_> = (0..CALLERS)
        .map(|procedure| {
            let link = Arc::clone(&link);
            thread::spawn(move || (procedure, call(&link, procedure, PATIENCE).unwrap()))
        })
        .collect();
    let mut calls: Vec<_> = (0..CALLERS).map(|_| next_call(&mut peer)).collect();
    assert!(calls.is_sorted_by_key(|call| call.serial), "serials count up in the order of the stream");
    calls.sort_by_key(|call| std::cmp::Reverse(call.procedure));
    for call in calls {
        peer.write_all(&reply(call, u32::try_from(call.procedure).unwrap())).unwrap();
    }
    for caller in callers {
        let (procedure, payload) = caller.join().unwrap();
        assert_eq!(payload, procedure.to_be_bytes());
    }
    assert!(link.state().calls.is_empty());
}

#[test]
fn a_ping_is_answered_and_events_are_kept_while_a_reply_is_waited_for() {
    let (link, mut peer) = pair();
    let server = thread::spawn(move || {
        let call = next_call(&mut peer);
        peer.write_all(&event(1)).unwrap();
        peer.write_all(&frame::empty(Header::keepalive(PING))).unwrap();
        assert_eq!(next_call(&mut peer), Header::keepalive(PONG));
        peer.write_all(&event(2)).unwrap();
        peer.write_all(&reply(call, 7)).unwrap();
        peer
    });
    assert_eq!(call(&link, 1, PATIENCE).unwrap(), [0, 0, 0, 7]);
    let _peer = server.join().unwrap();
    let numbers = [(); 2].map(|()| link.next_event(SHORT).unwrap().unwrap().registration.0);
    assert_eq!(numbers, [1, 2]);
    assert_eq!(link.next_event(Duration::ZERO).unwrap(), None);
}

#[test]
fn a_ping_that_comes_while_somebody_writes_is_answered_by_the_writer() {
    const LONG: usize = 4 << 20; // More than the buffers of the pair take.
    let (link, mut peer) = pair();
    let link = Arc::new(link);
    let write = |to: &mut Encoder| to.opaque(&vec![0; LONG], LONG).map(drop);
    let writer = Arc::clone(&link);
    let writer = thread::spawn(move || writer.call(1, LONG, write, Some(PATIENCE)).map(drop));
    while link.next_serial.try_lock().is_ok() {
        thread::yield_now(); // Until the writer is at it.
    }
    peer.write_all(&frame::empty(Header::keepalive(PING))).unwrap();
    let begin = Instant::now();
    while link.owed.load(Ordering::SeqCst) == 0 && begin.elapsed() < PATIENCE {
        assert_eq!(link.next_event(SHORT).unwrap(), None);
    }
    let call = next_call(&mut peer);
    peer.read_exact(&mut vec![0; LENGTH_BYTES + LONG]).unwrap();
    assert_eq!(next_call(&mut peer), Header::keepalive(PONG));
    peer.write_all(&reply(call, 0)).unwrap();
    writer.join().unwrap().unwrap();
}

#[test]
fn a_late_reply_is_dropped_and_half_a_message_is_finished_later() {
    let (link, mut peer) = pair();
    assert!(matches!(call(&link, 1, SHORT), Err(Error::Timeout)));
    let late = reply(next_call(&mut peer), 1);
    peer.write_all(&late[..10]).unwrap();
    assert_eq!(link.next_event(SHORT).unwrap(), None);
    peer.write_all(&late[10..]).unwrap();
    let server = thread::spawn(move || {
        let call = next_call(&mut peer);
        peer.write_all(&reply(call, 2)).unwrap();
        peer
    });
    assert_eq!(call(&link, 2, PATIENCE).unwrap(), [0, 0, 0, 2]);
    drop(server.join().unwrap());
}

#[test]
fn what_is_no_message_closes_the_link() {
    let check = |bytes: &[u8], expect: &str| {
        let (link, mut peer) = pair();
        peer.write_all(bytes).unwrap();
        drop(peer);
        let error = link.next_event(PATIENCE).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
        assert!(matches!(call(&link, 1, PATIENCE), Err(Error::Closed)));
    };
    check(&33_554_437_u32.to_be_bytes(), "33554437 bytes are no message");
    check(&[0, 0, 0, 27], "27 bytes are no message");
    check(&[0, 0, 0, 28, 1, 2], "closed"); // In the middle.
    check(&[], "closed");
    check(&frame::empty(Header::event(EVENT_VALUE_CHANGED)), "ends in the middle of a field");
}

#[test]
fn a_message_that_is_longer_than_its_first_buffer_comes_whole() {
    let (link, mut peer) = pair();
    let body = vec![b'x'; 5 * MESSAGE_BYTES_AT_ONCE + 3];
    let sent = body.clone();
    let server = thread::spawn(move || {
        let call = next_call(&mut peer);
        let write = |to: &mut Encoder| to.string(&sent).map(drop);
        peer.write_all(&frame::message(call.reply(frame::OK), 0, write).unwrap()).unwrap();
        peer
    });
    let payload = call(&link, 1, PATIENCE).unwrap();
    assert!(Decoder::new(&payload).string().unwrap() == body);
    drop(server.join().unwrap());
}

#[test]
fn a_daemon_that_stays_silent_is_asked_as_often_as_is_said_and_then_given_up() {
    let (link, mut peer) = pair();
    link.set_keepalive(Some((SHORT, 2)));
    let begin = Instant::now();
    assert!(matches!(link.next_event(PATIENCE), Err(Error::Silent)));
    assert!(begin.elapsed() >= 3 * SHORT);
    assert_eq!([next_call(&mut peer), next_call(&mut peer)], [Header::keepalive(PING); 2]);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn events_of_a_registration_can_be_forgotten() {
    let (link, mut peer) = pair();
    peer.write_all(&[event(1), event(2), event(1)].concat()).unwrap();
    assert_eq!(link.next_event(PATIENCE).unwrap().unwrap().registration, Registration(1));
    link.receive_ready();
    link.forget_events(Registration(2));
    assert_eq!(link.next_event(PATIENCE).unwrap().unwrap().registration, Registration(1));
}

#[test]
fn a_daemon_that_goes_wakes_everybody() {
    let (link, peer) = pair();
    let link = Arc::new(link);
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let link = Arc::clone(&link);
            thread::spawn(move || link.next_event(PATIENCE))
        })
        .collect();
    thread::sleep(SHORT);
    drop(peer);
    for waiter in waiters {
        assert!(matches!(waiter.join().unwrap(), Err(Error::Ended)));
    }
}
