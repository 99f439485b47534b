//! When rows of the change log are dropped. They must not stay: a row names a secret that may be deleted, and its usage.
//!
//! Followers of the log are moments behind, so an hour of it is plenty. Time is measured by the process's own clock, which
//! no operator sets: now and then the newest number is marked, and rows below a mark that is old enough go. Rows from before
//! the start go by their own time, or by the first mark if a clock was wrong.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use model::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use crate::limits::CHANGES_KEPT;

/// Marks in the time that rows are kept. A row may be one step older than the mark above it, and marks are looked at up to one
/// step late, so rows go two steps before their time.
const MARKS: u32 = 60;
/// The most rows that are dropped in one transaction, so that no change waits long. A log that is longer than allowed by so
/// many rows is cut at once.
const PIECE: u64 = 4096;

/// Which rows to drop, and when.
#[derive(Debug)]
pub(super) struct Trim {
    kept_for: Duration,
    /// The newest number at some moments, oldest first.
    marks: VecDeque<(Instant, u64)>,
    /// Rows up to this number may go.
    up_to: u64,
    due: Instant,
    /// The newest number at the start, until the rows from before it have been dated.
    before: Option<u64>,
}

impl Trim {
    pub(super) fn new(kept_for: Duration, newest: u64, now: Instant) -> Self {
        Self { kept_for, marks: VecDeque::from([(now, newest)]), up_to: 0, due: now, before: Some(newest) }
    }

    /// When to drop the next rows.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    fn step(&self) -> Duration {
        self.kept_for / MARKS
    }

    /// Notes how long the log is: a log that is too long is cut at once.
    pub(super) fn note(&mut self, newest: u64, now: Instant) {
        if newest >= self.up_to.saturating_add(CHANGES_KEPT + PIECE) {
            self.due = now;
        }
    }

    /// Marks the newest row, and gives the number up to which rows may be dropped now.
    pub(super) fn begin(&mut self, file: &Connection, newest: u64, now: Instant) -> rusqlite::Result<u64> {
        self.due = now + self.step();
        if let Some(before) = self.before {
            self.up_to = old_rows(file, before, self.kept_for)?;
            self.before = None;
        }
        if self.marks.back().is_none_or(|(_, marked)| *marked < newest) {
            self.marks.push_back((now, newest));
        }
        let old = self.kept_for - 2 * self.step();
        while let Some((_, number)) = self.marks.pop_front_if(|(at, _)| now >= *at + old) {
            self.up_to = self.up_to.max(number);
        }
        self.up_to = self.up_to.max(newest.saturating_sub(CHANGES_KEPT));
        Ok(self.up_to)
    }

    /// Drops rows up to a number, or some of them if they are many. Gives whether there were any in the file.
    pub(super) fn cut(
        &mut self,
        file: &Connection,
        memory: &Connection,
        up_to: u64,
        now: Instant,
    ) -> rusqlite::Result<bool> {
        drop_rows(memory, up_to)?;
        let first = "SELECT number FROM changes WHERE number <= ?1 ORDER BY number LIMIT 1";
        let first: Option<u64> =
            file.prepare_cached(first)?.query_row([up_to], |row| row.get(0)).optional()?;
        let Some(first) = first else { return Ok(false) };
        let end = up_to.min(first + PIECE);
        if end < up_to {
            self.due = now; // The rest follows, after the changes that wait.
        }
        file.execute_batch("BEGIN IMMEDIATE")?;
        drop_rows(file, end)?;
        // The newest number is kept: it goes with the rows if they were the last.
        file.prepare_cached("UPDATE changes_cut SET number = ?1")?.execute([end])?;
        file.execute_batch("COMMIT")?;
        Ok(true)
    }
}

fn drop_rows(connection: &Connection, up_to: u64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM changes WHERE number <= ?1")?.execute([up_to]).map(drop)
}

/// The newest row, up to a number, whose request is older than `kept_for`.
fn old_rows(file: &Connection, newest: u64, kept_for: Duration) -> rusqlite::Result<u64> {
    let before = SystemTime::now().checked_sub(kept_for).unwrap_or(SystemTime::UNIX_EPOCH);
    file.query_row(
        "SELECT coalesce(max(number), 0) FROM changes WHERE number <= ?1 AND time <= ?2",
        (newest, Timestamp::from(before).micros()),
        |row| row.get(0),
    )
}
