//! Errors of commands, as operators read them: one line says what happened, the next line says what to do.
//!
//! Errors are grouped by where the operator looks: the command line and configuration, the system, the doors, the store, a
//! backup.

mod backup;
mod door;
mod store;
mod system;

use std::path::Path;
use std::process::ExitCode;

pub(crate) use backup::BackupError;
pub(crate) use door::DoorError;
pub(crate) use store::StoreError;
pub(crate) use system::SystemError;

use crate::config::ConfigError;
use crate::loss::Loss;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keystone cannot be asked.
    #[error("{0}\nName files that the user that runs donjond can read, in the table [keystone].")]
    Keystone(#[from] transport::KeystoneError),
    /// Both doors are off.
    #[error(
        "there is nothing to serve: both --listen and --libvirt-socket are off\n\
         Leave one of them on."
    )]
    NothingToServe,
    /// An option of `virtsecretd` that donjond does not have.
    #[error("{0}")]
    NotHere(&'static str),
    /// The system.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A door.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Changes that were acknowledged are not in the database.
    #[error("{}", loss_text(.0))]
    Lost(Box<Loss>),
    /// A backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A running server did not do what it was asked.
    #[error(transparent)]
    Admin(#[from] crate::admin::client::AdminError),
    /// Stopped by a signal, or by the client.
    #[error("stopped before the end; all unfinished files were removed")]
    Interrupted,
    /// Stopped by a second signal.
    #[error("ended at once by a second signal; requests in flight were cut off")]
    Cut,
    /// A panic.
    #[error(
        "ended by a fault of this program, at the place printed above\n\
         If the system is out of memory, threads or files, mend that; otherwise please report it."
    )]
    Panicked,
}

impl Error {
    /// 2 for usage, configuration and losses, about which an operator has to decide, so that systemd does not try again.
    /// 1 for everything else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Keystone(_) | Self::NothingToServe | Self::NotHere(_) | Self::Lost(_) => {
                ExitCode::from(2)
            }
            Self::System(_)
            | Self::Door(_)
            | Self::Store(_)
            | Self::Backup(_)
            | Self::Admin(_)
            | Self::Interrupted
            | Self::Cut
            | Self::Panicked => ExitCode::from(1),
        }
    }

    /// The vault on a store cannot be opened.
    pub(crate) fn vault(source: impl Into<vault::OpenError>, store: &Path) -> Self {
        StoreError::Vault { source: source.into(), store: store.to_owned() }.into()
    }
}

impl From<::store::OpenError> for Error {
    fn from(error: ::store::OpenError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<::store::Error> for Error {
    fn from(error: ::store::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Describes the loss and what to do about it.
fn loss_text(loss: &Loss) -> String {
    let Loss { store, trail, lost, changes } = loss;
    let mut text = format!(
        "changes are lost: the audit trail {trail} says that change {} was committed, and the newest in {} is {}",
        lost.through,
        store.display(),
        lost.after
    );
    match changes.numbers.len() {
        0 => text += &format!("\n  changes {} to {} (they have no line there)", lost.after + 1, lost.through),
        lines => {
            text += &format!("\n  {lines} changes are missing, up to {}:", changes.until);
            for change in &changes.first {
                text += &format!(
                    "\n  change {} at {}, {}, {} {}",
                    change.number, change.time, change.request, change.action, change.of
                );
            }
            if lines > changes.first.len() {
                text += &format!("\n  … and {} more in the trail", lines - changes.first.len());
            }
        }
    }
    text + "\nIs this the right database, and complete (donjond check; was donjon.db-wal left behind)? Put back the database that was \
            served last. If a backup was restored, or the changes cannot be recovered: donjond serve --accept-rollback goes on without them."
}
