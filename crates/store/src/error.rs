//! What can go wrong in a store, in its own words.

use std::path::PathBuf;

use model::{Counted, FacetError, SecretId};

/// Why a change or a read was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("there is no such thing")]
    NotFound,
    /// The secret has a payload.
    #[error("the secret has a payload already")]
    HasPayload,
    /// The key is there.
    #[error("the metadata key is there already")]
    MetadatumExists,
    /// The key is not there.
    #[error("no such metadata key")]
    MetadatumNotFound,
    /// The secret has as many pairs as it may have.
    #[error("the secret has {} metadata keys, and may not have more", crate::limits::METADATA_PAIRS_MAX)]
    TooManyMetadata,
    /// The consumer was registered from another project.
    #[error("another project registered the consumer")]
    OthersConsumer,
    /// Somebody says that they use the secret.
    #[error("the secret has consumers")]
    HasConsumers,
    /// What a container is to hold, or to lose, is not there.
    #[error("secret {0} is not there")]
    NoSuchReference(SecretId),
    /// The container does not hold the secret under that name.
    #[error("secret {0} is not in the container")]
    NotInContainer(SecretId),
    /// The container holds the secret under that name.
    #[error("secret {0} is in the container already")]
    ReferenceTaken(SecretId),
    /// A container is on disk, and this secret is not to be known there.
    #[error("secret {0} is ephemeral: it cannot be in a container")]
    EphemeralReference(SecretId),
    /// What is on disk names this secret, which is not to be known there.
    #[error("secret {0} is in a container, or came of an order: it cannot become ephemeral")]
    NamedOnDisk(SecretId),
    /// The container holds as many secrets, or has as many consumers, as it may; or the secret.
    #[error("it has {} of these, and may not have more", crate::limits::PARTS_MAX)]
    TooManyParts,
    /// The project has as many as it may have.
    #[error("the quota of {} is reached", .0.as_str())]
    QuotaReached(Counted),
    /// Another secret of the project has this usage.
    #[error("secret {0} of the project has this usage")]
    UsageTaken(SecretId),
    /// A secret of another project has this id.
    #[error("a secret of another project has this id")]
    IdTaken,
    /// A list would be longer than anybody can take.
    #[error("the list of all secrets is too long")]
    ListTooLong,
    /// A list takes longer than anybody should wait for it.
    #[error("the list was not found within {} seconds", crate::limits::SCAN_TIME_MAX.as_secs())]
    TookTooLong,
    /// There is no more room for secrets that are kept in memory.
    #[error("ephemeral secrets may take {} MiB of memory, and do", crate::limits::EPHEMERAL_MIB_MAX)]
    MemoryFull,
    /// The facet cannot be changed so.
    #[error(transparent)]
    Facet(#[from] FacetError),
    /// What the change was prepared from is not there any more: prepare it again.
    #[error("the secret changed meanwhile")]
    Changed,
    /// What decides about access to it is not what was guarded.
    #[error("who may use it was changed in the database")]
    Unguarded,
    /// The witness refused.
    #[error("the change could not be written down")]
    Unwitnessed,
    /// The queue of changes is full.
    #[error("more than {} changes are waiting", crate::limits::WAITING_MAX)]
    Busy,
    /// A row holds what no version of this program wrote there.
    #[error("a row of the database cannot be understood: {0}")]
    Corrupt(&'static str),
    /// There is no room for the change on the disk, or in the quota.
    #[error("the disk of the database is full")]
    DiskFull,
    /// A page is damaged, or the disk does not give it. Everything else is as usable as before.
    #[error("a page of the database is damaged, or cannot be read from the disk")]
    Unreadable,
    /// A file of the database was deleted, moved or replaced while it was served.
    #[error("{} is not the file any more that is being served: it was deleted, moved or replaced", .0.display())]
    TakenAway(PathBuf),
    /// The database cannot be used now.
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
