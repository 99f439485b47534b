//! What the operator chose: flags, the file that `--config` names, and the defaults, in this order of precedence.
//!
//! Text becomes a typed value in [`values`], the file is read in [`file`], and [`Config::resolve`] fills in what
//! nobody chose. A [`Config`] is complete and needs no more checks, but for the address to listen at.

pub(crate) mod admin;
pub(crate) mod file;
pub(crate) mod keystone;
pub(crate) mod libvirt;
pub(crate) mod numbers;
pub(crate) mod policy;
pub(crate) mod values;

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use admin::{Admin, AdminSettings};
use file::FileError;
use keystone::{Keystone, KeystoneFault, KeystoneSettings};
use libvirt::{Libvirt, LibvirtSettings};
use model::Quotas;
use numbers::{QuotaSettings, Upkeep, UpkeepSettings};
use policy::{PolicyChoice, PolicyFileError, PolicySettings};
use values::{
    AuditSync, AuditTarget, Auth, HostHref, HostName, KeySource, ListenAt, LogFilter, LogFormat, StoreUrl,
    WebOrigin,
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

/// Where an existing store is: what every command needs to know.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Place {
    /// Keep everything in DIR, made with mode 0700 if it is not there
    ///
    /// [default: /var/lib/donjon as root or as the user who owns it, else $XDG_DATA_HOME/donjon, else
    /// ~/.local/share/donjon]
    #[arg(long, value_name = "DIR", value_parser = values::path)]
    pub(crate) data_dir: Option<PathBuf>,

    /// Keep rows here: sqlite:PATH
    ///
    /// [default: sqlite:DATA-DIR/donjon.db]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<StoreUrl>,

    /// Take the master key from here: file:PATH, or credential:NAME as systemd's LoadCredential hands it over
    ///
    /// A key file that is not there is made when the store is made, and never again.
    ///
    /// [default: file:DATA-DIR/master.key]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) master_key: Option<KeySource>,
}

/// What was chosen, by flags or in the file; absent is not chosen.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) place: Place,

    #[command(flatten)]
    pub(crate) admin: AdminSettings,

    /// Serve the REST API at ADDR, an IP address and a port, or "off"
    ///
    /// Sockets that systemd passes take precedence.
    ///
    /// [default: 127.0.0.1:9311]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<ListenAt>,

    /// Begin hrefs in answers with URL
    ///
    /// [default: http:// and the request's Host header]
    #[arg(long, value_name = "URL")]
    pub(crate) host_href: Option<HostHref>,

    /// Answer to these names too, NAME,NAME,… without ports
    ///
    /// With project-header a request for any other name is 403, so that no web page can have its own name lead here. IP
    /// addresses, localhost and the host of --host-href need no listing. A reference that begins with one of these names is
    /// taken for one to this server.
    ///
    /// [default: none]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) hosts: Option<Vec<HostName>>,

    /// Learn who calls by this: project-header or keystone
    ///
    /// project-header believes the X-Project-Id header as it comes, like Barbican without Keystone. keystone asks
    /// Keystone whose the token in X-Auth-Token is; the table [keystone] of the file says where that is and who asks.
    ///
    /// [default: project-header]
    #[arg(long, value_name = "HOW")]
    pub(crate) auth: Option<Auth>,

    /// Allow project-header on an address that other machines reach
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) insecure_listen: Option<bool>,

    #[command(flatten)]
    pub(crate) policy: PolicySettings,

    /// Serve Prometheus metrics at ADDR/metrics, or "off"
    ///
    /// [default: 127.0.0.1:9312]
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics_listen: Option<ListenAt>,

    #[command(flatten)]
    pub(crate) libvirt: LibvirtSettings,

    /// Write the audit trail, one line a request, to FILE or to "stdout"
    ///
    /// [default: DATA-DIR/audit.log]
    #[arg(long, value_name = "FILE")]
    pub(crate) audit: Option<AuditTarget>,

    /// Force the audit trail to disk by batch, or by entry before each answer
    ///
    /// Either way an entry is with the operating system before a payload leaves.
    ///
    /// [default: batch]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true)]
    pub(crate) audit_sync: Option<AuditSync>,

    /// Log what passes FILTER: LEVEL or TARGET=LEVEL, separated by commas
    ///
    /// Levels: off, error, warn, info, debug, trace. Example: warn,vault=debug
    ///
    /// [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<LogFilter>,

    /// Log as text for people or as one JSON object a line, on stderr
    ///
    /// [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub(crate) log_format: Option<LogFormat>,

    #[arg(skip)]
    pub(crate) allowed_origins: Option<Vec<WebOrigin>>,

    #[arg(skip)]
    pub(crate) keystone: KeystoneSettings,

    #[arg(skip)]
    pub(crate) limits: LimitSettings,

    #[arg(skip)]
    pub(crate) quotas: QuotaSettings,

    #[arg(skip)]
    pub(crate) upkeep: UpkeepSettings,
}

