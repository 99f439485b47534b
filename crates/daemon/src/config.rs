//! What the operator chose: flags, the file that `--config` names, and the defaults, in this order of precedence.
//!
//! ```text
//! flags ─▶ rows ◀─ file      a row for each setting: key, kind, sentence, default
//!           │
//!        Settings ─resolve─▶ Config
//! ```
//!
//! [`rows`] declares each setting once. Text becomes a typed value in [`kinds`] and [`values`], [`file`] reads the file,
//! and [`Config::resolve`] adds the defaults. A [`Config`] is complete and needs no more checks, except for the address
//! to listen at.

pub(crate) mod file;
pub(crate) mod keystone;
mod kinds;
pub(crate) mod policy;
mod rows;
mod surroundings;
pub(crate) mod table;
pub(crate) mod values;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Counted, ProjectId, Quotas, UNLIMITED};
use vault::Grace;

use file::FileError;
use keystone::{Keystone, KeystoneFault};
use policy::{PolicyChoice, PolicyFileError};
pub(crate) use rows::Settings;
use surroundings::Surroundings;
use values::{
    AuditSync, AuditTarget, Auth, Group, KeySource, LibvirtAuth, ListenAt, LogFilter, LogFormat, SocketAt,
    SocketMode, StoreUrl,
};

/// Why there is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The policy file cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
    /// Keystone cannot be asked with what was chosen.
    #[error(transparent)]
    Keystone(#[from] KeystoneFault),
    /// No default for the data directory.
    #[error(
        "no place for the data directory: neither XDG_DATA_HOME nor HOME is set to an absolute path\n\
         Give one with --data-dir DIR."
    )]
    NoHome,
    /// Whoever reaches the address would own every secret.
    #[error(
        "{0} is not a loopback address, and with auth project-header whoever reaches it reads and writes the \
         secrets of every project\n\
         Choose auth keystone, listen on 127.0.0.1 behind a proxy that authenticates, or give --insecure-listen if this network is trusted."
    )]
    NotLoopback(SocketAddr),
}

/// The limits in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Limits {
    /// What one request may cost.
    pub(crate) door: barbican::Limits,
    /// Connections open at once; further ones wait in the listen queue.
    pub(crate) connections: usize,
    /// The same at the libvirt door.
    pub(crate) libvirt_connections: usize,
    /// Changes that share one transaction.
    pub(crate) batch_changes: NonZeroUsize,
}

/// Where the admin socket is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Admin {
    pub(crate) socket: SocketAt,
    /// Whether somebody named the socket; if not, the server goes on without where it cannot be made.
    pub(crate) is_chosen: bool,
}

/// The libvirt door: where its sockets are, who may open them, and whose secrets they show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Libvirt {
    pub(crate) socket: SocketAt,
    /// Whether somebody named the socket; if not, the door stays closed where another server has it.
    pub(crate) is_socket_chosen: bool,
    pub(crate) group: Option<Group>,
    pub(crate) mode: SocketMode,
    pub(crate) ro_mode: SocketMode,
    pub(crate) project: ProjectId,
    pub(crate) auth: LibvirtAuth,
    pub(crate) token: Option<PathBuf>,
}

/// What the server deletes in the background, and how often it looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Upkeep {
    pub(crate) every: Duration,
    pub(crate) grace: Grace,
}

/// How callers are known, with all that takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AuthBy {
    /// By the project they name.
    ProjectHeader,
    /// By what Keystone says.
    Keystone(Box<Keystone>),
}

/// Everything chosen or defaulted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) store: StoreUrl,
    pub(crate) master_key: KeySource,
    pub(crate) admin: Admin,
    pub(crate) listen: ListenAt,
    pub(crate) host_href: Option<String>,
    pub(crate) hosts: Vec<barbican::HostName>,
    pub(crate) allowed_origins: Vec<barbican::WebOrigin>,
    pub(crate) auth: AuthBy,
    pub(crate) insecure_listen: bool,
    pub(crate) policy: PolicyChoice,
    pub(crate) metrics_listen: ListenAt,
    pub(crate) libvirt: Libvirt,
    pub(crate) audit: AuditTarget,
    pub(crate) audit_sync: AuditSync,
    pub(crate) log: LogFilter,
    pub(crate) log_format: LogFormat,
    pub(crate) limits: Limits,
    pub(crate) quotas: Quotas,
    pub(crate) upkeep: Upkeep,
    /// All settings, with their defaults.
    settings: Settings,
}

impl Config {
    /// Flags, then the file if one is named, then defaults.
    pub(crate) fn load(flags: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_before(flags, file, Settings::default())
    }

    /// The same, with settings that take precedence over the defaults alone.
    pub(crate) fn load_before(
        flags: Settings,
        file: Option<&Path>,
        behind: Settings,
    ) -> Result<Self, ConfigError> {
        let from_file = file.map(file::read).transpose()?.unwrap_or_default();
        Self::resolve(flags.or(from_file).or(behind), &Surroundings::of_process())
    }

