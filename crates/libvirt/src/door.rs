//! The door itself: the state that all its connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, SystemTime};

use model::{Call, Caller, ProjectId, RequestId, Roles, UserId};
use tokio::sync::Semaphore;
use vault::Vault;

use crate::auth::{ClientAuth, Questions};
use crate::cuts::CutLog;
use crate::events::Events;
use crate::limits::LARGE_FRAMES_BYTES_MAX;
use crate::metrics::Metrics;
use crate::token::SystemToken;
use crate::uri::Reach;

/// How the door behaves.
#[derive(Debug)]
pub struct DoorConfig {
    /// The project whose secrets it opens.
    pub project: ProjectId,
    /// How clients authenticate.
    pub auth: ClientAuth,
    /// Which URIs it serves: those of the machine or of one user.
    pub reach: Reach,
    /// The token by which libvirt's daemons prove themselves. Without it only root is taken for one.
    pub token: Option<SystemToken>,
    /// How long calls in flight may take once the door begins to close.
    pub drain_time_max: Duration,
}

/// The socket at which a connection was accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Socket {
    /// The one that allows every call.
    ReadWrite,
    /// The one whose connections are always read-only.
    ReadOnly,
}

/// libvirt's secret API over a vault.
#[derive(Debug)]
pub struct Door {
    pub(crate) vault: Arc<Vault>,
    pub(crate) config: DoorConfig,
    pub(crate) metrics: Metrics,
    pub(crate) events: Arc<Events>,
    /// Memory for long messages of each socket, in bytes.
    large_frames: [Arc<Semaphore>; 2],
    /// The log of connections that were cut off.
    pub(crate) cuts: CutLog,
    /// Open questions to polkit.
    pub(crate) questions: Arc<Questions>,
    /// The id of the next registration. No id is used twice, in any connection.
    callbacks: AtomicI32,
}

impl Door {
    /// A door to a vault.
    pub fn new(vault: Arc<Vault>, config: DoorConfig, metrics: Metrics) -> Self {
        Self {
            vault,
            config,
            metrics,
            events: Arc::new(Events::new()),
            large_frames: [(); 2].map(|()| Arc::new(Semaphore::new(LARGE_FRAMES_BYTES_MAX))),
            cuts: CutLog::default(),
            questions: Arc::default(),
            callbacks: AtomicI32::new(0),
        }
    }

    /// Hands events on to connections, for as long as it runs. Start it before the first connection.
    pub async fn follow_changes(self: Arc<Self>) {
        self.events.follow(&self.vault, &self.call(None, false)).await;
    }

    /// Memory for long messages at a socket.
    pub(crate) fn large_frames(&self, socket: Socket) -> Arc<Semaphore> {
        let [read_write, read_only] = &self.large_frames;
        Arc::clone(match socket {
            Socket::ReadWrite => read_write,
            Socket::ReadOnly => read_only,
        })
    }

    pub(crate) fn next_callback(&self) -> i32 {
        self.callbacks.fetch_add(1, Ordering::Relaxed)
    }

    /// A call of a client, now. It has no roles: every client of the socket has the whole project.
    pub(crate) fn call(&self, user: Option<UserId>, is_system: bool) -> Call {
        Call {
            caller: Caller { project: self.config.project.clone(), user, roles: Roles::Fixed(&[]) },
            time: SystemTime::now().into(),
            request: RequestId::next(),
            door: if is_system { model::Door::LibvirtSystem } else { model::Door::Libvirt },
        }
    }
}
