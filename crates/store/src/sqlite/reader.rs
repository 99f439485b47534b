//! Connections to read on: one for each thread that serves requests, a few for what takes long.
//!
//! A connection keeps its snapshot open from one read to the next, which halves the cost of a point read, and takes
//! a new one only when something was committed since. A snapshot nobody uses would keep the log from being emptied,
//! so the writer can reach in and end them all ([`Readers::release`]).

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::ProjectId;
use rusqlite::{Connection, ErrorCode, ffi};

use super::gate::{Closed, Gate};
use super::opening::{Locked, Purpose, connect};
use crate::limits::SCAN_TIME_MAX;
use crate::{Error, Failure};

/// How many of SQLite's instructions pass between two looks at the clock: those of some ten rows, of which each may take
/// long to compare.
const CLOCK_EACH: i32 = 100;
/// Connections for reads that may take long; one more such read waits for its turn.
const SCANNERS: usize = 2;
/// Names of projects a connection remembers; one more and it begins anew.
const PROJECTS_KEPT: usize = 1024;

/// All connections to read on.
#[derive(Debug)]
pub(super) struct Readers {
    /// A thread has one of these for good; threads share only if there are more than expected.
    quick: Vec<Mutex<Reader>>,
    scanners: Vec<Mutex<Reader>>,
    next_scanner: AtomicUsize,
    /// Every scan is inside.
    scanning: Gate,
    /// For reads of everything, one after the other. Opened with the others: a name may lead to another file later.
    whole: Mutex<Reader>,
    /// Reads of everything that run. They last too long to be waited for.
    reading_whole: AtomicUsize,
    /// Counts commits. A snapshot older than this is not looked at.
    committed: Arc<AtomicU64>,
    /// Dropped last.
    _locked: Arc<Locked>,
}

/// One connection and its snapshot.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    /// What `committed` was when the snapshot was taken; none is open at 0.
    snapshot: u64,
    projects: HashMap<i64, ProjectId>,
}

static THREADS: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static THREAD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
}

impl Readers {
    pub(super) fn open(
        path: &Path,
        purpose: Purpose,
        committed: Arc<AtomicU64>,
        locked: Arc<Locked>,
    ) -> rusqlite::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let open =
            |count| (0..count).map(|_| Reader::open(path, purpose).map(Mutex::new)).collect::<Result<_, _>>();
        Ok(Self {
            quick: open(threads + 1)?, // The runtime's workers, and the thread that starts and ends them.
            scanners: open(SCANNERS)?,
            next_scanner: AtomicUsize::new(0),
            scanning: Gate::default(),
            whole: Mutex::new(Reader::open(path, purpose)?),
            reading_whole: AtomicUsize::new(0),
            committed,
            _locked: locked,
        })
    }

    /// Reads on this thread's connection.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Reader) -> Result<T, Error>) -> Result<T, Error> {
        let thread = THREAD.get();
        self.read_on(&self.quick, thread, read)
    }

    /// Reads what may take long, on a connection that no quick read waits for. [`Failure::TookTooLong`] after
    /// [`SCAN_TIME_MAX`].
    pub(super) fn scan<T>(&self, read: impl FnOnce(&mut Reader) -> Result<T, Error>) -> Result<T, Error> {
        self.scan_whole(|reader| {
            let end = Instant::now() + SCAN_TIME_MAX;
            reader.connection.progress_handler(CLOCK_EACH, Some(move || Instant::now() > end))?;
            let result = read(reader);
            reader.connection.progress_handler(CLOCK_EACH, None::<fn() -> bool>)?;
            result
        })
    }

    /// The same without an end, for who has asked for everything and waits for it.
    pub(super) fn scan_whole<T>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _inside = self.scanning.enter();
        let turn = self.next_scanner.fetch_add(1, Ordering::Relaxed);
        let result = self.read_on(&self.scanners, turn, read);
        if let Some(scanner) = self.scanners.get(turn % SCANNERS) {
            lock(scanner).release();
        }
        result
    }

    fn read_on<T>(
        &self,
        readers: &[Mutex<Reader>],
        number: usize,
        read: impl FnOnce(&mut Reader) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let reader = readers.get(number % readers.len()).ok_or(Failure::Corrupt("no connection"))?;
        let mut reader = lock(reader);
        reader.renew(self.committed.load(Ordering::Acquire))?;
        let result = read(&mut reader);
        if matches!(result, Err(Error::Failed(Failure::Unavailable(_) | Failure::Unreadable))) {
            reader.release(); // Whatever was wrong, the next read begins afresh.
        }
        result
    }

    /// Ends every snapshot, one connection after the other.
    pub(super) fn release(&self) {
        self.quick.iter().for_each(|reader| lock(reader).release());
    }

    /// Ends every snapshot and keeps new ones from beginning while the result lives. Scans that run are waited for
    /// before any quick read has to wait. None if they take longer than `patience`; no others begin until this is called
    /// again, or [`Self::let_scan`].
    pub(super) fn hold(&self, patience: Duration) -> Option<Held<'_>> {
        let scans = self.scanning.close(patience)?;
        Some(self.hold_quick(scans))
    }

    fn hold_quick<'a>(&'a self, scans: Closed<'a>) -> Held<'a> {
        let mut quick: Vec<_> = self.quick.iter().map(lock).collect();
        quick.iter_mut().for_each(|reader| reader.release());
        Held { _quick: quick, _scans: scans }
    }

    /// The same, if no scan runs; none if one does, and more may begin.
    pub(super) fn hold_if_idle(&self) -> Option<Held<'_>> {
        let scans = self.scanning.close_if_empty()?;
        Some(self.hold_quick(scans))
    }

    /// Reads everything, in one snapshot that nobody ends. The next such read waits.
    pub(super) fn read_whole<T>(&self, read: impl FnOnce(&mut Reader) -> T) -> T {
        let mut reader = lock(&self.whole);
        let _inside = Whole::enter(&self.reading_whole);
        let result = read(&mut reader);
        reader.release();
        result
    }

    /// Whether everything is being read.
    pub(super) fn is_read_whole(&self) -> bool {
        self.reading_whole.load(Ordering::Acquire) > 0
    }

    /// Lets scans begin again.
    pub(super) fn let_scan(&self) {
        self.scanning.open();
    }
}

