//! Picks the parts that the configuration names, and runs them until a signal ends them. No other file picks any.
//!
//! ```text
//! SIGTERM, SIGINT ─▶ stop accepting ─▶ requests in flight finish, or the drain time is over ─▶ exit 0
//!                                       └ a second one ─▶ exit 1 at once; what was acknowledged is on disk
//! SIGHUP ─▶ the audit file is opened anew, the log filter read again; what needs a restart is named in the log
//! ```

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use barbican::{Door, DoorConfig};
use prometheus_client::registry::Registry;
use seal::{FileProvider, KeyProvider, ProviderError, SystemdCredential};
use store::sqlite::Purpose;
use store::{OpenError, SqliteStore};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use vault::{AuditSink, Chain, FileSink, Parts, StreamSink, Vault};

use crate::banner::{self, Addresses};
use crate::cli;
use crate::config::Config;
use crate::config::values::{AuditSync, AuditTarget, Auth, KeySource, MetricsListen, StoreUrl};
use crate::error::Error;
use crate::listen::{self, Connections, Draining};
use crate::logging::Logging;
use crate::manager;
use crate::metrics;
use crate::threads::{self, Threads, Workers};

/// How long threads that still work may take to end once everything else has.
const LAST_THREADS: Duration = Duration::from_secs(5);
/// How often the store is told where the audit trail stands: lines cut off its end after that moment are not missed.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);

/// `donjond serve`.
pub(crate) fn run(flags: cli::Serve) -> Result<(), Error> {
    let passed = listen::passed_sockets().map_err(Error::PassedSocket)?; // Before there are threads.
    let config = load(&flags)?;
    let logging = Logging::start(&config.log, config.log_format);
    let sockets = Sockets::open(&config, passed)?;
    let doors = threads::start(threads::one_a_core()).map_err(Error::Runtime)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let built = build(&config).await?;
        let reload = Reload { flags, running: config, logging };
        serve(reload, built, sockets, doors).await
    });
    match ended {
        Err(Error::Cut) => runtime.shutdown_background(),
        _ => runtime.shutdown_timeout(LAST_THREADS),
    }
    ended
}

fn load(flags: &cli::Serve) -> Result<Config, Error> {
    let config = Config::load(flags.settings.clone(), flags.config.as_deref())?;
    config.allow_listening_at(config.listen)?;
    Ok(config)
}

/// A runtime for all but the connections, which have [`threads`]: signals, accepting, metrics.
pub(crate) fn runtime() -> Result<Runtime, Error> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("main-2")
        .enable_all()
        .build()
        .map_err(Error::Runtime)
}

// What the configuration picks.

/// A store, unlocked, with its audit trail open.
pub(crate) struct Built {
    pub(crate) vault: Arc<Vault>,
}

/// Builds what the configuration names, making what a new store needs.
pub(crate) async fn build(config: &Config) -> Result<Built, Error> {
    make_data_dir(&config.data_dir)?;
    let failed = |source| Error::Vault { source, store: config.store.path().clone() };
    let store = open_store(&config.store, Purpose::Serve, config.limits.batch_changes)?;
    let keys = key_provider(&config.master_key).map_err(|error| failed(error.into()))?;
    let audit = |chain| audit_sink(&config.audit, config.audit_sync, chain);
    let vault = Vault::open(Parts { store: Arc::new(store), keys: &*keys, audit }).await.map_err(failed)?;
    Ok(Built { vault: Arc::new(vault) })
}

/// Makes the data directory, for its user alone, unless it is there.
fn make_data_dir(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::DataDir { path: path.to_owned(), source })
}

/// The store that a URL names.
pub(crate) fn open_store(
    url: &StoreUrl,
    purpose: Purpose,
    batch_max: NonZeroUsize,
) -> Result<SqliteStore, OpenError> {
    match url {
        StoreUrl::Sqlite(path) => {
            if purpose == Purpose::Serve {
                require_writable(path)?;
            }
            SqliteStore::open_with(path, purpose, batch_max)
        }
    }
}

/// SQLite opens a file that it may only read without complaint, and the server would then refuse every change.
fn require_writable(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // It will be made.
        Err(source) => Err(OpenError::File { path: path.to_owned(), source }),
    }
}

/// The key provider that a source names.
pub(crate) fn key_provider(source: &KeySource) -> Result<Box<dyn KeyProvider>, ProviderError> {
    Ok(match source {
        KeySource::File(path) => Box::new(FileProvider::new(path)),
        KeySource::Credential(name) => Box::new(SystemdCredential::from_env(name)?),
    })
}

/// The audit sink that a target names.
fn audit_sink(target: &AuditTarget, sync: AuditSync, chain: Chain) -> io::Result<Arc<dyn AuditSink>> {
    let sync = match sync {
        AuditSync::Batch => vault::Sync::Batch,
        AuditSync::Entry => vault::Sync::Entry,
    };
    Ok(match target {
        AuditTarget::File(path) => Arc::new(FileSink::open(path, sync, chain).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display())) // The vault knows no path.
        })?),
        AuditTarget::Stdout => Arc::new(StreamSink::new(io::stdout(), chain)),
    })
}

/// The REST door of a vault.
fn door(config: &Config, vault: Arc<Vault>, registry: &mut Registry) -> Door {
    let auth = match config.auth {
        Auth::ProjectHeader => barbican::Auth::ProjectHeader,
    };
    let limits = barbican::Limits {
        // The wait for all connections ends at the time itself, and says how many were left.
        drain_time_max: config.limits.door.drain_time_max + LAST_THREADS,
        ..config.limits.door
    };
    let host_href = config.host_href.as_ref().map(|href| href.as_str().to_owned());
    Door::new(vault, DoorConfig { auth, host_href, limits }, barbican::Metrics::register(registry))
}

