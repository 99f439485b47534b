//! Makes the doors of a vault from the configuration, and serves their connections.

use std::sync::Arc;
use std::time::Duration;

use barbican::{Door, DoorConfig};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;
use transport::{Authenticator, Keystone};
use vault::Vault;

use super::LAST_THREADS;
use super::sockets::UnixSockets;
use crate::config::values::LibvirtAuth;
use crate::config::{AuthBy, Config, Limits, keystone};
use crate::error::{DoorError, Error, SystemError};
use crate::listen::{self, Connections, Draining};
use crate::permissions;
use crate::threads::Workers;
use crate::token;
use crate::unix_socket::SocketFile;

/// The REST door of a vault.
pub(super) fn rest_door(config: &Config, vault: Arc<Vault>, registry: &mut Registry) -> Result<Door, Error> {
    let auth = match &config.derived.auth {
        AuthBy::ProjectHeader => Authenticator::ProjectHeader,
        AuthBy::Keystone(keystone) => {
            warn_of_risks(keystone);
            Authenticator::Keystone(Keystone::new(&keystone.config, Handle::current(), registry)?)
        }
    };
    let limits = transport::Limits {
        // The server's own wait ends at the drain time and counts the remaining connections.
        drain_time_max: config.limits.drain_seconds + LAST_THREADS,
        ..config.limits.of_rest_door()
    };
    let host_href = config.general.host_href.clone();
    let hosts = config.general.hosts.clone();
    let allowed_origins = config.cors.allowed_origins.clone();
    let config = DoorConfig { auth, host_href, hosts, allowed_origins, limits };
    Ok(Door::new(vault, config, Door::register_metrics(registry)))
}

/// Warns of settings that work but are unsafe.
fn warn_of_risks(keystone: &keystone::Keystone) {
    if let Some(file) = keystone.exposed() {
        tracing::warn!(file = %file.display(), "everybody on this machine can read the secret of [keystone]: chmod o-r");
    }
    let config = &keystone.config;
    if config.insecure {
        tracing::warn!("keystone.insecure: everybody between here and Keystone can say who a caller is");
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
            Some(token::ensure(&path).map_err(|source| DoorError::Token { path: path.clone(), source })?)
        }
        None => None, // A socket without a path has no token beside it.
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

/// The connections of each door. The sockets of the libvirt door count apart, so that clients that may only look do not
/// keep out those that may write.
pub(super) struct DoorConnections {
    rest: Arc<Connections>,
    read_write: Arc<Connections>,
    read_only: Arc<Connections>,
}

impl DoorConnections {
    pub(super) fn new(limits: &Limits, registry: &mut Registry) -> Self {
        let mut connections = |max, door| Arc::new(Connections::new(max, door, registry));
        Self {
            rest: connections(limits.connections, "http"),
            read_write: connections(limits.libvirt_connections, "libvirt"),
            read_only: connections(limits.libvirt_connections, "libvirt_read_only"),
        }
    }

    /// The number of open connections.
    pub(super) fn open(&self) -> usize {
        self.rest.open() + self.read_write.open() + self.read_only.open()
    }

    /// Ends all connections when their requests are done or the time is over. Returns how many were cut off.
    pub(super) async fn drain(&self, time: Duration) -> usize {
        let (rest, read_write, read_only) =
            tokio::join!(self.rest.drain(time), self.read_write.drain(time), self.read_only.drain(time));
        rest + read_write + read_only
    }
}

/// Serves the REST door at its sockets.
pub(super) fn open_rest(
    door: Door,
    sockets: Vec<std::net::TcpListener>,
    connections: &DoorConnections,
    workers: &Workers,
) -> Result<(), Error> {
    let door = Arc::new(door);
    for socket in sockets {
        let listener = listen::adopt(socket).map_err(SystemError::Runtime)?;
        let connections = Arc::clone(&connections.rest);
        tokio::spawn(serve_rest(listener, connections, workers.clone(), Arc::clone(&door)));
    }
    Ok(())
}

/// Serves the libvirt door at its sockets, if it has any. Returns the files to remove at the end.
pub(super) fn open_libvirt(
    config: &Config,
    vault: &Arc<Vault>,
    sockets: UnixSockets,
    connections: &DoorConnections,
    workers: &Workers,
    registry: &mut Registry,
) -> Result<Vec<SocketFile>, Error> {
    if let Some(closed) = &sockets.closed {
        tracing::warn!("the libvirt door stays closed: {}", closed.to_string().replace('\n', ". "));
    }
    if sockets.sockets.is_empty() {
        return Ok(sockets.made);
    }
    let door = Arc::new(libvirt_door(config, Arc::clone(vault), &sockets, registry)?);
    tokio::spawn(Arc::clone(&door).follow_changes());
    for (socket, which) in sockets.sockets {
        let listener = listen::adopt_unix(socket).map_err(SystemError::Runtime)?;
        let of_socket = match which {
            libvirt::Socket::ReadWrite => &connections.read_write,
            libvirt::Socket::ReadOnly => &connections.read_only,
        };
        tokio::spawn(serve_libvirt(
            listener,
            which,
            Arc::clone(of_socket),
            workers.clone(),
            Arc::clone(&door),
        ));
    }
    Ok(sockets.made)
}

async fn serve_rest(listener: TcpListener, connections: Arc<Connections>, workers: Workers, door: Arc<Door>) {
    let serve = async move |stream: TcpStream, mut draining: Draining| match stream.local_addr() {
        Ok(here) => door.serve_connection(stream, here, draining.begun()).await,
        Err(error) => tracing::debug!(%error, "a connection ended before it was served"),
    };
    connections.accept_all(listener, &workers, serve).await;
}

async fn serve_libvirt(
    listener: UnixListener,
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
