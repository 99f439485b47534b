//! One connection, from its first byte to its last.
//!
//! ```text
//! socket ─▶ input ─▶ session ─┬─▶ output ─▶ socket
//!                    calls ───┤
//!                    events ──┘
//! ```
//!
//! Calls are begun in the order they come and answered as they are done. Whoever leaves answers or events unread is read
//! from no more until they are taken, and cut off when that takes too long or too many events have passed. Whoever asks
//! for much at once is served by turns with its like. An idle connection keeps no buffer and no timer. Why one was ended
//! is told once, to the counts and, unless many were, to the log.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use libvirt_rpc::frame::{self, BadLength, Header, PING};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::{debug, info};
use zeroize::Zeroize as _;

use crate::door::{Door, Socket};
use crate::events::{Follower, Lagged};
use crate::identity::Peer;
use crate::input::{Input, whole};
use crate::later::{Later, asks_for_a_list};
use crate::limits::{
    AUTH_TIME_MAX, CALLS_MAX, FRAME_TIME_MAX, KEEPALIVE_COUNT, KEEPALIVE_INTERVAL, UNREAD_TIME_MAX,
    UNSENT_BYTES_MAX,
};
use crate::output::{Frame, Output};
use crate::session::{Session, Step};
use crate::turns::Turns;

/// Bytes read at once. They lie on the stack, and are wiped there.
const READ_BYTES: usize = 16 * 1024;
/// How soon a connection that waits for memory looks again whether there is some.
const MEMORY_RETRY: Duration = Duration::from_millis(20);

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The client closed it, or asked for that.
    Closed,
    /// The door closes.
    Drained,
    /// What came is no message.
    NotAMessage,
    /// A message did not become whole in time.
    HalfAMessage,
    /// Nothing was read for too long.
    Unread,
    /// Too many events were not read.
    Lagged,
    /// Pings were not answered.
    Silent,
    /// It did not authenticate in time.
    Unauthenticated,
    /// The socket failed.
    Failed(io::Error),
}

impl End {
    /// The reason in log and counts, if it is one to tell.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Closed | Self::Drained | Self::Failed(_) => None,
            Self::NotAMessage => Some("not_a_message"),
            Self::HalfAMessage => Some("half_a_message"),
            Self::Unread => Some("unread"),
            Self::Lagged => Some("lagged"),
            Self::Silent => Some("silent"),
            Self::Unauthenticated => Some("unauthenticated"),
        }
    }
}

impl Door {
    /// Serves one accepted connection until it ends. When `drain` completes, calls in flight are still answered, within
    /// the time for that, and no other is taken.
    pub async fn serve_connection<S>(
        self: Arc<Self>,
        stream: S,
        socket: Socket,
        peer: Option<Peer>,
        drain: impl Future<Output = ()>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _open = self.metrics.connection();
        let mut connection = Connection::new(Arc::clone(&self), stream, socket, peer);
        let mut drain = pin!(drain);
        let end = std::future::poll_fn(|context| {
            if connection.drain_until.is_none() && drain.as_mut().poll(context).is_ready() {
                connection.drain_until = Some(Instant::now() + self.config.drain_time_max);
            }
            connection.poll(context)
        })
        .await;
        if let Some(reason) = end.reason() {
            self.metrics.cut(reason);
            let (uid, pid) = peer.map_or((None, None), |peer| (Some(peer.uid), Some(peer.pid)));
            match self.cuts.next(Instant::now()) {
                Some(0) => info!(reason, uid, pid, "a libvirt connection was cut off"),
                Some(before) => {
                    info!(reason, uid, pid, before, "a libvirt connection was cut off, and others before")
                }
                None => self.metrics.left_out(),
            }
        } else if let End::Failed(error) = end {
            debug!(%error, "a libvirt connection failed");
        }
    }
}

