//! What the commands beside `serve` ask of a store: the server that runs on it answers, or else its file.

use seal::MasterKey;
use store::sqlite::Purpose;
use store::{AuditAnchor, OpenError, SqliteStore, Store as _};
use tokio::runtime::Handle;
use vault::Opener;

use crate::admin::client::Client;
use crate::build::{key_provider, open_store};
use crate::config::Config;
use crate::error::{Error, StoreError};

/// The server that runs on the store, if one does that can be asked.
pub(crate) fn running(config: &Config) -> Result<Option<Client>, Error> {
    match config.general.admin_socket.path() {
        Some(socket) => Ok(Client::find(socket, config.general.store.path())?),
        None => Ok(None),
    }
}

/// The store, open to look, and the opener of its payloads.
pub(crate) fn unlock(config: &Config, runtime: &Handle) -> Result<(SqliteStore, Opener), Error> {
    let store = open_to_look(config)?;
    let (master, _) = unlock_file(config, &store, runtime)?;
    Ok((store, Opener::new(master)))
}

fn unlock_file(
    config: &Config,
    store: &SqliteStore,
    runtime: &Handle,
) -> Result<(MasterKey, Option<AuditAnchor>), Error> {
    let path = config.general.store.path();
    let unlocked = runtime.block_on(vault::unlock(store, &*key_provider(config)?));
    let unlocked = unlocked.map_err(|error| Error::vault(error, path))?;
    Ok(unlocked.ok_or_else(|| StoreError::Unfinished(path.clone()))?)
}

/// The store, open to look. A server that has it was not found, or it would have been asked.
fn open_to_look(config: &Config) -> Result<SqliteStore, Error> {
    match open_store(&config.general.store, Purpose::Inspect, config.limits.batch_changes) {
        Err(OpenError::InUse(path)) => Err(StoreError::InUseUnasked(path).into()),
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
    if let Some(server) = running(config)? {
        let said = server.said()?;
        let master = vault::unlock_by(&said.store, &said.key_check, &*key_provider(config)?)
            .map_err(|error| Error::vault(error, config.general.store.path()))?;
        return Ok(Known { master, anchor: said.anchor });
    }
    let (master, anchor) = unlock_file(config, &open_to_look(config)?, runtime)?;
    Ok(Known { master, anchor })
}

/// The number of the newest change that the store has, in its file or by the server that runs on it.
pub(crate) fn witnessed(config: &Config, runtime: &Handle) -> Result<u64, Error> {
    if let Some(server) = running(config)? {
        return Ok(server.status.witnessed);
    }
    Ok(runtime.block_on(open_to_look(config)?.witnessed())?)
}
