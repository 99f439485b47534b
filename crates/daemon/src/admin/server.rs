//! The admin socket's server, with its permissions, limits and times.
//!
//! A connection has one task that reads requests, one that writes replies, and a thread for each running request. When the
//! client leaves, or reads no reply for [`WRITE_TIME_MAX`], its requests end.

use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::protocol::{
    Ask, Fault, Finding, Greeting, Kind, Lines, Progress, Reply, Request, Said, TooLong, line,
};
pub(crate) use super::work::{Served, clean};
use crate::error::{BackupError, Error};
use crate::inspect::Watch;

/// Clients connected at once. Further ones are refused as busy.
const CLIENTS_MAX: usize = 16;
/// Running requests of one connection.
const REQUESTS_MAX: usize = 4;
/// Running requests of all connections. Each has a thread and a connection to the database.
const WORK_MAX: usize = 8;
/// Backups at once: each takes as much room as the database.
const BACKUPS_MAX: usize = 1;
/// Unsent replies of one client.
const REPLIES_MAX: usize = 64;
/// How long a client without a running request may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a client may leave replies unread.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// The time between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// The time between two log lines about refused users.
const DENIED_LOG_EVERY: Duration = Duration::from_secs(1);

/// Serves the socket until the task is dropped.
pub(crate) async fn serve(listener: UnixListener, served: Served) {
    let admin = Arc::new(Admin {
        served,
        clients: Arc::new(Semaphore::new(CLIENTS_MAX)),
        work: Arc::new(Semaphore::new(WORK_MAX)),
        backups: Arc::new(Semaphore::new(BACKUPS_MAX)),
        denied: Mutex::new(None),
    });
    loop {
        admin.accept(crate::listen::accept(&listener).await);
    }
}

struct Admin {
    served: Served,
    clients: Arc<Semaphore>,
    work: Arc<Semaphore>,
    backups: Arc<Semaphore>,
    /// The time of the last log line about a refused user.
    denied: Mutex<Option<Instant>>,
}

/// A line to send, with its descriptor.
struct Message {
    line: Vec<u8>,
    descriptor: Option<OwnedFd>,
}

impl Message {
    fn of<T: Serialize>(message: &T) -> Self {
        Self { line: line(message), descriptor: None }
    }

    fn fault(id: Option<u64>, fault: Fault) -> Self {
        Self::of(&Reply { id, said: Said::Error(fault) })
    }
}

impl Admin {
    fn accept(self: &Arc<Self>, mut stream: StdUnixStream) {
        let refused = match (self.refusal(&stream), Arc::clone(&self.clients).try_acquire_owned()) {
            (Some(fault), _) => fault,
            (None, Err(_)) => Fault::new(Kind::Busy, format!("{CLIENTS_MAX} clients are connected")),
            (None, Ok(slot)) => {
                let admin = Arc::clone(self);
                tokio::spawn(async move {
                    match UnixStream::from_std(stream) {
                        Ok(stream) => serve_client(admin, stream).await,
                        Err(error) => tracing::debug!(%error, "a connection to the admin socket was lost"),
                    }
                    drop(slot);
                });
                return;
            }
        };
        // A new socket accepts a line at once. If not, the client gets no line.
        let _ = stream.write(&line(&Reply { id: None, said: Said::Error(refused) }));
    }

    /// Refuses a peer that is neither root nor the user of this process.
    fn refusal(&self, stream: &StdUnixStream) -> Option<Fault> {
        let (uid, pid) = match socket_peercred(stream) {
            Ok(peer) => (peer.uid.as_raw(), peer.pid.as_raw_nonzero().get()),
            Err(_) => (u32::MAX, 0),
        };
        let own = rustix::process::geteuid().as_raw();
        if uid == 0 || uid == own {
            return None;
        }
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.is_none_or(|told| told.elapsed() >= DENIED_LOG_EVERY) {
            *denied = Some(Instant::now());
            tracing::warn!(uid, pid, "refused at the admin socket: neither root nor the user of this server");
        }
        Some(Fault::new(Kind::Denied, format!("only root and user {own} may ask, not user {uid}")))
    }
}

async fn serve_client(admin: Arc<Admin>, stream: UnixStream) {
    let (reading, writing) = stream.into_split();
    let (say, said) = mpsc::channel(REPLIES_MAX);
    let gone = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_all(writing, said));
    let _ = say.send(Message::of(&Greeting::ours())).await;
    let client =
        Client { admin, say, gone: Arc::clone(&gone), requests: Arc::new(Semaphore::new(REQUESTS_MAX)) };
    tokio::select! {
        () = client.read_all(reading) => {}
        () = client.say.closed() => {} // It reads no replies.
    }
    gone.store(true, Ordering::Relaxed);
    drop(client);
    let _ = writer.await; // Sends the last answer, within its time.
}

struct Client {
    admin: Arc<Admin>,
    say: mpsc::Sender<Message>,
    /// Set when its requests must end.
    gone: Arc<AtomicBool>,
    requests: Arc<Semaphore>,
}

