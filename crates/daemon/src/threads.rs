//! The threads that serve connections: one for each core, each with a runtime of its own.
//!
//! ```text
//! accept ──▶ the worker with the fewest connections ──▶ door-0: runtime, timers, its connections for good
//!                                                       door-1: …
//! ```
//!
//! A connection stays on its thread, so its work never moves to another core or wakes one. The price: work that computes or
//! waits without yielding delays the other connections of the thread, so long work must run elsewhere: `spawn_blocking` runs it
//! on another thread. See docs/decisions/0007.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};

use crate::error::{Error, SystemError};

/// Threads of each worker for long work. The store scans on two connections, so further threads would only wait, each with a
/// stack, instead of in a queue.
const LONG_THREADS_MAX: usize = 4;
/// Threads for long work that belongs to no connection: upkeep, and looking up Keystone's address.
const MAIN_LONG_THREADS_MAX: usize = 16;
/// How long these threads stay without work: for good, because the system may have no thread to give later.
const LONG_THREAD_KEPT: Duration = Duration::from_secs(u32::MAX as u64);

/// A runtime for everything except connections, which have [`Threads`]: signals, accepting, metrics.
pub(crate) fn main_runtime() -> Result<Runtime, Error> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(MAIN_LONG_THREADS_MAX)
        .thread_keep_alive(LONG_THREAD_KEPT)
        .thread_name("main-2")
        .enable_all()
        .build()
        .map_err(SystemError::Runtime)?;
    start_long_thread(&runtime).map_err(SystemError::Runtime)?;
    Ok(runtime)
}

/// Takes connections and serves each on one of the threads.
#[derive(Clone, Debug)]
pub(crate) struct Workers(Arc<[Worker]>);

/// The threads. They end some time after this is dropped; [`Self::end`] waits for them.
#[derive(Debug)]
pub(crate) struct Threads {
    threads: Vec<JoinHandle<()>>,
    end: watch::Sender<()>,
    /// Closed when the last thread has ended.
    running: mpsc::Receiver<Infallible>,
}

/// A connection between two runtimes: one accepts it, another serves it.
pub(crate) trait Handed: Send + 'static {
    /// Its type on the serving runtime.
    type Live: Send;

    /// Registers it with the current runtime.
    fn live(self) -> io::Result<Self::Live>;
}

impl Handed for std::net::TcpStream {
    type Live = TcpStream;

    fn live(self) -> io::Result<TcpStream> {
        TcpStream::from_std(self)
    }
}

impl Handed for std::os::unix::net::UnixStream {
    type Live = UnixStream;

    fn live(self) -> io::Result<UnixStream> {
        UnixStream::from_std(self)
    }
}

/// One thread, seen from outside.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// The number of its connections.
    open: Arc<AtomicUsize>,
}

/// One thread for each available core.
pub(crate) fn one_for_each_core() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Starts this many threads.
pub(crate) fn start(count: NonZeroUsize) -> io::Result<(Workers, Threads)> {
    let (end, ending) = watch::channel(());
    let (alive, running) = mpsc::channel(1);
    let mut workers = Vec::new();
    let mut threads = Vec::new();
    for number in 0..count.get() {
        let runtime = worker_runtime(number)?;
        workers.push(Worker { runtime: runtime.handle().clone(), open: Arc::default() });
        let (ending, alive) = (ending.clone(), alive.clone());
        threads.push(thread::Builder::new().name(format!("door-{number}")).spawn(move || {
            run(runtime, ending);
            drop(alive);
        })?);
    }
    Ok((Workers(workers.into()), Threads { threads, end, running }))
}

fn worker_runtime(number: usize) -> io::Result<Runtime> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(LONG_THREADS_MAX)
        .thread_keep_alive(LONG_THREAD_KEPT)
        .thread_name(format!("door-{number}-long"))
        .build()?;
    start_long_thread(&runtime)?;
    Ok(runtime)
}

/// Starts the first of a runtime's threads for long work, while the system has threads, and keeps it. Later work waits in line
/// for that thread if the system gives no other; without any thread tokio would panic, and the request with it.
fn start_long_thread(runtime: &Runtime) -> io::Result<()> {
    // An error here; tokio would panic.
    let _ = thread::Builder::new().name("first".to_owned()).spawn(|| ())?.join();
    drop(runtime.spawn_blocking(|| ()));
    Ok(())
}

