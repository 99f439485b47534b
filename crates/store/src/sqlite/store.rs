//! The store over one file: reads go to the connections, changes to the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use async_trait::async_trait;
use model::{
    Access, ChangeCursor, Changes, Consumer, ConsumerId, Container, ContainerId, ContainerQuery,
    ContainerSecret, Guarded, Handle, KeyVersion, ListQuery, Listed, Metadatum, Order, OrderId, OrderQuery,
    Page, ProjectId, ProjectQuotas, Secret, SecretId, Timestamp, TransportKey, TransportKeyId, Usage, Which,
};
use tokio::sync::{mpsc, watch};

use super::batch::Job;
use super::look::Look;
use super::memory::Memory;
use super::opening::{self, Locked, Opened, Purpose};
use super::reader::{Reader, Readers};
use super::writer::{Serving, Shared, Writer};
use super::{acls, consumers, containers, guards, handles, list, orders, quotas, reap, rows, transport_keys};
use crate::ephemeral::{at_one_moment, durable_part, find_in_either, merged_page};
use crate::limits::WAITING_MAX;
use crate::{
    AuditAnchor, Change, Error, Failure, GuardedAcl, Kind, NodeName, Numbers, OpenError, RegardedRow,
    SealedSecret, Slice, Sliced, Store, StoreId, Witness, WrappedKey,
};

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    id: StoreId,
    purpose: Purpose,
    locked: Arc<Locked>,
    pub(super) readers: Arc<Readers>,
    memory: Arc<Memory>,
    newest_change: watch::Receiver<ChangeCursor>,
    numbers: Arc<Numbers>,
    /// Rows of the change log up to this number are gone.
    cut: Arc<AtomicU64>,
    log_bytes: Arc<AtomicU64>,
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<thread::JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the file. If it is to serve, a missing file is made, with mode 0600.
    pub fn open(path: &Path, purpose: Purpose) -> Result<Self, OpenError> {
        Self::open_with(path, purpose, Serving::default())
    }

    /// Opens the file with other bounds.
    pub fn open_with(path: &Path, purpose: Purpose, serving: Serving) -> Result<Self, OpenError> {
        let Opened { connection, path, locked } = opening::open(path, purpose)?;
        let database = |error| opening::refused(&path, &error);
        let id = connection.query_row("SELECT id FROM store", [], |row| row.get(0)).map_err(database)?;
        let (newest, cut) = opening::change_log(&connection).map_err(database)?;
        let (announce, newest_change) = watch::channel(ChangeCursor::from_number(newest));
        let (cut, log_bytes) = (Arc::new(AtomicU64::new(cut)), Arc::<AtomicU64>::default());
        let numbers = Arc::new(Numbers::after(rows::witnessed(&connection).map_err(database)?));
        let committed = Arc::new(AtomicU64::new(1));
        let locked = Arc::new(locked);
        let readers = Readers::open(&path, purpose, Arc::clone(&committed), Arc::clone(&locked));
        let readers = Arc::new(readers.map_err(database)?);
        let memory = Arc::new(Memory::open().map_err(database)?);
        let (queue, writer) = match purpose {
            Purpose::Inspect => (None, None),
            Purpose::Serve => {
                let (queue, jobs) = mpsc::channel(WAITING_MAX);
                let shared = Shared {
                    readers: Arc::clone(&readers),
                    memory: Arc::clone(&memory),
                    cut: Arc::clone(&cut),
                    log_bytes: Arc::clone(&log_bytes),
                    committed,
                    announce,
                    numbers: Arc::clone(&numbers),
                    locked: Arc::clone(&locked),
                };
                let file = |source| OpenError::File { path: path.clone(), source };
                let writer = Writer::new(connection, jobs, serving, shared).map_err(file)?;
                let thread = thread::Builder::new()
                    .name("store-writer".into())
                    .spawn(move || {
                        // Without a writer the server could not do changes, so it has to start again.
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
            purpose,
            locked,
            readers,
            memory,
            newest_change,
            numbers,
            cut,
            log_bytes,
            queue,
            writer,
        })
    }

    /// Bytes of the write-ahead log, as of the last change.
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// Reads one thing that is in the file or in memory.
    fn find<T>(&self, read: impl Fn(&mut Reader) -> Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        let kept = || if self.memory.is_empty() { Ok(None) } else { read(&mut self.memory.lock()) };
        find_in_either(|| self.memory.moves(), || self.readers.read(&read), kept)
    }

    /// A connection that no request uses, to read everything on. It is opened by the file's name, so the name has to lead to
    /// the file that is served.
    pub fn look(&self) -> Result<Look, Error> {
        self.locked.require_in_place()?;
        Ok(Look::open(self.path(), self.purpose)?)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.locked.path()
    }

    /// Device and inode of the open file, wherever its name leads by now.
    pub fn file(&self) -> (u64, u64) {
        self.locked.file()
    }

    /// Whether the name still leads to the open file.
    pub fn is_in_place(&self) -> bool {
        self.locked.require_in_place().is_ok()
    }

    /// The numbers of secrets and of projects.
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

    async fn access(&self, of: Guarded) -> Result<Option<Access>, Error> {
        self.find(|reader| guards::access_to(reader, of))
    }

    async fn secret(&self, id: SecretId) -> Result<Option<Secret>, Error> {
        self.find(|reader| rows::secret(reader, id))
    }

    async fn sealed(&self, id: SecretId) -> Result<Option<SealedSecret>, Error> {
        self.find(|reader| rows::sealed(reader, id))
    }

    async fn metadata(&self, id: SecretId) -> Result<Vec<Metadatum>, Error> {
        let some =
            |reader: &mut Reader| Ok(Some(rows::metadata(reader, id)?).filter(|pairs| !pairs.is_empty()));
        Ok(self.find(some)?.unwrap_or_default())
    }

    async fn acl(&self, of: Guarded) -> Result<Option<GuardedAcl>, Error> {
        self.find(|reader| acls::guarded_acl(reader, of))
    }

    async fn regarded(&self, kind: Kind, after: i64, limit: u32) -> Result<Vec<RegardedRow>, Error> {
        let readers = Arc::clone(&self.readers);
        on_blocking_thread(move || {
            readers.scan_whole(|reader| guards::access_after(reader, kind, after, limit))
        })
        .await
    }

    async fn consumers(&self, of: Guarded, slice: Slice) -> Result<Sliced<Consumer>, Error> {
        let found = self.find(|reader| consumers::consumers_of(reader, of, slice))?;
        Ok(found.unwrap_or(Sliced { items: Vec::new(), total: 0 }))
    }

    async fn consumer(&self, of: Guarded, id: ConsumerId) -> Result<Option<Consumer>, Error> {
        self.find(|reader| consumers::consumer(reader, of, id))
    }

    async fn container(&self, id: ContainerId) -> Result<Option<Container>, Error> {
        self.readers.read(|reader| containers::container(reader, id))
    }

    async fn container_secrets(&self, id: ContainerId) -> Result<Vec<ContainerSecret>, Error> {
        self.readers.read(|reader| containers::container_secrets(reader, id))
    }

    async fn containers(&self, query: &ContainerQuery) -> Result<Sliced<Container>, Error> {
        if !containers::may_take_long(query) {
            return self.readers.read(|reader| containers::containers(reader, query));
        }
        let (readers, query) = (Arc::clone(&self.readers), query.clone());
        on_blocking_thread(move || readers.scan(|reader| containers::containers(reader, &query))).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, Error> {
        self.readers.read(|reader| orders::order(reader, id))
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Sliced<Order>, Error> {
        if !orders::may_take_long(query) {
            return self.readers.read(|reader| orders::orders(reader, query));
        }
        let (readers, query) = (Arc::clone(&self.readers), query.clone());
        on_blocking_thread(move || readers.scan(|reader| orders::orders(reader, &query))).await
    }

    async fn project_quotas(&self, project: &ProjectId) -> Result<Option<ProjectQuotas>, Error> {
        self.readers.read(|reader| quotas::project_quotas(reader, project))
    }

    async fn all_project_quotas(&self, slice: Slice) -> Result<Sliced<(ProjectId, ProjectQuotas)>, Error> {
        self.readers.read(|reader| quotas::all_project_quotas(reader, slice))
    }

    async fn transport_key(&self, id: TransportKeyId) -> Result<Option<TransportKey>, Error> {
        self.readers.read(|reader| transport_keys::transport_key(reader, id))
    }

    async fn transport_keys(
        &self,
        plugin: Option<&str>,
        slice: Slice,
    ) -> Result<Sliced<TransportKey>, Error> {
        self.readers.read(|reader| transport_keys::transport_keys(reader, plugin, slice))
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
        on_blocking_thread(move || {
            at_one_moment(
                || memory.moves(),
                || {
                    if memory.is_empty() {
                        return readers.scan(|reader| list::list(reader, &query, now));
                    }
                    let all = ListQuery { offset: 0, limit: u32::MAX, ..query.clone() };
                    let kept = list::list(&mut memory.lock(), &all, now)?;
                    let of_file = durable_part(&query, u32::try_from(kept.secrets.len()).unwrap_or(u32::MAX));
                    let stored = readers.scan(|reader| list::list(reader, &of_file, now))?;
                    Ok(merged_page(&query, stored, kept))
                },
            )
        })
        .await
    }

    async fn handle(&self, id: SecretId) -> Result<Option<Handle>, Error> {
        self.find(|reader| handles::by_id(reader, id))
    }

    async fn handle_by_usage(&self, project: &ProjectId, usage: &Usage) -> Result<Option<Handle>, Error> {
        self.find(|reader| handles::by_usage(reader, project, usage))
    }

    async fn count(&self, project: &ProjectId, which: Which, now: Timestamp) -> Result<u64, Error> {
        let count = |reader: &mut Reader| handles::count(reader, project, which.private, now);
        at_one_moment(
            || self.memory.moves(),
            || {
                let in_memory = which.ephemeral != Some(false) && !self.memory.is_empty();
                let kept = if in_memory { count(&mut self.memory.lock())? } else { 0 };
                let stored = if which.ephemeral == Some(true) { 0 } else { self.readers.read(count)? };
                Ok(kept + stored)
            },
        )
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
                few.then(|| handles::listed_secrets(reader, project, which.private, now, limit)).transpose()
            };
            if let Some(found) = self.readers.read(few)?
                && moves == self.memory.moves()
            {
                return Ok(found);
            }
        }
        let (readers, memory, project) =
            (Arc::clone(&self.readers), Arc::clone(&self.memory), project.clone());
        on_blocking_thread(move || {
            let all =
                |reader: &mut Reader| handles::listed_secrets(reader, &project, which.private, now, limit);
            at_one_moment(
                || memory.moves(),
                || {
                    let in_memory = which.ephemeral != Some(false) && !memory.is_empty();
                    let mut found = if in_memory { all(&mut memory.lock())? } else { Vec::new() };
                    if which.ephemeral != Some(true) {
                        found.extend(readers.scan(all)?);
                    }
                    found.truncate(limit);
                    Ok(found)
                },
            )
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

    async fn changes(&self, after: ChangeCursor, limit: u32) -> Result<Changes, Error> {
        let after = after.number();
        let of_file = |reader: &mut Reader| rows::changes(reader, after, limit);
        let has_news = || self.memory.newest_change() > after;
        let rows = 'rows: {
            if !has_news() {
                let stored = self.readers.read(of_file)?;
                if !has_news() {
                    break 'rows stored.rows;
                }
            }
            // While memory is locked nothing is written there, so no row is read whose predecessor is missing.
            let mut memory = self.memory.lock();
            let stored = self.readers.read(of_file)?;
            stored.merged(rows::changes(&mut memory, after, limit)?, limit)
        };
        // Read last, because the writer sets it before it drops rows.
        Ok(match self.cut.load(Ordering::Acquire) {
            cut if cut > after => Changes::Missed { up_to: ChangeCursor::from_number(cut) },
            _ => Changes::Rows(rows),
        })
    }

    fn newest_change(&self) -> watch::Receiver<ChangeCursor> {
        self.newest_change.clone()
    }

    async fn audit_anchor(&self, node: &NodeName) -> Result<Option<AuditAnchor>, Error> {
        self.readers.read(|reader| rows::audit_anchor(reader, node))
    }

    async fn witnessed(&self) -> Result<u64, Error> {
        // On a new snapshot: the number on disk now counts.
        self.readers.scan_whole(|reader| Ok(rows::witnessed(reader.connection())?))
    }

    fn numbers(&self) -> Arc<Numbers> {
        Arc::clone(&self.numbers)
    }

    async fn apply(&self, change: Change, witness: Witness) -> Result<(), Error> {
        let queue = self.queue.as_ref().ok_or_else(|| Failure::Unavailable("opened to look only".into()))?;
        let (job, done) = Job::new(change, witness);
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::Busy,
            mpsc::error::TrySendError::Closed(_) => Failure::Unavailable("the writer has ended".into()),
        })?;
        done.await.unwrap_or_else(|_| Err(Failure::Unavailable("the writer has ended".into()).into()))
    }
}

/// Does long work on a thread for that.
async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::Unavailable(error.to_string()))?
}
