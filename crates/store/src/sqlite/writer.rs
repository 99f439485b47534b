//! The one writer: takes all that waits, does it in one transaction, and answers when that is on disk.
//!
//! A change is first checked, then witnessed, then written. One that fails its checks has written nothing, so it takes
//! nothing with it and needs no savepoint (which would copy every page it touches). What can fail after that is the
//! database itself, and then the whole transaction fails, for everybody in it. An answer is sent only after COMMIT has
//! returned, which with `synchronous=FULL` is after fsync; with many waiting they share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::ChangeCursor;
use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};

use super::memory::Memory;
use super::opening::{Files, Locked, unusable};
use super::reader::Readers;
use super::tables::SqlTables;
use super::trim::Trim;
use super::{Gauges, Serving};
use crate::rules::{Effects, NotDone, Transaction};
use crate::{Change, Error, Failure, Numbers, Unwitnessed, Witness, ephemeral};

/// Pages of log after which it is folded into the database: 32 MiB.
const LOG_PAGES_MAX: u64 = 8192;
/// Pages of log at which somebody is told that it cannot be folded in: 256 MiB.
const LOG_PAGES_WARN: u64 = 8 * LOG_PAGES_MAX;
/// SQLite's header of a page in the log, and the page.
const LOG_PAGE_BYTES: u64 = 24 + 4096;
/// After so long without a change the log is folded in and emptied: a disk or a file system that loses a part of it loses
/// the changes after that part, too.
const FOLD_IDLE: Duration = Duration::from_secs(1);
/// The same after so long with changes all the time.
const FOLD_AT_LEAST: Duration = Duration::from_secs(10);
/// How often it is looked, where nothing changes, whether the files are still in their places.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a deletion waits for who reads to let go of the log, before it is answered all the same.
const PURGE_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often emptying the log is tried again meanwhile, and afterwards.
const PURGE_RETRY: Duration = Duration::from_millis(20);
/// How long a replaced envelope may lie in the log: emptying it for each would cost as much as the change.
const REPLACED_FOR: Duration = Duration::from_secs(1);
/// Failed transactions are logged once in so long: on a full disk clients decide how many there are.
const FAILURE_LOG_EVERY: Duration = Duration::from_secs(10);

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

    /// Answers, once what follows the commit is done. What promises that ciphertext is gone is not done if it is not.
    fn answer(self, answer: Result<Done, Error>, purged: &rusqlite::Result<()>) {
        let answer = match (purged, answer) {
            (Err(error), Ok(Done { deleted: true })) => Err(Failure::of_sqlite(error).into()),
            (_, answer) => answer.map(drop),
        };
        let _ = self.done.send(answer); // Nobody waits for an answer whose client has gone.
    }
}

/// What came of emptying the log.
enum Purge {
    Done,
    /// One of our own reads is long.
    KeptByScan,
    /// Everything is being read: a copy, or a check.
    KeptByWhole,
    /// Something of ours that began this moment.
    KeptByOther,
}

impl Purge {
    /// Who keeps it, for the log.
    fn keeper(&self) -> &'static str {
        match self {
            Self::Done => "nobody reads",
            Self::KeptByScan => "a long list reads",
            Self::KeptByWhole => "a copy or a check reads",
            Self::KeptByOther => "somebody reads",
        }
    }
}

/// A change that was done.
struct Done {
    /// It deleted ciphertext, which is to be gone when it is answered.
    deleted: bool,
}

pub(super) struct Writer {
    connection: Connection,
    jobs: mpsc::Receiver<Job>,
    /// Waits for the next change, or for the time to empty the log.
    clock: Runtime,
    batch_max: usize,
    readers: Arc<Readers>,
    memory: Arc<Memory>,
    committed: Arc<AtomicU64>,
    announce: watch::Sender<ChangeCursor>,
    numbers: Arc<Numbers>,
    newest_change: u64,
    gauges: Arc<Gauges>,
    trim: Trim,
    /// The log may hold deleted ciphertext: somebody who reads kept it from being emptied.
    unpurged: bool,
    /// When the log is to be emptied, because it may hold deleted or replaced ciphertext.
    purge_at: Option<Instant>,
    /// When a failed transaction was logged last, with its reason, and how many of that reason were not since.
    failure_told: Option<(Instant, String)>,
    failures_untold: u64,
    /// When the log is to be emptied at the latest, because there is something in it.
    fold_by: Option<Instant>,
    /// The same if nothing is changed until then.
    fold_at: Option<Instant>,
    /// Somebody was told that the log is long, or cannot be folded in.
    told_of_log: bool,
    locked: Arc<Locked>,
    files: Files,
    look_at: Instant,
    is_taken_away: bool,
}

