//! One stream that many callers share: whose reply it is, who reads, what is an event.
//!
//! ```text
//!  caller ─┐                        ┌─▶ reply to the caller whose serial it has
//!  caller ─┼─ send ─▶ stream ─ read ┼─▶ event to the queue
//!  caller ─┘                        └─▶ PING: PONG
//! ```
//!
//! There is no thread for reading. Of the callers that wait, one reads for all; when it has what it waits for, another
//! takes over. So replies may come in any order, and a call need not wait until another is answered.
//!
//! An error in the middle of a message leaves nothing that could be made sense of, so it closes the link for everybody.
//! A wait that runs out closes nothing: half a message stays in the inbox, and a reply that comes late is dropped.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libvirt_rpc::frame::{self, Header, KEEPALIVE, Kind, LENGTH_BYTES, LENGTH_MIN, PING, PONG, REMOTE};
use libvirt_rpc::xdr::{Decoder, EncodeError, Encoder};
use zeroize::Zeroizing;

use crate::error::{Error, ProtocolError, Result};
use crate::events::{self, Event, Registration};
use crate::limits::{EVENTS_WAITING_MAX, MESSAGE_BYTES_AT_ONCE, SEND_WAIT_MAX, WAIT_MIN};

/// The stream and everything about it.
pub(crate) struct Link {
    stream: UnixStream,
    /// Held while a message is written, so that no two mix. The serial of the next call.
    next_serial: Mutex<u32>,
    /// A PING came while somebody was writing, who is to answer it then.
    pong_due: AtomicBool,
    state: Mutex<State>,
    /// Something in `state` is new, or nobody reads any more.
    changed: Condvar,
}

struct State {
    /// Calls without an answer yet, and answers that were not fetched yet.
    calls: HashMap<u32, Option<Message>>,
    events: VecDeque<Event>,
    events_lost: u64,
    /// Where the reader left off; away while somebody reads.
    inbox: Option<Inbox>,
    closed: bool,
}

/// A whole message, wiped after use.
pub(crate) struct Message {
    /// Its header.
    pub(crate) header: Header,
    bytes: Zeroizing<Vec<u8>>,
}

impl Message {
    /// What follows the header.
    pub(crate) fn payload(&self) -> &[u8] {
        self.bytes.get(LENGTH_MIN..).unwrap_or_default()
    }
}

impl Link {
    /// Takes a stream on which nothing was said yet.
    pub(crate) fn over(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(SEND_WAIT_MAX))?;
        let state = State {
            calls: HashMap::new(),
            events: VecDeque::new(),
            events_lost: 0,
            inbox: Some(Inbox::default()),
            closed: false,
        };
        Ok(Self {
            stream,
            next_serial: Mutex::new(0),
            pong_due: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Sends a call and waits for its reply.
    pub(crate) fn call(
        &self,
        procedure: i32,
        payload_capacity: usize,
        write: impl FnOnce(&mut Encoder) -> std::result::Result<(), EncodeError>,
        wait: Duration,
    ) -> Result<Message> {
        let serial = self.send(procedure, payload_capacity, write)?;
        let reply = self.wait(wait, |state| match state.calls.get_mut(&serial).map(Option::take) {
            Some(reply) => reply.map(Ok),
            None => Some(Err(Error::Closed)), // Cannot be: only this caller takes it out.
        });
        self.state().calls.remove(&serial);
        reply?.unwrap_or(Err(Error::Timeout))
    }

    /// The oldest event that nobody took yet, or the next. `None` when there is none in time.
    pub(crate) fn next_event(&self, wait: Duration) -> Result<Option<Event>> {
        self.wait(wait, State::take_event)?.transpose()
    }

    /// Forgets events for somebody who does not want them any more.
    pub(crate) fn forget_events(&self, registration: Registration) {
        self.state().events.retain(|event| event.registration != registration);
    }

    /// Lets go of the stream. Whoever waits is told that it is closed.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        let _ = self.stream.shutdown(Shutdown::Both); // It may be gone already.
        self.changed.notify_all();
    }

    /// Whether nothing can be asked any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn send(
        &self,
        procedure: i32,
        payload_capacity: usize,
        write: impl FnOnce(&mut Encoder) -> std::result::Result<(), EncodeError>,
    ) -> Result<u32> {
        let mut next_serial = lock(&self.next_serial);
        let serial = *next_serial;
        let message = frame::message(Header::call(procedure, serial), payload_capacity, write)?;
        let message = Zeroizing::new(message);
        *next_serial = serial.wrapping_add(1);
        self.announce(serial)?; // Before it is sent: the reply may be there at once.
        let sent = self.write_all(&message);
        drop(next_serial);
        self.send_due_pong();
        sent.map(|()| serial).inspect_err(|_| drop(self.state().calls.remove(&serial)))
    }

