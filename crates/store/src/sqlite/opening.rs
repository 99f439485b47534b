//! How the file is opened: whether it is ours, the locks that keep it ours, and its schema.
//!
//! SQLite's VFS `unix-excl` keeps the index of the write-ahead log in this process's own memory, for all of its
//! connections, and nothing of the database is mapped either. With the default VFS the index is a mapped file (`-shm`).
//! If a full file system has no block for a page of it, or the disk cannot read one, SIGBUS ends the process. With
//! `unix-excl` no other program may have the file open. Three locks make sure of that:
//!
//! - `.lock`, beside the file, is the only one that earlier versions know;
//! - flock(2) on the file itself holds for every name of the file, links too. The file stays open for it;
//! - SQLite's own lock of the file, by fcntl(2), keeps other programs from reading it. It ends as soon as *any* descriptor
//!   of the file is closed in this process, so only SQLite opens the file while it is in use.
//!
//! A file with a second name (a hard link) is refused: each name would have a write-ahead log of its own.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::{Error, Failure, OpenError};

/// How long a statement waits for a lock. Connections of one process need none, so another program has the file.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
/// `PRAGMA application_id` of our files: "donj".
const APPLICATION_ID: i64 = 0x646f_6e6a;
/// `PRAGMA user_version`: the schema this program reads and writes.
const SCHEMA: i64 = 5;
/// The steps from each schema to the next, from an empty file to [`SCHEMA`].
const MIGRATIONS: [&str; 5] = [
    include_str!("../../migrations/sqlite/0001.sql"),
    include_str!("../../migrations/sqlite/0002.sql"),
    include_str!("../../migrations/sqlite/0003.sql"),
    include_str!("../../migrations/sqlite/0004.sql"),
    include_str!("../../migrations/sqlite/0005.sql"),
];
/// Makes the envelope the last column again, in a store that is empty. Columns after a long envelope are on pages of their
/// own, which each read would have to follow. In older stores the columns that were added later stay there.
const SEALED_LAST: &str =
    "ALTER TABLE secrets DROP COLUMN sealed;\nALTER TABLE secrets ADD COLUMN sealed BLOB;";
/// Pages that a connection caches, in KiB. A commit makes all other connections forget theirs, which costs by the page: with
/// a larger cache, reads gain less than the first read after a commit loses (docs/performance.md).
const CACHE_KIB: i64 = 2048;

/// What a store is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// To serve: a missing file is made.
    Serve,
    /// To inspect, while no server has it: nothing is made or changed.
    Inspect,
}

/// A database that was opened.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Where the file is, without links on the way.
    pub(super) path: PathBuf,
    pub(super) locked: Locked,
}

/// Keeps the file for this process. It is dropped after the last connection.
#[derive(Debug)]
pub(super) struct Locked {
    path: PathBuf,
    inode: Inode,
    _file: File,
    _name: Option<File>,
}

impl Locked {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode.
    pub(super) fn file(&self) -> (u64, u64) {
        (self.inode.0, self.inode.1)
    }

    /// [`Failure::TakenAway`] if the name leads to another file, or none, by now.
    pub(super) fn require_in_place(&self) -> Result<(), Error> {
        require(&self.path, self.inode)
    }
}

/// Identifies a file whatever its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Inode(u64, u64);

impl Inode {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    /// The file that a name leads to now, if there is one. Other errors say nothing about the file.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The files that changes go to, as they were when they were opened.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<(PathBuf, Inode)>,
}

impl Files {
    /// The database and its write-ahead log, which SQLite has opened by now.
    pub(super) fn of(locked: &Locked) -> Self {
        let log = beside(&locked.path, "-wal");
        let log = Inode::at(&log).ok().flatten().map(|inode| (log, inode));
        Self { files: std::iter::once((locked.path.clone(), locked.inode)).chain(log).collect() }
    }

    /// [`Failure::TakenAway`] if a file was deleted, moved or replaced. Changes written to it now would be lost.
    pub(super) fn require_in_place(&self) -> Result<(), Error> {
        self.files.iter().try_for_each(|(path, inode)| require(path, *inode))
    }
}

fn require(path: &Path, inode: Inode) -> Result<(), Error> {
    match Inode::at(path) {
        Ok(now) if now != Some(inode) => Err(Failure::TakenAway(path.to_owned()).into()),
        _ => Ok(()),
    }
}