struct Connection<S> {
    door: Arc<Door>,
    stream: S,
    socket: Socket,
    session: Session,
    turns: Turns,
    input: Input,
    output: Output,
    calls: Vec<Later>,
    follower: Option<Following>,
    /// No more is read: what is in flight is done, and then this is the end.
    ending: Option<Ending>,
    drain_until: Option<Instant>,
    /// When the message began that is not whole yet.
    begun: Option<Instant>,
    /// Since when something waits that the client does not take.
    unread_since: Option<Instant>,
    /// What long messages of this connection hold of the memory for them.
    memory: Option<OwnedSemaphorePermit>,
    waits_for_memory: bool,
    keepalive: Option<Keepalive>,
    unauthenticated_until: Option<Instant>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// How a connection ends that has said its last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    /// What waits is sent.
    Send,
    /// What has begun is done, and told to nobody: the client has closed its side, and libvirtd answers no more then.
    Discard,
}

/// A place among the events, and what completes when there are more.
struct Following {
    follower: Follower,
    more: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The state of a connection whose client asked to be pinged.
struct Keepalive {
    /// When the next ping is due, unless something comes before.
    at: Instant,
    unanswered: u32,
}

impl Keepalive {
    fn heard(&mut self) {
        *self = Self::from_now();
    }

