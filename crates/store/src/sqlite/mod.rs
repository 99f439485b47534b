//! The embedded store: one SQLite file, written ahead.
//!
//! ```text
//!  request ──▶ thread's own connection ──▶ snapshot, kept until something is committed
//!  request ──▶ queue ──▶ writer thread: BEGIN, all that waits, COMMIT (one fsync), acknowledge all
//! ```
//!
//! Reads run where the request runs, on a connection of the thread, by prepared statements; what may take long (a
//! filter that no index serves) runs on threads for that. Writers never see "locked": there is one. `donjon.db` is
//! the database, `-wal` and `-shm` belong to it, and `.lock` keeps a second process out. Ephemeral secrets are in a
//! second database that is memory alone.
//!
//! Deleted ciphertext is overwritten (`secure_delete`), and the log that may still hold it is folded in and emptied
//! before the deletion is acknowledged. What a file system, a disk or a backup keeps of older blocks is beyond that.

mod acls;
mod apply;
mod consumers;
mod containers;
mod copy;
mod gate;
mod guards;
mod handles;
mod list;
mod look;
mod memory;
mod merged;
mod orders;
mod quotas;
mod reader;
mod reap;
mod rows;
mod slices;
mod transport_keys;
mod writer;

use std::fs::{File, TryLockError};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use model::{
    ChangeRow, Consumer, ConsumerId, Container, ContainerId, ContainerQuery, ContainerSecret, Guarded,
    Handle, KeyVersion, ListQuery, Listed, Metadatum, Order, OrderId, OrderQuery, Page, ProjectId,
    ProjectQuotas, Secret, SecretId, Timestamp, TransportKey, TransportKeyId, Usage, Which,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, watch};

use crate::{
    AuditAnchor, Change, Error, GuardedAcl, Kind, Numbers, OpenError, RegardedRow, SealedSecret, Slice,
    Sliced, Store, StoreId, Witness, WrappedKey,
};
use memory::Memory;
use reader::{Reader, Readers};
use writer::{Job, Shared, Writer};

pub use copy::{Copied, CopyProgress};
pub use look::{Look, Swept};
pub use reader::SCAN_TIME_MAX;
pub use reap::REAPED_AT_ONCE;

/// Changes that may wait for the writer; one more is [`Error::Busy`].
pub const WAITING_MAX: usize = 4096;
/// Changes that share one transaction, and one fsync, at the most. It bounds how long the first of them waits for the
/// last; 1 gives each change a transaction of its own.
pub const BATCH_DEFAULT: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");
/// Rows of the change log kept; older ones are dropped now and then.
pub const CHANGES_KEPT: u64 = 100_000;

/// Pairs of user metadata a secret may have.
pub const METADATA_PAIRS_MAX: usize = 1000;

/// Secrets that a container may hold, and consumers that it, or a secret, may have.
pub const PARTS_MAX: u64 = 1000;

/// Memory that ephemeral secrets may take, with all that is known of them; one more is [`Error::MemoryFull`]. Some
/// thirty thousand small ones fit, about twice as many as libvirt lists.
pub const EPHEMERAL_MIB_MAX: u64 = 64;

/// How long a statement waits for another program's lock.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
/// `PRAGMA application_id` of our files: "donj".
const APPLICATION_ID: i64 = 0x646f_6e6a;
/// `PRAGMA user_version`: the schema this program reads and writes.
const SCHEMA: i64 = 4;
/// What leads from each schema to the next, from nothing to [`SCHEMA`].
const MIGRATIONS: [&str; 4] = [
    include_str!("../../migrations/sqlite/0001.sql"),
    include_str!("../../migrations/sqlite/0002.sql"),
    include_str!("../../migrations/sqlite/0003.sql"),
    include_str!("../../migrations/sqlite/0004.sql"),
];
/// Has the envelope be the last column again in a store that is empty: what comes after a long one is on pages of its own,
/// which point reads would have to follow. Older stores have what was added since after it.
const SEALED_LAST: &str =
    "ALTER TABLE secrets DROP COLUMN sealed;\nALTER TABLE secrets ADD COLUMN sealed BLOB;";
/// Bytes of the file that are read through memory. SQLite's own limit is a little under 2 GiB; what lies beyond is
/// read by calls.
const MMAP_BYTES: i64 = 0x7fff_0000;