/// Runs the runtime's tasks until the sender is dropped. A panic ends its task only.
fn run(runtime: Runtime, mut ending: watch::Receiver<()>) {
    runtime.block_on(async { while ending.changed().await.is_ok() {} });
    runtime.shutdown_timeout(Threads::END_TIME_MAX); // Ends the remaining connections.
}

impl Workers {
    /// Serves a connection. The future is made on the serving thread, so that its timers belong to that runtime.
    pub(crate) fn serve<H, S, F>(&self, stream: H, serve: S)
    where
        H: Handed,
        S: FnOnce(H::Live) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(worker) = self.least_busy() else { return };
        let open = Open::count(&worker.open);
        worker.runtime.spawn(async move {
            match stream.live() {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::debug!(%error, "a connection could not be handed to its thread"),
            }
            drop(open); // A panic drops it too.
        });
    }

    /// The worker with the fewest connections. Taking turns could leave one thread with most of the long-lived connections.
    fn least_busy(&self) -> Option<&Worker> {
        self.0.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed))
    }
}

/// Counts one connection of a worker while it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Threads {
    /// The time in which a thread must end.
    pub(crate) const END_TIME_MAX: Duration = Duration::from_secs(5);

    /// Ends the remaining connections, then the threads. A thread that does not end in time ends with the process.
    pub(crate) async fn end(self) {
        let Self { threads, end, mut running } = self;
        drop(end);
        if tokio::time::timeout(Self::END_TIME_MAX, running.recv()).await.is_err() {
            return tracing::warn!("a thread did not end in time; it ends with the process");
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that serves connections panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn some(count: usize) -> (Workers, Threads) {
        start(NonZeroUsize::new(count).unwrap()).unwrap()
    }

    /// One connection, and its other end.
    async fn connection() -> (std::net::TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0.into_std().unwrap(), client)
    }

    fn open(workers: &Workers) -> Vec<usize> {
        workers.0.iter().map(|worker| worker.open.load(Ordering::Relaxed)).collect()
    }

    async fn until(mut holds: impl FnMut() -> bool) {
        tokio::time::timeout(PATIENCE, async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_connection_goes_to_the_thread_with_the_fewest() {
        let (workers, threads) = some(2);
        let (say, said) = channel();
        let mut clients = Vec::new();
        for _ in 0..4 {
            let (stream, client) = connection().await;
            let say = say.clone();
            workers.serve(stream, async move |stream: TcpStream| {
                say.send(thread::current().name().unwrap().to_owned()).unwrap();
                stream.readable().await.unwrap();
            });
            clients.push(client);
        }
        let mut names: Vec<_> = (0..4).map(|_| said.recv_timeout(PATIENCE).unwrap()).collect();
        names.sort();
        assert_eq!(names, ["door-0", "door-0", "door-1", "door-1"]);
        drop((clients.remove(0), clients.remove(1))); // Both of the first thread.
        until(|| open(&workers) == [0, 2]).await;
        let (stream, _client) = connection().await;
        workers.serve(stream, async |stream: TcpStream| stream.readable().await.unwrap());
        assert_eq!(open(&workers), [1, 2]);
        threads.end().await;
        assert_eq!(open(&workers), [0, 0], "what was left is ended");
    }

    #[tokio::test]
    async fn a_connection_has_timers_and_threads_for_long_work_and_may_panic() {
        let (workers, threads) = some(1);
        let (stream, _client) = connection().await;
        workers.serve(stream, async |_| panic!("one connection, not its neighbours"));
        let (say, said) = channel();
        let (stream, _client) = connection().await;
        workers.serve(stream, async move |_| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let name = tokio::task::spawn_blocking(|| thread::current().name().map(str::to_owned)).await;
            say.send(name.unwrap()).unwrap();
        });
        let name = tokio::task::spawn_blocking(move || said.recv_timeout(PATIENCE)).await.unwrap();
        assert_eq!(name.unwrap().as_deref(), Some("door-0-long"));
        until(|| open(&workers) == [0]).await;
        threads.end().await;
    }
}
