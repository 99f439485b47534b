//! The one writer: takes all that waits, does it in one transaction, and answers when that is on disk.
//!
//! A change is first checked, then witnessed, then written. One that fails its checks has written nothing, so it takes
//! nothing with it and needs no savepoint (which would copy every page it touches). What can fail after that is the
//! database itself, and then the whole transaction fails, for everybody in it. An answer is sent only after COMMIT has
//! returned, which with `synchronous=FULL` is after fsync; with many waiting they share it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{ChangeKind, Expect, Facet, Facets, ProjectId, Secret, SecretId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{mpsc, oneshot, watch};

use super::reader::Readers;
use super::rows::{facets as facets_of, project_number};
use super::{BUSY_WAIT_MAX, CHANGES_KEPT, METADATA_PAIRS_MAX};
use crate::{AuditAnchor, Change, Error, Reseal, Unwitnessed, Witness};

/// Pages of log after which it is folded into the database: 32 MiB.
const LOG_PAGES_MAX: u64 = 8192;
/// The change log is cut to its length each time it has grown by this.
const TRIM_EVERY: u64 = 4096;
/// How long a deletion waits for another program to let go of the log, before it is answered all the same.
const PURGE_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often emptying the log is tried again meanwhile, and afterwards.
const PURGE_RETRY: Duration = Duration::from_millis(20);

/// One change on its way.
pub(super) struct Job {
    change: Change,
    witness: Witness,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Job {
    pub(super) fn new(change: Change, witness: Witness) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (done, wait) = oneshot::channel();
        (Self { change, witness, done }, wait)
    }
}

pub(super) struct Writer {
    connection: Connection,
    jobs: mpsc::Receiver<Job>,
    batch_max: usize,
    readers: Arc<Readers>,
    committed: Arc<AtomicU64>,
    announce: watch::Sender<u64>,
    newest_change: u64,
    trimmed_at: u64,
    /// The log may hold deleted ciphertext: another program kept it from being emptied.
    unpurged: bool,
}