/// Opens the file, makes it ours if it is new, and brings it to the schema of this program if it is to serve.
pub(super) fn open(path: &Path, purpose: Purpose) -> Result<Opened, OpenError> {
    let path = match without_links(path) {
        Err(OpenError::File { source, .. })
            if purpose == Purpose::Inspect && source.kind() == io::ErrorKind::NotFound =>
        {
            return Err(OpenError::Missing(path.to_owned()));
        }
        found => found?,
    };
    let locked = lock(&path, purpose)?;
    let database = |error| refused(&path, &error);
    let connection = bare(&path).map_err(database)?;
    let schema = identify(&connection, &path, purpose)?;
    set_up(&connection, purpose).map_err(database)?;
    match (schema, purpose) {
        (0, _) => create_schema(&connection).map_err(database)?,
        (SCHEMA, _) | (_, Purpose::Inspect) => {}
        (old, Purpose::Serve) => {
            tracing::info!(from = old, to = SCHEMA, "the database gets the schema of this version");
            migrate(&connection, old).map_err(database)?;
        }
    }
    if purpose == Purpose::Serve {
        remove_index(&path);
    }
    Ok(Opened { connection, path, locked })
}

/// The newest number of the change log, and the number up to which its rows are gone.
pub(super) fn change_log(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    // A store of an earlier schema is only inspected.
    let is_known = "SELECT count(*) FROM sqlite_schema WHERE name = 'changes_cut'";
    let cut: u64 = match connection.query_row(is_known, [], |row| row.get::<_, i64>(0))? {
        0 => 0,
        _ => connection.query_row("SELECT number FROM changes_cut", [], |row| row.get(0))?,
    };
    let newest: u64 =
        connection.query_row("SELECT coalesce(max(number), 0) FROM changes", [], |row| row.get(0))?;
    Ok((newest.max(cut), cut))
}

/// The path of a file without symbolic links. The companions of a database are beside the file, not beside the link.
fn without_links(path: &Path) -> Result<PathBuf, OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
            match (folder, path.file_name()) {
                (Ok(folder), Some(name)) => Ok(folder.join(name)),
                (Err(error), _) => Err(failed(error)),
                (Ok(_), None) => Err(failed(io::ErrorKind::InvalidInput.into())),
            }
        }
        found => found.map_err(failed),
    }
}

/// Locks the file. A missing one is made, with mode 0600, if it is to serve. SQLite gives its companions the same mode.
fn lock(path: &Path, purpose: Purpose) -> Result<Locked, OpenError> {
    let failed = |path: &Path, source: io::Error| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::DiskFull(path.to_owned()),
        _ => OpenError::File { path: path.to_owned(), source },
    };
    let name = match purpose {
        Purpose::Inspect if !path.exists() => return Err(OpenError::Missing(path.to_owned())),
        Purpose::Inspect => None,
        Purpose::Serve => {
            let lock_path = beside(path, ".lock");
            let file = private().create(true).truncate(false).open(&lock_path);
            let file = file.map_err(|error| failed(&lock_path, error))?;
            take(&file, path)?;
            Some(file)
        }
    };
    let file = match purpose {
        Purpose::Serve => private().create(true).truncate(false).open(path),
        Purpose::Inspect => File::open(path),
    };
    let file = file.map_err(|error| failed(path, error))?;
    take(&file, path)?;
    let metadata = file.metadata().map_err(|error| failed(path, error))?;
    if metadata.nlink() > 1 {
        return Err(OpenError::Linked { path: path.to_owned(), names: metadata.nlink() });
    }
    Ok(Locked { path: path.to_owned(), inode: Inode::of(&metadata), _file: file, _name: name })
}

fn take(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        // A file system without this lock: SQLite's own follows.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(source)) => Err(OpenError::File { path: path.to_owned(), source }),
    }
}