/// What the writer shares with the rest of the store.
pub(super) struct Shared {
    pub(super) readers: Arc<Readers>,
    pub(super) memory: Arc<Memory>,
    pub(super) gauges: Arc<Gauges>,
    pub(super) committed: Arc<AtomicU64>,
    pub(super) announce: watch::Sender<ChangeCursor>,
    pub(super) numbers: Arc<Numbers>,
    pub(super) locked: Arc<Locked>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        jobs: mpsc::Receiver<Job>,
        serving: Serving,
        shared: Shared,
    ) -> std::io::Result<Self> {
        let Shared { readers, memory, gauges, committed, announce, numbers, locked } = shared;
        let newest_change = announce.borrow().number();
        let now = Instant::now();
        Ok(Self {
            connection,
            jobs,
            clock: tokio::runtime::Builder::new_current_thread().enable_time().build()?,
            batch_max: serving.batch_max.get(),
            readers,
            memory,
            committed,
            announce,
            numbers,
            newest_change,
            gauges,
            trim: Trim::new(serving.changes_for, newest_change, now),
            unpurged: false,
            purge_at: None,
            failure_told: None,
            failures_untold: 0,
            fold_by: None,
            fold_at: Some(now), // A crash may have left something in it.
            told_of_log: false,
            files: Files::of(&locked),
            locked,
            look_at: now + LOOK_EVERY,
            is_taken_away: false,
        })
    }

    /// Works until nothing more can be queued, then leaves the log empty.
    pub(super) fn run(mut self) {
        // Pages that changes touch at random: the indexes by id and name. 32 MiB, the writer's alone.
        if let Err(error) = self.connection.pragma_update(None, "cache_size", -32_768) {
            tracing::warn!(%error, "the writer's cache keeps its size");
        }
        // Whoever keeps the log from being emptied is of this process: it is tried again, and no read stands still meanwhile.
        if let Err(error) = self.connection.busy_timeout(Duration::ZERO) {
            tracing::warn!(%error, "the writer may wait for a long read");
        }
        let mut batch = Vec::with_capacity(self.batch_max);
        let mut held = None;
        while let Some(first) = held.take().or_else(|| self.next_job()) {
            if let Err(gone) = self.look() {
                let _ = first.done.send(Err(gone));
            } else if self.concerns_memory(&first.change) {
                self.commit_in_memory(first);
            } else {
                batch.push(first);
                held = self.gather(&mut batch);
                self.commit(&mut batch);
            }
            self.upkeep();
        }
        let _ = self.purge(PURGE_WAIT_MAX);
        self.readers.let_scan();
    }

    /// Takes what waits, up to a batch. One that cannot be in it is given back, to be the next.
    fn gather(&mut self, batch: &mut Vec<Job>) -> Option<Job> {
        while batch.len() < self.batch_max
            && let Ok(next) = self.jobs.try_recv()
        {
            if self.concerns_memory(&next.change) {
                return Some(next);
            }
            batch.push(next);
        }
        None
    }

    /// Whether a change is of a secret that is in memory, or is to be. It goes alone. Only this thread changes what is in
    /// memory, so what is true now is true when the change is done.
    fn concerns_memory(&self, change: &Change) -> bool {
        // A database in memory that cannot be read will say so again when the change is done.
        ephemeral::concerns_memory(change, |id| self.memory.holds(id).unwrap_or(true))
    }

    /// Waits for the next change, and does meanwhile what it is time for.
    fn next_job(&mut self) -> Option<Job> {
        loop {
            if let Ok(job) = self.jobs.try_recv() {
                return Some(job);
            }
            let times = [self.purge_at, self.fold_at, Some(self.look_at), Some(self.trim.due())];
            let next = times.into_iter().flatten().min().unwrap_or(self.look_at);
            let until = tokio::time::Instant::from_std(next);
            if let Ok(job) =
                self.clock.block_on(async { tokio::time::timeout_at(until, self.jobs.recv()).await })
            {
                return job;
            }
            self.chores();
        }
    }

    /// Does what it is time for.
    fn chores(&mut self) {
        let now = Instant::now();
        if self.look_at <= now {
            let _ = self.look(); // It has told the log.
        }
        if self.trim.due() <= now {
            self.trim(now);
        }
        if self.purge_at.is_some_and(|at| at <= now) {
            self.purge_now();
        }
        if self.fold_at.is_some_and(|at| at <= now) {
            self.fold_now();
        }
    }

    /// Makes sure that what is written will be found again.
    fn look(&mut self) -> Result<(), Error> {
        self.look_at = Instant::now() + LOOK_EVERY;
        let looked = self.files.require_in_place();
        match (&looked, std::mem::replace(&mut self.is_taken_away, looked.is_err())) {
            (Err(error), false) => tracing::error!(
                "{error}: changes are refused; reads and copies (donjond backup) go on and give what is being served. \
                 Put the file back, or start donjond anew on what is to be served."
            ),
            (Ok(()), true) => tracing::info!("the files of the database are in their places again"),
            _ => {}
        }
        looked
    }

    /// Empties the log, or plans to try again.
    fn purge_now(&mut self) {
        if !matches!(self.purge(Duration::ZERO), Ok(Purge::Done)) {
            self.purge_at = Some(Instant::now() + PURGE_RETRY);
        } else if std::mem::replace(&mut self.unpurged, false) {
            tracing::info!("the write-ahead log is empty: what was deleted is in no file any more");
        }
    }

    /// Folds the log in and empties it if nobody has to wait for that, or plans to try again.
    ///
    /// It is emptied, and not only folded in: after a crash SQLite reads all of the log that is whole, and where it is
    /// damaged in the middle, the older pages before that place would hide newer ones in the database.
    fn fold_now(&mut self) {
        match self.fold_if_idle() {
            Ok(true) => {
                (self.fold_at, self.fold_by, self.purge_at) = (None, None, None);
                self.gauges.log_bytes.store(0, Ordering::Relaxed);
                if std::mem::take(&mut self.told_of_log) {
                    tracing::info!("the write-ahead log is folded into the database again");
                }
                if std::mem::replace(&mut self.unpurged, false) {
                    tracing::info!("the write-ahead log is empty: what was deleted is in no file any more");
                }
            }
            Ok(false) => self.fold_at = Some(Instant::now() + FOLD_IDLE),
            Err(error) => {
                self.fold_at = Some(Instant::now() + FOLD_AT_LEAST);
                let error = unusable(self.locked.path(), &error);
                if !std::mem::replace(&mut self.told_of_log, true) {
                    tracing::error!(%error, "the log was not folded into the database; it is tried again");
                }
            }
        }
    }

    fn fold_if_idle(&self) -> rusqlite::Result<bool> {
        fold(&self.connection, "PASSIVE")?;
        if self.readers.is_read_whole() {
            return Ok(false);
        }
        let Some(_held) = self.readers.hold_if_idle() else { return Ok(false) };
        fold(&self.connection, "TRUNCATE")
    }

    /// Notes that there is something in the log.
    fn fold_later(&mut self) {
        let now = Instant::now();
        let by = *self.fold_by.get_or_insert(now + FOLD_AT_LEAST);
        self.fold_at = Some((now + FOLD_IDLE).min(by));
    }

    /// Does all that is in the batch, empties it, and answers.
    fn commit(&mut self, batch: &mut Vec<Job>) {
        let mut answers = Vec::with_capacity(batch.len());
        let mut effects = Effects::after(self.newest_change);
        let here = Here { file: &self.connection, numbers: &self.numbers };
        let outcome = transaction(here, &self.memory, batch, &mut effects, &mut answers);
        match outcome {
            Ok(number) => {
                self.numbers.commit(number);
                self.committed.fetch_add(1, Ordering::Release);
                let purged = self.settle(&effects);
                self.announce(&effects); // So that whoever is answered finds its change announced.
                for (job, answer) in batch.drain(..).zip(answers) {
                    job.answer(answer, &purged);
                }
            }
            Err(error) => {
                let why = unusable(self.locked.path(), &error);
                self.tell_failure(&why, batch.len());
                self.roll_back();
                for job in batch.drain(..) {
                    let _ = job.done.send(Err(unusable(self.locked.path(), &error).into()));
                }
            }
        }
    }

    /// Does one change that concerns memory, and answers. Nobody reads there meanwhile.
    fn commit_in_memory(&mut self, mut job: Job) {
        let shared = Arc::clone(&self.memory);
        let moves = ephemeral::moves(&job.change, |id| self.memory.holds(id).unwrap_or(false));
        let memory = shared.lock_to_write(moves);
        let mut effects = Effects::after(self.newest_change);
        let here = Here { file: &self.connection, numbers: &self.numbers };
        let done = both(here, memory.connection(), &mut job, &mut effects);
        if done.is_ok() {
            self.committed.fetch_add(1, Ordering::Release); // Before anybody can miss it here and look there.
        }
        let told = shared.written(&memory, moves, effects.newest_change);
        drop(memory);
        if let Err(error) = told {
            tracing::error!(%error, "what is in memory was not counted");
        }
        let answer = match done {
            Ok(()) => Ok(()),
            Err(NotDone::Refused(error)) => Err(error),
            // What goes to the file is the file's to refuse.
            Err(NotDone::Keeper(error)) if is_full(&error) && !effects.departed => {
                Err(Failure::MemoryFull.into())
            }
            Err(NotDone::Keeper(error)) => {
                let error = unusable(self.locked.path(), &error);
                self.tell_failure(&error, 1);
                Err(error.into())
            }
        };
        if answer.is_err() {
            let _ = job.done.send(answer);
            return;
        }
        let purged = self.settle(&effects);
        self.announce(&effects);
        job.answer(Ok(Done { deleted: effects.deleted }), &purged);
    }

    /// What follows a commit before anybody is answered.
    fn settle(&mut self, effects: &Effects) -> rusqlite::Result<()> {
        self.newest_change = effects.newest_change;
        self.fold_later();
        if effects.deleted {
            return self.purge_or_wait();
        }
        if effects.replaced {
            let soon = Instant::now() + REPLACED_FOR;
            self.purge_at.get_or_insert(soon);
        }
        // Under a steady load nobody waits for the next change, so the time may come here.
        if self.purge_at.is_some_and(|at| at <= Instant::now()) {
            self.purge_now();
        }
        Ok(())
    }

    /// Logs a failed transaction: those of one reason once in [`FAILURE_LOG_EVERY`], with the number of those before it that
    /// were not logged.
    fn tell_failure(&mut self, error: &Failure, changes: usize) {
        let why = error.to_string();
        if self
            .failure_told
            .as_ref()
            .is_some_and(|(at, told)| *told == why && at.elapsed() < FAILURE_LOG_EVERY)
        {
            self.failures_untold += 1;
            return;
        }
        self.failure_told = Some((Instant::now(), why));
        let before = std::mem::take(&mut self.failures_untold);
        tracing::error!(%error, changes, left_out = before, "a transaction failed; nothing of it was done");
    }

    fn announce(&self, effects: &Effects) {
        let end = ChangeCursor::from_number(effects.newest_change);
        self.announce.send_if_modified(|newest| std::mem::replace(newest, end) != end);
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Makes sure that what was deleted is in no file. A long read, or another program that reads the database, can keep
    /// it from that: it is waited for, but not for long and not every time. An error of the database is one of the
    /// deletion.
    fn purge_or_wait(&mut self) -> rusqlite::Result<()> {
        let begin = Instant::now();
        loop {
            match self.purge(PURGE_RETRY) {
                Ok(Purge::Done) => {
                    self.unpurged = false;
                    return Ok(());
                }
                Ok(_) if !self.unpurged && begin.elapsed() < PURGE_WAIT_MAX => {}
                Ok(kept) => {
                    self.purge_at = Some(Instant::now() + PURGE_RETRY);
                    if !std::mem::replace(&mut self.unpurged, true) {
                        tracing::warn!(
                            "{} the database, so deleted ciphertext stays in the write-ahead log until it has ended",
                            kept.keeper()
                        );
                    }
                    return Ok(());
                }
                Err(error) => {
                    self.unpurged = true;
                    self.purge_at = Some(Instant::now() + PURGE_RETRY);
                    tracing::error!(%error, "deleted ciphertext is still in the write-ahead log");
                    return Err(error);
                }
            }
        }
    }

    /// Folds the log into the database and empties it, unless somebody keeps it for longer than `patience`. Reads
    /// wait only for the last step, which has nothing left to fold and waits for nobody.
    fn purge(&mut self, patience: Duration) -> rusqlite::Result<Purge> {
        self.purge_at = None;
        fold(&self.connection, "PASSIVE")?;
        if self.readers.is_read_whole() {
            std::thread::sleep(patience); // Quick reads go on, and so do lists.
            return Ok(Purge::KeptByWhole);
        }
        let Some(held) = self.readers.hold(patience) else { return Ok(Purge::KeptByScan) };
        let emptied = fold(&self.connection, "TRUNCATE");
        drop(held);
        if emptied? {
            (self.fold_at, self.fold_by) = (None, None);
            self.gauges.log_bytes.store(0, Ordering::Relaxed);
            return Ok(Purge::Done);
        }
        std::thread::sleep(patience);
        Ok(Purge::KeptByOther)
    }

    /// Keeps the log and the change log from growing without bound. Runs after the answers are sent.
    fn upkeep(&mut self) {
        self.trim.note(self.newest_change, Instant::now());
        self.chores();
        let pages: u64 =
            match self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1)) {
                Ok(pages) => u64::try_from(pages).unwrap_or(0),
                Err(error) => return tracing::warn!(%error, "the log's length is unknown"),
            };
        self.gauges.log_bytes.store(pages * LOG_PAGE_BYTES, Ordering::Relaxed);
        if pages > LOG_PAGES_MAX {
            self.readers.release();
            if let Err(error) = fold(&self.connection, "PASSIVE") {
                let error = unusable(self.locked.path(), &error);
                tracing::error!(%error, "the log was not folded into the database");
            }
            // Snapshots taken from now on need nothing of the log, so the next commit begins it anew.
            self.readers.release();
        }
        if pages > LOG_PAGES_WARN && !std::mem::replace(&mut self.told_of_log, true) {
            let keeper = if self.readers.is_read_whole() { Purge::KeptByWhole } else { Purge::KeptByScan };
            tracing::warn!(
                mebibytes = pages * LOG_PAGE_BYTES / (1024 * 1024),
                "{} the database for long, so the write-ahead log grows; it is cut when that has ended",
                keeper.keeper()
            );
        }
    }

    /// Takes rows out of the change log that have been there for long enough, some at a time.
    fn trim(&mut self, now: Instant) {
        match self.trim_some(now) {
            Ok(false) => {}
            Ok(true) => {
                self.committed.fetch_add(1, Ordering::Release);
                self.fold_later();
                self.purge_at.get_or_insert(Instant::now() + REPLACED_FOR);
            }
            Err(error) => {
                self.roll_back();
                let error = unusable(self.locked.path(), &error);
                tracing::warn!(%error, "the change log was not trimmed; it is tried again");
            }
        }
    }

    fn trim_some(&mut self, now: Instant) -> rusqlite::Result<bool> {
        let up_to = self.trim.begin(&self.connection, self.newest_change, now)?;
        if up_to == 0 || self.is_taken_away {
            return Ok(false);
        }
        // Said before it is so: a follower that finds rows missing has to know.
        self.gauges.cut.fetch_max(up_to, Ordering::AcqRel);
        self.trim.cut(&self.connection, self.memory.lock().connection(), up_to, now)
    }
}