/// What a batch did besides its rows.
struct Batch {
    newest_change: u64,
    /// Ciphertext was deleted or replaced.
    deleted: bool,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        jobs: mpsc::Receiver<Job>,
        batch_max: NonZeroUsize,
        readers: Arc<Readers>,
        committed: Arc<AtomicU64>,
        announce: watch::Sender<u64>,
    ) -> Self {
        let newest_change = *announce.borrow();
        Self {
            connection,
            jobs,
            batch_max: batch_max.get(),
            readers,
            committed,
            announce,
            newest_change,
            trimmed_at: newest_change,
            unpurged: false,
        }
    }

    /// Works until nothing more can be queued, then leaves the log empty.
    pub(super) fn run(mut self) {
        // Pages that changes touch at random: the indexes by id and name. 32 MiB, the writer's alone.
        if let Err(error) = self.connection.pragma_update(None, "cache_size", -32_768) {
            tracing::warn!(%error, "the writer's cache keeps its size");
        }
        let mut batch = Vec::with_capacity(self.batch_max);
        while let Some(first) = self.next_job() {
            batch.push(first);
            while batch.len() < self.batch_max
                && let Ok(next) = self.jobs.try_recv()
            {
                batch.push(next);
            }
            self.commit(&mut batch);
            self.upkeep();
        }
        let _ = self.purge();
    }

    /// Waits for the next change. What could not be purged is tried again meanwhile.
    fn next_job(&mut self) -> Option<Job> {
        while self.unpurged {
            match self.jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => {}
            }
            std::thread::sleep(PURGE_RETRY);
            if self.purge().is_ok_and(|emptied| emptied) {
                self.unpurged = false;
                tracing::info!("the write-ahead log is empty: what was deleted is in no file any more");
            }
        }
        self.jobs.blocking_recv()
    }

    /// Does all that is in the batch, empties it, and answers.
    fn commit(&mut self, batch: &mut Vec<Job>) {
        let mut answers = Vec::with_capacity(batch.len());
        let mut effects = Batch { newest_change: self.newest_change, deleted: false };
        let outcome = transaction(&self.connection, batch, &mut effects, &mut answers);
        match outcome {
            Ok(()) => {
                self.newest_change = effects.newest_change;
                self.committed.fetch_add(1, Ordering::Release);
                let purged = if effects.deleted { self.purge_or_wait() } else { Ok(()) };
                for (job, answer) in batch.drain(..).zip(answers) {
                    let answer = match (&purged, &job.change) {
                        (Err(error), Change::DeleteSecret { .. }) if answer.is_ok() => {
                            Err(Error::Unavailable(error.to_string()))
                        }
                        _ => answer,
                    };
                    let _ = job.done.send(answer); // Nobody waits for an answer whose client has gone.
                }
                self.announce.send_if_modified(|newest| {
                    std::mem::replace(newest, effects.newest_change) != effects.newest_change
                });
            }
            Err(error) => {
                tracing::error!(%error, changes = batch.len(), "a transaction failed; nothing of it was done");
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                for job in batch.drain(..) {
                    let _ = job.done.send(Err(Error::Unavailable(error.to_string())));
                }
            }
        }
    }

    /// Makes sure that what was deleted is in no file. Another program that reads the database can keep it from that:
    /// it is waited for, but not for long and not every time. An error of the database is one of the deletion.
    fn purge_or_wait(&mut self) -> rusqlite::Result<()> {
        let begin = Instant::now();
        loop {
            match self.purge() {
                Ok(true) => {
                    self.unpurged = false;
                    return Ok(());
                }
                Ok(false) if !self.unpurged && begin.elapsed() < PURGE_WAIT_MAX => {
                    std::thread::sleep(PURGE_RETRY)
                }
                Ok(false) => {
                    if !std::mem::replace(&mut self.unpurged, true) {
                        tracing::warn!(
                            "another program reads the database, so deleted ciphertext stays in the write-ahead log \
                             until it has ended"
                        );
                    }
                    return Ok(());
                }
                Err(error) => {
                    self.unpurged = true;
                    tracing::error!(%error, "deleted ciphertext is still in the write-ahead log");
                    return Err(error);
                }
            }
        }
    }

    /// Folds the log into the database and empties it, unless another program keeps it. Reads wait only for the last
    /// step, which has nothing left to fold and waits for nobody.
    fn purge(&self) -> rusqlite::Result<bool> {
        fold(&self.connection, "PASSIVE")?;
        let held = self.readers.hold();
        self.connection.busy_timeout(Duration::ZERO)?;
        let emptied = fold(&self.connection, "TRUNCATE");
        drop(held);
        self.connection.busy_timeout(BUSY_WAIT_MAX)?;
        emptied
    }

    /// Keeps the log and the change log from growing without bound. Runs after the answers are sent.
    fn upkeep(&mut self) {
        if self.newest_change >= self.trimmed_at + TRIM_EVERY {
            self.trimmed_at = self.newest_change;
            let oldest = self.newest_change.saturating_sub(CHANGES_KEPT);
            if let Err(error) = self.connection.execute("DELETE FROM changes WHERE number <= ?1", [oldest]) {
                tracing::warn!(%error, "the change log was not trimmed");
            }
        }
        let pages: u64 =
            match self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1)) {
                Ok(pages) => u64::try_from(pages).unwrap_or(0),
                Err(error) => return tracing::warn!(%error, "the log's length is unknown"),
            };
        if pages > LOG_PAGES_MAX {
            self.readers.release();
            if let Err(error) = fold(&self.connection, "PASSIVE") {
                tracing::error!(%error, "the log was not folded into the database");
            }
            // Snapshots taken from now on need nothing of the log, so the next commit begins it anew.
            self.readers.release();
        }
    }
}

/// Folds the log into the database. Whether nothing stood in the way; to a passive fold nothing does.
fn fold(connection: &Connection, how: &str) -> rusqlite::Result<bool> {
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0)
}

/// Why a change was not done: for itself, or because the database failed under it.
enum Failed {
    Alone(Error),
    All(rusqlite::Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Alone(error)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::All(error)
    }
}

