//! Errors of a backup.

use std::io;
use std::path::{Path, PathBuf};

use super::Error;

/// Why there is no copy of the database, or only one with damage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The copy is complete, and some secrets in it are damaged as in the store.
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
    /// The path of the backup exists.
    #[error("there is something at {} already; nothing was touched\nName another file.", .0.display())]
    Exists(PathBuf),
    /// An unfinished backup is at the path where this one begins.
    #[error(
        "{} is there: another backup writes it, or was cut off in the middle\n\
         If none is running, remove it.",
        .0.display()
    )]
    Begun(PathBuf),
    /// The copy cannot be written or read.
    #[error("{}: {source}\nThe copy was deleted. Check that the disk has room and that the path may be written.", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The copy reads back differently from what was written.
    #[error(
        "the bytes read from {} differ from the bytes written there\n\
         The copy was deleted. Suspect the disk.",
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
    /// Adds the path of the copy to an error.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        |source| Self::File { path: path.to_owned(), source }.into()
    }
}
