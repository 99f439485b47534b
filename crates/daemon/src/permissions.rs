//! Checks which other users may change or read the server's files: the data directory, the database, the audit trail, the master
//! key, the system token.
//!
//! A file that others can *change* is refused, because a replaced database, trail or key cannot be recognised. A file that
//! others can only read causes a warning: it holds no key and no payload in clear. The key provider checks the mode of the key.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::values::{AuditTarget, KeySource};
use crate::error::{Error, StoreError};

/// The mode bit by which everybody may write.
const OTHERS_WRITE: u32 = 0o002;
/// The mode bit by which everybody may read.
const OTHERS_READ: u32 = 0o004;
/// In a directory with this bit only its owner can replace a file.
const STICKY: u32 = 0o1000;

/// Refuses files that others can change, and returns warnings about files that they can read. Missing files are ignored.
pub(crate) fn require(config: &Config) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    let database = config.general.store.path();
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = std::fs::metadata(folder).map(|found| found.uid()).ok();
    let trusted = Trusted { own: rustix::process::geteuid().as_raw(), of_data: owner };
    for folder in [config.general.data_dir.as_path(), folder] {
        look(folder, |found| match found.mode() & (OTHERS_WRITE | STICKY) {
            OTHERS_WRITE => {
                Err(exposed(folder, "everybody can put another database or key there", "chmod o-w"))
            }
            _ => Ok(()),
        })?;
    }
    let trail = match &config.general.audit {
        AuditTarget::File(path) => Some(path.clone()),
        AuditTarget::Stdout => None,
    };
    let wal = {
        let mut name = database.as_os_str().to_owned();
        name.push("-wal");
        PathBuf::from(name)
    };
    for file in [Some(database.clone()), Some(wal), trail].into_iter().flatten() {
        look(&file, |found| {
            if found.mode() & OTHERS_WRITE != 0 {
                return Err(exposed(&file, "everybody can change it", "chmod go-rwx"));
            }
            if found.mode() & OTHERS_READ != 0 {
                warnings.push(format!("everybody on this machine can read {}: chmod o-r", file.display()));
            }
            Ok(())
        })?;
    }
    if let KeySource::File(key) = &config.general.master_key {
        look(key, |found| trusted.require(key, found))?;
    }
    Ok(warnings)
}

/// Refuses a system token that others can change. Returns a warning if they can read it.
pub(crate) fn require_token(path: &Path) -> Result<Option<String>, Error> {
    let trusted = Trusted { own: rustix::process::geteuid().as_raw(), of_data: None };
    let mut warning = None;
    look(path, |found| {
        trusted.require(path, found)?;
        if found.mode() & OTHERS_WRITE != 0 {
            return Err(exposed(path, "everybody can change it", "chmod o-rw"));
        }
        if found.mode() & OTHERS_READ != 0 {
            let path = path.display();
            warning =
                Some(format!("everybody on this machine can read {path}, and so private values: chmod o-r"));
        }
        Ok(())
    })?;
    Ok(warning)
}

/// The users whose files are trusted.
struct Trusted {
    own: u32,
    /// The owner of the database's folder: root may run commands on the stores of others.
    of_data: Option<u32>,
}

impl Trusted {
    fn require(&self, path: &Path, found: &Metadata) -> Result<(), Error> {
        let owner = found.uid();
        if owner == 0 || owner == self.own || (self.own == 0 && Some(owner) == self.of_data) {
            return Ok(());
        }
        let why = format!("it belongs to user {owner}, who is neither root nor the user that runs this");
        Err(exposed(path, &why, "chown"))
    }
}

fn look(path: &Path, mut at: impl FnMut(&Metadata) -> Result<(), Error>) -> Result<(), Error> {
    match std::fs::metadata(path) {
        Ok(found) => at(&found),
        Err(_) => Ok(()), // The later open reports the error.
    }
}

fn exposed(path: &Path, why: &str, how: &'static str) -> Error {
    StoreError::Exposed { path: path.to_owned(), why: why.to_owned(), how }.into()
}