    fn announce(&self, serial: u32) -> Result<()> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::Closed);
        }
        state.calls.insert(serial, None);
        Ok(())
    }

    /// Half a message cannot be taken back, so whatever goes wrong here closes the link.
    fn write_all(&self, message: &[u8]) -> Result<()> {
        (&self.stream).write_all(message).map_err(|error| {
            self.close();
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout,
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::Closed,
                _ => Error::Io(error),
            }
        })
    }

    /// Whoever reads must not wait for whoever writes: the daemon may take nothing more until it is read from. So the
    /// writer, if there is one, sends what is due when it is done; that it looks after unlocking leaves no gap.
    fn send_due_pong(&self) {
        while self.pong_due.load(Ordering::SeqCst)
            && let Ok(_writing) = self.next_serial.try_lock()
        {
            if self.pong_due.swap(false, Ordering::SeqCst) {
                let _ = self.write_all(&frame::empty(Header::keepalive(PONG))); // Closes the link if it fails.
            }
        }
    }

    /// Waits until something is `ready`, and reads meanwhile unless somebody else does. `None` when time is up.
    fn wait<T>(&self, wait: Duration, mut ready: impl FnMut(&mut State) -> Option<T>) -> Result<Option<T>> {
        let deadline = Instant::now() + wait.max(WAIT_MIN); // So that a wait of nothing looks once.
        let mut state = self.state();
        loop {
            if let Some(found) = ready(&mut state) {
                return Ok(Some(found));
            }
            if state.closed {
                return Err(Error::Closed);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = match state.inbox.take() {
                Some(inbox) => self.read_for_all(state, inbox, deadline)?,
                None => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn read_for_all<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        mut inbox: Inbox,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, State>> {
        drop(state);
        let read = inbox.receive(&self.stream, deadline);
        let mut state = self.state();
        state.inbox = Some(inbox);
        let taken = read.and_then(|message| message.map_or(Ok(false), |message| state.take(message)));
        state.closed |= taken.is_err();
        self.changed.notify_all(); // Somebody has a reply, or has to read in our place.
        if taken? {
            drop(state);
            self.pong_due.store(true, Ordering::SeqCst);
            self.send_due_pong();
            return Ok(self.state());
        }
        Ok(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Nothing here panics while it holds a lock; if it did, what is behind would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Puts a message where it belongs. True if it wants a PONG. What belongs nowhere is dropped.
    fn take(&mut self, message: Message) -> Result<bool> {
        let header = message.header;
        match (header.program, header.kind) {
            (KEEPALIVE, Kind::Message) => return Ok(header.procedure == PING),
            (REMOTE, Kind::Message) => {
                if let Some(event) = events::decode(header.procedure, &mut Decoder::new(message.payload()))? {
                    self.put_event(event);
                }
            }
            (_, Kind::Reply) => {
                // An answer is not replaced by another, and one that nobody waits for any more is dropped.
                if let Some(slot @ None) = self.calls.get_mut(&header.serial) {
                    *slot = Some(message);
                }
            }
            _ => {}
        }
        Ok(false)
    }

    fn put_event(&mut self, event: Event) {
        if self.events.len() >= EVENTS_WAITING_MAX {
            self.events.pop_front();
            self.events_lost += 1;
        }
        self.events.push_back(event);
    }

    fn take_event(&mut self) -> Option<Result<Event>> {
        match std::mem::take(&mut self.events_lost) {
            0 => self.events.pop_front().map(Ok),
            lost => Some(Err(Error::EventsLost(lost))),
        }
    }
}

/// The message that is being read, as far as it has come.
#[derive(Default)]
struct Inbox {
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
}

impl Inbox {
    /// The next whole message; `None` when there is none in time.
    fn receive(&mut self, stream: &UnixStream, deadline: Instant) -> Result<Option<Message>> {
        loop {
            let wanted = self.wanted()?;
            if self.filled == wanted && wanted > LENGTH_BYTES {
                return self.message().map(Some);
            }
            // As much as is promised if that is little, and else as much again as has come.
            let room = wanted.min(MESSAGE_BYTES_AT_ONCE.max(self.filled * 2));
            if self.bytes.len() < room {
                self.make_room(room);
            }
            if !self.read_some(stream, deadline)? {
                return Ok(None);
            }
        }
    }

    /// Bytes of the whole message, or of its length as long as that is not known.
    fn wanted(&self) -> Result<usize> {
        match self.bytes.get(..self.filled).and_then(<[u8]>::first_chunk::<LENGTH_BYTES>) {
            None => Ok(LENGTH_BYTES),
            Some(length) => frame::length(*length).map_err(|error| ProtocolError::from(error).into()),
        }
    }

    /// By hand, because a `Vec` that grows leaves a copy of what was in it behind.
    fn make_room(&mut self, room: usize) {
        let mut larger = Zeroizing::new(vec![0; room]);
        larger.iter_mut().zip(self.bytes.iter()).for_each(|(to, from)| *to = *from);
        self.bytes = larger;
    }

    fn message(&mut self) -> Result<Message> {
        let bytes = std::mem::take(&mut self.bytes);
        self.filled = 0;
        let header = Header::decode(&mut Decoder::new(bytes.get(LENGTH_BYTES..).unwrap_or_default()))?;
        Ok(Message { header, bytes })
    }

    /// False when time is up.
    fn read_some(&mut self, mut stream: &UnixStream, deadline: Instant) -> Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now()).max(WAIT_MIN);
        stream.set_read_timeout(Some(left)).map_err(Error::Io)?;
        match stream.read(self.bytes.get_mut(self.filled..).unwrap_or_default()) {
            Ok(0) => Err(Error::Closed),
            Ok(read) => {
                self.filled += read;
                Ok(true)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(false),
                io::ErrorKind::Interrupted => Ok(Instant::now() < deadline),
                io::ErrorKind::ConnectionReset => Err(Error::Closed),
                _ => Err(Error::Io(error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use libvirt_rpc::messages::{Secret, ValueChanged};
    use libvirt_rpc::procedures::EVENT_VALUE_CHANGED;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(30);

    fn pair() -> (Link, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(PATIENCE)).unwrap();
        (Link::over(ours).unwrap(), theirs)
    }

    fn call(link: &Link, procedure: i32, wait: Duration) -> Result<Vec<u8>> {
        link.call(procedure, 0, |_| Ok(()), wait).map(|message| message.payload().to_vec())
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
        let writer = thread::spawn(move || writer.call(1, LONG, write, PATIENCE).map(drop));
        while link.next_serial.try_lock().is_ok() {
            thread::yield_now(); // Until the writer is at it.
        }
        peer.write_all(&frame::empty(Header::keepalive(PING))).unwrap();
        let begin = Instant::now();
        while !link.pong_due.load(Ordering::SeqCst) && begin.elapsed() < PATIENCE {
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
    fn a_promise_of_much_takes_little_memory() {
        let (link, mut peer) = pair();
        peer.write_all(&33_554_436_u32.to_be_bytes()).unwrap();
        assert_eq!(link.next_event(SHORT).unwrap(), None);
        let state = link.state();
        assert_eq!(state.inbox.as_ref().unwrap().bytes.len(), MESSAGE_BYTES_AT_ONCE);
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
    fn the_oldest_events_are_dropped_and_the_taker_is_told() {
        let (link, _peer) = pair();
        for number in 0..EVENTS_WAITING_MAX + 3 {
            let bytes = event(i32::try_from(number).unwrap());
            let said = events::decode(EVENT_VALUE_CHANGED, &mut Decoder::new(&bytes[LENGTH_MIN..]));
            link.state().put_event(said.unwrap().unwrap());
        }
        assert!(matches!(link.next_event(SHORT), Err(Error::EventsLost(3))));
        assert_eq!(link.next_event(SHORT).unwrap().unwrap().registration, Registration(3));
    }

    #[test]
    fn events_of_a_registration_can_be_forgotten() {
        let (link, mut peer) = pair();
        peer.write_all(&[event(1), event(2), event(1)].concat()).unwrap();
        assert_eq!(link.next_event(PATIENCE).unwrap().unwrap().registration, Registration(1));
        link.read_one();
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
            assert!(matches!(waiter.join().unwrap(), Err(Error::Closed)));
        }
    }

    impl Link {
        fn read_one(&self) {
            let mut state = self.state();
            let inbox = state.inbox.take().unwrap();
            drop(self.read_for_all(state, inbox, Instant::now() + PATIENCE).unwrap());
        }
    }
}
