//! Why a copy of the database was not made, or not as it should be.

use std::io;
use std::path::{Path, PathBuf};

use super::Error;

/// A copy was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// A backup was made of a store in which secrets are damaged.
    #[error(
        "the copy is at {}, and secrets in it are damaged as they are in the store: {damaged}, named above\n\
         Keep older backups, which may have them whole, and look at the disk.",
        to.display()
    )]
    Damaged {
        /// The copy.
        to: PathBuf,
        /// How many.
        damaged: u64,
    },
    /// There is something where a backup is to be.
    #[error("there is something at {} already; nothing was touched\nName another file.", .0.display())]
    Exists(PathBuf),
    /// A backup that was not finished is where another one is to begin.
    #[error(
        "{} is there: another backup writes it, or was cut off in the middle\n\
         If none is running, remove it.",
        .0.display()
    )]
    Begun(PathBuf),
    /// A copy of the database cannot be written, or not be read again.
    #[error("{}: {source}\nNothing of the copy was left. See that there is room and that it may be written.", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The copy reads back otherwise than it was written.
    #[error(
        "what is read from {} is not what was written there\n\
         Nothing of the copy was left. Suspect the disk.",
        .0.display()
    )]
    Differs(PathBuf),
    /// There is not enough room for a copy.
    #[error(
        "there are {} MB free in {}, and a copy needs {} MB while it is made\n\
         Make room; nothing was changed.",
        free / 1_000_000, folder.display(), needed.div_ceil(1_000_000)
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
}

impl BackupError {
    /// What went wrong with a file of the copy.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        |source| Self::File { path: path.to_owned(), source }.into()
    }
}
