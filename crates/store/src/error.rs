//! What can go wrong in a store, in its own words.

use std::path::PathBuf;

use model::{Absent, Conflict, Guarded};

/// Why a change or a read was not done, by who can act.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller: something is not there.
    #[error(transparent)]
    Absent(#[from] Absent),
    /// The caller: something stands in the way.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The project that registered the consumer, and no other.
    #[error("another project registered the consumer")]
    OthersConsumer,
    /// Whoever prepared the change: what it was prepared from is not there any more, so it is to be prepared again.
    #[error("the secret changed meanwhile")]
    Changed,
    /// The operator, or time.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why a store cannot do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The queue of changes is full, or as much is under way as may be.
    #[error("too many changes are waiting")]
    Busy,
    /// A list would be longer than anybody can take.
    #[error("the list of all secrets is too long")]
    ListTooLong,
    /// A list takes longer than anybody should wait for it.
    #[error(
        "the list was not found within {} seconds: ask for less, by an exact name or a smaller offset",
        crate::limits::SCAN_TIME_MAX.as_secs()
    )]
    TookTooLong,
    /// There is no more room for secrets that are kept in memory.
    #[error("there is no more memory for ephemeral secrets")]
    MemoryFull,
    /// What decides about access to it is not what was guarded.
    #[error("who may use it was changed in the database")]
    Unguarded(Guarded),
    /// The witness refused.
    #[error("the change could not be written down")]
    Unwitnessed,
    /// A row holds what no version of this program wrote there.
    #[error("a row of the database cannot be understood: {0}")]
    Corrupt(&'static str),
    /// There is no room for the change on the disk, or in the quota.
    #[error("the disk of the store is full")]
    DiskFull,
    /// A page is damaged, or the disk does not give it. Everything else is as usable as before.
    #[error("a page of the store is damaged, or cannot be read from the disk")]
    Unreadable,
    /// A file of the store was deleted, moved or replaced while it was served.
    #[error("{} is not the file any more that is being served: it was deleted, moved or replaced", .0.display())]
    TakenAway(PathBuf),
    /// The store cannot be used now.
    #[error("the database cannot be used: {0}")]
    Unavailable(String),
}

/// Why a copy was not made. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file that it was to be.
    #[error("{}: {source}", .path.display())]
    File {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The database could not be read, or the copy not be written.
    #[error(transparent)]
    Store(#[from] Error),
    /// Whoever asked for it wants it no more.
    #[error("the copy was given up")]
    Stopped,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not there, and was not to be made.
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    /// Another process has it.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It has another name, by which another server may find it, with another write-ahead log.
    #[error("{} has {names} names (hard links)", .path.display())]
    Linked {
        /// One of them.
        path: PathBuf,
        /// How many there are.
        names: u64,
    },
    /// There is no room for what opening it writes.
    #[error("the disk of {} is full", .0.display())]
    DiskFull(PathBuf),
    /// The disk does not give a block that is needed to open it.
    #[error("{}: a block of it cannot be read from the disk", .0.display())]
    Unreadable(PathBuf),
    /// It is a database, but not one of ours.
    #[error("{} is not a Donjon database", .0.display())]
    Foreign(PathBuf),
    /// It was written by another version.
    #[error("{} has schema {found}; this program knows schema {known}", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// The file or its folder cannot be used.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refuses it.
    #[error("{}: {message}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}
