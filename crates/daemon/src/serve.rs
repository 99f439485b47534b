//! Picks the parts that the configuration names, and runs them until a signal ends them. No other file picks any.
//!
//! ```text
//! SIGTERM, SIGINT ─▶ stop accepting ─▶ requests in flight finish, or the drain time is over ─▶ exit 0
//!                                       └ a second one ─▶ exit 1 at once; what was acknowledged is on disk
//! SIGHUP ─▶ the audit file is opened anew, log filter and policy read again; what needs a restart is named in the log
//! ```

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use barbican::{Door, DoorConfig, Keystone};
use model::{Call, Caller, ProjectId, RequestId, Roles, Timestamp};
use prometheus_client::registry::Registry;
use seal::{FileProvider, KeyProvider, MasterKey, ProviderError, SystemdCredential};
use store::sqlite::{Purpose, Serving};
use store::{AuditAnchor, OpenError, SqliteStore, Store as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use vault::{AuditSink, Begin, Chain, FileSink, OnLoss, Opener, Parts, Policy, StreamSink, Vault};

use crate::admin;
use crate::admin::client::Client;
use crate::admin::server::Served;
use crate::banner::{self, Addresses};
use crate::cli;
use crate::config;
use crate::config::values::{AuditSync, AuditTarget, KeySource, LibvirtAuth, ListenAt, SocketMode, StoreUrl};
use crate::config::{AuthBy, Config, ConfigError};
use crate::error::Error;
use crate::listen::{self, Connections, Draining, Passed};
use crate::logging::Logging;
use crate::loss;
use crate::manager;
use crate::metrics;
use crate::permissions;
use crate::process;
use crate::threads::{self, Threads, Workers};
use crate::token;
use crate::unix_socket::{self, Made};
use crate::upkeep;

/// How long threads that still work may take to end once everything else has.
const LAST_THREADS: Duration = Duration::from_secs(5);
/// Threads beside for what takes long and is no connection's: upkeep, and looking up where Keystone is.
const LONG_THREADS_MAX: usize = 16;
/// How often the store is told where the audit trail stands: lines cut off its end after that moment are not missed.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether there are connections, by a server that ends without.
const IDLE_EVERY: Duration = Duration::from_millis(500);

/// Whether the server ends by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Idle {
    /// It does not.
    Never,
    /// When there was no connection for so long.
    For(Duration),
}

/// `donjond serve`.
pub(crate) fn run(flags: cli::Serve, idle: Idle) -> Result<(), Error> {
    let passed = listen::passed_sockets().map_err(Error::PassedSocket)?; // Before there are threads.
    let config = load(&flags)?;
    let logging = Logging::start(&config.general.log, config.general.log_format);
    process::require_room(threads::one_a_core())?;
    let mut sockets = Sockets::open(&config, passed)?;
    let doors = threads::start(threads::one_a_core()).map_err(Error::Runtime)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let lost = if flags.accept_rollback { OnLoss::Accept } else { OnLoss::Refuse };
        let built = build(&config, Begin::Start, lost).await?;
        sockets.admin = AdminSocket::open(&config)?; // Who has the store's lock may have its socket.
        let reload = Reload { flags, running: config, logging };
        serve(reload, built, sockets, doors, idle).await
    });
    match ended {
        Err(Error::Cut) => runtime.shutdown_background(),
        _ => runtime.shutdown_timeout(LAST_THREADS),
    }
    ended
}

fn load(flags: &cli::Serve) -> Result<Config, Error> {
    let config =
        Config::load_before(flags.settings.0.clone(), flags.config.as_deref(), flags.behind.clone())?;
    if let ListenAt::At(address) = config.general.listen {
        config.allow_listening_at(address)?;
    }
    Ok(config)
}

/// A runtime for all but the connections, which have [`threads`]: signals, accepting, metrics.
pub(crate) fn runtime() -> Result<Runtime, Error> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(LONG_THREADS_MAX)
        .thread_keep_alive(threads::LONG_THREAD_KEPT)
        .thread_name("main-2")
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    threads::start_long_thread(&runtime).map_err(Error::Runtime)?;
    Ok(runtime)
}