    fn from_now() -> Self {
        Self { at: Instant::now() + KEEPALIVE_INTERVAL, unanswered: 0 }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(door: Arc<Door>, stream: S, socket: Socket, peer: Option<Peer>) -> Self {
        let session = Session::new(Arc::clone(&door), socket, peer);
        Self {
            unauthenticated_until: (!session.is_authenticated()).then(|| Instant::now() + AUTH_TIME_MAX),
            door,
            stream,
            socket,
            session,
            turns: Turns::new(),
            input: Input::default(),
            output: Output::default(),
            calls: Vec::new(),
            follower: None,
            ending: None,
            drain_until: None,
            begun: None,
            unread_since: None,
            memory: None,
            waits_for_memory: false,
            keepalive: None,
            timer: None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        while self.turns.poll_begin(context).is_ready() {
            match self.turn(context) {
                Err(end) => return Poll::Ready(end),
                Ok(true) => self.turns.queue(),
                Ok(false) => {
                    self.turns.rest();
                    break;
                }
            }
        }
        if let Some(end) = self.over() {
            return Poll::Ready(end);
        }
        let end = ready!(self.poll_time(context));
        Poll::Ready(end)
    }

    /// Does what can be done now, for one turn; whether there may be more.
    fn turn(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        while self.step(context)? {
            if self.turns.is_over() {
                self.send(context)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does what can be done now; whether that was anything.
    fn step(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let sent = self.send(context)?;
        let done = self.finish_calls(context);
        let handled = self.handle_waiting()?;
        let read = self.read(context)?;
        let told = self.tell(context)?;
        Ok(sent | done | handled | read | told)
    }

    /// The end, if all has been done that was to be done.
    fn over(&self) -> Option<End> {
        let idle = self.calls.is_empty();
        match self.ending {
            Some(Ending::Discard) if idle => Some(End::Closed),
            Some(Ending::Send) if idle && self.output.is_empty() => Some(End::Closed),
            None if self.drain_until.is_some() && idle && self.output.is_empty() => Some(End::Drained),
            _ => None,
        }
    }

    fn send(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        if self.ending == Some(Ending::Discard) {
            self.output = Output::default();
            return Ok(false);
        }
        if self.output.is_empty() {
            return Ok(false);
        }
        let sent = self.output.poll_send(&mut self.stream, context).map_err(End::Failed)?;
        if self.output.is_empty() {
            self.unread_since = None;
        } else if sent > 0 || self.unread_since.is_none() {
            self.unread_since = Some(Instant::now());
        }
        Ok(sent > 0)
    }

    fn finish_calls(&mut self, context: &mut Context<'_>) -> bool {
        let before = self.calls.len();
        let (output, session, turns) = (&mut self.output, &mut self.session, &mut self.turns);
        self.calls.retain_mut(|call| {
            if turns.is_over() {
                return true; // In the next one.
            }
            match call.poll(context) {
                Poll::Pending => true,
                Poll::Ready(answer) => {
                    let frame = session.finish(call, answer);
                    turns.spend(frame.bytes().len());
                    output.push(frame);
                    false
                }
            }
        });
        let done = self.calls.len() < before;
        if done {
            self.follow_or_not();
            if self.calls.is_empty() {
                self.calls = Vec::new();
            }
        }
        if self.session.is_authenticated() {
            self.unauthenticated_until = None;
        }
        done
    }

    fn follow_or_not(&mut self) {
        match (&self.follower, self.session.registrations().is_empty()) {
            (None, false) => {
                let newest = *self.door.vault.newest_change().borrow();
                let follower = self.door.events.subscribe(newest);
                self.follower = Some(Following { more: Box::pin(follower.more()), follower });
            }
            (Some(_), true) => self.follower = None,
            (None, true) | (Some(_), false) => {}
        }
    }

    /// Whether another call may begin.
    fn has_room(&self) -> bool {
        self.ending.is_none()
            && self.drain_until.is_none()
            && self.calls.len() < CALLS_MAX
            && self.output.waiting() < UNSENT_BYTES_MAX
    }

    /// Whether a message has to wait for a call that is being done: of lists, which may be long, one is made at a time.
    fn must_wait(&self, message: &[u8]) -> bool {
        asks_for_a_list(message) && self.calls.iter().any(Later::is_list)
    }

    /// Handles whole messages that had to wait.
    fn handle_waiting(&mut self) -> Result<bool, End> {
        let mut handled = false;
        while self.has_room() && !self.input.is_empty() {
            let Some(message) = self.input.first().map_err(not_a_message)? else { break };
            if self.must_wait(message) {
                break;
            }
            let mut step = self.session.handle(message);
            self.input.done();
            if let Step::Later(later) = &mut step {
                later.hold(self.memory.take()); // What the input still has, it asks for again.
            }
            self.take(step);
            handled = true;
        }
        if handled {
            self.begun = None;
            self.begin_or_not()?;
            self.give_memory_back();
        }
        Ok(handled)
    }

    /// Notes when a message began that is not whole. One that is, and waits for others to be done, may wait.
    fn begin_or_not(&mut self) -> Result<(), End> {
        let is_whole = self.input.first().map_err(not_a_message)?.is_some();
        if is_whole || self.input.is_empty() {
            self.begun = None;
        } else {
            self.begun.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    fn read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        if !self.has_room() || self.input.first().map_err(not_a_message)?.is_some() || !self.may_take_memory()
        {
            return Ok(false);
        }
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => return Err(End::Failed(error)),
            Poll::Ready(Ok(())) => {}
        }
        if buffer.filled().is_empty() {
            if !self.session.is_authenticated() {
                self.calls.clear(); // Nobody is there any more whom polkit could ask about.
            }
            self.ending = Some(Ending::Discard);
            return Ok(true);
        }
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.heard();
        }
        self.turns.spend(0);
        let taken = self.take_bytes(buffer.filled());
        buffer.filled_mut().zeroize(); // A value may have been among them.
        taken.map(|()| true)
    }

    fn take_bytes(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        // Whole messages are handled where they lie; only what is not whole is kept.
        while self.input.is_empty() && self.has_room() {
            let Some((message, rest)) = whole(bytes).map_err(not_a_message)? else { break };
            if self.must_wait(message) {
                break;
            }
            let step = self.session.handle(message);
            self.take(step);
            bytes = rest;
        }
        if bytes.is_empty() || self.ending.is_some() {
            return Ok(());
        }
        self.input.push(bytes);
        self.begin_or_not()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Reply(frame) => self.output.push(frame),
            Step::Later(later) => self.calls.push(later),
            Step::Last(frame) => {
                self.output.push(frame);
                self.ending = Some(Ending::Send);
            }
            Step::Close => self.ending = Some(Ending::Discard),
        }
        if self.session.is_kept_alive() && self.keepalive.is_none() {
            self.keepalive = Some(Keepalive::from_now());
        }
        self.follow_or_not();
    }

    /// Whether there is memory for more of a long message. Small ones have theirs.
    fn may_take_memory(&mut self) -> bool {
        let needs = self.input.large_bytes_after(READ_BYTES);
        let has = self.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(needs.saturating_sub(has)).unwrap_or(u32::MAX);
        if more == 0 {
            return true;
        }
        let permit = self.door.large_frames(self.socket).try_acquire_many_owned(more);
        self.waits_for_memory = permit.is_err();
        match (permit, &mut self.memory) {
            (Ok(permit), Some(memory)) => memory.merge(permit),
            (Ok(permit), memory @ None) => *memory = Some(permit),
            (Err(_), _) => return false,
        }
        true
    }

    fn give_memory_back(&mut self) {
        if self.input.large_bytes() == 0 {
            self.memory = None;
            self.waits_for_memory = false;
        }
    }

    /// Puts events behind the answers, as far as there is room.
    fn tell(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let mut told = false;
        let Some(following) = &mut self.follower else { return Ok(false) };
        while self.output.waiting() < UNSENT_BYTES_MAX {
            match following.follower.next() {
                Err(Lagged) => return Err(End::Lagged),
                Ok(Some(event)) => {
                    for message in self.session.registrations().messages(&event) {
                        self.output.push(Frame::open(message));
                        self.door.metrics.told();
                        told = true;
                    }
                }
                Ok(None) => match following.more.as_mut().poll(context) {
                    Poll::Ready(()) => following.more = Box::pin(following.follower.more()),
                    Poll::Pending => break,
                },
            }
        }
        Ok(told)
    }

    /// Ends what has taken too long, and waits for the next moment at which something will have.
    fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            let now = Instant::now();
            if let Some(end) = self.expired(now) {
                return Poll::Ready(end);
            }
            if self.ping(now) {
                context.waker().wake_by_ref(); // It has to be sent.
            }
            let Some(next) = self.next_moment() else {
                self.timer = None;
                return Poll::Pending;
            };
            let (at, timer) = self.timer.get_or_insert_with(|| (next, Box::pin(sleep_until(next))));
            if *at != next {
                *at = next;
                timer.as_mut().reset(next);
            }
            ready!(timer.as_mut().poll(context));
            if self.waits_for_memory {
                self.waits_for_memory = false;
                context.waker().wake_by_ref();
            }
        }
    }

    fn expired(&self, now: Instant) -> Option<End> {
        let past = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        if past(self.drain_until) {
            return Some(End::Drained);
        }
        if past(self.begun.map(|begun| begun + FRAME_TIME_MAX)) {
            return Some(End::HalfAMessage);
        }
        if past(self.unread_since.map(|since| since + UNREAD_TIME_MAX)) {
            return Some(End::Unread);
        }
        if past(self.unauthenticated_until) {
            return Some(End::Unauthenticated);
        }
        let keepalive = self.keepalive.as_ref()?;
        (keepalive.at <= now && keepalive.unanswered >= KEEPALIVE_COUNT).then_some(End::Silent)
    }

    /// Pings the client if that is due.
    fn ping(&mut self, now: Instant) -> bool {
        let Some(keepalive) = self.keepalive.as_mut().filter(|keepalive| keepalive.at <= now) else {
            return false;
        };
        keepalive.at = now + KEEPALIVE_INTERVAL;
        keepalive.unanswered += 1;
        self.output.push(Frame::open(frame::empty(Header::keepalive(PING))));
        true
    }

    fn next_moment(&self) -> Option<Instant> {
        let memory = self.waits_for_memory.then(|| Instant::now() + MEMORY_RETRY);
        [
            self.drain_until,
            self.begun.map(|begun| begun + FRAME_TIME_MAX),
            self.unread_since.map(|since| since + UNREAD_TIME_MAX),
            self.unauthenticated_until,
            self.keepalive.as_ref().map(|keepalive| keepalive.at),
            memory,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

fn not_a_message(_: BadLength) -> End {
    End::NotAMessage
}
