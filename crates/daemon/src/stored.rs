//! How the commands beside `serve` read a store: they ask the server that runs on it, or else open its file.

use seal::MasterKey;
use store::sqlite::Purpose;
use store::{AuditAnchor, OpenError, SqliteStore, Store as _};
use tokio::runtime::Handle;
use vault::Opener;

use crate::admin::client::Client;
use crate::build::{key_provider, open_store};
use crate::config::Config;
use crate::error::{Error, StoreError};

/// The server that runs on the store, if it has an admin socket.
pub(crate) fn running(config: &Config) -> Result<Option<Client>, Error> {
    match config.general.admin_socket.path() {
        Some(socket) => Ok(Client::find(socket, config.general.store.path())?),
        None => Ok(None),
    }
}

/// The store, open for reading, and the opener of its payloads.
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

/// The store, open for reading. If a server has it, that server has no admin socket.
fn open_to_look(config: &Config) -> Result<SqliteStore, Error> {
    match open_store(&config.general.store, Purpose::Inspect, config.limits.batch_changes) {
        Err(OpenError::InUse(path)) => Err(StoreError::InUseUnasked(path).into()),
        opened => Ok(opened?),
    }
}

/// The facts of a store that a check of its audit trail needs.
pub(crate) struct TrailFacts {
    pub(crate) master: MasterKey,
    /// The last recorded end of the trail.
    pub(crate) anchor: Option<AuditAnchor>,
}

/// The facts for a check of the trail, from the running server or from the file.
pub(crate) fn trail_facts(config: &Config, runtime: &Handle) -> Result<TrailFacts, Error> {
    if let Some(server) = running(config)? {
        let said = server.parse_status()?;
        let master = vault::unlock_by(&said.store, &said.key_check, &*key_provider(config)?)
            .map_err(|error| Error::vault(error, config.general.store.path()))?;
        return Ok(TrailFacts { master, anchor: said.anchor });
    }
    let (master, anchor) = unlock_file(config, &open_to_look(config)?, runtime)?;
    Ok(TrailFacts { master, anchor })
}

/// The number of the newest change in the store, from the running server or from the file.
pub(crate) fn witnessed(config: &Config, runtime: &Handle) -> Result<u64, Error> {
    if let Some(server) = running(config)? {
        return Ok(server.status.witnessed);
    }
    Ok(runtime.block_on(open_to_look(config)?.witnessed())?)
}