// What the configuration picks.

/// A store, unlocked, with its audit trail open.
pub(crate) struct Built {
    pub(crate) vault: Arc<Vault>,
    pub(crate) store: Arc<SqliteStore>,
    /// Who may do what, in a few words.
    pub(crate) policy: String,
}

/// Builds what the configuration names, making what a new store needs.
pub(crate) async fn build(config: &Config, why: Begin, on_loss: OnLoss) -> Result<Built, Error> {
    let policy = policy(config, &config.derived.auth)?; // A wrong one leaves nothing behind.
    let described = config.describe_policy(&policy);
    match why {
        Begin::Start => loss::require_store(config)?,
        Begin::Init => loss::require_fitting_trail(config)?,
    }
    make_data_dir(&config.general.data_dir)?;
    let readable = permissions::require(config)?;
    let failed = |source| Error::Vault { source, store: config.general.store.path().clone() };
    let store = open_store(&config.general.store, Purpose::Serve, config.limits.batch_changes)?;
    let keys = key_provider(&config.general.master_key).map_err(|error| failed(error.into()))?;
    let audit = |chain| audit_sink(&config.general.audit, config.general.audit_sync, chain);
    let quotas = config.quotas.of_projects();
    let store = Arc::new(store);
    let parts =
        Parts { store: Arc::<SqliteStore>::clone(&store), keys: &*keys, audit, quotas, policy, on_loss };
    let vault = Vault::open(parts).await.map_err(|error| loss::explain(config, error))?;
    vault
        .begin(why, now())
        .map_err(|error| failed(vault::OpenError::Audit(named(&config.general.audit, error))))?;
    readable.iter().for_each(|warning| tracing::warn!("{warning}")); // Now they are known to be ours.
    Ok(Built { vault: Arc::new(vault), store, policy: described })
}

/// The time by the machine's clock.
fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Who may do what. The log tells what is odd about it.
fn policy(config: &Config, auth: &AuthBy) -> Result<Policy, ConfigError> {
    let policy = config.load_policy(auth)?;
    policy.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(policy)
}

/// Makes the data directory, for its user alone, unless it is there.
fn make_data_dir(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::DataDir { path: path.to_owned(), source })
}

/// The server that runs on the store, if one does that can be asked.
pub(crate) fn running(config: &Config) -> Result<Option<Client>, Error> {
    match config.general.admin_socket.path() {
        Some(socket) => Ok(Client::find(socket, config.general.store.path())?),
        None => Ok(None),
    }
}

/// The store, open to look, and what opens what it holds.
pub(crate) fn unlock(config: &Config, runtime: &Handle) -> Result<(SqliteStore, Opener), Error> {
    let path = || config.general.store.path().clone();
    let store = to_look(config)?;
    let failed = |source| Error::Vault { source, store: path() };
    let keys = key_provider(&config.general.master_key).map_err(|error| failed(error.into()))?;
    let unlocked = runtime.block_on(vault::unlock(&store, &*keys)).map_err(failed)?;
    let (master, _) = unlocked.ok_or_else(|| Error::Unfinished(path()))?;
    Ok((store, Opener::new(master)))
}

/// The store, open to look. A server that has it was not found, or it would have been asked.
fn to_look(config: &Config) -> Result<SqliteStore, Error> {
    match open_store(&config.general.store, Purpose::Inspect, config.limits.batch_changes) {
        Err(OpenError::InUse(path)) => Err(Error::InUseUnasked(path)),
        opened => Ok(opened?),
    }
}

/// What it takes to check an audit trail.
pub(crate) struct Known {
    pub(crate) master: MasterKey,
    /// Where the trail stood when that was last written down.
    pub(crate) anchor: Option<AuditAnchor>,
}