impl Settings {
    /// These, and `other` where these do not say.
    fn or(self, other: Self) -> Self {
        Self {
            place: Place {
                data_dir: self.place.data_dir.or(other.place.data_dir),
                store: self.place.store.or(other.place.store),
                master_key: self.place.master_key.or(other.place.master_key),
            },
            admin: self.admin.or(other.admin),
            listen: self.listen.or(other.listen),
            host_href: self.host_href.or(other.host_href),
            hosts: self.hosts.or(other.hosts),
            auth: self.auth.or(other.auth),
            insecure_listen: self.insecure_listen.or(other.insecure_listen),
            policy: self.policy.or(other.policy),
            metrics_listen: self.metrics_listen.or(other.metrics_listen),
            libvirt: self.libvirt.or(other.libvirt),
            audit: self.audit.or(other.audit),
            audit_sync: self.audit_sync.or(other.audit_sync),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            // Only the file has these.
            allowed_origins: other.allowed_origins,
            keystone: other.keystone,
            limits: other.limits,
            quotas: other.quotas,
            upkeep: other.upkeep,
        }
    }
}

/// One key of the file's `[limits]`.
pub(crate) struct Limit {
    pub(crate) key: &'static str,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Limit {
    fn range(&self) -> RangeInclusive<u64> {
        self.min..=self.max
    }
}

/// Every limit an operator can move. The rest are constants beside what they limit.
pub(crate) const LIMITS: [Limit; 10] = [
    Limit { key: "header_bytes", min: barbican::Limits::HEAD_BYTES_MIN as u64, max: 1_048_576 },
    Limit { key: "header_fields", min: 10, max: 1_000 },
    Limit { key: "header_seconds", min: 1, max: 3_600 },
    Limit { key: "body_bytes", min: 1_000, max: 16_777_216 },
    Limit { key: "body_seconds", min: 1, max: 3_600 },
    Limit { key: "discarded_bytes", min: 0, max: 1_073_741_824 },
    Limit { key: "connections", min: 1, max: 1_000_000 },
    Limit { key: "libvirt_connections", min: 1, max: 1_000_000 },
    Limit { key: "drain_seconds", min: 0, max: 3_600 },
    Limit { key: "batch_changes", min: 1, max: 4_096 },
];

/// Connections at once, unless chosen: far above what a cloud's services keep open, and few enough to fit in memory.
const CONNECTIONS_DEFAULT: usize = 10_000;

/// The limits that the file sets, by their place in [`LIMITS`].
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitSettings([Option<u64>; LIMITS.len()]);

impl LimitSettings {
    fn set(&mut self, key: &str, value: u64) {
        let slots = LIMITS.iter().zip(self.0.iter_mut());
        for (_, slot) in slots.filter(|(limit, _)| limit.key == key) {
            *slot = Some(value);
        }
    }

