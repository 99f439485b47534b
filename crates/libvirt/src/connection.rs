//! One connection, from its first byte to its last.
//!
//! ```text
//! socket ─▶ input ─▶ session ─┬─▶ output ─▶ socket
//!                    calls ───┤
//!                    events ──┘
//! ```
//!
//! Calls begin in the order in which they arrive and are answered as they finish. A client that leaves replies or events
//! unread is not read from until it takes them, and is cut off if that takes too long or too many events pass. Clients
//! that send many calls at once are served by turns. An idle connection keeps no buffer and no timer. The reason of a cut
//! goes to the metrics and, within a limit, to the log.

mod time;

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use libvirt_rpc::frame::BadLength;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tracing::{debug, info};
use zeroize::Zeroize as _;

use crate::door::{Door, Socket};
use crate::events::{Follower, Lagged};
use crate::identity::Peer;
use crate::input::{Input, split_message};
use crate::limits::{AUTH_TIME_MAX, CALLS_MAX, UNSENT_BYTES_MAX};
use crate::output::{Frame, Output};
use crate::pending::{PendingCall, asks_for_a_list};
use crate::session::{Session, Step};
use crate::turns::Turns;
use time::Keepalive;

/// Bytes read at once, into a buffer on the stack, which is wiped.
const READ_BYTES: usize = 16 * 1024;

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The client closed it or asked to close it.
    Closed,
    /// The door closes.
    Drained,
    /// The bytes are not a message.
    NotAMessage,
    /// The rest of a message did not come in time.
    HalfAMessage,
    /// The client read nothing for too long.
    Unread,
    /// The client left too many events unread.
    Lagged,
    /// The client did not answer pings.
    Silent,
    /// The client did not authenticate in time.
    Unauthenticated,
    /// The socket failed.
    Failed(io::Error),
}