/// What a store says of itself, in its file or by the server that runs on it, and its master key.
pub(crate) fn known(config: &Config, runtime: &Handle) -> Result<Known, Error> {
    let path = || config.general.store.path().clone();
    let failed = |source| Error::Vault { source, store: path() };
    let keys = || key_provider(&config.general.master_key).map_err(|error| failed(error.into()));
    if let Some(server) = running(config)? {
        let said = server.said()?;
        let master = vault::unlock_by(&said.store, &said.key_check, &*keys()?).map_err(failed)?;
        return Ok(Known { master, anchor: said.anchor });
    }
    let store = to_look(config)?;
    let unlocked = runtime.block_on(vault::unlock(&store, &*keys()?)).map_err(failed)?;
    let (master, anchor) = unlocked.ok_or_else(|| Error::Unfinished(path()))?;
    Ok(Known { master, anchor })
}

/// The number of the newest change that the store has, in its file or by the server that runs on it.
pub(crate) fn witnessed(config: &Config, runtime: &Handle) -> Result<u64, Error> {
    if let Some(server) = running(config)? {
        return Ok(server.status.witnessed);
    }
    Ok(runtime.block_on(to_look(config)?.witnessed())?)
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
            SqliteStore::open_with(path, purpose, Serving { batch_max, ..Serving::default() })
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
        AuditTarget::File(path) => {
            Arc::new(FileSink::open(path, sync, chain).map_err(|error| named(target, error))?)
        }
        AuditTarget::Stdout => Arc::new(StreamSink::new(io::stdout(), chain)?),
    })
}

/// The vault knows no path.
fn named(target: &AuditTarget, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{target}: {error}"))
}

/// The REST door of a vault.
fn door(config: &Config, vault: Arc<Vault>, registry: &mut Registry) -> Result<Door, Error> {
    let auth = match &config.derived.auth {
        AuthBy::ProjectHeader => barbican::Auth::ProjectHeader,
        AuthBy::Keystone(keystone) => {
            warn_of(keystone);
            barbican::Auth::Keystone(Keystone::new(&keystone.config, Handle::current(), registry)?)
        }
    };
    let limits = barbican::Limits {
        // The wait for all connections ends at the time itself, and says how many were left.
        drain_time_max: config.limits.drain_seconds + LAST_THREADS,
        ..config.limits.of_rest_door()
    };
    let host_href = config.general.host_href.clone();
    let hosts = config.general.hosts.clone();
    let allowed_origins = config.cors.allowed_origins.clone();
    let config = DoorConfig { auth, host_href, hosts, allowed_origins, limits };
    Ok(Door::new(vault, config, barbican::Metrics::register(registry)))
}

/// What works, and should not stay so.
fn warn_of(keystone: &config::keystone::Keystone) {
    if let Some(file) = keystone.exposed() {
        tracing::warn!(file = %file.display(), "everybody on this machine can read the secret of [keystone]: chmod o-r");
    }
    let config = &keystone.config;
    if config.insecure {
        tracing::warn!("keystone.insecure: whoever is between here and Keystone can say who anybody is");
    } else if config.auth_url.is_in_clear() {
        tracing::warn!(
            url = config.auth_url.as_str(),
            "tokens go to Keystone in clear: give it an https:// address"
        );
    }
}

/// The libvirt door of a vault.
fn libvirt_door(
    config: &Config,
    vault: Arc<Vault>,
    sockets: &UnixSockets,
    registry: &mut Registry,
) -> Result<libvirt::Door, Error> {
    let token = match config.general.libvirt_token.clone().or_else(|| sockets.token_path()) {
        Some(path) => {
            if let Some(warning) = permissions::require_token(&path)? {
                tracing::warn!("{warning}");
            }
            Some(token::ensure(&path).map_err(|source| Error::Token { path: path.clone(), source })?)
        }
        None => None, // A socket that has no path has no neighbours.
    };
    let auth = match config.general.libvirt_auth {
        LibvirtAuth::None => libvirt::ClientAuth::None,
        LibvirtAuth::Polkit => libvirt::ClientAuth::Polkit,
    };
    let reach = match rustix::process::geteuid().is_root() || sockets.are_passed {
        true => libvirt::Reach::System,
        false => libvirt::Reach::Session,
    };
    let config = libvirt::DoorConfig {
        project: config.general.libvirt_project.clone(),
        auth,
        reach,
        token,
        drain_time_max: config.limits.drain_seconds + LAST_THREADS,
    };
    Ok(libvirt::Door::new(vault, config, libvirt::Metrics::register(registry)))
}

