//! One stream that many callers share: whose reply it is, who reads, what is an event.
//!
//! ```text
//!  caller ─┐                        ┌─▶ reply to the caller whose serial it has
//!  caller ─┼─ send ─▶ stream ─ read ┼─▶ event to the queue
//!  caller ─┘                        └─▶ PING: PONG
//! ```
//!
//! There is no thread for reading. Of the callers that wait, one reads for all; when it has what it waits for, it wakes
//! another. So replies may come in any order, and a call need not wait until another is answered. An event loop may read
//! too, with [`Link::receive_ready`], while nobody waits.
//!
//! An error in the middle of a message leaves nothing that could be made sense of, so it closes the link for everybody.
//! A wait that runs out closes nothing: half a message stays in the inbox, and a reply that comes late is dropped.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use libvirt_rpc::frame::{self, Header, KEEPALIVE, Kind, PING, PONG, REMOTE};
use libvirt_rpc::procedures::EVENT_CONNECTION_CLOSED;
use libvirt_rpc::xdr::{Decoder, EncodeError, Encoder};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::events::{self, Event, Registration};
use crate::inbox::{Inbox, Message};
use crate::limits::{EVENTS_BYTES_MAX, EVENTS_WAITING_MAX, READS_AT_ONCE_MAX, WAIT_MIN};
use crate::stream::Stream;

/// The stream and everything about it.
pub(crate) struct Link {
    stream: Stream,
    /// Held while a message is written, so that no two mix. The serial of the next call.
    next_serial: Mutex<u32>,
    /// Keepalive messages that wait for whoever is writing: [`OWED_PONG`], [`OWED_PING`].
    owed: AtomicU8,
    state: Mutex<State>,
    watcher: OnceLock<Watcher>,
}

const OWED_PONG: u8 = 1;
const OWED_PING: u8 = 2;

/// Who is told, by whatever thread notices, and with no lock held.
pub(crate) type Watcher = Box<dyn Fn(Notice) + Send + Sync>;

/// What a watcher is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Notice {
    /// There are events to be taken.
    Events,
    /// The link is at its end.
    Closed(CloseReason),
    /// So is the daemon's own way to what it asks for us, as it says; the link is not.
    ClosedBeyond(CloseReason),
}

/// Why a connection is at its end: `virConnectCloseReason`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// Something is wrong with the stream or what came on it.
    Error = 0,
    /// The daemon closed it.
    EndOfFile = 1,
    /// The daemon was silent for too long.
    Keepalive = 2,
    /// We closed it.
    Client = 3,
}

impl CloseReason {
    /// By its number.
    fn of(number: i32) -> Self {
        let all = [Self::EndOfFile, Self::Keepalive, Self::Client];
        all.into_iter().find(|reason| *reason as i32 == number).unwrap_or(Self::Error)
    }
}

struct State {
    /// Calls without an answer yet, and answers that were not fetched yet.
    calls: HashMap<u32, Option<Message>>,
    waiting: Vec<Waiter>,
    events: VecDeque<Event>,
    events_bytes: usize,
    events_lost: u64,
    /// Away while somebody reads.
    inbox: Option<Inbox>,
    keepalive: Option<Keepalive>,
    closed: Option<CloseReason>,
}

/// A thread that sleeps until something is there for it, or until it is its turn to read.
struct Waiter {
    bell: Arc<Bell>,
    /// For the reply to this call, or else for events.
    serial: Option<u32>,
}