impl End {
    /// The reason in log and metrics, unless the end was an ordinary one.
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
    /// Serves one accepted connection until it ends. Once `drain` completes no new call begins, and calls in flight are
    /// answered within [`DoorConfig::drain_time_max`](crate::DoorConfig::drain_time_max).
    pub async fn serve_connection<S>(
        self: Arc<Self>,
        stream: S,
        socket: Socket,
        peer: Option<Peer>,
        drain: impl Future<Output = ()>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _open = self.metrics.count_connection();
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
            self.metrics.count_cut(reason);
            let (uid, pid) = peer.map_or((None, None), |peer| (Some(peer.uid), Some(peer.pid)));
            match self.cuts.next_line(Instant::now()) {
                Some(0) => info!(reason, uid, pid, "a libvirt connection was cut off"),
                Some(before) => {
                    info!(reason, uid, pid, before, "a libvirt connection was cut off, and others before")
                }
                None => self.metrics.count_unlogged(),
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
    calls: Vec<PendingCall>,
    follower: Option<Following>,
    /// Set once nothing more is read: the connection ends when the calls in flight are done.
    ending: Option<Ending>,
    drain_until: Option<Instant>,
    /// When the first bytes of an incomplete message came.
    begun: Option<Instant>,
    /// Since when the client takes nothing of what waits.
    unread_since: Option<Instant>,
    /// The share of this connection in the memory for long messages.
    memory: Option<OwnedSemaphorePermit>,
    waits_for_memory: bool,
    keepalive: Option<Keepalive>,
    unauthenticated_until: Option<Instant>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// How a connection ends from which nothing more is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    /// Messages that wait are sent.
    Send,
    /// Calls that have begun are finished and not answered: the client closed its side, and libvirtd does not answer then.
    Discard,
}

/// A position among the events, and a future that completes when there are more.
struct Following {
    follower: Follower,
    more: Pin<Box<dyn Future<Output = ()> + Send>>,
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
        if let Some(end) = self.end_when_idle() {
            return Poll::Ready(end);
        }
        let end = ready!(self.poll_time(context));
        Poll::Ready(end)
    }

    /// Does the work of one turn. Returns whether there may be more.
    fn turn(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        while self.step(context)? {
            if self.turns.is_over() {
                self.send(context)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does what can be done now. Returns whether anything was done.
    fn step(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let sent = self.send(context)?;
        let done = self.finish_calls(context);
        let handled = self.handle_waiting()?;
        let read = self.read(context)?;
        let told = self.send_events(context)?;
        Ok(sent | done | handled | read | told)
    }

    /// The end, if nothing is left to do.
    fn end_when_idle(&self) -> Option<End> {
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
                return true; // It is polled in the next turn.
            }
            match call.poll(context) {
                Poll::Pending => true,
                Poll::Ready(reply) => {
                    let frame = session.finish(call, reply);
                    turns.spend(frame.bytes().len());
                    output.push(frame);
                    false
                }
            }
        });
        let done = self.calls.len() < before;
        if done {
            self.update_follower();
            if self.calls.is_empty() {
                self.calls = Vec::new();
            }
        }
        if self.session.is_authenticated() {
            self.unauthenticated_until = None;
        }
        done
    }

    fn update_follower(&mut self) {
        match (&self.follower, self.session.registrations().is_empty()) {
            (None, false) => {
                let newest = self.door.vault.newest_change();
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

    /// Whether a message has to wait for a pending call: lists may be long, so only one is made at a time.
    fn must_wait(&self, message: &[u8]) -> bool {
        asks_for_a_list(message) && self.calls.iter().any(PendingCall::is_list)
    }

    /// Handles complete messages that had to wait.
    fn handle_waiting(&mut self) -> Result<bool, End> {
        let mut handled = false;
        while self.has_room() && !self.input.is_empty() {
            let Some(message) = self.input.first().map_err(not_a_message)? else { break };
            if self.must_wait(message) {
                break;
            }
            let mut step = self.session.handle(message);
            self.input.remove_first();
            if let Step::Pending(call) = &mut step {
                call.hold(self.memory.take()); // The input asks again for what it still needs.
            }
            self.take_step(step);
            handled = true;
        }
        if handled {
            self.begun = None;
            self.update_begun()?;
            self.give_memory_back();
        }
        Ok(handled)
    }

    /// Notes when an incomplete message began. A complete one that waits for a pending call has no time limit.
    fn update_begun(&mut self) -> Result<(), End> {
        let is_complete = self.input.first().map_err(not_a_message)?.is_some();
        if is_complete || self.input.is_empty() {
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
                self.calls.clear(); // The client is gone, so the question to polkit is withdrawn.
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
        // Complete messages are handled where they lie. Only an incomplete one is kept.
        while self.input.is_empty() && self.has_room() {
            let Some((message, rest)) = split_message(bytes).map_err(not_a_message)? else { break };
            if self.must_wait(message) {
                break;
            }
            let step = self.session.handle(message);
            self.take_step(step);
            bytes = rest;
        }
        if bytes.is_empty() || self.ending.is_some() {
            return Ok(());
        }
        self.input.push(bytes);
        self.update_begun()
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Reply(frame) => self.output.push(frame),
            Step::Pending(call) => self.calls.push(call),
            Step::Last(frame) => {
                self.output.push(frame);
                self.ending = Some(Ending::Send);
            }
            Step::Close => self.ending = Some(Ending::Discard),
        }
        if self.session.is_kept_alive() && self.keepalive.is_none() {
            self.keepalive = Some(Keepalive::from_now());
        }
        self.update_follower();
    }

    /// Whether there is memory for more of a long message. Small messages need no permission.
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

    /// Puts events behind the replies, as far as there is room.
    fn send_events(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let mut told = false;
        let Some(following) = &mut self.follower else { return Ok(false) };
        while self.output.waiting() < UNSENT_BYTES_MAX {
            match following.follower.next() {
                Err(Lagged) => return Err(End::Lagged),
                Ok(Some(event)) => {
                    for message in self.session.registrations().messages(&event) {
                        self.output.push(Frame::open(message));
                        self.door.metrics.count_event();
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
}

fn not_a_message(_: BadLength) -> End {
    End::NotAMessage
}