/// The sockets of the server, open before anything else is touched.
struct Sockets {
    rest: Vec<StdListener>,
    libvirt: UnixSockets,
    metrics: Option<StdListener>,
    admin: AdminSocket,
}

/// The admin socket, which is in the data directory, so that it is made when that is there.
enum AdminSocket {
    Off,
    Open(StdUnixListener, Made),
    /// Nobody has asked for this path, and it cannot be had.
    Closed(Error),
}

impl AdminSocket {
    fn open(config: &Config) -> Result<Self, Error> {
        let Some(path) = config.general.admin_socket.path() else { return Ok(Self::Off) };
        match unix_socket::listen(path, SocketMode(0o600), None) {
            Ok((socket, made)) => Ok(Self::Open(socket, made)),
            Err(source) => {
                let error = Error::ListenAdmin { path: path.to_owned(), source };
                if config.derived.is_admin_socket_chosen { Err(error) } else { Ok(Self::Closed(error)) }
            }
        }
    }
}

impl Sockets {
    fn open(config: &Config, passed: Passed) -> Result<Self, Error> {
        for socket in &passed.tcp {
            config.allow_listening_at(socket.local_addr().map_err(Error::PassedSocket)?)?;
        }
        let libvirt = UnixSockets::open(config, passed.unix)?;
        let rest = match (passed.tcp.is_empty(), config.general.listen) {
            (false, _) => passed.tcp,
            (true, ListenAt::At(address)) => vec![bind(address, "--listen")?],
            (true, ListenAt::Off) => Vec::new(),
        };
        if rest.is_empty() && libvirt.sockets.is_empty() {
            return Err(Error::NothingToServe);
        }
        let metrics = match config.general.metrics_listen {
            ListenAt::Off => None,
            ListenAt::At(address) => Some(bind(address, "--metrics-listen")?),
        };
        Ok(Self { rest, libvirt, metrics, admin: AdminSocket::Off })
    }

    /// Where they are, with the port that the system chose if it was to choose.
    fn addresses(&self) -> Addresses {
        let address = |socket: &StdListener| socket.local_addr().ok();
        Addresses {
            rest: self.rest.iter().filter_map(address).collect(),
            libvirt: self.libvirt.path(libvirt::Socket::ReadWrite),
            metrics: self.metrics.as_ref().and_then(address),
        }
    }
}

/// The sockets of the libvirt door.
#[derive(Default)]
struct UnixSockets {
    sockets: Vec<(StdUnixListener, libvirt::Socket)>,
    /// Whether systemd made them, for the whole machine.
    are_passed: bool,
    /// Those that go when this does.
    made: Vec<Made>,
    /// Why there are none, where there should have been.
    closed: Option<Error>,
}

impl UnixSockets {
    fn open(config: &Config, passed: Vec<StdUnixListener>) -> Result<Self, Error> {
        if !passed.is_empty() {
            return Self::passed(passed);
        }
        let Some(path) = config.general.libvirt_socket.path() else { return Ok(Self::default()) };
        match Self::make(config, path) {
            // Nobody has asked for this path, and nobody who did should find another program's secrets there.
            Err(closed @ Error::ListenUnix { .. }) if !config.derived.is_libvirt_socket_chosen => {
                Ok(Self { closed: Some(closed), ..Self::default() })
            }
            made => made,
        }
    }