/// Runs the batch. An error means that nothing of it was done.
fn transaction(
    connection: &Connection,
    batch: &mut [Job],
    effects: &mut Batch,
    answers: &mut Vec<Result<(), Error>>,
) -> rusqlite::Result<()> {
    run(connection, "BEGIN IMMEDIATE")?;
    for Job { change, witness, .. } in batch {
        let mut witness = || witness().map_err(|Unwitnessed| Error::Unwitnessed);
        answers.push(match apply(connection, change, &mut witness, effects) {
            Ok(()) => Ok(()),
            Err(Failed::Alone(error)) => Err(error),
            Err(Failed::All(error)) => return Err(error),
        });
    }
    run(connection, "COMMIT")
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Does one change, inside a transaction: nothing is written before the witness has agreed, and nothing is checked
/// after.
fn apply(
    connection: &Connection,
    change: &mut Change,
    witness: &mut dyn FnMut() -> Result<(), Error>,
    effects: &mut Batch,
) -> Result<(), Failed> {
    match change {
        Change::SetKeyCheck(check) => {
            let done: bool =
                connection.query_row("SELECT key_check IS NOT NULL FROM store", [], |row| row.get(0))?;
            require(!done, Error::Changed)?;
            witness()?;
            connection.execute("UPDATE store SET key_check = ?1", [&*check])?;
        }
        Change::AddProjectKey { project, version, wrapped } => {
            witness()?;
            let project = ensure_project(connection, project)?;
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO project_keys (project, version, wrapped) VALUES (?1, ?2, ?3)",
                )?
                .execute((project, version.0, &*wrapped))?;
        }
        Change::CreateSecret { secret, sealed } => {
            if secret.facets.usage().is_some()
                && let Some(project) = project_number(connection, &secret.project)?
            {
                require_free_usage(connection, project, 0, &secret.facets)?;
            }
            witness()?;
            let project = ensure_project(connection, &secret.project)?;
            insert(connection, project, secret, sealed.as_deref())?;
            log(connection, effects, secret.id, project, ChangeKind::Created, secret.created)?;
        }
        Change::FillPayload { id, private, content_type, sealed, time } => {
            let row = row_of(connection, *id)?;
            require(!row.filled, Error::HasPayload)?;
            require(row.private == *private, Error::Changed)?; // The envelope is bound to the flag.
            witness()?;
            connection
                .prepare_cached(
                    "UPDATE secrets SET content_type = ?2, sealed = ?3, updated = ?4 WHERE seq = ?1",
                )?
                .execute((row.seq, content_type.as_str(), &*sealed, time.micros()))?;
            log(connection, effects, *id, row.project, ChangeKind::ValueChanged, *time)?;
        }
        Change::DeleteSecret { id, time } => {
            let row = row_of(connection, *id)?;
            witness()?;
            connection.prepare_cached("DELETE FROM secrets WHERE seq = ?1")?.execute([row.seq])?;
            effects.deleted = true;
            log(connection, effects, *id, row.project, ChangeKind::Deleted, *time)?;
        }
        Change::ReplaceMetadata { id, user, facets, reseal, time } => {
            let row = row_of(connection, *id)?;
            require(user.len() <= METADATA_PAIRS_MAX, Error::TooManyMetadata)?;
            let redefined = match facets.is_empty() {
                true => None,
                false => {
                    Some(redefine(connection, &row, std::mem::take(facets), Expect::Any, reseal.take())?)
                }
            };
            witness()?;
            connection.prepare_cached("DELETE FROM secret_metadata WHERE secret = ?1")?.execute([row.seq])?;
            for datum in user {
                connection.prepare_cached(ADD_METADATUM)?.execute((row.seq, &datum.key, &datum.value))?;
            }
            if let Some(redefined) = redefined {
                effects.deleted |= redefined.resealed;
                redefined.write(connection, row.seq)?;
                log(connection, effects, *id, row.project, ChangeKind::Redefined, *time)?;
            }
        }
        Change::AddMetadatum { id, datum } => {
            let row = row_of(connection, *id)?;
            require(!has_metadatum(connection, row.seq, &datum.key)?, Error::MetadatumExists)?;
            let pairs: usize = connection
                .prepare_cached("SELECT count(*) FROM secret_metadata WHERE secret = ?1")?
                .query_row([row.seq], |row| row.get(0))?;
            require(pairs < METADATA_PAIRS_MAX, Error::TooManyMetadata)?;
            witness()?;
            connection.prepare_cached(ADD_METADATUM)?.execute((row.seq, &datum.key, &datum.value))?;
        }
        Change::SetMetadatum { id, datum } => {
            let row = row_of(connection, *id)?;
            require(has_metadatum(connection, row.seq, &datum.key)?, Error::MetadatumNotFound)?;
            witness()?;
            connection
                .prepare_cached("UPDATE secret_metadata SET value = ?3 WHERE secret = ?1 AND key = ?2")?
                .execute((row.seq, &datum.key, &datum.value))?;
        }
        Change::RemoveMetadatum { id, key } => {
            let row = row_of(connection, *id)?;
            witness()?;
            connection
                .prepare_cached("DELETE FROM secret_metadata WHERE secret = ?1 AND key = ?2")?
                .execute((row.seq, &*key))?;
        }
        Change::SetFacet { id, facet, expect, reseal, time } => {
            let row = row_of(connection, *id)?;
            let redefined = redefine(connection, &row, vec![facet.clone()], *expect, reseal.take())?;
            witness()?;
            effects.deleted |= redefined.resealed;
            redefined.write(connection, row.seq)?;
            log(connection, effects, *id, row.project, ChangeKind::Redefined, *time)?;
        }
        Change::AnchorAudit(AuditAnchor { number, hash }) => {
            witness()?;
            connection
                .prepare_cached("INSERT OR REPLACE INTO audit_anchor (one, number, hash) VALUES (1, ?1, ?2)")?
                .execute((*number, &hash[..]))?;
        }
    }
    Ok(())
}

