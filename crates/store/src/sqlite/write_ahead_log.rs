//! The write-ahead log: folded into the database, so that it stays short, and emptied, so that deleted ciphertext is gone.
//!
//! A read keeps the log from being emptied until it has ended. The writer waits a little, or tries again later; reads go on
//! meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::opening::{Locked, unusable};
use super::reader::Readers;
use crate::rules::Effects;

/// A log of more pages is folded into the database: 32 MiB.
const LOG_PAGES_MAX: u64 = 8192;
/// A log of more pages is a warning to the operator, because it cannot be folded in: 256 MiB.
const LOG_PAGES_WARN: u64 = 8 * LOG_PAGES_MAX;
/// A page in the log: SQLite's header, and the page.
const LOG_PAGE_BYTES: u64 = 24 + 4096;
/// After so long without a change the log is folded in and emptied. If a disk loses a part of a log, the changes after that
/// part are lost, too.
const FOLD_IDLE: Duration = Duration::from_secs(1);
/// The same under steady changes.
const FOLD_AT_LEAST: Duration = Duration::from_secs(10);
/// How long a deletion waits for reads that use the log. Then it is answered all the same.
const PURGE_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often the writer tries again to empty the log.
const PURGE_RETRY: Duration = Duration::from_millis(20);
/// How long a replaced envelope may stay in the log. Emptying the log for each would cost as much as the change.
const REPLACED_FOR: Duration = Duration::from_secs(1);

/// Whether the log was emptied, and otherwise which read keeps it.
enum Purge {
    Done,
    /// A long list.
    KeptByScan,
    /// A copy or a check, which reads everything.
    KeptByWhole,
    /// A read that began this moment.
    KeptByOther,
}

impl Purge {
    /// The read that keeps it, for a line of the server's log.
    fn keeper(&self) -> &'static str {
        match self {
            Self::Done => "nobody reads",
            Self::KeptByScan => "a long list reads",
            Self::KeptByWhole => "a copy or a check reads",
            Self::KeptByOther => "somebody reads",
        }
    }
}

/// The write-ahead log of one file. Each method is given the writer's connection.
pub(super) struct WriteAheadLog {
    readers: Arc<Readers>,
    locked: Arc<Locked>,
    /// The length of the log, which other threads read.
    bytes: Arc<AtomicU64>,
    /// A read kept the log from being emptied, so it may hold deleted ciphertext.
    unpurged: bool,
    /// When to empty the log, which may hold deleted or replaced ciphertext.
    purge_at: Option<Instant>,
    /// The latest time to empty a log that holds anything.
    fold_by: Option<Instant>,
    /// The time to empty it if nothing is changed until then.
    fold_at: Option<Instant>,
    /// A warning was logged: the log is long, or cannot be folded in.
    warned: bool,
}

impl WriteAheadLog {
    pub(super) fn new(readers: Arc<Readers>, locked: Arc<Locked>, bytes: Arc<AtomicU64>) -> Self {
        let fold_at = Some(Instant::now()); // A crash may have left something in it.
        Self {
            readers,
            locked,
            bytes,
            unpurged: false,
            purge_at: None,
            fold_by: None,
            fold_at,
            warned: false,
        }
    }