    fn make(config: &Config, path: &Path) -> Result<Self, Error> {
        let read_only = unix_socket::read_only_path(path);
        let listen = |path: &Path, mode, group| {
            unix_socket::listen(path, mode, group)
                .map_err(|source| Error::ListenUnix { path: path.to_owned(), source })
        };
        let (first, made) =
            listen(path, config.general.libvirt_socket_mode, config.general.libvirt_socket_group.as_ref())?;
        let (second, made_too) = listen(&read_only, config.general.libvirt_socket_ro_mode, None)?;
        let sockets = vec![(first, libvirt::Socket::ReadWrite), (second, libvirt::Socket::ReadOnly)];
        Ok(Self { sockets, made: vec![made, made_too], ..Self::default() })
    }

    /// Told apart by their names, which are libvirt's. Its daemons have a third one, for virt-admin, which is closed.
    /// One with another name is refused: a guess might let those write who were to look only.
    fn passed(passed: Vec<StdUnixListener>) -> Result<Self, Error> {
        let mut sockets = Vec::new();
        for socket in passed {
            let path = path_of(&socket).unwrap_or_default();
            let name = path.display().to_string();
            if name.ends_with("-admin-sock") {
                tracing::info!(name, "not served: there is no administration by libvirt's API");
            } else if name.ends_with("-ro") {
                sockets.push((socket, libvirt::Socket::ReadOnly));
            } else if name.ends_with("-sock") {
                sockets.push((socket, libvirt::Socket::ReadWrite));
            } else {
                return Err(Error::PassedName(path));
            }
        }
        Ok(Self { sockets, are_passed: true, ..Self::default() })
    }

    fn path(&self, which: libvirt::Socket) -> Option<PathBuf> {
        self.sockets.iter().find(|(_, socket)| *socket == which).and_then(|(socket, _)| path_of(socket))
    }

    /// Where libvirt's daemons have the token: below the folder of their sockets.
    fn token_path(&self) -> Option<PathBuf> {
        let (socket, _) = self.sockets.first()?;
        Some(path_of(socket)?.parent()?.join("common/system.token"))
    }
}

fn path_of(socket: &StdUnixListener) -> Option<PathBuf> {
    socket.local_addr().ok()?.as_pathname().map(Path::to_owned)
}

fn bind(address: SocketAddr, flag: &'static str) -> Result<StdListener, Error> {
    StdListener::bind(address).map_err(|source| Error::Listen { address, flag, source })
}

// Running it.