/// What a store is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// To serve: made if it is not there, and nobody else may write it meanwhile.
    Serve,
    /// To look: nothing is made or changed, beside a server that runs.
    Inspect,
}

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    id: StoreId,
    path: PathBuf,
    purpose: Purpose,
    readers: Arc<Readers>,
    memory: Arc<Memory>,
    newest_change: watch::Receiver<u64>,
    numbers: Arc<Numbers>,
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<thread::JoinHandle<()>>,
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the file, making it (mode 0600) if it is to serve and there is none.
    pub fn open(path: &Path, purpose: Purpose) -> Result<Self, OpenError> {
        Self::open_with(path, purpose, BATCH_DEFAULT)
    }

    /// The same, with another number of changes that may share a transaction.
    pub fn open_with(path: &Path, purpose: Purpose, batch_max: NonZeroUsize) -> Result<Self, OpenError> {
        let lock = match purpose {
            Purpose::Serve => Some(lock(path)?),
            Purpose::Inspect if !path.exists() => return Err(OpenError::Missing(path.to_owned())),
            Purpose::Inspect => None,
        };
        let database = |error: rusqlite::Error| OpenError::Database {
            path: path.to_owned(),
            message: error.to_string(),
        };
        if purpose == Purpose::Serve {
            make_private(path)?;
        }
        let schema = identify(path, purpose)?;
        let connection = connect(path, purpose).map_err(database)?;
        match (schema, purpose) {
            (0, _) => create_schema(&connection).map_err(database)?,
            (SCHEMA, _) | (_, Purpose::Inspect) => {}
            (old, Purpose::Serve) => {
                tracing::info!(from = old, to = SCHEMA, "the database gets the schema of this version");
                migrate(&connection, old).map_err(database)?;
            }
        }
        let id = connection.query_row("SELECT id FROM store", [], |row| row.get(0)).map_err(database)?;
        let newest: i64 = connection
            .query_row("SELECT coalesce(max(number), 0) FROM changes", [], |row| row.get(0))
            .map_err(database)?;
        let (announce, newest_change) = watch::channel(u64::try_from(newest).unwrap_or(0));
        let numbers = Arc::new(Numbers::after(rows::witnessed(&connection).map_err(database)?));
        let committed = Arc::new(AtomicU64::new(1));
        let readers = Arc::new(Readers::open(path, purpose, Arc::clone(&committed)).map_err(database)?);
        let memory = Arc::new(Memory::open().map_err(database)?);
        let (queue, writer) = match purpose {
            Purpose::Inspect => (None, None),
            Purpose::Serve => {
                let (queue, jobs) = mpsc::channel(WAITING_MAX);
                let shared = Shared {
                    readers: Arc::clone(&readers),
                    memory: Arc::clone(&memory),
                    committed,
                    announce,
                    numbers: Arc::clone(&numbers),
                };
                let file = |source| OpenError::File { path: path.to_owned(), source };
                let writer = Writer::new(connection, jobs, batch_max, shared).map_err(file)?;
                let thread = thread::Builder::new()
                    .name("store-writer".into())
                    .spawn(move || {
                        // A server whose changes nobody does must not go on as if it were well: it starts again.
                        if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                            tracing::error!("the writer of the database panicked: the process ends");
                            std::process::abort();
                        }
                    })
                    .map_err(file)?;
                (Some(queue), Some(thread))
            }
        };
        Ok(Self {
            id,
            path: path.to_owned(),
            purpose,
            readers,
            memory,
            newest_change,
            numbers,
            queue,
            writer,
            _lock: lock,
        })
    }

    /// Reads one thing that is in the file or in memory. What left memory for the file between the two looks is looked
    /// for again.
    fn either<T>(&self, read: impl Fn(&mut Reader) -> Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        loop {
            let moves = self.memory.moves();
            if let Some(found) = self.readers.read(&read)? {
                return Ok(Some(found));
            }
            if !self.memory.is_empty()
                && let Some(found) = read(&mut self.memory.lock())?
            {
                return Ok(Some(found));
            }
            if moves == self.memory.moves() {
                return Ok(None);
            }
        }
    }

    /// A connection apart, for who looks at everything: no request waits for it.
    pub fn look(&self) -> Result<Look, Error> {
        Ok(Look::open(&self.path, self.purpose)?)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many secrets and projects there are.
    pub fn totals(&self) -> Result<(u64, u64), Error> {
        self.readers.scan_whole(|reader| {
            Ok(reader.connection().query_row(
                "SELECT (SELECT coalesce(sum(secrets), 0) FROM totals), (SELECT count(*) FROM projects)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?)
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.queue.take()); // The writer ends when nothing more can be queued.
        if let Some(writer) = self.writer.take() {
            let _ = writer.join(); // Had it panicked, we would not be here.
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn id(&self) -> StoreId {
        self.id
    }

    async fn key_check(&self) -> Result<Option<Vec<u8>>, Error> {
        self.readers.read(rows::key_check)
    }

    async fn secret(&self, id: SecretId) -> Result<Option<Secret>, Error> {
        self.either(|reader| rows::secret(reader, id))
    }

    async fn sealed(&self, id: SecretId) -> Result<Option<SealedSecret>, Error> {
        self.either(|reader| rows::sealed(reader, id))
    }

    async fn metadata(&self, id: SecretId) -> Result<Vec<Metadatum>, Error> {
        let some =
            |reader: &mut Reader| Ok(Some(rows::metadata(reader, id)?).filter(|pairs| !pairs.is_empty()));
        Ok(self.either(some)?.unwrap_or_default())
    }

    async fn acl(&self, of: Guarded) -> Result<Option<GuardedAcl>, Error> {
        self.either(|reader| acls::acl(reader, of))
    }

    async fn regarded(&self, kind: Kind, after: i64, limit: u32) -> Result<Vec<RegardedRow>, Error> {
        let readers = Arc::clone(&self.readers);
        apart(move || readers.scan_whole(|reader| guards::after(reader, kind, after, limit))).await
    }

    async fn consumers(&self, of: Guarded, slice: Slice) -> Result<Sliced<Consumer>, Error> {
        let found = self.either(|reader| consumers::all(reader, of, slice))?;
        Ok(found.unwrap_or(Sliced { items: Vec::new(), total: 0 }))
    }

    async fn consumer(&self, of: Guarded, id: ConsumerId) -> Result<Option<Consumer>, Error> {
        self.either(|reader| consumers::one(reader, of, id))
    }

    async fn container(&self, id: ContainerId) -> Result<Option<Container>, Error> {
        self.readers.read(|reader| containers::one(reader, id))
    }

    async fn container_secrets(&self, id: ContainerId) -> Result<Vec<ContainerSecret>, Error> {
        self.readers.read(|reader| containers::secrets(reader, id))
    }

    async fn containers(&self, query: &ContainerQuery) -> Result<Sliced<Container>, Error> {
        if !containers::may_take_long(query) {
            return self.readers.read(|reader| containers::all(reader, query));
        }
        let (readers, query) = (Arc::clone(&self.readers), query.clone());
        apart(move || readers.scan(|reader| containers::all(reader, &query))).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, Error> {
        self.readers.read(|reader| orders::one(reader, id))
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Sliced<Order>, Error> {
        if !orders::may_take_long(query) {
            return self.readers.read(|reader| orders::all(reader, query));
        }
        let (readers, query) = (Arc::clone(&self.readers), query.clone());
        apart(move || readers.scan(|reader| orders::all(reader, &query))).await
    }

    async fn project_quotas(&self, project: &ProjectId) -> Result<Option<ProjectQuotas>, Error> {
        self.readers.read(|reader| quotas::of_project(reader, project))
    }

    async fn all_project_quotas(&self, slice: Slice) -> Result<Sliced<(ProjectId, ProjectQuotas)>, Error> {
        self.readers.read(|reader| quotas::all(reader, slice))
    }

    async fn transport_key(&self, id: TransportKeyId) -> Result<Option<TransportKey>, Error> {
        self.readers.read(|reader| transport_keys::one(reader, id))
    }

    async fn transport_keys(
        &self,
        plugin: Option<&str>,
        slice: Slice,
    ) -> Result<Sliced<TransportKey>, Error> {
        self.readers.read(|reader| transport_keys::all(reader, plugin, slice))
    }

    async fn expired(&self, by: Timestamp, limit: u32) -> Result<Vec<(SecretId, ProjectId)>, Error> {
        let mut found = self.readers.read(|reader| reap::expired(reader, by, limit))?;
        if !self.memory.is_empty() {
            found.extend(reap::expired(&mut self.memory.lock(), by, limit)?);
        }
        Ok(found)
    }

    async fn spent_orders(&self, before: Timestamp) -> Result<u32, Error> {
        self.readers.read(|reader| reap::spent_orders(reader, before))
    }

    async fn list(&self, query: &ListQuery, now: Timestamp) -> Result<Page, Error> {
        if self.memory.is_empty()
            && !list::may_take_long(query)
            && let Some(page) = self.readers.read(|reader| list::list_if_quick(reader, query, now))?
        {
            return Ok(page);
        }
        let (readers, memory, query) = (Arc::clone(&self.readers), Arc::clone(&self.memory), query.clone());
        apart(move || {
            at_one_moment(&memory, || {
                if memory.is_empty() {
                    return readers.scan(|reader| list::list(reader, &query, now));
                }
                let all = ListQuery { offset: 0, limit: u32::MAX, ..query.clone() };
                let kept = list::list(&mut memory.lock(), &all, now)?;
                let of_file = merged::of_file(&query, u32::try_from(kept.secrets.len()).unwrap_or(u32::MAX));
                let stored = readers.scan(|reader| list::list(reader, &of_file, now))?;
                Ok(merged::page(&query, stored, kept))
            })
        })
        .await
    }

    async fn handle(&self, id: SecretId) -> Result<Option<Handle>, Error> {
        self.either(|reader| handles::by_id(reader, id))
    }

    async fn handle_by_usage(&self, project: &ProjectId, usage: &Usage) -> Result<Option<Handle>, Error> {
        self.either(|reader| handles::by_usage(reader, project, usage))
    }

    async fn count(&self, project: &ProjectId, which: Which, now: Timestamp) -> Result<u64, Error> {
        let count = |reader: &mut Reader| handles::count(reader, project, which.private, now);
        at_one_moment(&self.memory, || {
            let in_memory = which.ephemeral != Some(false) && !self.memory.is_empty();
            let kept = if in_memory { count(&mut self.memory.lock())? } else { 0 };
            let stored = if which.ephemeral == Some(true) { 0 } else { self.readers.read(count)? };
            Ok(kept + stored)
        })
    }

    async fn handles(
        &self,
        project: &ProjectId,
        which: Which,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        if self.memory.is_empty() && which.ephemeral != Some(true) {
            let moves = self.memory.moves();
            let few = |reader: &mut Reader| {
                let secrets = handles::count(reader, project, None, now)?;
                let few = secrets <= handles::QUICK_HANDLES_MAX;
                few.then(|| handles::all(reader, project, which.private, now, limit)).transpose()
            };
            if let Some(found) = self.readers.read(few)?
                && moves == self.memory.moves()
            {
                return Ok(found);
            }
        }
        let (readers, memory, project) =
            (Arc::clone(&self.readers), Arc::clone(&self.memory), project.clone());
        apart(move || {
            let all = |reader: &mut Reader| handles::all(reader, &project, which.private, now, limit);
            at_one_moment(&memory, || {
                let in_memory = which.ephemeral != Some(false) && !memory.is_empty();
                let mut found = if in_memory { all(&mut memory.lock())? } else { Vec::new() };
                if which.ephemeral != Some(true) {
                    found.extend(readers.scan(all)?);
                }
                found.truncate(limit);
                Ok(found)
            })
        })
        .await
    }

    async fn project_key(
        &self,
        project: &ProjectId,
        version: Option<KeyVersion>,
    ) -> Result<Option<WrappedKey>, Error> {
        self.readers.read(|reader| rows::project_key(reader, project, version))
    }

    async fn changes(&self, after: u64, limit: u32) -> Result<Vec<ChangeRow>, Error> {
        let of_file = |reader: &mut Reader| rows::changes(reader, after, limit);
        let has_news = || self.memory.newest_change() > after;
        if !has_news() {
            let stored = self.readers.read(of_file)?;
            if !has_news() {
                return Ok(stored.rows);
            }
        }
        // While memory is held nothing is written there, so neither has a row whose forerunner in the other is not there.
        let mut memory = self.memory.lock();
        let stored = self.readers.read(of_file)?;
        Ok(stored.merged(rows::changes(&mut memory, after, limit)?, limit))
    }

    fn newest_change(&self) -> watch::Receiver<u64> {
        self.newest_change.clone()
    }

    async fn audit_anchor(&self) -> Result<Option<AuditAnchor>, Error> {
        self.readers.read(rows::audit_anchor)
    }

    async fn witnessed(&self) -> Result<u64, Error> {
        // Not by a snapshot that others keep: what is there now counts.
        self.readers.scan_whole(|reader| Ok(rows::witnessed(reader.connection())?))
    }

    fn numbers(&self) -> Arc<Numbers> {
        Arc::clone(&self.numbers)
    }

    async fn apply(&self, change: Change, witness: Witness) -> Result<(), Error> {
        let queue = self.queue.as_ref().ok_or_else(|| Error::Unavailable("opened to look only".into()))?;
        let (job, done) = Job::new(change, witness);
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Unavailable("the writer has ended".into()),
        })?;
        done.await.unwrap_or_else(|_| Err(Error::Unavailable("the writer has ended".into())))
    }
}

/// Looks at memory and file until nothing has moved between them meanwhile. Definitions that move one secret to and fro all
/// the time could have that last, so it ends after some tries, with what was seen last.
fn at_one_moment<T>(memory: &Memory, mut look: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    const TRIES: u32 = 8;
    let mut tries = 0;
    loop {
        let moves = memory.moves();
        let found = look()?;
        tries += 1;
        if moves == memory.moves() || tries == TRIES {
            return Ok(found);
        }
    }
}

/// Does what takes long on a thread for that.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Unavailable(error.to_string()))?
}

/// Takes the lock file, which the process then holds until it ends.
fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = beside(path, ".lock");
    let io = |source| OpenError::File { path: lock_path.clone(), source };
    let file = private().create(true).truncate(false).open(&lock_path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Makes the file with mode 0600 if it is not there. SQLite gives its companions the same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    match private().create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(OpenError::File { path: path.to_owned(), source }),
    }
}

fn private() -> std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

/// The path with more after it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn bare(path: &Path, purpose: Purpose) -> rusqlite::Result<Connection> {
    let access = match purpose {
        Purpose::Serve => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Purpose::Inspect => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT_MAX)?; // Only operators' own tools ever make us wait.
    Ok(connection)
}

/// A connection, set up for its purpose. Memory: 2 MiB of pages each; the rest is the file itself, mapped.
fn connect(path: &Path, purpose: Purpose) -> rusqlite::Result<Connection> {
    let connection = bare(path, purpose)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Plans do not look at what is bound. Otherwise a bound LIMIT has its statement prepared anew at each call.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if purpose == Purpose::Inspect {
        show_as_newest(&connection)?;
    }
    if purpose == Purpose::Serve {
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?; // The writer chooses the moment.
    }
    Ok(connection)
}

/// Has a database of an older schema, which is to be looked at and not changed, look like one of ours: what it has not is
/// null.
fn show_as_newest(connection: &Connection) -> rusqlite::Result<()> {
    let schema: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if schema < 4 {
        connection.execute_batch(
            "CREATE TEMP VIEW secrets AS SELECT *, NULL AS guard FROM main.secrets; \
             CREATE TEMP VIEW containers AS SELECT *, NULL AS guard FROM main.containers",
        )?;
    }
    Ok(())
}

/// Refuses any file that is not ours, or of a schema this program does not know, before anything in it is changed. Its
/// schema, or 0 for an empty file.
fn identify(path: &Path, purpose: Purpose) -> Result<i64, OpenError> {
    let database = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign(path.to_owned()),
        _ => OpenError::Database { path: path.to_owned(), message: error.to_string() },
    };
    let connection = bare(path, purpose).map_err(database)?;
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
fn create_schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;\n{}\n{SEALED_LAST}\nINSERT INTO store (id) VALUES (randomblob(16));\n\
         PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {SCHEMA};\nCOMMIT;",
        MIGRATIONS.concat()
    ))
}

/// Brings a database of an older schema to ours, in one transaction.
fn migrate(connection: &Connection, old: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(old).unwrap_or(usize::MAX);
    let steps: String = MIGRATIONS.into_iter().skip(done).collect();
    connection.execute_batch(&format!("BEGIN IMMEDIATE;\n{steps}\nPRAGMA user_version = {SCHEMA};\nCOMMIT;"))
}
