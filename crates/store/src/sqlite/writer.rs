//! The one writer: takes all changes that wait, does them in one transaction, and answers when that is on disk.
//!
//! An answer is sent after COMMIT has returned, which with `synchronous=FULL` is after fsync. Changes that wait share one
//! fsync. A deletion is answered after its ciphertext has left the write-ahead log, too.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::ChangeCursor;
use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::batch::{Done, Job, NumberedFile, commit_batch, commit_in_both};
use super::memory::Memory;
use super::opening::{Files, Locked, unusable};
use super::reader::Readers;
use super::trim::Trim;
use super::write_ahead_log::WriteAheadLog;
use crate::limits::CHANGES_KEPT_FOR;
use crate::rules::{Effects, NotDone};
use crate::{Change, Error, Failure, Numbers, ephemeral};

/// How often an idle writer checks that the files are still in their places.
const CHECK_FILES_EVERY: Duration = Duration::from_secs(5);
/// How often failed transactions of one reason are logged: on a full disk clients decide how many there are.
const FAILURE_LOG_EVERY: Duration = Duration::from_secs(10);

/// The most changes that share one transaction and one fsync. It bounds how long the first of them waits for the last.
/// With 1 each change has a transaction of its own.
pub const BATCH_DEFAULT: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// The bounds of a store that serves.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// The most changes that share one transaction.
    pub batch_max: NonZeroUsize,
    /// How long a row of the change log is kept.
    pub changes_for: Duration,
}

impl Default for Serving {
    fn default() -> Self {
        Self { batch_max: BATCH_DEFAULT, changes_for: CHANGES_KEPT_FOR }
    }
}

pub(super) struct Writer {
    connection: Connection,
    jobs: mpsc::Receiver<Job>,
    /// Waits for the next change, or for the time of a chore.
    clock: Runtime,
    batch_max: usize,
    shared: Shared,
    newest_change: u64,
    write_ahead_log: WriteAheadLog,
    trim: Trim,
    /// The failed transaction that was logged last: when, and its reason.
    logged_failure: Option<(Instant, String)>,
    /// How many failed for the same reason since then.
    unlogged_failures: u64,
    files: Files,
    check_files_at: Instant,
    is_taken_away: bool,
}