    /// When the next chore is due.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.purge_at, self.fold_at].into_iter().flatten().min()
    }

    /// Does the chores that are due.
    pub(super) fn chores(&mut self, file: &Connection, now: Instant) {
        if self.purge_at.is_some_and(|at| at <= now) {
            self.purge_now(file);
        }
        if self.fold_at.is_some_and(|at| at <= now) {
            self.fold_now(file);
        }
    }

    /// Empties the log at the end, when no more changes come.
    pub(super) fn end(&mut self, file: &Connection) {
        let _ = self.purge(file, PURGE_WAIT_MAX);
        self.readers.let_scan();
    }

    /// Notes that the log holds ciphertext that has to go soon.
    pub(super) fn purge_soon(&mut self) {
        self.purge_at.get_or_insert(Instant::now() + REPLACED_FOR);
    }

    /// Purges, between a commit and its answers, if ciphertext was deleted. After an error it is not gone.
    pub(super) fn settle(&mut self, file: &Connection, effects: &Effects) -> rusqlite::Result<()> {
        self.fold_later();
        if effects.deleted {
            return self.purge_or_wait(file);
        }
        if effects.replaced {
            self.purge_soon();
        }
        // Under a steady load the writer never waits for a change, so a purge may be due here.
        if self.purge_at.is_some_and(|at| at <= Instant::now()) {
            self.purge_now(file);
        }
        Ok(())
    }

    /// Empties the log, or plans the next attempt.
    fn purge_now(&mut self, file: &Connection) {
        if !matches!(self.purge(file, Duration::ZERO), Ok(Purge::Done)) {
            self.purge_at = Some(Instant::now() + PURGE_RETRY);
        } else if std::mem::replace(&mut self.unpurged, false) {
            tracing::info!("the write-ahead log is empty: what was deleted is in no file any more");
        }
    }

    /// Folds the log in and empties it if no read has to wait for that, or plans the next attempt.
    ///
    /// Folding alone is not enough. After a crash SQLite reads the log up to the first damaged place, and older pages before
    /// that place would hide newer ones in the database.
    fn fold_now(&mut self, file: &Connection) {
        match self.fold_if_idle(file) {
            Ok(true) => {
                (self.fold_at, self.fold_by, self.purge_at) = (None, None, None);
                self.bytes.store(0, Ordering::Relaxed);
                if std::mem::take(&mut self.warned) {
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
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::error!(%error, "the write-ahead log was not folded into the database; the next attempt follows");
                }
            }
        }
    }

    fn fold_if_idle(&self, file: &Connection) -> rusqlite::Result<bool> {
        fold(file, "PASSIVE")?;
        if self.readers.is_read_whole() {
            return Ok(false);
        }
        let Some(_held) = self.readers.hold_if_idle() else { return Ok(false) };
        fold(file, "TRUNCATE")
    }

    /// Notes that the log holds something.
    pub(super) fn fold_later(&mut self) {
        let now = Instant::now();
        let by = *self.fold_by.get_or_insert(now + FOLD_AT_LEAST);
        self.fold_at = Some((now + FOLD_IDLE).min(by));
    }

    /// Makes sure that deleted ciphertext is in no file. A long read can prevent that: the writer waits for it, but not for
    /// long and not every time. If the database fails, so does the deletion.
    fn purge_or_wait(&mut self, file: &Connection) -> rusqlite::Result<()> {
        let begin = Instant::now();
        loop {
            match self.purge(file, PURGE_RETRY) {
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

    /// Folds the log into the database and empties it, unless a read keeps it for longer than `patience`. Other reads wait
    /// only for the last step, which is short.
    fn purge(&mut self, file: &Connection, patience: Duration) -> rusqlite::Result<Purge> {
        self.purge_at = None;
        fold(file, "PASSIVE")?;
        if self.readers.is_read_whole() {
            std::thread::sleep(patience); // Quick reads go on, and so do lists.
            return Ok(Purge::KeptByWhole);
        }
        let Some(held) = self.readers.hold(patience) else { return Ok(Purge::KeptByScan) };
        let emptied = fold(file, "TRUNCATE");
        drop(held);
        if emptied? {
            (self.fold_at, self.fold_by) = (None, None);
            self.bytes.store(0, Ordering::Relaxed);
            return Ok(Purge::Done);
        }
        std::thread::sleep(patience);
        Ok(Purge::KeptByOther)
    }

    /// Measures the log, and folds one that is too long. Runs after the answers.
    pub(super) fn keep_short(&mut self, file: &Connection) {
        let pages: u64 = match file.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1)) {
            Ok(pages) => u64::try_from(pages).unwrap_or(0),
            Err(error) => return tracing::warn!(%error, "the length of the write-ahead log is unknown"),
        };
        self.bytes.store(pages * LOG_PAGE_BYTES, Ordering::Relaxed);
        if pages > LOG_PAGES_MAX {
            self.readers.release();
            if let Err(error) = fold(file, "PASSIVE") {
                let error = unusable(self.locked.path(), &error);
                tracing::error!(%error, "the write-ahead log was not folded into the database");
            }
            // Later snapshots need nothing of the log, so the next commit starts it from the beginning.
            self.readers.release();
        }
        if pages > LOG_PAGES_WARN && !std::mem::replace(&mut self.warned, true) {
            let keeper = if self.readers.is_read_whole() { Purge::KeptByWhole } else { Purge::KeptByScan };
            tracing::warn!(
                mebibytes = pages * LOG_PAGE_BYTES / (1024 * 1024),
                "{} the database for long, so the write-ahead log grows; it is cut when that has ended",
                keeper.keeper()
            );
        }
    }
}

/// Folds the log into the database. Gives whether nothing prevented that; nothing prevents a passive fold.
fn fold(connection: &Connection, how: &str) -> rusqlite::Result<bool> {
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0)
}
