//! The work of a running server for the admin socket. Each function runs on a thread for long work.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::sqlite::Purpose;
use store::{NodeName, SqliteStore, Store as _};
use tokio::runtime::Handle;
use vault::Vault;

use super::protocol::{BackedUp, Inspected, Status};
use crate::error::{BackupError, Error};
use crate::inspect::{Watch, copy, inspect};

/// Room that a copy must leave on the disk, where the server continues to write.
const ROOM_LEFT_BYTES: u64 = 64 * 1024 * 1024;

/// The store and the vault that are served.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) vault: Arc<Vault>,
}

impl Served {
    /// Facts that are known without a check.
    pub(super) fn status(&self, runtime: &Handle) -> Result<Status, Error> {
        let (store, path) = (&self.store, self.store.path());
        let (check, anchor) =
            runtime.block_on(async { (store.key_check().await, store.audit_anchor(&NodeName::ONLY).await) });
        Ok(Status {
            pid: std::process::id(),
            database: path.display().to_string(),
            file: store.file(),
            in_place: store.is_in_place(),
            store: hex(&store.id()),
            key_check: hex(&check?.unwrap_or_default()),
            audit: anchor?.map(|anchor| (anchor.number, hex(&anchor.hash))),
            witnessed: store.numbers().committed(),
            unopened: self.vault.unopened(),
        })
    }

    /// Checks everything.
    pub(super) fn check(&self, watch: &Arc<dyn Watch>, runtime: &Handle) -> Result<Inspected, Error> {
        inspect(&self.store, &self.vault.opener(), watch, runtime)
    }

    /// Makes a copy of the database and opens everything in it. The copy is a file without a name, so it is gone when its last
    /// descriptor is closed.
    pub(super) fn backup(
        &self,
        watch: &Arc<dyn Watch>,
        runtime: &Handle,
    ) -> Result<(BackedUp, Option<OwnedFd>), Error> {
        let path = copy_path(self.store.path());
        remove(&path)?; // A killed server may have left a copy.
        let scratch = Scratch(path);
        let bytes = self.copy(&scratch.0, watch)?;
        let found = {
            let copy = SqliteStore::open(&scratch.0, Purpose::Inspect)?;
            let opener = self.vault.opener();
            runtime.block_on(opener.fits(&copy)).map_err(|error| Error::vault(error, &scratch.0))?;
            inspect(&copy, &opener, watch, runtime)?
        };
        // A damaged secret is damaged in the store too, and the backup still has all others. Damaged pages are a reason to
        // have no backup.
        if !found.complaints.is_empty() {
            return Ok((BackedUp { bytes, found }, None));
        }
        let open = File::open(&scratch.0).map_err(|error| unreadable(&scratch.0, error))?;
        Ok((BackedUp { bytes, found }, Some(open.into())))
    }

    fn copy(&self, to: &Path, watch: &Arc<dyn Watch>) -> Result<u64, Error> {
        require_room(to, self.store.bytes()?)?;
        copy(&self.store, to, watch)
    }
}

/// A file that is removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::error!(%error, "a copy of the database cannot be removed");
        }
    }
}

/// Removes the copy of a server that was killed. Only the owner of the store's lock may call this.
pub(crate) fn clean(served: &Served) {
    if let Err(error) = remove(&copy_path(served.store.path())) {
        tracing::warn!(%error, "a copy of the database that an earlier server left cannot be removed");
    }
}

/// The path of the copy, beside the database: the server may write there, and probably has room.
fn copy_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".copy");
    name.into()
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// Refuses a copy that would fill the disk, because a full disk stops the service.
fn require_room(beside: &Path, bytes: u64) -> Result<(), Error> {
    let folder = beside.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = rustix::fs::statvfs(folder).map_err(|errno| unreadable(folder, errno.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let needed = bytes.saturating_add(ROOM_LEFT_BYTES);
    if free >= needed {
        return Ok(());
    }
    Err(BackupError::NoRoom { folder: folder.to_owned(), needed, free }.into())
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    BackupError::file(path)(source)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
        text
    })
}