impl Client {
    async fn read_all(&self, mut reading: OwnedReadHalf) {
        let mut lines = Lines::default();
        let mut some = [0; 4096];
        loop {
            let length = match tokio::time::timeout(SILENCE_MAX, reading.read(&mut some)).await {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(length)) => length,
                Err(_) if self.requests.available_permits() < REQUESTS_MAX => continue, // A request is running.
                Err(_) => return,
            };
            lines.add(some.get(..length).unwrap_or_default());
            loop {
                match lines.next_line() {
                    Ok(Some(line)) => self.take(&line).await,
                    Ok(None) => break,
                    Err(TooLong) => {
                        let fault = Fault::new(Kind::NotARequest, "the line is too long");
                        let _ = self.say.send(Message::fault(None, fault)).await;
                        return;
                    }
                }
            }
        }
    }

    async fn take(&self, line: &[u8]) {
        let refused = match Request::parse(line) {
            Ok(request) => match self.begin(request) {
                Ok(()) => return,
                Err(fault) => Message::fault(Some(request.id), fault),
            },
            Err(not) => Message::fault(not.id, not.fault),
        };
        let _ = self.say.send(refused).await;
    }

    /// Runs a request on a thread, unless the limits are reached.
    fn begin(&self, request: Request) -> Result<(), Fault> {
        let busy = |what: &str| Fault::new(Kind::Busy, format!("{what}; ask again later"));
        let take = |slots: &Arc<Semaphore>| Arc::clone(slots).try_acquire_owned();
        let of_client = take(&self.requests).map_err(|_| busy("this connection has its most requests"))?;
        let of_all = take(&self.admin.work).map_err(|_| busy("the server has its most requests"))?;
        let backup = match request.ask {
            Ask::Backup => Some(take(&self.admin.backups).map_err(|_| busy("another backup is being made"))?),
            Ask::Status | Ask::Check => None,
        };
        let (admin, say, gone) = (Arc::clone(&self.admin), self.say.clone(), Arc::clone(&self.gone));
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let message = admin.answer(request, &say, &gone, &runtime);
            drop((of_client, of_all, backup));
            let _ = say.blocking_send(message);
        });
        Ok(())
    }
}

impl Admin {
    fn answer(
        &self,
        request: Request,
        say: &mpsc::Sender<Message>,
        gone: &Arc<AtomicBool>,
        runtime: &Handle,
    ) -> Message {
        let id = request.id;
        let watch: Arc<dyn Watch> =
            Arc::new(Watching { id, say: say.clone(), gone: Arc::clone(gone), told: Mutex::new(None) });
        if request.ask != Ask::Status {
            tracing::info!(ask = ?request.ask, "a request at the admin socket");
        }
        let done = match request.ask {
            Ask::Status => self.served.status(runtime).map(|status| (to_value(&status), None)),
            Ask::Check => self.served.check(&watch, runtime).map(|found| (to_value(&found), None)),
            Ask::Backup => self.served.backup(&watch, runtime).map(|(done, copy)| (to_value(&done), copy)),
        };
        match done {
            Ok((value, descriptor)) => {
                Message { line: line(&Reply { id: Some(id), said: Said::Done(value) }), descriptor }
            }
            Err(error) => {
                tracing::warn!(%error, ask = ?request.ask, "a request at the admin socket failed");
                Message::fault(Some(id), Fault::new(kind_of(&error), error.to_string()))
            }
        }
    }
}

fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default() // As with lines, this cannot fail.
}

fn kind_of(error: &Error) -> Kind {
    match error {
        Error::Backup(BackupError::NoRoom { .. }) => Kind::NoRoom,
        _ => Kind::Failed,
    }
}

/// Reports the progress of one request to its client.
struct Watching {
    id: u64,
    say: mpsc::Sender<Message>,
    gone: Arc<AtomicBool>,
    told: Mutex<Option<Instant>>,
}

impl Watch for Watching {
    /// Drops a report that would have to wait: more will follow.
    fn progress(&self, progress: Progress) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| told.elapsed() < PROGRESS_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        let _ = self.say.try_send(Message::of(&Reply { id: Some(self.id), said: Said::Progress(progress) }));
    }

    /// Waits for a slow client, which is cut off if it reads nothing.
    fn found(&self, finding: Finding) {
        let message = Message::of(&Reply { id: Some(self.id), said: Said::Found(finding) });
        let _ = self.say.blocking_send(message);
    }

    fn goes_on(&self) -> bool {
        !self.gone.load(Ordering::Relaxed) && !self.say.is_closed()
    }
}

/// Sends all replies. It ends when the client reads nothing for too long, and the requests end with it.
async fn write_all(writing: OwnedWriteHalf, mut said: mpsc::Receiver<Message>) {
    while let Some(message) = said.recv().await {
        match tokio::time::timeout(WRITE_TIME_MAX, write(&writing, message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!(%error, "a client of the admin socket has gone"),
            Err(_) => return tracing::warn!("a client of the admin socket reads no answers: it is cut off"),
        }
    }
}

async fn write(writing: &OwnedWriteHalf, message: Message) -> io::Result<()> {
    let Message { line, mut descriptor } = message;
    let stream: &UnixStream = writing.as_ref();
    let mut left = line.as_slice();
    while !left.is_empty() {
        let sent = stream.async_io(Interest::WRITABLE, || send(stream, left, descriptor.as_ref())).await?;
        descriptor = None; // It was sent with the first byte.
        left = left.get(sent..).unwrap_or_default();
    }
    Ok(())
}

fn send(stream: &UnixStream, bytes: &[u8], descriptor: Option<&OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor.as_fd()]);
    if let Some(descriptors) = &descriptors {
        beside.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL)?)
}