/// Folds the log into the database. Whether nothing stood in the way; to a passive fold nothing does.
fn fold(connection: &Connection, how: &str) -> rusqlite::Result<bool> {
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0)
}

/// The file, and the numbers of changes that are written there.
#[derive(Clone, Copy)]
struct Here<'a> {
    file: &'a Connection,
    numbers: &'a Numbers,
}

impl Here<'_> {
    /// Writes down, as part of the transaction, the newest number given in it.
    fn keep(self, number: u64) -> rusqlite::Result<()> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.file.prepare_cached("UPDATE store SET witnessed = ?1")?.execute([number]).map(drop)
    }
}

/// Runs the batch. The newest number of its changes; an error means that nothing of it was done.
fn transaction(
    here: Here<'_>,
    memory: &Memory,
    batch: &mut [Job],
    effects: &mut Effects,
    answers: &mut Vec<Result<Done, Error>>,
) -> rusqlite::Result<u64> {
    run(here.file, "BEGIN IMMEDIATE")?;
    let mut newest = 0;
    for Job { change, witness, .. } in batch {
        let numbered = is_numbered(change);
        let mut witness = || {
            let number = numbered.then(|| here.numbers.next());
            witness(number).map_err(|Unwitnessed| Failure::Unwitnessed)?;
            newest = number.unwrap_or(newest);
            Ok(())
        };
        let deleted_before = std::mem::take(&mut effects.deleted);
        let mut tables = SqlTables(here.file);
        let mut transaction =
            Transaction { here: &mut tables, beside: memory, witness: &mut witness, effects: &mut *effects };
        answers.push(match transaction.apply(change) {
            Ok(()) => Ok(Done { deleted: effects.deleted }),
            Err(NotDone::Refused(error)) => Err(error),
            Err(NotDone::Keeper(error)) => return Err(error),
        });
        effects.deleted |= deleted_before;
    }
    if newest > 0 {
        here.keep(newest)?;
    }
    run(here.file, "COMMIT")?;
    Ok(newest)
}