async fn serve(
    reload: Reload,
    built: Built,
    mut sockets: Sockets,
    workers: (Workers, Threads),
    idle: Idle,
) -> Result<(), Error> {
    let Built { vault, store, policy } = built;
    let config = &reload.running;
    let mut signals = Signals::new().map_err(Error::Runtime)?;
    let addresses = sockets.addresses();
    let mut registry = metrics::registry();
    let connections = Arc::new(Connections::new(config.limits.connections, "http", &mut registry));
    // Counted apart, so that whoever may only look does not keep out whoever may write.
    let [read_write, read_only] = ["libvirt", "libvirt_read_only"]
        .map(|door| Arc::new(Connections::new(config.limits.libvirt_connections, door, &mut registry)));
    let doors = [Arc::clone(&connections), Arc::clone(&read_write), Arc::clone(&read_only)];
    let door = Arc::new(door(config, Arc::clone(&vault), &mut registry)?);
    let (workers, threads) = workers;
    if let Some(closed) = &sockets.libvirt.closed {
        tracing::warn!("the libvirt door stays closed: {}", closed.to_string().replace('\n', ". "));
    }
    if !sockets.libvirt.sockets.is_empty() {
        let door = Arc::new(libvirt_door(config, Arc::clone(&vault), &sockets.libvirt, &mut registry)?);
        tokio::spawn(Arc::clone(&door).follow_changes());
        for (socket, which) in sockets.libvirt.sockets.drain(..) {
            let listener = listen::adopt_unix(socket).map_err(Error::Runtime)?;
            let of_socket = match which {
                libvirt::Socket::ReadWrite => &read_write,
                libvirt::Socket::ReadOnly => &read_only,
            };
            let (connections, workers) = (Arc::clone(of_socket), workers.clone());
            tokio::spawn(serve_libvirt(listener, which, connections, workers, Arc::clone(&door)));
        }
    }
    let _made = sockets.libvirt.made; // Gone when everything else is.
    for socket in sockets.rest {
        let listener = listen::adopt(socket).map_err(Error::Runtime)?;
        tokio::spawn(serve_door(listener, Arc::clone(&connections), workers.clone(), Arc::clone(&door)));
    }
    metrics::register_store(&mut registry, Arc::clone(&store));
    let admin = admin(sockets.admin, Served { store, vault: Arc::clone(&vault) })?;
    metrics::register_vault(&mut registry, Arc::clone(&vault));
    if let Some(socket) = sockets.metrics {
        let listener = listen::adopt(socket).map_err(Error::Runtime)?;
        tokio::spawn(metrics::serve(listener, Arc::new(registry)));
    }
    let anchoring = tokio::spawn(anchor_now_and_then(Arc::clone(&vault)));
    let upkeep = tokio::spawn(upkeep::now_and_then(Arc::clone(&vault), config.upkeep.clone()));
    banner::tell(config, &policy, &addresses);
    manager::ready();

    tokio::select! {
        () = until_ended(&mut signals, &reload, &vault) => {}
        () = until_idle(idle, &doors, &vault, &config.general.libvirt_project) => {
            tracing::info!("nobody was connected for the time given: ending");
        }
    }
    let drain_time = config.limits.drain_seconds;
    manager::stopping(drain_time);
    tracing::info!(seconds = drain_time.as_secs(), "draining: requests in flight may finish");
    tokio::select! {
        () = end(&doors, drain_time, threads) => {}
        () = signals.end() => return Err(Error::Cut),
    }
    anchoring.abort();
    upkeep.abort();
    drop(admin); // What is still asked there ends, and its socket goes.
    if let Err(error) = vault.end(now()) {
        tracing::error!(%error, "the audit trail has no line that says that the service ended");
    }
    anchor(&vault).await;
    Ok(())
}