/// While this lives everything is being read.
struct Whole<'a>(&'a AtomicUsize);

impl<'a> Whole<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// While this lives nobody reads.
pub(super) struct Held<'a> {
    _quick: Vec<MutexGuard<'a, Reader>>,
    _scans: Closed<'a>,
}

impl Reader {
    pub(super) fn open(path: &Path, purpose: Purpose) -> rusqlite::Result<Self> {
        connect(path, purpose).map(Self::over)
    }

    /// A reader on a connection of any database that has our schema.
    pub(super) fn over(connection: Connection) -> Self {
        Self { connection, snapshot: 0, projects: HashMap::new() }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Makes sure that the snapshot is no older than `committed`.
    pub(super) fn renew(&mut self, committed: u64) -> Result<(), Error> {
        if self.snapshot != committed {
            self.release();
            self.connection.prepare_cached("BEGIN")?.execute([])?;
            self.snapshot = committed;
        }
        Ok(())
    }

    fn release(&mut self) {
        if self.snapshot != 0 {
            self.snapshot = 0;
            if let Err(error) = self.connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([])) {
                tracing::debug!(%error, "a snapshot had ended by itself");
            }
        }
    }

    /// The name of a project, remembered.
    pub(super) fn project(&mut self, number: i64) -> Result<ProjectId, Error> {
        if let Some(known) = self.projects.get(&number) {
            return Ok(known.clone());
        }
        let name: String = self
            .connection
            .prepare_cached("SELECT name FROM projects WHERE id = ?1")?
            .query_row([number], |row| row.get(0))?;
        let name = ProjectId::try_from(name.as_str()).map_err(|_| Failure::Corrupt("projects.name"))?;
        if self.projects.len() >= PROJECTS_KEPT {
            self.projects.clear();
        }
        self.projects.insert(number, name.clone());
        Ok(name)
    }
}

fn lock(reader: &Mutex<Reader>) -> MutexGuard<'_, Reader> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What SQLite says of a page that the disk does not give.
const UNREAD: [i32; 3] = [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS];

impl Failure {
    /// What an error of SQLite's means.
    pub(super) fn of_sqlite(error: &rusqlite::Error) -> Self {
        let extended_code = error.sqlite_error().map_or(0, |error| error.extended_code);
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Self::TookTooLong,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            // So a statement says of EIO, too.
            Some(ErrorCode::DatabaseCorrupt) => Self::Unreadable,
            _ if UNREAD.contains(&extended_code) => Self::Unreadable,
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Failure::of_sqlite(&error).into()
    }
}
