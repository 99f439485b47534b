//! The write-ahead log: folded into the database, so that it stays short, and emptied, so that deleted ciphertext is gone.
//!
//! Whoever reads keeps it from being emptied until the read has ended: it is waited for, or tried again, and no read
//! stands still meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::opening::{Locked, unusable};
use super::reader::Readers;
use crate::rules::Effects;

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
/// How long a deletion waits for who reads to let go of the log, before it is answered all the same.
const PURGE_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often emptying the log is tried again meanwhile, and afterwards.
const PURGE_RETRY: Duration = Duration::from_millis(20);
/// How long a replaced envelope may lie in the log: emptying it for each would cost as much as the change.
const REPLACED_FOR: Duration = Duration::from_secs(1);

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

/// The write-ahead log of the writer's connection, which every method is given.
pub(super) struct WriteAheadLog {
    readers: Arc<Readers>,
    locked: Arc<Locked>,
    /// How long the log is, for whoever asks.
    bytes: Arc<AtomicU64>,
    /// The log may hold deleted ciphertext: somebody who reads kept it from being emptied.
    unpurged: bool,
    /// When the log is to be emptied, because it may hold deleted or replaced ciphertext.
    purge_at: Option<Instant>,
    /// When the log is to be emptied at the latest, because there is something in it.
    fold_by: Option<Instant>,
    /// The same if nothing is changed until then.
    fold_at: Option<Instant>,
    /// Somebody was told that the log is long, or cannot be folded in.
    told: bool,
}

impl WriteAheadLog {
    pub(super) fn new(readers: Arc<Readers>, locked: Arc<Locked>, bytes: Arc<AtomicU64>) -> Self {
        let fold_at = Some(Instant::now()); // A crash may have left something in it.
        Self { readers, locked, bytes, unpurged: false, purge_at: None, fold_by: None, fold_at, told: false }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.purge_at, self.fold_at].into_iter().flatten().min()
    }

    /// Does what it is time for.
    pub(super) fn chores(&mut self, file: &Connection, now: Instant) {
        if self.purge_at.is_some_and(|at| at <= now) {
            self.purge_now(file);
        }
        if self.fold_at.is_some_and(|at| at <= now) {
            self.fold_now(file);
        }
    }

    /// Leaves the log empty, when nothing more is changed.
    pub(super) fn end(&mut self, file: &Connection) {
        let _ = self.purge(file, PURGE_WAIT_MAX);
        self.readers.let_scan();
    }

    /// Notes that the log holds something that is to be gone soon.
    pub(super) fn purge_soon(&mut self) {
        self.purge_at.get_or_insert(Instant::now() + REPLACED_FOR);
    }

    /// What follows a commit before anybody is answered. An error means that deleted ciphertext is not gone.
    pub(super) fn settle(&mut self, file: &Connection, effects: &Effects) -> rusqlite::Result<()> {
        self.fold_later();
        if effects.deleted {
            return self.purge_or_wait(file);
        }
        if effects.replaced {
            self.purge_soon();
        }
        // Under a steady load nobody waits for the next change, so the time may come here.
        if self.purge_at.is_some_and(|at| at <= Instant::now()) {
            self.purge_now(file);
        }
        Ok(())
    }

    /// Empties the log, or plans to try again.
    fn purge_now(&mut self, file: &Connection) {
        if !matches!(self.purge(file, Duration::ZERO), Ok(Purge::Done)) {
            self.purge_at = Some(Instant::now() + PURGE_RETRY);
        } else if std::mem::replace(&mut self.unpurged, false) {
            tracing::info!("the write-ahead log is empty: what was deleted is in no file any more");
        }
    }

    /// Folds the log in and empties it if nobody has to wait for that, or plans to try again.
    ///
    /// It is emptied, and not only folded in: after a crash SQLite reads all of the log that is whole, and where it is
    /// damaged in the middle, the older pages before that place would hide newer ones in the database.
    fn fold_now(&mut self, file: &Connection) {
        match self.fold_if_idle(file) {
            Ok(true) => {
                (self.fold_at, self.fold_by, self.purge_at) = (None, None, None);
                self.bytes.store(0, Ordering::Relaxed);
                if std::mem::take(&mut self.told) {
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
                if !std::mem::replace(&mut self.told, true) {
                    tracing::error!(%error, "the log was not folded into the database; it is tried again");
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

    /// Notes that there is something in the log.
    pub(super) fn fold_later(&mut self) {
        let now = Instant::now();
        let by = *self.fold_by.get_or_insert(now + FOLD_AT_LEAST);
        self.fold_at = Some((now + FOLD_IDLE).min(by));
    }

    /// Makes sure that what was deleted is in no file. A long read, or another program that reads the database, can keep
    /// it from that: it is waited for, but not for long and not every time. An error of the database is one of the
    /// deletion.
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

    /// Folds the log into the database and empties it, unless somebody keeps it for longer than `patience`. Reads
    /// wait only for the last step, which has nothing left to fold and waits for nobody.
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

    /// Keeps the log from growing without bound. Runs after the answers are sent.
    pub(super) fn bound(&mut self, file: &Connection) {
        let pages: u64 = match file.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1)) {
            Ok(pages) => u64::try_from(pages).unwrap_or(0),
            Err(error) => return tracing::warn!(%error, "the log's length is unknown"),
        };
        self.bytes.store(pages * LOG_PAGE_BYTES, Ordering::Relaxed);
        if pages > LOG_PAGES_MAX {
            self.readers.release();
            if let Err(error) = fold(file, "PASSIVE") {
                let error = unusable(self.locked.path(), &error);
                tracing::error!(%error, "the log was not folded into the database");
            }
            // Snapshots taken from now on need nothing of the log, so the next commit begins it anew.
            self.readers.release();
        }
        if pages > LOG_PAGES_WARN && !std::mem::replace(&mut self.told, true) {
            let keeper = if self.readers.is_read_whole() { Purge::KeptByWhole } else { Purge::KeptByScan };
            tracing::warn!(
                mebibytes = pages * LOG_PAGE_BYTES / (1024 * 1024),
                "{} the database for long, so the write-ahead log grows; it is cut when that has ended",
                keeper.keeper()
            );
        }
    }
}

/// Folds the log into the database. Whether nothing stood in the way; to a passive fold nothing does.
fn fold(connection: &Connection, how: &str) -> rusqlite::Result<bool> {
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0)
}
