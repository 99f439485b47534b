//! One stream that many callers share.
//!
//! ```text
//!  caller ─┐                        ┌─▶ reply to the caller with its serial    calls.rs
//!  caller ─┼─ send ─▶ stream ─ read ┼─▶ event to the queue                     event_queue.rs
//!  caller ─┘                        └─▶ PING: PONG                             keepalive.rs
//! ```
//!
//! There is no thread for reading. Of the callers that wait, one reads for all (`waiters.rs`); when it has its own reply, it
//! wakes another. So replies may come in any order, and a call need not wait until another is answered. An event loop may
//! read too, with [`Link::receive_ready`], while nobody waits.
//!
//! An error in the middle of a message leaves nothing that could be made sense of, so it closes the link for everybody.
//! A wait that runs out closes nothing: half a message stays in the inbox, and a reply that comes late is dropped.

mod calls;
mod event_queue;
mod keepalive;
mod waiters;

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use libvirt_rpc::frame::{self, Header, KEEPALIVE, Kind, PING, PONG, REMOTE};
use libvirt_rpc::procedures::EVENT_CONNECTION_CLOSED;
use libvirt_rpc::xdr::{Decoder, EncodeError, Encoder};
use zeroize::Zeroizing;

use self::calls::CallTable;
use self::event_queue::{EventQueue, Next};
use self::keepalive::{Keepalive, Silence};
use self::waiters::{Waiters, WaitsFor};
use crate::close::{CloseReason, Notice, Watcher};
use crate::error::{Error, Result};
use crate::events::{self, Event, Registration};
use crate::inbox::{Inbox, Message};
use crate::limits::{READS_AT_ONCE_MAX, WAIT_MIN};
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

#[derive(Default)]
struct State {
    calls: CallTable,
    waiters: Waiters,
    events: EventQueue,
    /// Away while somebody reads.
    inbox: Option<Inbox>,
    keepalive: Option<Keepalive>,
    closed: Option<CloseReason>,
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
        let state = State { inbox: Some(Inbox::default()), ..State::default() };
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
        let ready = |state: &mut State| match state.calls.take(serial) {
            Some(reply) => reply.map(Ok),
            None => Some(Err(Error::Closed)), // Cannot be: only this caller takes it out.
        };
        let reply = self.wait(WaitsFor::Reply(serial), wait, ready);
        self.state().calls.forget(serial);
        reply?.unwrap_or(Err(Error::Timeout))
    }

    /// The oldest event that nobody took yet, or the next. `None` when there is none in time.
    pub(crate) fn next_event(&self, wait: Duration) -> Result<Option<Event>> {
        let next = self.wait(WaitsFor::Event, Some(wait), |state| state.events.take_next())?;
        match next {
            Some(Next::Event(event)) => Ok(Some(event)),
            Some(Next::Lost(lost)) => Err(Error::EventsLost(lost)),
            None => Ok(None),
        }
    }

    /// The events that have come, and how many were lost before them.
    pub(crate) fn take_events(&self) -> (u64, VecDeque<Event>) {
        self.state().events.take_all()
    }

    /// Forgets events for somebody who does not want them any more.
    pub(crate) fn forget_events(&self, registration: Registration) {
        self.state().events.forget(registration);
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
        state.waiters.wake_all();
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
        let begin = |(interval, count)| Keepalive::new(interval, count, Instant::now());
        self.state().keepalive = keepalive.map(begin);
    }

    /// Does what is due about keepalive, and says how long nothing is.
    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        let silence = self.state().keepalive.as_mut()?.at(Instant::now());
        match silence {
            Silence::Wait(left) => Some(left),
            Silence::Ask(left) => {
                self.owe(OWED_PING);
                Some(left)
            }
            Silence::GiveUp => {
                self.close(CloseReason::Keepalive);
                None
            }
        }
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
        sent.map(|()| serial).inspect_err(|_| self.state().calls.forget(serial))
    }

    fn announce(&self, serial: u32) -> Result<()> {
        let mut state = self.state();
        if state.closed.is_some() {
            return Err(Error::Closed);
        }
        state.calls.announce(serial);
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
        waits_for: WaitsFor,
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
                None => self.sleep(state, waits_for, deadline),
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
        waits_for: WaitsFor,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let bell = state.waiters.add(waits_for);
        drop(state);
        bell.wait(deadline);
        let mut state = self.state();
        state.waiters.remove(&bell);
        state
    }

    /// The error is for the caller alone who read; the others find the link closed.
    fn read_for_all<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        mut inbox: Inbox,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, State>, Option<Error>) {
        let keepalive = state.keepalive.as_ref().map(Keepalive::due);
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
            keepalive.heard(Instant::now());
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
                came.closed_beyond = Some(CloseReason::from_number(reason));
            }
            (REMOTE, Kind::Message) => {
                if let Some(event) = events::decode(header.procedure, &mut Decoder::new(message.payload()))? {
                    self.events.put(event);
                    came.events = true;
                    self.waiters.wake(WaitsFor::Event);
                }
            }
            (_, Kind::Reply) => {
                let is_new = self.calls.put(message);
                if is_new {
                    self.waiters.wake(WaitsFor::Reply(header.serial));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whoever stops waiting has another read from now on.
    fn hand_over(&self) {
        if self.inbox.is_some() {
            self.waiters.elect_reader();
        }
    }
}

#[cfg(test)]
mod tests;
