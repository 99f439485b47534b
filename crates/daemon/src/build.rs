//! Builds the vault that the configuration names: store, master key, audit trail, policy. No other file picks these parts.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use seal::{FileProvider, KeyProvider, SystemdCredential};
use store::sqlite::{Purpose, Serving};
use store::{OpenError, SqliteStore};
use vault::{AuditSink, Begin, Chain, FileSink, OnLoss, Parts, Policy, StreamSink, Vault};

use crate::config::values::{AuditSync, AuditTarget, KeySource, StoreUrl};
use crate::config::{AuthBy, Config, ConfigError};
use crate::error::{Error, SystemError};
use crate::loss;
use crate::permissions;

/// A store, unlocked, with its audit trail open.
pub(crate) struct Built {
    pub(crate) vault: Arc<Vault>,
    pub(crate) store: Arc<SqliteStore>,
    /// The policy, described on one line.
    pub(crate) policy: String,
}

/// Builds the vault that the configuration names. A new store gets its directory, key and database.
pub(crate) async fn build(config: &Config, why: Begin, on_loss: OnLoss) -> Result<Built, Error> {
    let policy = load_policy(config, &config.derived.auth)?; // First, so that a wrong policy leaves nothing behind.
    let described = config.describe_policy(&policy);
    match why {
        Begin::Start => loss::require_store(config)?,
        Begin::Init => loss::require_fitting_trail(config)?,
    }
    make_data_dir(&config.general.data_dir)?;
    let readable = permissions::require(config)?;
    let failed = |error: vault::OpenError| Error::vault(error, config.general.store.path());
    let store = open_store(&config.general.store, Purpose::Serve, config.limits.batch_changes)?;
    let keys = key_provider(config)?;
    let audit = |chain| audit_sink(&config.general.audit, config.general.audit_sync, chain);
    let quotas = config.quotas.of_projects();
    let store = Arc::new(store);
    let parts =
        Parts { store: Arc::<SqliteStore>::clone(&store), keys: &*keys, audit, quotas, policy, on_loss };
    let vault = Vault::open(parts).await.map_err(|error| loss::explain(config, error))?;
    vault
        .begin(why, SystemTime::now().into())
        .map_err(|error| failed(vault::OpenError::Audit(named(&config.general.audit, error))))?;
    readable.iter().for_each(|warning| tracing::warn!("{warning}")); // Only now are the files known to be ours.
    Ok(Built { vault: Arc::new(vault), store, policy: described })
}

/// Loads the policy. Its warnings go to the log.
pub(crate) fn load_policy(config: &Config, auth: &AuthBy) -> Result<Policy, ConfigError> {
    let policy = config.load_policy(auth)?;
    policy.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(policy)
}

/// Makes the data directory with mode 0700, unless it exists.
fn make_data_dir(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    Ok(made.map_err(|source| SystemError::DataDir { path: path.to_owned(), source })?)
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

/// SQLite opens a read-only file without an error, and the server would then refuse every change.
fn require_writable(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // It will be made.
        Err(source) => Err(OpenError::File { path: path.to_owned(), source }),
    }
}

/// The key provider that the configuration names.
pub(crate) fn key_provider(config: &Config) -> Result<Box<dyn KeyProvider>, Error> {
    Ok(match &config.general.master_key {
        KeySource::File(path) => Box::new(FileProvider::new(path)),
        KeySource::Credential(name) => Box::new(
            SystemdCredential::from_env(name)
                .map_err(|error| Error::vault(error, config.general.store.path()))?,
        ),
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

/// Adds the path, which the vault does not know.
fn named(target: &AuditTarget, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{target}: {error}"))
}
