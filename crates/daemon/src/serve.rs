//! Runs the parts that the configuration names, until a signal or idleness ends the server.
//!
//! ```text
//! SIGTERM, SIGINT ─▶ stop accepting ─▶ requests in flight finish, or the drain time is over ─▶ exit 0
//!                                       └ a second one ─▶ exit 1 at once; what was acknowledged is on disk
//! SIGHUP ─▶ the audit file is reopened, log filter and policy are read again; the log names changes that need a restart
//! ```

mod doors;
mod signals;
mod sockets;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{Call, Caller, ProjectId, RequestId, Roles, Timestamp};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;
use vault::{Begin, OnLoss, Vault};

use crate::admin;
use crate::admin::server::Served;
use crate::banner;
use crate::build::{Built, build};
use crate::cli;
use crate::config::Config;
use crate::config::values::ListenAt;
use crate::error::{DoorError, Error, SystemError};
use crate::listen;
use crate::logging::Logging;
use crate::manager;
use crate::metrics;
use crate::process;
use crate::threads::{self, Threads, Workers};
use crate::unix_socket::SocketFile;
use crate::upkeep;
use doors::DoorConnections;
use signals::{Reload, Signals};
use sockets::{AdminSocket, Sockets};

/// Time for the last threads to end after everything else has ended.
const LAST_THREADS: Duration = Duration::from_secs(5);
/// How often the store records the end of the audit trail. Nobody notices if later lines are cut off.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);
/// How often an idle-timeout server checks for open connections.
const IDLE_EVERY: Duration = Duration::from_millis(500);

/// Whether the server ends without a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Idle {
    /// It runs until a signal.
    Never,
    /// It ends after this time without connections.
    For(Duration),
}

