//! Sockets that systemd passed or that are made here, and the loop that accepts their connections.

use std::future::Future;
use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::threads::{Handed, Workers};

/// The wait when the system has no file descriptor or memory for a connection. Others must end first.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

/// The sockets that systemd passed.
#[derive(Debug, Default)]
pub(crate) struct PassedSockets {
    /// For the REST door.
    pub(crate) tcp: Vec<StdListener>,
    /// For the libvirt door.
    pub(crate) unix: Vec<StdUnixListener>,
}

/// Takes the sockets that systemd passed (`LISTEN_FDS`), if any.
///
/// Call it once, before threads exist: it removes the variables from the environment.
pub(crate) fn passed_sockets() -> io::Result<PassedSockets> {
    let mut from = ListenFd::from_env();
    let mut passed = PassedSockets::default();
    for index in 0..from.len() {
        // listenfd gives back a socket of another family, so that it can be taken as such.
        match from.take_unix_listener(index) {
            Ok(Some(socket)) => passed.unix.push(require_listening(socket)?),
            Ok(None) => {}
            Err(_) => passed.tcp.extend(from.take_tcp_listener(index)?.map(require_listening).transpose()?),
        }
    }
    Ok(passed)
}

/// `ListenStream=` with `Accept=yes` passes one connection instead of a listener, and accept(2) would always fail.
fn require_listening<L: AsFd>(socket: L) -> io::Result<L> {
    match rustix::net::sockopt::socket_acceptconn(&socket)? {
        true => Ok(socket),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not listening; Accept=no is needed")),
    }
}

/// Hands a socket to the runtime.
pub(crate) fn adopt(socket: StdListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// The same for a UNIX socket.
pub(crate) fn adopt_unix(socket: StdUnixListener) -> io::Result<UnixListener> {
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}

/// A socket that accepts connections.
pub(crate) trait Accepts: Sync {
    /// A connection that belongs to no runtime yet.
    type Stream: Handed;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accepts for TcpListener {
    type Stream = std::net::TcpStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        let (stream, _) = Self::accept(self).await?;
        // Each answer is written at once, so waiting for more bytes would only delay it.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        stream.into_std()
    }
}

impl Accepts for UnixListener {
    type Stream = std::os::unix::net::UnixStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        let (stream, _) = Self::accept(self).await?;
        stream.into_std()
    }
}

/// The connections of a door, with their limit and whether they must end.
pub(crate) struct Connections {
    slots: Arc<Semaphore>,
    max: u32,
    draining: watch::Sender<bool>,
    accepted: Counter,
}

/// Tells a connection to finish its request and close.
pub(crate) struct Draining(watch::Receiver<bool>);

impl Draining {
    /// Completes when draining begins.
    pub(crate) async fn begun(&mut self) {
        // The sender outlives the connections. Without it they must end as well.
        let _ = self.0.wait_for(|draining| *draining).await;
    }
}

impl Connections {
    /// Allows `max` connections at once. Further ones wait in the sockets' listen queues.
    ///
    /// `door` is the name in the metrics.
    pub(crate) fn new(max: usize, door: &str, registry: &mut Registry) -> Self {
        let max = u32::try_from(max.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let accepted = Counter::default();
        let name = format!("donjon_{door}_connections_accepted");
        registry.register(name, "Connections accepted", accepted.clone());
        Self {
            slots: Arc::new(Semaphore::new(max as usize)),
            max,
            draining: watch::Sender::new(false),
            accepted,
        }
    }

    /// Accepts connections until [`Self::drain`]; a worker runs `serve` for each.
    pub(crate) async fn accept_all<L, S, F>(&self, listener: L, workers: &Workers, serve: S)
    where
        L: Accepts,
        S: FnOnce(<L::Stream as Handed>::Live, Draining) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut draining = Draining(self.draining.subscribe());
        loop {
            let (slot, stream) = tokio::select! {
                biased;
                () = draining.begun() => return,
                Some(connection) = self.next(&listener) => connection,
            };
            self.accepted.inc();
            let (serve, draining) = (serve.clone(), Draining(self.draining.subscribe()));
            workers.serve(stream, move |stream| async move {
                let _slot = slot; // A panic drops it too.
                serve(stream, draining).await;
            });
        }
    }

    /// A connection and its slot. A connection beyond the limit waits, unread, for a slot, and further ones of its socket stay
    /// in the listen queue. Taking the slot first would keep it from other sockets and count a connection that does not
    /// exist.
    async fn next<L: Accepts>(&self, listener: &L) -> Option<(OwnedSemaphorePermit, L::Stream)> {
        let stream = accept(listener).await;
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        Some((slot, stream))
    }

    /// The number of open connections.
    pub(crate) fn open(&self) -> usize {
        (self.max as usize).saturating_sub(self.slots.available_permits())
    }

    /// Accepts no more, and lets requests in flight finish for this time. Returns how many connections remain.
    pub(crate) async fn drain(&self, time: Duration) -> usize {
        self.draining.send_replace(true);
        let _ = tokio::time::timeout(time, self.slots.acquire_many(self.max)).await;
        self.open()
    }
}

/// The next connection. An error of one connection does not stop the loop, and an exhausted system makes it wait instead of
/// spinning.
pub(crate) async fn accept<L: Accepts>(listener: &L) -> L::Stream {
    let mut exhausted = false;
    loop {
        match Accepts::accept(listener).await {
            Ok(stream) => return stream,
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if !exhausted {
                    tracing::warn!(%error, "no connection can be accepted; trying until one can");
                }
                exhausted = true;
                tokio::time::sleep(EXHAUSTED_WAIT).await;
            }
        }
    }
}

/// accept(2) reports errors of the connection it would have returned as its own.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::threads;

    /// A door with room for one, whose connections say "hi", read one byte, and close.
    async fn door() -> (Arc<Connections>, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Connections::new(1, "http", &mut Registry::default()));
        let accepting = Arc::clone(&connections);
        tokio::spawn(async move {
            let (workers, _threads) = threads::start(NonZeroUsize::MIN).unwrap();
            accepting.accept_all(listener, &workers, greet).await;
            std::future::pending::<()>().await; // The threads stay.
        });
        (connections, address)
    }

    async fn greet(mut stream: TcpStream, _: Draining) {
        stream.write_all(b"hi").await.unwrap();
        let _ = stream.read_u8().await;
    }

    async fn greeted(stream: &mut TcpStream) -> bool {
        let mut greeting = [0; 2];
        let read = tokio::time::timeout(Duration::from_millis(200), stream.read_exact(&mut greeting)).await;
        matches!(read, Ok(Ok(_)))
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_waits() {
        let (connections, address) = door().await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(greeted(&mut first).await && !greeted(&mut second).await);
        assert_eq!(connections.slots.available_permits(), 0);
        drop(first);
        assert!(greeted(&mut second).await);
    }

    #[tokio::test]
    async fn draining_waits_for_connections_but_not_for_ever() {
        let (connections, address) = door().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(greeted(&mut stream).await);
        assert_eq!(connections.drain(Duration::from_millis(50)).await, 1);
        stream.write_all(b"x").await.unwrap();
        assert_eq!(connections.drain(Duration::from_secs(5)).await, 0);
        assert!(TcpStream::connect(address).await.is_err(), "the socket is closed");
    }
}
