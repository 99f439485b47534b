//! Notices the loss of acknowledged changes: the audit trail lists the committed changes, and the database knows its newest.
//!
//! A start refuses a database that lacks changes of the trail, and a trail without a database. A trail on standard output cannot
//! be read back, so with it no loss is noticed; nor is one noticed if trail and database are restored together.

use std::path::{Path, PathBuf};

use seal::StoreAge;
use store::AuditAnchor;
use vault::{Lost, LostChanges, TrailEnd, TrailError};

use crate::build;
use crate::commands::check;
use crate::config::Config;
use crate::config::values::AuditTarget;
use crate::console::print_line;
use crate::error::{Error, StoreError};
use crate::stored::{self, TrailFacts};
use crate::threads;

/// WhichDatabase database is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WhichDatabase {
    /// The database that is served here.
    Served,
    /// A database named on the command line, such as an older copy. Missing changes are not a fault of it.
    Named,
}

/// Lost changes, for the operator.
#[derive(Debug)]
pub(crate) struct Loss {
    /// The database without the changes.
    pub(crate) store: PathBuf,
    /// The audit trail with the changes.
    pub(crate) trail: String,
    /// The range of their numbers.
    pub(crate) lost: Lost,
    /// The trail's lines about them.
    pub(crate) changes: LostChanges,
}

impl Loss {
    /// Reads the lines of lost changes in the trail's files. An unreadable file adds no lines: the loss is known anyway.
    pub(crate) fn read(config: &Config, files: &[PathBuf], lost: Lost) -> Error {
        let changes = check::open_all(files)
            .and_then(|trail| LostChanges::find(trail, lost.after, lost.through))
            .unwrap_or_default();
        let trail = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        Error::Lost(Box::new(Self { store: config.general.store.path().clone(), trail, lost, changes }))
    }
}

/// Compares the newest change of a database, `has`, with the newest one that a trail shows as committed.
pub(crate) fn compare(
    config: &Config,
    which: WhichDatabase,
    files: &[PathBuf],
    has: u64,
    committed: u64,
) -> Result<(), Error> {
    match Lost::between(has, committed) {
        None => {
            print_line(format_args!(
                "changes     none is missing; the audit trail says up to {committed} were committed"
            ));
            Ok(())
        }
        Some(Lost { after, through }) if which == WhichDatabase::Named => {
            print_line(format_args!(
                "changes     up to {after} are here; the audit trail says up to {through} were committed: a start on this \
                 database needs --accept-rollback"
            ));
            Ok(())
        }
        Some(lost) => Err(Loss::read(config, files, lost)),
    }
}

/// The same, with only the end of the trail read.
pub(crate) fn check_end(config: &Config, which: WhichDatabase) -> Result<(), Error> {
    let AuditTarget::File(path) = &config.general.audit else {
        print_line("changes     unknown: an audit trail on standard output cannot be read back");
        return Ok(());
    };
    let runtime = threads::main_runtime()?;
    let TrailFacts { master, anchor } = stored::trail_facts(config, runtime.handle())?;
    let end = TrailEnd::read(path, &master.chain_key()).map_err(|error| StoreError::Trail {
        files: path.display().to_string(),
        source: TrailError::Read(error),
    })?;
    match (end, anchor) {
        // Ask after reading the trail: by then the database has at least the changes that the trail shows.
        (Some(end), _) => {
            let has = stored::witnessed(config, runtime.handle())?;
            compare(config, which, &check::rotated(&config.general.audit)?, has, end.committed)
        }
        (None, Some(AuditAnchor { number, .. })) => {
            print_line(format_args!(
                "warning     there is no audit trail at {}, and the database knows of its line {number}",
                path.display()
            ));
            Ok(())
        }
        (None, None) => {
            print_line("changes     unknown: there is no audit trail yet");
            Ok(())
        }
    }
}

/// Why a vault cannot be opened, with the lost changes if some are lost.
pub(crate) fn explain(config: &Config, error: vault::OpenError) -> Error {
    match (error, check::rotated(&config.general.audit)) {
        (vault::OpenError::Lost(lost), Ok(files)) => Loss::read(config, &files, lost),
        (error, _) => Error::vault(error, config.general.store.path()),
    }
}

/// Refuses to make a new database beside an existing audit trail: probably a mount has failed.
pub(crate) fn require_store(config: &Config) -> Result<(), Error> {
    match existing_trail(config) {
        Some(trail) if !has_content(config.general.store.path()) => {
            Err(StoreError::Missing { store: config.general.store.path().clone(), trail }.into())
        }
        _ => Ok(()),
    }
}

/// Requires that an existing trail was begun under this master key; otherwise it could never be verified again.
pub(crate) fn require_fitting_trail(config: &Config) -> Result<(), Error> {
    let Some(trail) = existing_trail(config) else { return Ok(()) };
    let another =
        || StoreError::TrailOfAnother { trail: trail.clone(), key: config.general.master_key.to_string() };
    let keys = build::key_provider(config).map_err(|_| another())?;
    let master = keys.master_key(StoreAge::Existing).map_err(|_| another())?;
    match TrailEnd::read(&trail, &master.chain_key()) {
        Ok(Some(TrailEnd { linked: (0, _) | (_, 1..), .. })) => Ok(()),
        Ok(None) => Ok(()),
        Ok(Some(_)) | Err(_) => Err(another().into()),
    }
}

/// The file of the trail, if anything was written to it.
fn existing_trail(config: &Config) -> Option<PathBuf> {
    let AuditTarget::File(path) = &config.general.audit else { return None };
    let rotated = check::numbered(path, 1);
    (has_content(path) || has_content(&rotated)).then(|| path.clone())
}

/// Whether a file exists and is not empty. A store that could not be made leaves an empty file.
pub(crate) fn has_content(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.len() > 0)
}
