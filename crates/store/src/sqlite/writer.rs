//! The one writer: takes all that waits, does it in one transaction, and answers when that is on disk.
//!
//! Each change runs in a savepoint of its own, so one that fails takes nothing with it. An answer is sent only after
//! COMMIT has returned, which with `synchronous=FULL` is after fsync; with many waiting they share it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{ChangeKind, Expect, Facet, Metadatum, ProjectId, Secret, SecretId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{mpsc, oneshot, watch};

use super::CHANGES_KEPT;
use super::reader::Readers;
use super::rows::{facets as facets_of, project_number};
use crate::{AuditAnchor, Change, Error, Reseal, Unwitnessed, Witness};

/// Pages of log after which it is folded into the database: 32 MiB.
const LOG_PAGES_MAX: u64 = 8192;
/// The change log is cut to its length each time it has grown by this.
const TRIM_EVERY: u64 = 4096;

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
}

/// What a batch did besides its rows.
#[derive(Default)]
struct Batch {
    newest_change: u64,
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
        }
    }

    /// Works until nothing more can be queued, then leaves the log empty.
    pub(super) fn run(mut self) {
        // Pages that changes touch at random: the indexes by id and name. 32 MiB, the writer's alone.
        if let Err(error) = self.connection.pragma_update(None, "cache_size", -32_768) {
            tracing::warn!(%error, "the writer's cache keeps its size");
        }
        let mut batch = Vec::with_capacity(self.batch_max);
        while let Some(first) = self.jobs.blocking_recv() {
            batch.push(first);
            while batch.len() < self.batch_max
                && let Ok(next) = self.jobs.try_recv()
            {
                batch.push(next);
            }
            self.commit(&mut batch);
            self.upkeep();
        }
        let held = self.readers.hold();
        fold(&self.connection, "TRUNCATE");
        drop(held);
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
                if effects.deleted {
                    self.purge();
                }
                for (job, answer) in batch.drain(..).zip(answers) {
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

    /// Makes sure that what was deleted is in no file: folds the log into the database and empties it. Reads wait
    /// only for the last step, which has nothing left to fold.
    fn purge(&self) {
        fold(&self.connection, "PASSIVE");
        let held = self.readers.hold();
        let emptied = fold(&self.connection, "TRUNCATE").is_some_and(|folded| !folded.busy);
        drop(held);
        if !emptied {
            tracing::warn!(
                "deleted ciphertext may still be in the write-ahead log: another program reads the database"
            );
        }
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
            fold(&self.connection, "PASSIVE");
            // Snapshots taken from now on need nothing of the log, so the next commit begins it anew.
            self.readers.release();
        }
    }
}

/// How far the log was folded into the database.
struct Folded {
    busy: bool,
}

fn fold(connection: &Connection, how: &str) -> Option<Folded> {
    match connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| row.get::<_, i64>(0)) {
        Ok(busy) => Some(Folded { busy: busy != 0 }),
        Err(error) => {
            tracing::error!(%error, "the log was not folded into the database");
            None
        }
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
    for job in batch {
        run(connection, "SAVEPOINT change")?;
        let before = effects.newest_change;
        let answer = apply(connection, &mut job.change, effects)
            .and_then(|()| (job.witness)().map_err(|Unwitnessed| Error::Unwitnessed));
        if answer.is_err() {
            effects.newest_change = before;
            run(connection, "ROLLBACK TO change")?; // Fails if the error has already ended the transaction.
        }
        run(connection, "RELEASE change")?;
        answers.push(answer);
    }
    run(connection, "COMMIT")
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Does one change, inside a transaction.
fn apply(connection: &Connection, change: &mut Change, effects: &mut Batch) -> Result<(), Error> {
    match change {
        Change::SetKeyCheck(check) => changed(
            connection.execute("UPDATE store SET key_check = ?1 WHERE key_check IS NULL", [&*check]),
            Error::Changed,
        ),
        Change::AddProjectKey { project, version, wrapped } => {
            let project = ensure_project(connection, project)?;
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO project_keys (project, version, wrapped) VALUES (?1, ?2, ?3)",
                )?
                .execute((project, version.0, &*wrapped))?;
            Ok(())
        }
        Change::CreateSecret { secret, sealed } => {
            let project = ensure_project(connection, &secret.project)?;
            insert(connection, project, secret, sealed.as_deref())?;
            log(connection, effects, secret.id, project, ChangeKind::Created, secret.created)
        }
        Change::FillPayload { id, content_type, sealed, time } => {
            let (seq, project) = row_of(connection, *id)?;
            changed(
                connection
                    .prepare_cached("UPDATE secrets SET content_type = ?2, sealed = ?3, updated = ?4 WHERE seq = ?1 AND sealed IS NULL")?
                    .execute((seq, content_type.as_str(), &*sealed, time.micros())),
                Error::HasPayload,
            )?;
            log(connection, effects, *id, project, ChangeKind::ValueChanged, *time)
        }
        Change::DeleteSecret { id, time } => {
            let (seq, project) = row_of(connection, *id)?;
            connection.prepare_cached("DELETE FROM secrets WHERE seq = ?1")?.execute([seq])?;
            effects.deleted = true;
            log(connection, effects, *id, project, ChangeKind::Deleted, *time)
        }
        Change::ReplaceMetadata { id, user, facets, reseal, time } => {
            let (seq, project) = row_of(connection, *id)?;
            connection.prepare_cached("DELETE FROM secret_metadata WHERE secret = ?1")?.execute([seq])?;
            for Metadatum { key, value } in user {
                connection
                    .prepare_cached(
                        "INSERT OR IGNORE INTO secret_metadata (secret, key, value) VALUES (?1, ?2, ?3)",
                    )?
                    .execute((seq, &*key, &*value))?;
            }
            if facets.is_empty() {
                return Ok(());
            }
            set_facets(connection, seq, std::mem::take(facets), Expect::Any, reseal.as_ref())?;
            log(connection, effects, *id, project, ChangeKind::Redefined, *time)
        }
        Change::AddMetadatum { id, datum } => {
            let (seq, _) = row_of(connection, *id)?;
            let added = connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO secret_metadata (secret, key, value) VALUES (?1, ?2, ?3)",
                )?
                .execute((seq, &datum.key, &datum.value));
            changed(added, Error::MetadatumExists)
        }
        Change::SetMetadatum { id, datum } => {
            let (seq, _) = row_of(connection, *id)?;
            let set = connection
                .prepare_cached("UPDATE secret_metadata SET value = ?3 WHERE secret = ?1 AND key = ?2")?
                .execute((seq, &datum.key, &datum.value));
            changed(set, Error::MetadatumNotFound)
        }
        Change::RemoveMetadatum { id, key } => {
            let (seq, _) = row_of(connection, *id)?;
            connection
                .prepare_cached("DELETE FROM secret_metadata WHERE secret = ?1 AND key = ?2")?
                .execute((seq, &*key))?;
            Ok(())
        }
        Change::SetFacet { id, facet, expect, reseal, time } => {
            let (seq, project) = row_of(connection, *id)?;
            set_facets(connection, seq, vec![facet.clone()], *expect, reseal.as_ref())?;
            log(connection, effects, *id, project, ChangeKind::Redefined, *time)
        }
        Change::AnchorAudit(AuditAnchor { number, hash }) => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO audit_anchor (one, number, hash) VALUES (1, ?1, ?2)")?
                .execute((*number, &hash[..]))?;
            Ok(())
        }
    }
}

