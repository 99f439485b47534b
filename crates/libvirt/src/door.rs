//! The door itself: what all its connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, SystemTime};

use model::{Call, Caller, ProjectId, RequestId, Roles, UserId};
use tokio::sync::Semaphore;
use vault::Vault;

use crate::auth::{Auth, Questions};
use crate::cuts::Cuts;
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
    /// What clients have to do first.
    pub auth: Auth,
    /// Whom it is for.
    pub reach: Reach,
    /// What proves a client to be one of libvirt's daemons; without one none is believed to be.
    pub token: Option<SystemToken>,
    /// How long calls in flight may take once the door is to close.
    pub drain_time_max: Duration,
}

/// Which of the two sockets a connection came in by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Socket {
    /// The one where everything may be asked.
    ReadWrite,
    /// The one whose connections are read-only, whatever they say.
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
    /// What is said of connections that were cut off.
    pub(crate) cuts: Cuts,
    /// Questions that polkit is being asked.
    pub(crate) questions: Arc<Questions>,
    /// The next registration's id. They are never used again, whoever asks.
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
            cuts: Cuts::default(),
            questions: Arc::default(),
            callbacks: AtomicI32::new(0),
        }
    }

    /// Hands events on to connections, for as long as it runs. To be started before the first connection.
    pub async fn follow_changes(self: Arc<Self>) {
        self.events.follow(&self.vault, &self.config.project).await;
    }

    /// Memory for long messages that come in by a socket.
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

    /// A call of a client, now. It has no roles: whoever was let in by the socket has the project.
    pub(crate) fn call(&self, user: Option<UserId>, is_system: bool) -> Call {
        Call {
            caller: Caller { project: self.config.project.clone(), user, roles: Roles::Fixed(&[]) },
            time: SystemTime::now().into(),
            request: RequestId::next(),
            door: if is_system { model::Door::LibvirtSystem } else { model::Door::Libvirt },
        }
    }
}
