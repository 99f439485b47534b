//! The configuration: flags, then the file that `--config` names, then defaults.
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
use std::path::Path;

use model::{Counted, Quotas, UNLIMITED};
use vault::Grace;

use file::FileError;
use keystone::{Keystone, KeystoneFault};
use policy::PolicyFileError;
use rows::ProjectQuotas;
pub(crate) use rows::{Config, Limits, Settings, Upkeep};
use surroundings::Surroundings;
use values::{AuditTarget, Auth, KeySource, SocketAt, SocketMode, StoreUrl};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The policy file cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
    /// The settings for Keystone are incomplete.
    #[error(transparent)]
    Keystone(#[from] KeystoneFault),
    /// No default for the data directory.
    #[error(
        "no default for the data directory: neither XDG_DATA_HOME nor HOME is set to an absolute path\n\
         Name one with --data-dir DIR."
    )]
    NoHome,
    /// Everybody who reaches the address would own every secret.
    #[error(
        "{0} is not a loopback address, and with auth project-header whoever reaches it reads and writes the \
         secrets of every project\n\
         Choose auth keystone, listen on 127.0.0.1 behind a proxy that authenticates, or give --insecure-listen if this network is trusted."
    )]
    NotLoopback(SocketAddr),
}

/// How callers are identified, with the settings for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AuthBy {
    /// By the project in a header.
    ProjectHeader,
    /// By Keystone.
    Keystone(Box<Keystone>),
}

/// Values that follow from several settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Derived {
    /// How callers are identified.
    pub(crate) auth: AuthBy,
    /// Whether the operator named the admin socket. If not, a failure to make it does not stop the server.
    pub(crate) is_admin_socket_chosen: bool,
    /// Whether the operator named the libvirt socket. If not, the door stays closed where another server has the default.
    pub(crate) is_libvirt_socket_chosen: bool,
}

impl Config {
    /// Flags, then the file if one is named, then defaults.
    pub(crate) fn load(flags: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_with_fallback(flags, file, Settings::default())
    }

    /// The same, with settings that come between the file and the defaults.
    pub(crate) fn load_with_fallback(
        flags: Settings,
        file: Option<&Path>,
        fallback: Settings,
    ) -> Result<Self, ConfigError> {
        let from_file = file.map(file::read).transpose()?.unwrap_or_default();
        Self::resolve(flags.or(from_file).or(fallback), file, &Surroundings::of_process())
    }

    /// Adds the defaults. The file is named because it may hold a password.
    fn resolve(chosen: Settings, file: Option<&Path>, around: &Surroundings) -> Result<Self, ConfigError> {
        let is_admin_socket_chosen = chosen.general.admin_socket.is_some();
        let is_libvirt_socket_chosen = chosen.general.libvirt_socket.is_some();
        let derived =
            Derived { auth: AuthBy::ProjectHeader, is_admin_socket_chosen, is_libvirt_socket_chosen };
        let mut config = chosen.or_computed(around)?.or(Settings::fixed()).complete(derived);
        if config.general.auth == Auth::Keystone {
            let keystone = Keystone::resolve(&config.keystone, file, around)?;
            config.derived.auth = AuthBy::Keystone(Box::new(keystone));
        }
        Ok(config)
    }

    /// Checks whether the REST door may open at an address, chosen or passed by systemd. Only `serve` needs it: the other
    /// commands do not listen.
    pub(crate) fn allow_listening_at(&self, address: SocketAddr) -> Result<(), ConfigError> {
        match self.derived.auth {
            AuthBy::ProjectHeader
                if !self.general.insecure_listen && !address.ip().to_canonical().is_loopback() =>
            {
                Err(ConfigError::NotLoopback(address))
            }
            AuthBy::ProjectHeader | AuthBy::Keystone(_) => Ok(()),
        }
    }

    /// The keys that differ from another configuration and need a restart.
    pub(crate) fn needs_restart(&self, other: &Self) -> Vec<String> {
        self.differing(other).filter(|row| !row.reloads).map(|row| row.name()).collect()
    }
}

impl Limits {
    /// The limits of one request at the REST door.
    pub(crate) fn of_rest_door(&self) -> transport::Limits {
        transport::Limits {
            head_bytes_max: self.header_bytes,
            header_fields_max: self.header_fields,
            head_time_max: self.header_seconds,
            body_bytes_max: self.body_bytes,
            body_time_max: self.body_seconds,
            discarded_bytes_max: self.discarded_bytes,
            drain_time_max: self.drain_seconds,
            ..transport::Limits::default()
        }
    }
}

impl ProjectQuotas {
    /// The quotas of a project that has none of its own.
    pub(crate) fn of_projects(&self) -> Quotas {
        Quotas::all(UNLIMITED)
            .with(Counted::Secrets, self.secrets)
            .with(Counted::Orders, self.orders)
            .with(Counted::Containers, self.containers)
            .with(Counted::Consumers, self.consumers)
            .with(Counted::Cas, self.cas)
    }
}

impl Upkeep {
    /// The times for which expired and spent things are kept.
    pub(crate) fn grace(&self) -> Grace {
        Grace { expired: self.expired_seconds, orders: self.orders_seconds }
    }
}

impl Settings {
    /// The fixed defaults of the rows.
    #[expect(clippy::expect_used, reason = "constants, which every test of the configuration reads")]
    fn fixed() -> Self {
        file::parse(Path::new("defaults"), &table::defaults())
            .expect("the rows' defaults are a file like any other")
    }

    /// Adds the defaults that depend on other settings or on `around`.
    fn or_computed(mut self, around: &Surroundings) -> Result<Self, ConfigError> {
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

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
