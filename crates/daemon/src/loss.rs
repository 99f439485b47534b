//! Notices that acknowledged changes are gone: the audit trail says which were committed, and the database which it has.
//!
//! Two things are refused at a start: a database that has less than the trail says, and no database beside a trail. A trail on
//! standard output cannot be read back, so nothing is noticed where that is chosen; nor if trail and database are put back
//! together.

use std::path::{Path, PathBuf};

use seal::StoreAge;
use store::AuditAnchor;
use vault::{Lost, LostChanges, TrailEnd, TrailError};

use crate::build;
use crate::commands::check;
use crate::config::Config;
use crate::config::values::AuditTarget;
use crate::console::say;
use crate::error::{Error, StoreError};
use crate::stored::{self, Known};
use crate::threads;

/// Which database is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Which {
    /// The one that is served here.
    Served,
    /// One that was named on the command line, such as a copy of an earlier day: what it has not is no fault of it.
    Named,
}

/// Changes that are gone, for the operator.
#[derive(Debug)]
pub(crate) struct Loss {
    /// Where they should be.
    pub(crate) store: PathBuf,
    /// Where they were written down.
    pub(crate) trail: String,
    /// Between which numbers.
    pub(crate) lost: Lost,
    /// What the trail says of them.
    pub(crate) changes: LostChanges,
}

impl Loss {
    /// What the trail's files say of it. One that cannot be read says nothing: that something is lost is known.
    pub(crate) fn of(config: &Config, files: &[PathBuf], lost: Lost) -> Error {
        let changes = check::open_all(files)
            .and_then(|trail| LostChanges::find(trail, lost.after, lost.through))
            .unwrap_or_default();
        let trail = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        Error::Lost(Box::new(Self { store: config.general.store.path().clone(), trail, lost, changes }))
    }
}

/// Tells whether a database whose newest change is `has` has what a trail says was committed.
pub(crate) fn tell(
    config: &Config,
    which: Which,
    files: &[PathBuf],
    has: u64,
    committed: u64,
) -> Result<(), Error> {
    match Lost::between(has, committed) {
        None => {
            say(format_args!(
                "changes     none is missing; the audit trail says up to {committed} were committed"
            ));
            Ok(())
        }
        Some(Lost { after, through }) if which == Which::Named => {
            say(format_args!(
                "changes     up to {after} are here; the audit trail says up to {through} were committed: a start on this \
                 database needs --accept-rollback"
            ));
            Ok(())
        }
        Some(lost) => Err(Loss::of(config, files, lost)),
    }
}

/// The same, by the end of the trail alone.
pub(crate) fn check_end(config: &Config, which: Which) -> Result<(), Error> {
    let AuditTarget::File(path) = &config.general.audit else {
        say("changes     unknown: an audit trail on standard output cannot be read back");
        return Ok(());
    };
    let runtime = threads::main_runtime()?;
    let Known { master, anchor } = stored::known(config, runtime.handle())?;
    let end = TrailEnd::read(path, &master.chain_key()).map_err(|error| StoreError::Trail {
        files: path.display().to_string(),
        source: TrailError::Read(error),
    })?;
    match (end, anchor) {
        // Asked after the trail was read: the database has what is written there as committed, and maybe more by now.
        (Some(end), _) => {
            let has = stored::witnessed(config, runtime.handle())?;
            tell(config, which, &check::rotated(&config.general.audit)?, has, end.committed)
        }
        (None, Some(AuditAnchor { number, .. })) => {
            say(format_args!(
                "warning     there is no audit trail at {}, and the database knows of its line {number}",
                path.display()
            ));
            Ok(())
        }
        (None, None) => {
            say("changes     unknown: there is no audit trail yet");
            Ok(())
        }
    }
}

/// Why a vault cannot be opened; of a loss, what is lost.
pub(crate) fn explain(config: &Config, error: vault::OpenError) -> Error {
    match (error, check::rotated(&config.general.audit)) {
        (vault::OpenError::Lost(lost), Ok(files)) => Loss::of(config, &files, lost),
        (error, _) => Error::vault(error, config.general.store.path()),
    }
}

/// No new database is made in silence beside the audit trail of one: more likely a mount has failed.
pub(crate) fn require_store(config: &Config) -> Result<(), Error> {
    match existing_trail(config) {
        Some(trail) if !has_content(config.general.store.path()) => {
            Err(StoreError::Missing { store: config.general.store.path().clone(), trail }.into())
        }
        _ => Ok(()),
    }
}

/// A trail goes on under the master key that it was begun with, or it could never be verified again.
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

/// The file of the trail, if something was ever written there.
fn existing_trail(config: &Config) -> Option<PathBuf> {
    let AuditTarget::File(path) = &config.general.audit else { return None };
    let rotated = check::numbered(path, 1);
    (has_content(path) || has_content(&rotated)).then(|| path.clone())
}

/// Whether there is a file that is not empty. An empty one is what is left where a store could not be made.
pub(crate) fn has_content(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.len() > 0)
}