/// Of two pairs with one key the first holds.
const ADD_METADATUM: &str = "INSERT OR IGNORE INTO secret_metadata (secret, key, value) VALUES (?1, ?2, ?3)";

fn require(holds: bool, otherwise: Error) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn ensure_project(connection: &Connection, project: &ProjectId) -> rusqlite::Result<i64> {
    if let Some(known) = project_number(connection, project)? {
        return Ok(known);
    }
    connection.execute("INSERT INTO projects (name) VALUES (?1)", [project.as_str()])?;
    Ok(connection.last_insert_rowid())
}

/// Where a secret is.
struct Place {
    seq: i64,
    project: i64,
    filled: bool,
    private: bool,
}

fn row_of(connection: &Connection, id: SecretId) -> Result<Place, Failed> {
    let row = connection
        .prepare_cached("SELECT seq, project, content_type IS NOT NULL, private FROM secrets WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| {
            Ok(Place { seq: row.get(0)?, project: row.get(1)?, filled: row.get(2)?, private: row.get(3)? })
        })
        .optional()?;
    Ok(row.ok_or(Error::NotFound)?)
}

fn has_metadatum(connection: &Connection, seq: i64, key: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM secret_metadata WHERE secret = ?1 AND key = ?2")?
        .exists((seq, key))
}

fn insert(
    connection: &Connection,
    project: i64,
    secret: &Secret,
    sealed: Option<&[u8]>,
) -> rusqlite::Result<()> {
    let (attributes, facets) = (&secret.attributes, &secret.facets);
    connection
        .prepare_cached(
            "INSERT INTO secrets (id, project, creator, created, updated, expiration, status, secret_type, name, \
             algorithm, bit_length, mode, project_access, private, ephemeral, encoding, description, usage_type, \
             usage_id, content_type, sealed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .execute(rusqlite::params![
            secret.id.as_bytes(),
            project,
            secret.creator.as_ref().map(|user| user.as_str()),
            secret.created.micros(),
            secret.updated.micros(),
            attributes.expiration.map(Timestamp::micros),
            secret.status.as_str(),
            attributes.secret_type.as_str(),
            attributes.name.as_ref().map(|text| text.as_str()),
            attributes.algorithm.as_ref().map(|text| text.as_str()),
            attributes.bit_length.map(|length| length.bits()),
            attributes.mode.as_ref().map(|text| text.as_str()),
            secret.project_access,
            facets.private,
            facets.ephemeral,
            facets.encoding.as_str(),
            facets.description,
            facets.usage_type.map(|usage| usage.as_str()),
            facets.usage_id,
            secret.content_type.map(|content_type| content_type.as_str()),
            sealed,
        ])?;
    Ok(())
}