    fn resolve(chosen: Settings, around: &Surroundings) -> Result<Self, ConfigError> {
        let is_admin_socket_chosen = chosen.general.admin_socket.is_some();
        let is_libvirt_socket_chosen = chosen.general.libvirt_socket.is_some();
        let settings = chosen.derived(around)?.or(Settings::fixed());
        let Settings { general, cors, limits, quotas, upkeep, .. } = settings.clone();
        Ok(Self {
            data_dir: of_default(general.data_dir),
            store: of_default(general.store),
            master_key: of_default(general.master_key),
            admin: Admin { socket: of_default(general.admin_socket), is_chosen: is_admin_socket_chosen },
            listen: of_default(general.listen),
            host_href: general.host_href,
            hosts: of_default(general.hosts),
            allowed_origins: of_default(cors.allowed_origins),
            auth: match of_default(general.auth) {
                Auth::ProjectHeader => AuthBy::ProjectHeader,
                Auth::Keystone => AuthBy::Keystone(Box::new(Keystone::resolve(&settings, around)?)),
            },
            insecure_listen: of_default(general.insecure_listen),
            policy: PolicyChoice { set: general.policy, file: general.policy_file },
            metrics_listen: of_default(general.metrics_listen),
            libvirt: Libvirt {
                socket: of_default(general.libvirt_socket),
                is_socket_chosen: is_libvirt_socket_chosen,
                group: general.libvirt_socket_group,
                mode: of_default(general.libvirt_socket_mode),
                ro_mode: of_default(general.libvirt_socket_ro_mode),
                project: of_default(general.libvirt_project),
                auth: of_default(general.libvirt_auth),
                token: general.libvirt_token,
            },
            audit: of_default(general.audit),
            audit_sync: of_default(general.audit_sync),
            log: of_default(general.log),
            log_format: of_default(general.log_format),
            limits: Limits {
                door: barbican::Limits {
                    head_bytes_max: of_default(limits.header_bytes),
                    header_fields_max: of_default(limits.header_fields),
                    head_time_max: of_default(limits.header_seconds),
                    body_bytes_max: of_default(limits.body_bytes),
                    body_time_max: of_default(limits.body_seconds),
                    discarded_bytes_max: of_default(limits.discarded_bytes),
                    drain_time_max: of_default(limits.drain_seconds),
                    ..barbican::Limits::default()
                },
                connections: of_default(limits.connections),
                libvirt_connections: of_default(limits.libvirt_connections),
                batch_changes: of_default(limits.batch_changes),
            },
            quotas: Quotas::all(UNLIMITED)
                .with(Counted::Secrets, of_default(quotas.secrets))
                .with(Counted::Orders, of_default(quotas.orders))
                .with(Counted::Containers, of_default(quotas.containers))
                .with(Counted::Consumers, of_default(quotas.consumers))
                .with(Counted::Cas, of_default(quotas.cas)),
            upkeep: Upkeep {
                every: of_default(upkeep.every_seconds),
                grace: Grace {
                    expired: of_default(upkeep.expired_seconds),
                    orders: of_default(upkeep.orders_seconds),
                },
            },
            settings,
        })
    }

    /// Whether the REST door may be open at an address, chosen or passed by systemd. For `serve` alone: the other
    /// commands listen nowhere.
    pub(crate) fn allow_listening_at(&self, address: SocketAddr) -> Result<(), ConfigError> {
        match self.auth {
            AuthBy::ProjectHeader if !self.insecure_listen && !address.ip().to_canonical().is_loopback() => {
                Err(ConfigError::NotLoopback(address))
            }
            AuthBy::ProjectHeader | AuthBy::Keystone(_) => Ok(()),
        }
    }

    /// Who may do what, where callers are known by `auth`, which is that of the running server.
    pub(crate) fn load_policy(&self, auth: &AuthBy) -> Result<vault::Policy, ConfigError> {
        Ok(self.policy.load(auth)?)
    }

    /// The keys that differ from another configuration and take effect only at the next start.
    pub(crate) fn needs_restart(&self, other: &Self) -> Vec<String> {
        self.settings.differing(&other.settings).filter(|row| !row.reloads).map(|row| row.name()).collect()
    }
}

impl Admin {
    /// Where it is, if it is anywhere.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.socket {
            SocketAt::Off => None,
            SocketAt::At(path) => Some(path),
        }
    }
}

impl Settings {
    /// The fixed defaults of the rows.
    #[expect(clippy::expect_used, reason = "constants, which every test of the configuration reads")]
    fn fixed() -> Self {
        file::parse(Path::new("defaults"), &table::defaults())
            .expect("the rows' defaults are a file like any other")
    }

    /// These, and the defaults that depend on each other or on `around`.
    fn derived(mut self, around: &Surroundings) -> Result<Self, ConfigError> {
        let keys = &mut self.general;
        let data_dir = match keys.data_dir.clone() {
            Some(dir) => dir,
            None => around.data_dir().ok_or(ConfigError::NoHome)?,
        };
        let in_data = |name: &str| data_dir.join(name);
        keys.store.get_or_insert_with(|| StoreUrl::Sqlite(in_data("donjon.db")));
        keys.master_key.get_or_insert_with(|| KeySource::File(in_data("master.key")));
        keys.audit.get_or_insert_with(|| AuditTarget::File(in_data("audit.log")));
        keys.admin_socket.get_or_insert_with(|| SocketAt::At(in_data("admin-sock")));
        keys.libvirt_socket.get_or_insert_with(|| SocketAt::At(around.libvirt_socket(&data_dir)));
        let mode = if keys.libvirt_socket_group.is_some() { 0o660 } else { 0o600 };
        keys.libvirt_socket_mode.get_or_insert(SocketMode(mode));
        keys.data_dir = Some(data_dir);
        Ok(self)
    }
}

/// The value of a row that has a default.
#[expect(clippy::expect_used, reason = "a row that resolve() reads so has a default, which was added")]
fn of_default<T>(value: Option<T>) -> T {
    value.expect("the defaults were added")
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