/// The sockets of the server, open before anything else is touched.
struct Sockets {
    rest: Vec<StdListener>,
    metrics: Option<StdListener>,
}

impl Sockets {
    fn open(config: &Config, passed: Vec<StdListener>) -> Result<Self, Error> {
        for socket in &passed {
            config.allow_listening_at(socket.local_addr().map_err(Error::PassedSocket)?)?;
        }
        let rest = match passed.is_empty() {
            true => vec![bind(config.listen, "--listen")?],
            false => passed,
        };
        let metrics = match config.metrics_listen {
            MetricsListen::Off => None,
            MetricsListen::At(address) => Some(bind(address, "--metrics-listen")?),
        };
        Ok(Self { rest, metrics })
    }

    /// Where they are, with the port that the system chose if it was to choose.
    fn addresses(&self) -> Addresses {
        let address = |socket: &StdListener| socket.local_addr().ok();
        Addresses {
            rest: self.rest.iter().filter_map(address).collect(),
            metrics: self.metrics.as_ref().and_then(address),
        }
    }
}

fn bind(address: SocketAddr, flag: &'static str) -> Result<StdListener, Error> {
    StdListener::bind(address).map_err(|source| Error::Listen { address, flag, source })
}

// Running it.

async fn serve(
    reload: Reload,
    built: Built,
    sockets: Sockets,
    doors: (Workers, Threads),
) -> Result<(), Error> {
    let Built { vault } = built;
    let config = &reload.running;
    let mut signals = Signals::new().map_err(Error::Runtime)?;
    let addresses = sockets.addresses();
    let mut registry = metrics::registry();
    let connections = Arc::new(Connections::new(config.limits.connections, &mut registry));
    let door = Arc::new(door(config, Arc::clone(&vault), &mut registry));
    let (workers, threads) = doors;
    for socket in sockets.rest {
        let listener = listen::adopt(socket).map_err(Error::Runtime)?;
        tokio::spawn(serve_door(listener, Arc::clone(&connections), workers.clone(), Arc::clone(&door)));
    }
    if let Some(socket) = sockets.metrics {
        let listener = listen::adopt(socket).map_err(Error::Runtime)?;
        tokio::spawn(metrics::serve(listener, Arc::new(registry)));
    }
    let anchoring = tokio::spawn(anchor_now_and_then(Arc::clone(&vault)));
    banner::tell(config, &addresses);
    manager::ready();

    until_ended(&mut signals, &reload, &vault).await;
    let drain_time = config.limits.door.drain_time_max;
    manager::stopping(drain_time);
    tracing::info!(seconds = drain_time.as_secs(), "draining: requests in flight may finish");
    tokio::select! {
        () = end(&connections, drain_time, threads) => {}
        () = signals.end() => return Err(Error::Cut),
    }
    anchoring.abort();
    anchor(&vault).await;
    Ok(())
}

async fn serve_door(listener: TcpListener, connections: Arc<Connections>, workers: Workers, door: Arc<Door>) {
    let serve =
        async move |stream, mut draining: Draining| door.serve_connection(stream, draining.begun()).await;
    connections.accept_all(listener, &workers, serve).await;
}

async fn end(connections: &Connections, drain_time: Duration, threads: Threads) {
    tell_end(connections.drain(drain_time).await);
    threads.end().await;
}

fn tell_end(connections_left: usize) {
    match connections_left {
        0 => tracing::info!("ended; every request was answered"),
        left => tracing::warn!(connections = left, "ended; the drain time is over, and these were cut off"),
    }
}

/// Serves hangups until a signal to end.
async fn until_ended(signals: &mut Signals, reload: &Reload, vault: &Vault) {
    while signals.next().await == Asked::Reload {
        reload.now(vault);
    }
}

async fn anchor_now_and_then(vault: Arc<Vault>) {
    let mut ticks = tokio::time::interval(ANCHOR_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        anchor(&vault).await;
    }
}

async fn anchor(vault: &Vault) {
    if let Err(error) = vault.anchor_audit().await {
        tracing::error!(%error, "the store was not told where the audit trail stands");
    }
}

/// The signals that the server listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    async fn end(&mut self) {
        while self.next().await != Asked::End {}
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    End,
    Reload,
}

/// What a reload needs: what was said at the start, and what it came to.
struct Reload {
    flags: cli::Serve,
    running: Config,
    logging: Logging,
}

impl Reload {
    /// Does what can be done without a restart. What fails leaves things as they were.
    fn now(&self, vault: &Vault) {
        manager::reloading();
        match vault.reopen_audit() {
            Ok(()) => tracing::info!(file = %self.running.audit, "the audit trail was opened anew"),
            Err(error) => tracing::error!(%error, "the audit trail stays in the file it was in"),
        }
        match load(&self.flags) {
            Ok(config) => self.apply(&config),
            Err(error) => tracing::error!("the configuration stays as it was: {error}"),
        }
        manager::ready();
    }

    fn apply(&self, config: &Config) {
        self.logging.set(&config.log);
        let waiting = config.needs_restart(&self.running);
        tracing::info!(log = %config.log, "the configuration was read again");
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these changes need a restart");
        }
    }
}