    fn resolve(&self) -> Limits {
        let [
            header_bytes,
            header_fields,
            header_seconds,
            body_bytes,
            body_seconds,
            discarded_bytes,
            connections,
            libvirt_connections,
            drain_seconds,
            batch_changes,
        ] = self.0;
        let door = barbican::Limits::default();
        let size = |chosen: Option<u64>, default| {
            chosen.map_or(default, |number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        let time = |chosen: Option<u64>, default| chosen.map_or(default, Duration::from_secs);
        Limits {
            door: barbican::Limits {
                head_bytes_max: size(header_bytes, door.head_bytes_max),
                header_fields_max: size(header_fields, door.header_fields_max),
                head_time_max: time(header_seconds, door.head_time_max),
                body_bytes_max: size(body_bytes, door.body_bytes_max),
                body_time_max: time(body_seconds, door.body_time_max),
                discarded_bytes_max: size(discarded_bytes, door.discarded_bytes_max),
                write_time_max: door.write_time_max,
                drain_time_max: time(drain_seconds, door.drain_time_max),
            },
            connections: size(connections, CONNECTIONS_DEFAULT),
            libvirt_connections: size(libvirt_connections, CONNECTIONS_DEFAULT),
            batch_changes: NonZeroUsize::new(size(batch_changes, 0)).unwrap_or(store::sqlite::BATCH_DEFAULT),
        }
    }
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
    pub(crate) host_href: Option<HostHref>,
    pub(crate) hosts: Vec<HostName>,
    pub(crate) allowed_origins: Vec<WebOrigin>,
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
}

impl Config {
    /// Flags, then the file if one is named, then defaults.
    pub(crate) fn load(flags: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_before(flags, file, Settings::default())
    }

    /// The same, with what holds before the defaults do.
    pub(crate) fn load_before(
        flags: Settings,
        file: Option<&Path>,
        behind: Settings,
    ) -> Result<Self, ConfigError> {
        let from_file = file.map(file::read).transpose()?.unwrap_or_default();
        // Only the file has these.
        let (keystone, limits) = (from_file.keystone.clone(), from_file.limits.clone());
        let allowed_origins = from_file.allowed_origins.clone();
        let (quotas, upkeep) = (from_file.quotas.clone(), from_file.upkeep.clone());
        let chosen = flags.or(from_file).or(behind);
        let chosen = Settings { allowed_origins, keystone, limits, quotas, upkeep, ..chosen };
        Self::resolve(chosen, &Surroundings::of_process())
    }

    fn resolve(chosen: Settings, around: &Surroundings) -> Result<Self, ConfigError> {
        let data_dir = match chosen.place.data_dir {
            Some(dir) => dir,
            None => around.data_dir().ok_or(ConfigError::NoHome)?,
        };
        Ok(Self {
            store: chosen.place.store.unwrap_or_else(|| StoreUrl::Sqlite(data_dir.join("donjon.db"))),
            master_key: chosen
                .place
                .master_key
                .unwrap_or_else(|| KeySource::File(data_dir.join("master.key"))),
            audit: chosen.audit.unwrap_or_else(|| AuditTarget::File(data_dir.join("audit.log"))),
            admin: chosen.admin.resolve(&data_dir),
            listen: chosen.listen.unwrap_or(REST_LISTEN_DEFAULT),
            host_href: chosen.host_href,
            hosts: chosen.hosts.unwrap_or_default(),
            allowed_origins: chosen.allowed_origins.unwrap_or_default(),
            auth: match chosen.auth.unwrap_or(Auth::ProjectHeader) {
                Auth::ProjectHeader => AuthBy::ProjectHeader,
                Auth::Keystone => AuthBy::Keystone(Box::new(chosen.keystone.resolve(around)?)),
            },
            insecure_listen: chosen.insecure_listen.unwrap_or(false),
            policy: chosen.policy.resolve(),
            metrics_listen: chosen.metrics_listen.unwrap_or(METRICS_LISTEN_DEFAULT),
            libvirt: chosen.libvirt.resolve(&data_dir, around),
            audit_sync: chosen.audit_sync.unwrap_or(AuditSync::Batch),
            log: chosen.log.unwrap_or_default(),
            log_format: chosen.log_format.unwrap_or(LogFormat::Text),
            limits: chosen.limits.resolve(),
            quotas: chosen.quotas.resolve(),
            upkeep: chosen.upkeep.resolve(),
            data_dir,
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

    /// The keys that differ from another configuration and take effect only at the next start: all but `log` and
    /// `policy_*`.
    pub(crate) fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("data_dir", self.data_dir != other.data_dir),
            ("store", self.store != other.store),
            ("master_key", self.master_key != other.master_key),
            ("admin_socket", self.admin != other.admin),
            ("listen", self.listen != other.listen),
            ("host_href", self.host_href != other.host_href),
            ("hosts", self.hosts != other.hosts),
            ("[cors]", self.allowed_origins != other.allowed_origins),
            ("auth, [keystone]", self.auth != other.auth),
            ("insecure_listen", self.insecure_listen != other.insecure_listen),
            ("metrics_listen", self.metrics_listen != other.metrics_listen),
            ("libvirt_*", self.libvirt != other.libvirt),
            ("audit", self.audit != other.audit),
            ("audit_sync", self.audit_sync != other.audit_sync),
            ("log_format", self.log_format != other.log_format),
            ("limits", self.limits != other.limits),
            ("quotas", self.quotas != other.quotas),
            ("upkeep", self.upkeep != other.upkeep),
        ];
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

/// Barbican's own port, on loopback.
const REST_LISTEN_DEFAULT: ListenAt = ListenAt::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9311));

/// The port after it.
const METRICS_LISTEN_DEFAULT: ListenAt = ListenAt::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9312));

/// What defaults depend on.
#[derive(Default)]
struct Surroundings {
    root: bool,
    /// Whether this is the user of the service, whose directory the system's is.
    owns_system_data: bool,
    xdg_data_home: Option<OsString>,
    xdg_runtime_dir: Option<OsString>,
    /// What systemd has made for the unit (`RuntimeDirectory=`).
    runtime_directory: Option<OsString>,
    home: Option<OsString>,
    /// Where systemd has put the credentials of the unit.
    credentials_directory: Option<OsString>,
}

/// Where the system's server keeps everything.
const SYSTEM_DATA: &str = "/var/lib/donjon";

/// Whether a directory is there, and is the own one of the user who runs this.
fn is_own(directory: &str) -> bool {
    let found = std::fs::symlink_metadata(directory);
    found.is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

impl Surroundings {
    fn of_process() -> Self {
        Self {
            root: rustix::process::geteuid().is_root(),
            owns_system_data: is_own(SYSTEM_DATA),
            xdg_data_home: std::env::var_os("XDG_DATA_HOME"),
            xdg_runtime_dir: std::env::var_os("XDG_RUNTIME_DIR"),
            runtime_directory: std::env::var_os("RUNTIME_DIRECTORY"),
            home: std::env::var_os("HOME"),
            credentials_directory: std::env::var_os("CREDENTIALS_DIRECTORY"),
        }
    }

    fn data_dir(&self) -> Option<PathBuf> {
        if self.root || self.owns_system_data {
            return Some(PathBuf::from(SYSTEM_DATA));
        }
        let data_home = self.xdg_data_home.as_ref().and_then(absolute);
        let share = || self.home.as_ref().and_then(absolute).map(|home| home.join(".local/share"));
        data_home.or_else(share).map(|share| share.join("donjon"))
    }

    /// Where a credential is that systemd passes, if it passes any.
    fn credential(&self, name: &str) -> Option<PathBuf> {
        self.credentials_directory.as_ref().and_then(absolute).map(|directory| directory.join(name))
    }

    fn libvirt_socket(&self, data_dir: &Path) -> PathBuf {
        const NAME: &str = "virtsecretd-sock";
        if self.root {
            return Path::new("/run/donjon").join(NAME);
        }
        let of_unit = self.runtime_directory.as_deref().and_then(first_of_several);
        let of_user = || self.xdg_runtime_dir.as_ref().and_then(absolute).map(|dir| dir.join("donjon"));
        of_unit.or_else(of_user).unwrap_or_else(|| data_dir.to_owned()).join(NAME)
    }
}

/// A relative path is to be ignored where XDG's specification wants an absolute one.
fn absolute(path: &OsString) -> Option<PathBuf> {
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

/// The unit may name several directories, which systemd separates by colons.
fn first_of_several(paths: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(paths).next().filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests;