/// Serves the admin socket, until the result is dropped.
fn admin(socket: AdminSocket, served: Served) -> Result<Option<(AbortOnDrop, Made)>, Error> {
    admin::server::clean(&served);
    let (socket, made) = match socket {
        AdminSocket::Open(socket, made) => (socket, made),
        AdminSocket::Off => return Ok(None),
        AdminSocket::Closed(error) => {
            tracing::warn!("there is no admin socket: {}", error.to_string().replace('\n', ". "));
            return Ok(None);
        }
    };
    let listener = listen::adopt_unix(socket).map_err(Error::Runtime)?;
    Ok(Some((AbortOnDrop(tokio::spawn(admin::server::serve(listener, served)).abort_handle()), made)))
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve_door(listener: TcpListener, connections: Arc<Connections>, workers: Workers, door: Arc<Door>) {
    let serve = async move |stream: TcpStream, mut draining: Draining| match stream.local_addr() {
        Ok(here) => door.serve_connection(stream, here, draining.begun()).await,
        Err(error) => tracing::debug!(%error, "a connection was gone before it was served"),
    };
    connections.accept_all(listener, &workers, serve).await;
}

async fn serve_libvirt(
    listener: tokio::net::UnixListener,
    socket: libvirt::Socket,
    connections: Arc<Connections>,
    workers: Workers,
    door: Arc<libvirt::Door>,
) {
    let serve = async move |stream: UnixStream, mut draining: Draining| {
        let peer = stream.peer_cred().ok().map(|peer| libvirt::Peer {
            uid: peer.uid(),
            pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
        });
        door.serve_connection(stream, socket, peer, draining.begun()).await;
    };
    connections.accept_all(listener, &workers, serve).await;
}

async fn end(doors: &[Arc<Connections>; 3], drain_time: Duration, threads: Threads) {
    let [rest, libvirt, looking] = doors;
    let (rest, libvirt, looking) =
        tokio::join!(rest.drain(drain_time), libvirt.drain(drain_time), looking.drain(drain_time));
    tell_end(rest + libvirt + looking);
    threads.end().await;
}

/// A call of the process itself, about the libvirt door's project.
fn own_call(project: &ProjectId) -> Call {
    let caller = Caller { project: project.clone(), user: None, roles: Roles::Fixed(&[]) };
    Call { caller, time: SystemTime::now().into(), request: RequestId::next(), door: model::Door::Upkeep }
}

/// Completes when nobody was connected for so long, and nothing would be lost: as libvirt's daemons, which stay while
/// they have secrets that only they know.
async fn until_idle(idle: Idle, doors: &[Arc<Connections>], vault: &Vault, project: &ProjectId) {
    let Idle::For(time) = idle else { return std::future::pending().await };
    let mut idle_for = Duration::ZERO;
    while idle_for < time {
        tokio::time::sleep(IDLE_EVERY).await;
        let is_idle = doors.iter().all(|connections| connections.open() == 0);
        idle_for = if is_idle { idle_for + IDLE_EVERY } else { Duration::ZERO };
        let keeps = idle_for >= time && vault.has_ephemeral(&own_call(project)).await.unwrap_or(true);
        if keeps {
            idle_for = Duration::ZERO;
        }
    }
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
    ticks.tick().await; // At once: where the start's line is.
    anchor(&vault).await;
    loop {
        ticks.tick().await;
        if let Err(error) = vault.tell_committed(now()) {
            tracing::error!(%error, "the audit trail was not told what is in the database");
        }
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
        match vault.reopen_audit(now()) {
            Ok(()) => tracing::info!(file = %self.running.general.audit, "the audit trail was opened anew"),
            Err(error) => tracing::error!(%error, "the audit trail stays in the file it was in"),
        }
        match load(&self.flags) {
            Ok(config) => self.apply(&config, vault),
            Err(error) => tracing::error!("the configuration stays as it was: {error}"),
        }
        manager::ready();
    }

    fn apply(&self, config: &Config, vault: &Vault) {
        self.logging.set(&config.general.log);
        match policy(config, &self.running.derived.auth) {
            Ok(policy) => {
                let described = config.describe_policy(&policy);
                vault.set_policy(policy);
                tracing::info!(policy = described, "the policy was read again");
            }
            Err(error) => tracing::error!("the policy stays as it was: {error}"),
        }
        let waiting = config.needs_restart(&self.running);
        tracing::info!(log = %config.general.log, "the configuration was read again");
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these changes need a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_passed_socket_says_what_it_is_for() {
        use libvirt::Socket::{ReadOnly, ReadWrite};
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, expect: Option<&[libvirt::Socket]>| {
            let passed = UnixSockets::passed(vec![StdUnixListener::bind(folder.path().join(name)).unwrap()]);
            let served =
                passed.ok().map(|open| open.sockets.iter().map(|(_, which)| *which).collect::<Vec<_>>());
            assert_eq!(served.as_deref(), expect, "{name}");
        };
        check("virtsecretd-sock", Some(&[ReadWrite]));
        check("virtsecretd-sock-ro", Some(&[ReadOnly]));
        check("libvirt-sock", Some(&[ReadWrite]));
        check("keys-ro", Some(&[ReadOnly]));
        check("virtsecretd-admin-sock", Some(&[]));
        check("donjon.sock", None);
        check("virtsecretd-sock-rw", None);
    }

    #[test]
    fn a_passed_socket_with_another_name_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("donjon.sock");
        let refused = UnixSockets::passed(vec![StdUnixListener::bind(&path).unwrap()]).err().unwrap();
        let said = refused.to_string();
        assert!(said.contains(path.to_str().unwrap()) && said.contains("virtsecretd-sock-ro"), "{said}");
    }
}
