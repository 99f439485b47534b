//! The one writer: takes all that waits, does it in one transaction, and answers when that is on disk.
//!
//! An answer is sent only after COMMIT has returned, which with `synchronous=FULL` is after fsync; with many waiting they
//! share it. What was deleted is out of the write-ahead log before that, too.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::ChangeCursor;
use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::batch::{Done, Here, Job, commit_batch, commit_in_both};
use super::memory::Memory;
use super::opening::{Files, Locked, unusable};
use super::reader::Readers;
use super::trim::Trim;
use super::write_ahead_log::WriteAheadLog;
use crate::limits::CHANGES_KEPT_FOR;
use crate::rules::{Effects, NotDone};
use crate::{Change, Error, Failure, Numbers, ephemeral};

/// How often it is looked, where nothing changes, whether the files are still in their places.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Failed transactions are logged once in so long: on a full disk clients decide how many there are.
const FAILURE_LOG_EVERY: Duration = Duration::from_secs(10);

/// Changes that share one transaction, and one fsync, at the most. It bounds how long the first of them waits for the
/// last; 1 gives each change a transaction of its own.
pub const BATCH_DEFAULT: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// How a store is opened that is to serve.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// Changes that share one transaction at the most.
    pub batch_max: NonZeroUsize,
    /// How long a row of the change log is kept at the most.
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
    /// Waits for the next change, or for the time to empty the log.
    clock: Runtime,
    batch_max: usize,
    memory: Arc<Memory>,
    committed: Arc<AtomicU64>,
    announce: watch::Sender<ChangeCursor>,
    numbers: Arc<Numbers>,
    newest_change: u64,
    log: WriteAheadLog,
    trim: Trim,
    /// Rows of the change log up to this number are gone.
    cut: Arc<AtomicU64>,
    /// When a failed transaction was logged last, with its reason, and how many of that reason were not since.
    failure_told: Option<(Instant, String)>,
    failures_untold: u64,
    locked: Arc<Locked>,
    files: Files,
    look_at: Instant,
    is_taken_away: bool,
}

/// What the writer shares with the rest of the store.
pub(super) struct Shared {
    pub(super) readers: Arc<Readers>,
    pub(super) memory: Arc<Memory>,
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
        let Shared { readers, memory, cut, log_bytes, committed, announce, numbers, locked } = shared;
        let newest_change = announce.borrow().number();
        let now = Instant::now();
        Ok(Self {
            connection,
            jobs,
            clock: tokio::runtime::Builder::new_current_thread().enable_time().build()?,
            batch_max: serving.batch_max.get(),
            memory,
            committed,
            announce,
            numbers,
            newest_change,
            log: WriteAheadLog::new(readers, Arc::clone(&locked), log_bytes),
            cut,
            trim: Trim::new(serving.changes_for, newest_change, now),
            failure_told: None,
            failures_untold: 0,
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
            self.trim.note(self.newest_change, Instant::now());
            self.chores();
            self.log.bound(&self.connection);
        }
        self.log.end(&self.connection);
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
            let times = [self.log.due(), Some(self.trim.due())];
            let next = times.into_iter().flatten().fold(self.look_at, Instant::min);
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
        self.log.chores(&self.connection, now);
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

    /// Does all that is in the batch, empties it, and answers.
    fn commit(&mut self, batch: &mut Vec<Job>) {
        let mut answers = Vec::with_capacity(batch.len());
        let mut effects = Effects::after(self.newest_change);
        let here = Here { file: &self.connection, numbers: &self.numbers };
        let outcome = commit_batch(here, &self.memory, batch, &mut effects, &mut answers);
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
        let done = commit_in_both(here, memory.connection(), &mut job, &mut effects);
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

    /// What follows a commit before anybody is answered.
    fn settle(&mut self, effects: &Effects) -> rusqlite::Result<()> {
        self.newest_change = effects.newest_change;
        self.log.settle(&self.connection, effects)
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

    /// Takes rows out of the change log that have been there for long enough, some at a time.
    fn trim(&mut self, now: Instant) {
        match self.trim_some(now) {
            Ok(false) => {}
            Ok(true) => {
                self.committed.fetch_add(1, Ordering::Release);
                self.log.fold_later();
                self.log.purge_soon();
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
        self.cut.fetch_max(up_to, Ordering::AcqRel);
        self.trim.cut(&self.connection, self.memory.lock().connection(), up_to, now)
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}