/// What the writer shares with the rest of the store.
pub(super) struct Shared {
    pub(super) readers: Arc<Readers>,
    pub(super) memory: Arc<Memory>,
    /// Rows of the change log up to this number are gone.
    pub(super) cut: Arc<AtomicU64>,
    pub(super) log_bytes: Arc<AtomicU64>,
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
        let newest_change = shared.announce.borrow().number();
        let now = Instant::now();
        Ok(Self {
            connection,
            jobs,
            clock: tokio::runtime::Builder::new_current_thread().enable_time().build()?,
            batch_max: serving.batch_max.get(),
            newest_change,
            write_ahead_log: WriteAheadLog::new(
                Arc::clone(&shared.readers),
                Arc::clone(&shared.locked),
                Arc::clone(&shared.log_bytes),
            ),
            trim: Trim::new(serving.changes_for, newest_change, now),
            logged_failure: None,
            unlogged_failures: 0,
            files: Files::of(&shared.locked),
            shared,
            check_files_at: now + CHECK_FILES_EVERY,
            is_taken_away: false,
        })
    }

    /// Works until nothing more can be queued, then leaves the log empty.
    pub(super) fn run(mut self) {
        // Changes touch pages of the indexes by id and name at random. 32 MiB of them, for the writer alone.
        if let Err(error) = self.connection.pragma_update(None, "cache_size", -32_768) {
            tracing::warn!(%error, "the writer's cache keeps its size");
        }
        // Only reads of this process keep the write-ahead log from being emptied. They go on, and the writer tries again.
        if let Err(error) = self.connection.busy_timeout(Duration::ZERO) {
            tracing::warn!(%error, "the writer may wait for a long read");
        }
        let mut batch = Vec::with_capacity(self.batch_max);
        let mut held = None;
        while let Some(first) = held.take().or_else(|| self.next_job()) {
            if let Err(gone) = self.check_files() {
                let _ = first.reply.send(Err(gone));
            } else if self.concerns_memory(&first.change) {
                self.commit_in_memory(first);
            } else {
                batch.push(first);
                held = self.gather(&mut batch);
                self.commit(&mut batch);
            }
            self.trim.note(self.newest_change, Instant::now());
            self.chores();
            self.write_ahead_log.keep_short(&self.connection);
        }
        self.write_ahead_log.end(&self.connection);
    }

    /// Takes the changes that wait, up to a batch. A change that cannot be in the batch is returned, to be the next.
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

    /// Whether a change is of a secret that is in memory, or is to be. Such a change is done alone. Only this thread changes
    /// memory, so the answer holds until the change is done.
    fn concerns_memory(&self, change: &Change) -> bool {
        // If memory cannot be read, the change fails with the same error.
        ephemeral::concerns_memory(change, |id| self.shared.memory.holds(id).unwrap_or(true))
    }

    /// Waits for the next change, and does the chores that are due meanwhile.
    fn next_job(&mut self) -> Option<Job> {
        loop {
            if let Ok(job) = self.jobs.try_recv() {
                return Some(job);
            }
            let times = [self.write_ahead_log.due(), Some(self.trim.due())];
            let next = times.into_iter().flatten().fold(self.check_files_at, Instant::min);
            let until = tokio::time::Instant::from_std(next);
            if let Ok(job) =
                self.clock.block_on(async { tokio::time::timeout_at(until, self.jobs.recv()).await })
            {
                return job;
            }
            self.chores();
        }
    }

    /// Does the chores that are due.
    fn chores(&mut self) {
        let now = Instant::now();
        if self.check_files_at <= now {
            let _ = self.check_files(); // It has logged the error.
        }
        if self.trim.due() <= now {
            self.trim(now);
        }
        self.write_ahead_log.chores(&self.connection, now);
    }

    /// Makes sure that changes go to files that will be found again.
    fn check_files(&mut self) -> Result<(), Error> {
        self.check_files_at = Instant::now() + CHECK_FILES_EVERY;
        let checked = self.files.require_in_place();
        match (&checked, std::mem::replace(&mut self.is_taken_away, checked.is_err())) {
            (Err(error), false) => tracing::error!(
                "{error}: changes are refused; reads and copies (donjond backup) go on with the data that is served. \
                 Put the file back, or start donjond again with the right file."
            ),
            (Ok(()), true) => tracing::info!("the files of the database are in their places again"),
            _ => {}
        }
        checked
    }

    /// Does all changes of the batch, empties it, and answers.
    fn commit(&mut self, batch: &mut Vec<Job>) {
        let mut answers = Vec::with_capacity(batch.len());
        let mut effects = Effects::after(self.newest_change);
        let numbered = NumberedFile { file: &self.connection, numbers: &self.shared.numbers };
        let outcome = commit_batch(numbered, &self.shared.memory, batch, &mut effects, &mut answers);
        match outcome {
            Ok(number) => {
                self.shared.numbers.commit(number);
                self.shared.committed.fetch_add(1, Ordering::Release);
                let purged = self.settle(&effects);
                self.announce(&effects); // Before the answers, so that a caller finds its change announced.
                for (job, answer) in batch.drain(..).zip(answers) {
                    job.answer(answer, &purged);
                }
            }
            Err(error) => {
                let why = unusable(self.shared.locked.path(), &error);
                self.log_failure(&why, batch.len());
                self.roll_back();
                for job in batch.drain(..) {
                    let _ = job.reply.send(Err(unusable(self.shared.locked.path(), &error).into()));
                }
            }
        }
    }

    /// Does one change that concerns memory, and answers. Nobody reads there meanwhile.
    fn commit_in_memory(&mut self, mut job: Job) {
        let shared = Arc::clone(&self.shared.memory);
        let moves = ephemeral::moves(&job.change, |id| self.shared.memory.holds(id).unwrap_or(false));
        let memory = shared.lock_to_write(moves);
        let mut effects = Effects::after(self.newest_change);
        let numbered = NumberedFile { file: &self.connection, numbers: &self.shared.numbers };
        let done = commit_in_both(numbered, memory.connection(), &mut job, &mut effects);
        if done.is_ok() {
            // Before memory is unlocked: a reader finds the secret there or here.
            self.shared.committed.fetch_add(1, Ordering::Release);
        }
        let told = shared.written(&memory, moves, effects.newest_change);
        drop(memory);
        if let Err(error) = told {
            tracing::error!(%error, "the secrets in memory were not counted");
        }
        let answer = match done {
            Ok(()) => Ok(()),
            Err(NotDone::Refused(error)) => Err(error),
            // A secret that goes to the file is refused by the file.
            Err(NotDone::Keeper(error)) if is_full(&error) && !effects.departed => {
                Err(Failure::MemoryFull.into())
            }
            Err(NotDone::Keeper(error)) => {
                let error = unusable(self.shared.locked.path(), &error);
                self.log_failure(&error, 1);
                Err(error.into())
            }
        };
        if answer.is_err() {
            let _ = job.reply.send(answer);
            return;
        }
        let purged = self.settle(&effects);
        self.announce(&effects);
        job.answer(Ok(Done { deleted: effects.deleted }), &purged);
    }

    /// Logs a failed transaction, one for each reason in [`FAILURE_LOG_EVERY`], with the number of those that were left out
    /// before it.
    fn log_failure(&mut self, error: &Failure, changes: usize) {
        let why = error.to_string();
        if self
            .logged_failure
            .as_ref()
            .is_some_and(|(at, logged)| *logged == why && at.elapsed() < FAILURE_LOG_EVERY)
        {
            self.unlogged_failures += 1;
            return;
        }
        self.logged_failure = Some((Instant::now(), why));
        let before = std::mem::take(&mut self.unlogged_failures);
        tracing::error!(%error, changes, left_out = before, "a transaction failed; nothing of it was done");
    }

    /// Does what has to be done between the commit and the answers.
    fn settle(&mut self, effects: &Effects) -> rusqlite::Result<()> {
        self.newest_change = effects.newest_change;
        self.write_ahead_log.settle(&self.connection, effects)
    }

    fn announce(&self, effects: &Effects) {
        let end = ChangeCursor::from_number(effects.newest_change);
        self.shared.announce.send_if_modified(|newest| std::mem::replace(newest, end) != end);
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Drops old rows of the change log, some at a time.
    fn trim(&mut self, now: Instant) {
        match self.trim_some(now) {
            Ok(false) => {}
            Ok(true) => {
                self.shared.committed.fetch_add(1, Ordering::Release);
                self.write_ahead_log.fold_later();
                self.write_ahead_log.purge_soon();
            }
            Err(error) => {
                self.roll_back();
                let error = unusable(self.shared.locked.path(), &error);
                tracing::warn!(%error, "the change log was not trimmed; the next attempt follows");
            }
        }
    }

    fn trim_some(&mut self, now: Instant) -> rusqlite::Result<bool> {
        let up_to = self.trim.begin(&self.connection, self.newest_change, now)?;
        if up_to == 0 || self.is_taken_away {
            return Ok(false);
        }
        // Before the rows go, so that a follower who misses them knows why.
        self.shared.cut.fetch_max(up_to, Ordering::AcqRel);
        self.trim.cut(&self.connection, self.shared.memory.lock().connection(), up_to, now)
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}