/// What wakes one waiter. Not the standard library's handle of a thread, which every thread of a foreign program would
/// keep until it ends.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    fn ring(&self) {
        *lock(&self.rung) = true;
        self.ringing.notify_one();
    }

    /// Until it has rung, or this moment.
    fn wait(&self, deadline: Option<Instant>) {
        let mut rung = lock(&self.rung);
        while !*rung {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            rung = match left {
                None => self.ringing.wait(rung).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return,
                Some(left) => self.ringing.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

/// How long the daemon may be silent.
struct Keepalive {
    interval: Duration,
    /// PINGs that may stay unanswered.
    count: u32,
    pings: u32,
    /// When to ask again, or give up: an interval after something was heard, or asked.
    due: Instant,
}

/// Why something was not sent, and whether the link was closed for that and the watcher is still to be told.
struct Failed {
    error: Error,
    closed: Option<CloseReason>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, closed: None }
    }
}

/// What came with one read.
#[derive(Default)]
struct Came {
    events: bool,
    ping: bool,
    closed_beyond: Option<CloseReason>,
}

impl Link {
    /// Takes a stream on which nothing was said yet.
    pub(crate) fn over(stream: Stream) -> io::Result<Self> {
        stream.limit_sending()?;
        let state = State {
            calls: HashMap::new(),
            waiting: Vec::new(),
            events: VecDeque::new(),
            events_bytes: 0,
            events_lost: 0,
            inbox: Some(Inbox::default()),
            keepalive: None,
            closed: None,
        };
        Ok(Self {
            stream,
            next_serial: Mutex::new(0),
            owed: AtomicU8::new(0),
            state: Mutex::new(state),
            watcher: OnceLock::new(),
        })
    }

    /// Has somebody told. Once: a second one is ignored.
    pub(crate) fn watch(&self, watcher: Watcher) {
        let _ = self.watcher.set(watcher);
    }

    /// What to poll for something to [receive](Self::receive_ready).
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.fd()
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.stream.is_secure()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.stream.is_encrypted()
    }

    /// Sends a call and waits for its reply, for ever if no time is given.
    pub(crate) fn call(
        &self,
        procedure: i32,
        payload_capacity: usize,
        write: impl FnOnce(&mut Encoder) -> std::result::Result<(), EncodeError>,
        wait: Option<Duration>,
    ) -> Result<Message> {
        let serial = self.send(procedure, payload_capacity, write)?;
        let ready = |state: &mut State| match state.calls.get_mut(&serial).map(Option::take) {
            Some(reply) => reply.map(Ok),
            None => Some(Err(Error::Closed)), // Cannot be: only this caller takes it out.
        };
        let reply = self.wait(Some(serial), wait, ready);
        self.state().calls.remove(&serial);
        reply?.unwrap_or(Err(Error::Timeout))
    }

    /// The oldest event that nobody took yet, or the next. `None` when there is none in time.
    pub(crate) fn next_event(&self, wait: Duration) -> Result<Option<Event>> {
        self.wait(None, Some(wait), State::take_event)?.transpose()
    }

    /// The events that have come, and how many were lost before them.
    pub(crate) fn take_events(&self) -> (u64, VecDeque<Event>) {
        let mut state = self.state();
        state.events_bytes = 0;
        (std::mem::take(&mut state.events_lost), std::mem::take(&mut state.events))
    }

    /// Forgets events for somebody who does not want them any more.
    pub(crate) fn forget_events(&self, registration: Registration) {
        let mut state = self.state();
        state.events.retain(|event| event.registration != registration);
        state.events_bytes = state.events.iter().map(|event| event.secret.usage_id.len()).sum();
    }

    /// Receives what has come, and waits for nothing. For an event loop, when the [descriptor](Self::fd) is ready.
    pub(crate) fn receive_ready(&self) {
        for _ in 0..READS_AT_ONCE_MAX {
            let mut state = self.state();
            if state.closed.is_some() {
                return;
            }
            let Some(mut inbox) = state.inbox.take() else { return };
            drop(state);
            let read = receive(&self.stream, &mut inbox, false);
            let nothing_more = !matches!(read, Ok(received) if received > 0);
            let (state, _) = self.received(inbox, read);
            self.receive_held(state).hand_over();
            if nothing_more {
                return;
            }
        }
    }

    /// Lets go of the stream. Whoever waits is told that it is closed.
    pub(crate) fn close(&self, reason: CloseReason) {
        if self.shut(reason) {
            self.tell(Notice::Closed(reason));
        }
    }

    /// The same without telling the watcher, for who holds a lock. True if it was open.
    fn shut(&self, reason: CloseReason) -> bool {
        let mut state = self.state();
        if state.closed.is_some() {
            return false;
        }
        state.closed = Some(reason);
        state.wake(|_| true);
        drop(state);
        self.stream.shut_down();
        true
    }

    /// Whether nothing can be asked any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed.is_some()
    }

    /// Asks the daemon for a sign of life after every `interval` of silence, and closes after `count` of them without
    /// one. `None` asks no more.
    pub(crate) fn set_keepalive(&self, keepalive: Option<(Duration, u32)>) {
        let keepalive = keepalive.map(|(interval, count)| Keepalive {
            interval,
            count,
            pings: 0,
            due: Instant::now() + interval,
        });
        self.state().keepalive = keepalive;
    }

    /// Does what is due about keepalive, and says how long nothing is.
    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        let mut state = self.state();
        let keepalive = state.keepalive.as_mut()?;
        let now = Instant::now();
        if now < keepalive.due {
            return Some(keepalive.due - now);
        }
        if keepalive.pings >= keepalive.count {
            drop(state);
            self.close(CloseReason::Keepalive);
            return None;
        }
        let left = keepalive.interval;
        keepalive.pings += 1;
        keepalive.due = now + left;
        drop(state);
        self.owe(OWED_PING);
        Some(left)
    }

    fn send(
        &self,
        procedure: i32,
        payload_capacity: usize,
        write: impl FnOnce(&mut Encoder) -> std::result::Result<(), EncodeError>,
    ) -> Result<u32> {
        let sent = self.send_alone(procedure, payload_capacity, write);
        self.send_owed();
        sent.map_err(|failed| self.tell_of(failed))
    }

    /// With no other message between.
    fn send_alone(
        &self,
        procedure: i32,
        payload_capacity: usize,
        write: impl FnOnce(&mut Encoder) -> std::result::Result<(), EncodeError>,
    ) -> std::result::Result<u32, Failed> {
        let mut next_serial = lock(&self.next_serial);
        let serial = *next_serial;
        let message = frame::message(Header::call(procedure, serial), payload_capacity, write);
        let message = Zeroizing::new(message.map_err(Error::from)?);
        *next_serial = serial.wrapping_add(1);
        self.announce(serial)?; // Before it is sent: the reply may be there at once.
        let sent = self.write_all(&message);
        sent.map(|()| serial).inspect_err(|_| drop(self.state().calls.remove(&serial)))
    }

    fn announce(&self, serial: u32) -> Result<()> {
        let mut state = self.state();
        if state.closed.is_some() {
            return Err(Error::Closed);
        }
        state.calls.insert(serial, None);
        Ok(())
    }

    /// Half a message cannot be taken back, so whatever goes wrong here closes the link, before the next is written.
    fn write_all(&self, message: &[u8]) -> std::result::Result<(), Failed> {
        self.stream.send_all(message).map_err(|error| {
            let (reason, error) = match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => (CloseReason::Error, Error::Timeout),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                    (CloseReason::EndOfFile, Error::Unsent(error))
                }
                _ => (CloseReason::Error, Error::Io(error)),
            };
            Failed { error, closed: self.shut(reason).then_some(reason) }
        })
    }

    /// Tells the watcher, now that no lock is held.
    fn tell_of(&self, Failed { error, closed }: Failed) -> Error {
        if let Some(reason) = closed {
            self.tell(Notice::Closed(reason));
        }
        error
    }

    fn owe(&self, what: u8) {
        self.owed.fetch_or(what, Ordering::SeqCst);
        self.send_owed();
    }

    /// Whoever reads must not wait for whoever writes: the daemon may take nothing more until it is read from. So the
    /// writer, if there is one, sends what is owed when it is done; that it looks after unlocking leaves no gap.
    fn send_owed(&self) {
        while self.owed.load(Ordering::SeqCst) != 0
            && let Ok(writing) = self.next_serial.try_lock()
        {
            let owed = self.owed.swap(0, Ordering::SeqCst);
            let mut due =
                [(OWED_PONG, PONG), (OWED_PING, PING)].into_iter().filter(|(bit, _)| owed & bit != 0);
            let sent = due
                .try_for_each(|(_, procedure)| self.write_all(&frame::empty(Header::keepalive(procedure))));
            drop(writing);
            if let Err(failed) = sent {
                self.tell_of(failed); // The link is closed: that is all there is to say.
            }
        }
    }

    /// Waits until something is `ready`, and reads meanwhile unless somebody else does. `None` when time is up.
    fn wait<T>(
        &self,
        serial: Option<u32>,
        wait: Option<Duration>,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<Option<T>> {
        let deadline = wait.map(|wait| Instant::now() + wait.max(WAIT_MIN));
        let mut state = self.state();
        let result = loop {
            if let Some(found) = ready(&mut state) {
                break Ok(Some(found));
            }
            if let Some(reason) = state.closed {
                break Err(Error::closed_by(reason));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break Ok(None);
            }
            state = match state.inbox.take() {
                None => self.sleep(state, serial, deadline),
                Some(inbox) => match self.read_for_all(state, inbox, deadline) {
                    (state, None) => state,
                    (state, Some(error)) => {
                        state.hand_over();
                        return Err(error);
                    }
                },
            };
        };
        state.hand_over();
        result
    }

    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        serial: Option<u32>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let bell = Arc::new(Bell::default());
        state.waiting.push(Waiter { bell: Arc::clone(&bell), serial });
        drop(state);
        bell.wait(deadline);
        let mut state = self.state();
        state.waiting.retain(|waiter| !Arc::ptr_eq(&waiter.bell, &bell));
        state
    }

    /// The error is for the caller alone who read; the others find the link closed.
    fn read_for_all<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        mut inbox: Inbox,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, State>, Option<Error>) {
        let keepalive = state.keepalive.as_ref().map(|keepalive| keepalive.due);
        drop(state);
        let until = deadline.into_iter().chain(keepalive).min();
        let read = match until.map(|until| self.stream.wait_until(until)) {
            Some(Ok(false)) => Ok(0),
            Some(Err(error)) => Err(Error::Io(error)),
            Some(Ok(true)) => receive(&self.stream, &mut inbox, false),
            None => receive(&self.stream, &mut inbox, true),
        };
        let (state, error) = self.received(inbox, read);
        let state = self.receive_held(state);
        if error.is_some() || keepalive.is_none_or(|due| Instant::now() < due) {
            return (state, error);
        }
        state.hand_over();
        drop(state);
        self.keep_alive();
        (self.state(), None)
    }

    /// Receives what the stream holds, so that while nobody reads, whoever polls its descriptor learns of all that comes.
    /// An error closes the link, and whoever waits finds that.
    fn receive_held<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while state.closed.is_none()
            && self.stream.holds_some()
            && let Some(mut inbox) = state.inbox.take()
        {
            drop(state);
            let read = receive(&self.stream, &mut inbox, false);
            (state, _) = self.received(inbox, read);
        }
        state
    }

    /// Puts what was read where it belongs, does what it asks for, and tells whom it concerns.
    fn received(&self, mut inbox: Inbox, read: Result<usize>) -> (MutexGuard<'_, State>, Option<Error>) {
        let mut state = self.state();
        let taken = read.and_then(|received| state.sort(&mut inbox, received));
        state.inbox = Some(inbox);
        let error = match taken {
            Ok(Came { events: false, ping: false, closed_beyond: None }) => return (state, None),
            Ok(came) => {
                // Before anything that may take long: a sleeper must be able to read meanwhile.
                state.hand_over();
                drop(state);
                if came.ping {
                    self.owe(OWED_PONG);
                }
                if came.events {
                    self.tell(Notice::Events);
                }
                if let Some(reason) = came.closed_beyond {
                    self.tell(Notice::ClosedBeyond(reason));
                }
                None
            }
            Err(error) => {
                drop(state);
                let ended = matches!(error, Error::Ended);
                self.close(if ended { CloseReason::EndOfFile } else { CloseReason::Error });
                Some(error)
            }
        };
        (self.state(), error)
    }

    fn tell(&self, notice: Notice) {
        if let Some(watcher) = self.watcher.get() {
            watcher(notice);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Nothing here panics while it holds a lock; if it did, what is behind would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much came; 0 if nothing is there and nobody waits.
fn receive(stream: &Stream, inbox: &mut Inbox, wait: bool) -> Result<usize> {
    match stream.receive(inbox.room()?, wait) {
        Ok(0) => Err(Error::Ended),
        Ok(received) => {
            inbox.filled(received);
            Ok(received)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(Error::Io(error)),
    }
}

impl State {
    /// Takes the messages that have become whole.
    fn sort(&mut self, inbox: &mut Inbox, received: usize) -> Result<Came> {
        if received > 0
            && let Some(keepalive) = &mut self.keepalive
        {
            (keepalive.due, keepalive.pings) = (Instant::now() + keepalive.interval, 0);
        }
        let mut came = Came::default();
        while let Some(message) = inbox.take()? {
            self.put(message, &mut came)?;
        }
        Ok(came)
    }

    /// Puts a message where it belongs. What belongs nowhere is dropped.
    fn put(&mut self, message: Message, came: &mut Came) -> Result<()> {
        let header = message.header;
        match (header.program, header.kind) {
            (KEEPALIVE, Kind::Message) => came.ping |= header.procedure == PING,
            (REMOTE, Kind::Message) if header.procedure == EVENT_CONNECTION_CLOSED => {
                let reason = Decoder::new(message.payload()).i32()?;
                came.closed_beyond = Some(CloseReason::of(reason));
            }
            (REMOTE, Kind::Message) => {
                if let Some(event) = events::decode(header.procedure, &mut Decoder::new(message.payload()))? {
                    self.put_event(event);
                    came.events = true;
                    self.wake(|waiter| waiter.serial.is_none());
                }
            }
            (_, Kind::Reply) => {
                // An answer is not replaced by another, and one that nobody waits for any more is dropped.
                if let Some(slot @ None) = self.calls.get_mut(&header.serial) {
                    *slot = Some(message);
                    self.wake(|waiter| waiter.serial == Some(header.serial));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn wake(&self, whom: impl Fn(&Waiter) -> bool) {
        self.waiting.iter().filter(|waiter| whom(waiter)).for_each(|waiter| waiter.bell.ring());
    }

    /// Whoever stops waiting wakes another, who reads from then on. One who is woken and stops too does the same, so
    /// nobody sleeps while nobody reads.
    fn hand_over(&self) {
        if self.inbox.is_some()
            && let Some(next) = self.waiting.first()
        {
            next.bell.ring();
        }
    }

    fn put_event(&mut self, event: Event) {
        self.events_bytes += event.secret.usage_id.len();
        self.events.push_back(event);
        while self.events.len() > EVENTS_WAITING_MAX || self.events_bytes > EVENTS_BYTES_MAX {
            self.pop_event();
            self.events_lost += 1;
        }
    }

    fn pop_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.events_bytes -= event.secret.usage_id.len();
        Some(event)
    }

    fn take_event(&mut self) -> Option<Result<Event>> {
        match std::mem::take(&mut self.events_lost) {
            0 => self.pop_event().map(Ok),
            lost => Some(Err(Error::EventsLost(lost))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
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
}