fn changed(rows: rusqlite::Result<usize>, otherwise: Error) -> Result<(), Error> {
    if rows? == 0 { Err(otherwise) } else { Ok(()) }
}

fn ensure_project(connection: &Connection, project: &ProjectId) -> Result<i64, Error> {
    if let Some(known) = project_number(connection, project)? {
        return Ok(known);
    }
    connection.execute("INSERT INTO projects (name) VALUES (?1)", [project.as_str()])?;
    Ok(connection.last_insert_rowid())
}

/// A secret's row and project, by numbers.
fn row_of(connection: &Connection, id: SecretId) -> Result<(i64, i64), Error> {
    connection
        .prepare_cached("SELECT seq, project FROM secrets WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(Error::NotFound)
}

fn insert(
    connection: &Connection,
    project: i64,
    secret: &Secret,
    sealed: Option<&[u8]>,
) -> Result<(), Error> {
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
        ])
        .map_err(usage_taken)?;
    Ok(())
}

fn set_facets(
    connection: &Connection,
    seq: i64,
    changes: Vec<Facet>,
    expect: Expect,
    reseal: Option<&Reseal>,
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT private, ephemeral, encoding, description, usage_type, usage_id, sealed FROM secrets WHERE seq = ?1",
    )?;
    let mut rows = statement.query([seq])?;
    let row = rows.next()?.ok_or(Error::NotFound)?;
    let before = facets_of(row, 0)?;
    let sealed: Option<Vec<u8>> = row.get(6)?;
    let mut after = before.clone();
    for change in changes {
        match expect {
            Expect::Default if before.is_set(&change) => return Err(Error::MetadatumExists),
            Expect::Set if !before.is_set(&change) => return Err(Error::MetadatumNotFound),
            _ => after = after.with(change)?,
        }
    }
    // An envelope is bound to the private flag, so the two change together or not at all.
    let resealed = match reseal {
        Some(Reseal { from, .. }) if *from != sealed => return Err(Error::Changed),
        Some(Reseal { to, .. }) => to.as_ref(),
        None if after.private != before.private => return Err(Error::Changed),
        None => sealed.as_ref(),
    };
    connection
        .prepare_cached(
            "UPDATE secrets SET private = ?2, ephemeral = ?3, encoding = ?4, description = ?5, usage_type = ?6, \
             usage_id = ?7, sealed = ?8 WHERE seq = ?1",
        )?
        .execute((
            seq,
            after.private,
            after.ephemeral,
            after.encoding.as_str(),
            &after.description,
            after.usage_type.map(|usage| usage.as_str()),
            &after.usage_id,
            resealed,
        ))
        .map_err(usage_taken)?;
    Ok(())
}

/// The only unique rule a change can meet is the usage's: ids are random.
fn usage_taken(error: rusqlite::Error) -> Error {
    match &error {
        rusqlite::Error::SqliteFailure(_, Some(message)) if message.contains("secrets.usage_id") => {
            Error::UsageTaken
        }
        _ => error.into(),
    }
}

fn log(
    connection: &Connection,
    effects: &mut Batch,
    secret: SecretId,
    project: i64,
    kind: ChangeKind,
    time: Timestamp,
) -> Result<(), Error> {
    effects.newest_change += 1;
    connection
        .prepare_cached(
            "INSERT INTO changes (number, secret, project, kind, time) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((effects.newest_change, secret.as_bytes(), project, kind.as_str(), time.micros()))?;
    Ok(())
}