/// `donjond serve`.
pub(crate) fn run(flags: cli::Serve, idle: Idle) -> Result<(), Error> {
    let passed = listen::passed_sockets().map_err(DoorError::PassedSocket)?; // Before threads exist.
    let config = load(&flags)?;
    let logging = Logging::start(&config.general.log, config.general.log_format);
    process::require_room(threads::one_for_each_core())?;
    let mut sockets = Sockets::open(&config, passed)?;
    let doors = threads::start(threads::one_for_each_core()).map_err(SystemError::Runtime)?;
    let runtime = threads::main_runtime()?;
    let ended = runtime.block_on(async {
        let lost = if flags.accept_rollback { OnLoss::Accept } else { OnLoss::Refuse };
        let built = build(&config, Begin::Start, lost).await?;
        sockets.admin = AdminSocket::open(&config)?; // The owner of the store's lock may have its socket.
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
    let config = Config::load_with_fallback(
        flags.settings.0.clone(),
        flags.config.as_deref(),
        flags.fallback.clone(),
    )?;
    if let ListenAt::At(address) = config.general.listen {
        config.allow_listening_at(address)?;
    }
    Ok(config)
}

/// The time of the machine's clock.
fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Opens the doors, serves until something ends the server, and ends in order.
async fn serve(
    reload: Reload,
    built: Built,
    sockets: Sockets,
    (workers, threads): (Workers, Threads),
    idle: Idle,
) -> Result<(), Error> {
    let Built { vault, store, policy } = built;
    let config = &reload.running;
    let mut signals = Signals::new().map_err(SystemError::Runtime)?;
    let addresses = sockets.addresses();
    let mut registry = metrics::registry();
    let connections = DoorConnections::new(&config.limits, &mut registry);
    let Sockets { rest, libvirt, metrics, admin } = sockets;
    let rest_door = doors::rest_door(config, Arc::clone(&vault), &mut registry)?;
    let _made = doors::open_libvirt(config, &vault, libvirt, &connections, &workers, &mut registry)?; // Removed at the end.
    doors::open_rest(rest_door, rest, &connections, &workers)?;
    metrics::register_store(&mut registry, Arc::clone(&store));
    let admin = open_admin(admin, Served { store, vault: Arc::clone(&vault) })?;
    metrics::register_vault(&mut registry, Arc::clone(&vault));
    if let Some(socket) = metrics {
        let listener = listen::adopt(socket).map_err(SystemError::Runtime)?;
        tokio::spawn(metrics::serve(listener, Arc::new(registry)));
    }
    let background = [
        AbortOnDrop::spawn(anchor_now_and_then(Arc::clone(&vault))),
        AbortOnDrop::spawn(upkeep::now_and_then(Arc::clone(&vault), config.upkeep.clone())),
    ];
    banner::print(config, &policy, &addresses);
    manager::ready();

    tokio::select! {
        () = signals.until_end(&reload, &vault) => {}
        () = until_idle(idle, &connections, &vault, &config.general.libvirt_project) => {
            tracing::info!("no client for the time of --timeout: ending");
        }
    }
    drain(config.limits.drain_seconds, &connections, threads, &mut signals).await?;
    drop(background);
    drop(admin); // Its requests end, and its socket is removed.
    if let Err(error) = vault.end(now()) {
        tracing::error!(%error, "the audit trail lacks the line about the end of the service");
    }
    anchor(&vault).await;
    Ok(())
}

/// Lets requests in flight finish, until the time is over or a second signal comes.
async fn drain(
    time: Duration,
    connections: &DoorConnections,
    threads: Threads,
    signals: &mut Signals,
) -> Result<(), Error> {
    manager::stopping(time);
    tracing::info!(seconds = time.as_secs(), "draining: requests in flight may finish");
    let drained = async {
        match connections.drain(time).await {
            0 => tracing::info!("ended; every request was answered"),
            left => {
                tracing::warn!(connections = left, "ended; the drain time is over, and these were cut off")
            }
        }
        threads.end().await;
    };
    tokio::select! {
        () = drained => Ok(()),
        () = signals.end() => Err(Error::Cut),
    }
}

/// Serves the admin socket until the result is dropped.
fn open_admin(socket: AdminSocket, served: Served) -> Result<Option<(AbortOnDrop, SocketFile)>, Error> {
    admin::server::clean(&served);
    let (socket, made) = match socket {
        AdminSocket::Open(socket, made) => (socket, made),
        AdminSocket::Off => return Ok(None),
        AdminSocket::Closed(error) => {
            tracing::warn!("there is no admin socket: {}", error.to_string().replace('\n', ". "));
            return Ok(None);
        }
    };
    let listener = listen::adopt_unix(socket).map_err(SystemError::Runtime)?;
    Ok(Some((AbortOnDrop::spawn(admin::server::serve(listener, served)), made)))
}

/// A task that ends when this is dropped.
struct AbortOnDrop(AbortHandle);

impl AbortOnDrop {
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A call by the process itself, for the libvirt door's project.
fn own_call(project: &ProjectId) -> Call {
    let caller = Caller { project: project.clone(), user: None, roles: Roles::Fixed(&[]) };
    Call { caller, time: now(), request: RequestId::next(), door: model::Door::Upkeep }
}

/// Completes after the idle time without connections, if nothing would be lost. libvirt's daemons too stay while they hold
/// ephemeral secrets.
async fn until_idle(idle: Idle, connections: &DoorConnections, vault: &Vault, project: &ProjectId) {
    let Idle::For(time) = idle else { return std::future::pending().await };
    let mut idle_for = Duration::ZERO;
    while idle_for < time {
        tokio::time::sleep(IDLE_EVERY).await;
        idle_for = if connections.open() == 0 { idle_for + IDLE_EVERY } else { Duration::ZERO };
        let keeps = idle_for >= time && vault.has_ephemeral(&own_call(project)).await.unwrap_or(true);
        if keeps {
            idle_for = Duration::ZERO;
        }
    }
}

async fn anchor_now_and_then(vault: Arc<Vault>) {
    let mut ticks = tokio::time::interval(ANCHOR_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await; // The first tick comes at once, with the line of the start.
    anchor(&vault).await;
    loop {
        ticks.tick().await;
        if let Err(error) = vault.tell_committed(now()) {
            tracing::error!(%error, "the audit trail lacks the newest committed change");
        }
        anchor(&vault).await;
    }
}

async fn anchor(vault: &Vault) {
    if let Err(error) = vault.anchor_audit().await {
        tracing::error!(%error, "the store could not record the end of the audit trail");
    }
}
