//! Ephemeral secrets: the same tables, in a database that is memory alone.
//!
//! It holds envelopes, as the file does, but has no file, no log and no temporary file. Its secrets end with the process.
//! One connection serves readers and the writer in turn. Most stores have no ephemeral secrets, and then no read waits for
//! that connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{ProjectId, ProjectQuotas, SecretId, Timestamp, Usage};
use rusqlite::Connection;

use super::opening::create_schema;
use super::reader::Reader;
use super::tables::SqlTables;
use crate::Error;
use crate::limits::EPHEMERAL_MIB_MAX;
use crate::rules::{Beside, NotDone, Tally};

/// SQLite's default, set so that a bound on pages is a bound on bytes.
const PAGE_BYTES: u64 = 4096;

/// The database of ephemeral secrets.
#[derive(Debug)]
pub(super) struct Memory {
    reader: Mutex<Reader>,
    /// The number of secrets, and at least one while the writer may be adding one.
    secrets: AtomicU64,
    /// Counts moves of secrets between the file and memory: one before a move, which makes the number odd, and one after. A
    /// reader that has looked at both and finds another number looks again.
    moves: AtomicU64,
    /// The number of the newest row of its change log.
    newest_change: AtomicU64,
}

impl Memory {
    pub(super) fn open() -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "max_page_count", EPHEMERAL_MIB_MAX * 1024 * 1024 / PAGE_BYTES)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "secure_delete", true)?;
        create_schema(&connection)?;
        Ok(Self {
            reader: Mutex::new(Reader::over(connection)),
            secrets: AtomicU64::new(0),
            moves: AtomicU64::new(0),
            newest_change: AtomicU64::new(0),
        })
    }

    /// Whether no secret is here, nor will be when the running change is done.
    pub(super) fn is_empty(&self) -> bool {
        self.secrets.load(Ordering::Acquire) == 0
    }

    /// The number of moves. Waits for a move that is under way.
    pub(super) fn moves(&self) -> u64 {
        loop {
            let moves = self.moves.load(Ordering::Acquire);
            if moves.is_multiple_of(2) {
                return moves;
            }
            drop(self.lock()); // The writer has the lock until the move is done.
        }
    }

    pub(super) fn newest_change(&self) -> u64 {
        self.newest_change.load(Ordering::Acquire)
    }

    /// The connection, for one reader or the writer. A thread that has a connection to the file must not wait for this one.
    pub(super) fn lock(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection for the writer, who is about to change something here. It says whether a secret may move.
    pub(super) fn lock_to_write(&self, moves: bool) -> MutexGuard<'_, Reader> {
        let reader = self.lock();
        self.secrets.fetch_max(1, Ordering::Release);
        self.moves.fetch_add(u64::from(moves), Ordering::Release);
        reader
    }

    /// Updates the counters after a change, while the writer still has the connection.
    pub(super) fn written(&self, reader: &Reader, moves: bool, newest_change: u64) -> rusqlite::Result<()> {
        self.moves.fetch_add(u64::from(moves), Ordering::Release);
        self.newest_change.store(newest_change, Ordering::Release);
        let secrets = reader
            .connection()
            .prepare_cached("SELECT coalesce(sum(secrets), 0) FROM totals")?
            .query_row([], |row| row.get(0))?;
        self.secrets.store(secrets, Ordering::Release);
        Ok(())
    }

    /// Whether a secret is here. For the writer, since only it changes that.
    pub(super) fn holds(&self, id: SecretId) -> Result<bool, Error> {
        if self.is_empty() {
            return Ok(false);
        }
        let reader = self.lock();
        let mut statement = reader.connection().prepare_cached("SELECT 1 FROM secrets WHERE id = ?1")?;
        Ok(statement.exists([id.as_bytes()])?)
    }

    /// Asks the tables, unless no secret is here.
    fn ask<V: Default>(&self, question: impl FnOnce(&SqlTables<'_>) -> Answer<V>) -> Answer<V> {
        if self.is_empty() {
            return Ok(V::default());
        }
        question(&SqlTables(self.lock().connection()))
    }
}

type Answer<V> = Result<V, NotDone<rusqlite::Error>>;

/// The secrets in memory, as far as changes of the file have to know them.
impl Beside<rusqlite::Error> for &Memory {
    fn quotas(&self, project: &ProjectId) -> Answer<Option<ProjectQuotas>> {
        self.ask(|tables| Beside::quotas(&tables, project))
    }
    fn tally(&self, project: &ProjectId, tally: Tally) -> Answer<u64> {
        self.ask(|tables| Beside::tally(&tables, project, tally))
    }
    fn holder(&self, project: &ProjectId, usage: &Usage) -> Answer<Option<SecretId>> {
        self.ask(|tables| Beside::holder(&tables, project, usage))
    }
    fn has_secret(&self, project: &ProjectId, id: SecretId, now: Timestamp) -> Answer<bool> {
        self.ask(|tables| Beside::has_secret(&tables, project, id, now))
    }
}