/// Facets and envelope as they are to be.
struct Redefined {
    facets: Facets,
    sealed: Option<Vec<u8>>,
    /// The envelope is another one, and the one before is not to be left lying about.
    resealed: bool,
}

/// Checks a change of facets against what is there.
fn redefine(
    connection: &Connection,
    row: &Place,
    changes: Vec<Facet>,
    expect: Expect,
    reseal: Option<Reseal>,
) -> Result<Redefined, Failed> {
    let mut statement = connection.prepare_cached(
        "SELECT private, ephemeral, encoding, description, usage_type, usage_id, sealed FROM secrets WHERE seq = ?1",
    )?;
    let mut rows = statement.query([row.seq])?;
    let found = rows.next()?.ok_or(Error::NotFound)?;
    let before = facets_of(found, 0)?;
    let sealed: Option<Vec<u8>> = found.get(6)?;
    let mut facets = before.clone();
    for change in changes {
        match expect {
            Expect::Default if before.is_set(&change) => return Err(Error::MetadatumExists.into()),
            Expect::Set if !before.is_set(&change) => return Err(Error::MetadatumNotFound.into()),
            _ => facets = facets.with(change).map_err(Error::from)?,
        }
    }
    require_free_usage(connection, row.project, row.seq, &facets)?;
    // An envelope is bound to the private flag, so the two change together or not at all.
    let resealed = reseal.is_some() && sealed.is_some();
    let sealed = match reseal {
        Some(Reseal { from, .. }) if from != sealed => return Err(Error::Changed.into()),
        Some(Reseal { to, .. }) => to,
        None if facets.private != before.private => return Err(Error::Changed.into()),
        None => sealed,
    };
    Ok(Redefined { facets, sealed, resealed })
}

impl Redefined {
    fn write(&self, connection: &Connection, seq: i64) -> rusqlite::Result<()> {
        let facets = &self.facets;
        connection
            .prepare_cached(
                "UPDATE secrets SET private = ?2, ephemeral = ?3, encoding = ?4, description = ?5, usage_type = ?6, \
                 usage_id = ?7, sealed = ?8 WHERE seq = ?1",
            )?
            .execute((
                seq,
                facets.private,
                facets.ephemeral,
                facets.encoding.as_str(),
                &facets.description,
                facets.usage_type.map(|usage| usage.as_str()),
                &facets.usage_id,
                &self.sealed,
            ))?;
        Ok(())
    }
}

/// No other secret of the project may have this usage. The index of usages says so too.
fn require_free_usage(
    connection: &Connection,
    project: i64,
    seq: i64,
    facets: &Facets,
) -> Result<(), Failed> {
    let Some(usage) = facets.usage() else { return Ok(()) };
    let taken = connection
        .prepare_cached(
            "SELECT 1 FROM secrets WHERE project = ?1 AND usage_type = ?2 AND usage_id = ?3 AND seq <> ?4",
        )?
        .exists((project, usage.usage_type.as_str(), usage.id, seq))?;
    Ok(require(!taken, Error::UsageTaken)?)
}

fn log(
    connection: &Connection,
    effects: &mut Batch,
    secret: SecretId,
    project: i64,
    kind: ChangeKind,
    time: Timestamp,
) -> rusqlite::Result<()> {
    effects.newest_change += 1;
    connection
        .prepare_cached(
            "INSERT INTO changes (number, secret, project, kind, time) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((effects.newest_change, secret.as_bytes(), project, kind.as_str(), time.micros()))?;
    Ok(())
}