/// Removes the mapped index, which an earlier version or a killed program may have left. It is not used.
fn remove_index(path: &Path) {
    let index = beside(path, "-shm");
    match fs::remove_file(&index) {
        Ok(()) => {
            tracing::info!(file = %index.display(), "removed: the index of the write-ahead log is in memory")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(file = %index.display(), %error, "this file is not needed any more"),
    }
}

pub(super) fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

/// The path with a suffix after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A connection that has not read the file yet, and closes without changing it.
///
/// Both purposes open it to write, since only then does `unix-excl` take its lock and need no `-shm`. When the store is
/// only inspected, `query_only` prevents writes.
fn bare(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(path, flags, c"unix-excl")?;
    connection.busy_timeout(BUSY_WAIT_MAX)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// A connection, set up for its purpose.
pub(super) fn connect(path: &Path, purpose: Purpose) -> rusqlite::Result<Connection> {
    let connection = bare(path)?;
    set_up(&connection, purpose)?;
    Ok(connection)
}

fn set_up(connection: &Connection, purpose: Purpose) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Plans do not depend on bound values. Otherwise a statement with a bound LIMIT is prepared again at each call.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if purpose == Purpose::Serve {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?; // The writer chooses the moment.
    } else {
        show_as_newest(connection)?;
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(())
}

/// Shows a database of an older schema, which is only inspected, in the shape of the newest.
fn show_as_newest(connection: &Connection) -> rusqlite::Result<()> {
    let schema: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if schema < 4 {
        connection.execute_batch(
            "CREATE TEMP VIEW secrets AS SELECT *, NULL AS guard FROM main.secrets; \
             CREATE TEMP VIEW containers AS SELECT *, NULL AS guard FROM main.containers",
        )?;
    }
    if schema < 5 {
        connection.execute_batch(
            "CREATE TEMP VIEW audit_anchors AS SELECT 'only' AS node, number, hash FROM main.audit_anchor",
        )?;
    }
    Ok(())
}

/// Refuses a file that is not ours or has an unknown schema, before anything in it is changed. Gives its schema, 0 for an
/// empty file.
fn identify(connection: &Connection, path: &Path, purpose: Purpose) -> Result<i64, OpenError> {
    let database = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign(path.to_owned()),
        _ => refused(path, &error),
    };
    let pragma =
        |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(database);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(database)?;
    match (pragma("application_id")?, pragma("user_version")?, tables) {
        (APPLICATION_ID, schema @ 1..=SCHEMA, _) => Ok(schema),
        (APPLICATION_ID, found, _) => Err(OpenError::Schema { path: path.to_owned(), found, known: SCHEMA }),
        (0, 0, 0) if purpose == Purpose::Serve => Ok(0),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Makes an empty database ours, in one transaction.
pub(super) fn create_schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;\n{}\n{SEALED_LAST}\nINSERT INTO store (id) VALUES (randomblob(16));\n\
         PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {SCHEMA};\nCOMMIT;",
        MIGRATIONS.concat()
    ))
}

/// Brings a database of an older schema to the newest, in one transaction.
fn migrate(connection: &Connection, old: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(old).unwrap_or(usize::MAX);
    let steps: String = MIGRATIONS.into_iter().skip(done).collect();
    connection.execute_batch(&format!("BEGIN IMMEDIATE;\n{steps}\nPRAGMA user_version = {SCHEMA};\nCOMMIT;"))
}

/// Why SQLite does not open a file.
pub(super) fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    match unusable(path, error) {
        Failure::DiskFull => OpenError::DiskFull(path.to_owned()),
        _ if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => OpenError::InUse(path.to_owned()),
        Failure::Unreadable if error.sqlite_error_code() != Some(ErrorCode::DatabaseCorrupt) => {
            OpenError::Unreadable(path.to_owned())
        }
        _ => OpenError::Database { path: path.to_owned(), message: error.to_string() },
    }
}

/// The meaning of an error of SQLite for callers. SQLite says that the disk is full if a write had no room. Some file systems
/// find that out later, or have a quota; then SQLite says that the write failed, and the file system is asked for room.
pub(super) fn unusable(path: &Path, error: &rusqlite::Error) -> Failure {
    match error.sqlite_error() {
        Some(ffi::Error { extended_code, .. }) if is_failed_write(*extended_code) && has_no_room(path) => {
            Failure::DiskFull
        }
        _ => Failure::of_sqlite(error),
    }
}

fn is_failed_write(extended_code: i32) -> bool {
    [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_CANTOPEN,
    ]
    .contains(&extended_code)
}

fn has_no_room(path: &Path) -> bool {
    /// The log of one change has more pages.
    const BLOCKS_MIN: u64 = 16;
    let folder = path.parent().unwrap_or(path);
    rustix::fs::statvfs(folder)
        .is_ok_and(|free| free.f_bavail < BLOCKS_MIN || (free.f_files > 0 && free.f_favail == 0))
}