/// Runs one change in a transaction of the file and one of memory. The file's is committed first: of the two only it
/// can fail, and then nothing was done. What is written in memory alone has no number: it ends with the process, so nobody
/// can miss it, and the file need not be forced to disk for it.
fn both(
    here: Here<'_>,
    memory: &Connection,
    job: &mut Job,
    effects: &mut Effects,
) -> Result<(), NotDone<rusqlite::Error>> {
    let Job { change, witness, .. } = job;
    let (file, mut newest) = (here.file, None);
    let done = (|| {
        run(file, "BEGIN IMMEDIATE")?;
        run(memory, "BEGIN")?;
        let (mut durable, mut kept) = (SqlTables(file), SqlTables(memory));
        let numbered = ephemeral::is_durable(&durable, change)?;
        let mut witness = || {
            newest = numbered.then(|| here.numbers.next());
            witness(newest).map_err(|Unwitnessed| Failure::Unwitnessed.into())
        };
        ephemeral::apply(&mut durable, &mut kept, change, &mut witness, effects)?;
        if let Some(newest) = newest {
            here.keep(newest)?;
        }
        run(file, "COMMIT")?;
        Ok(run(memory, "COMMIT")?)
    })();
    if done.is_err() {
        for connection in [file, memory].into_iter().filter(|connection| !connection.is_autocommit()) {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    if let (Ok(()), Some(newest)) = (&done, newest) {
        here.numbers.commit(newest);
    }
    done
}

/// Whether a change of the file is one that the audit trail has: the store's own upkeep is not.
fn is_numbered(change: &Change) -> bool {
    !matches!(
        change,
        Change::SetKeyCheck(_)
            | Change::ReplaceKeyCheck { .. }
            | Change::PutGuards(_)
            | Change::AddProjectKey { .. }
            | Change::ReapOrders { .. }
            | Change::AnchorAudit { .. }
    )
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
