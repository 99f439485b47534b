//! Connections for reads: one for each thread that serves requests, and a few for long reads.
//!
//! A connection keeps its snapshot open from one read to the next, which halves the cost of a point read, and takes a new
//! one only after a commit. An idle snapshot would keep the write-ahead log from being emptied, so the writer can end them
//! all ([`Readers::release`]).

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::ProjectId;
use rusqlite::{Connection, ErrorCode, Params, Row, ffi};

use super::gate::{Closed, Gate};
use super::opening::{Locked, Purpose, connect};
use crate::limits::SCAN_TIME_MAX;
use crate::{Error, Failure};

/// SQLite's instructions between two looks at the clock: those of about ten rows, each of which may take long to compare.
const CLOCK_EACH: i32 = 100;
/// Connections for long reads. One more such read waits for its turn.
const SCANNERS: usize = 2;
/// Names of projects that a connection remembers. With one more it forgets them all.
const PROJECTS_KEPT: usize = 1024;

/// All connections for reads.
#[derive(Debug)]
pub(super) struct Readers {
    /// Each thread keeps to one of these. Threads share one only if there are more than expected.
    quick: Vec<Mutex<Reader>>,
    scanners: Vec<Mutex<Reader>>,
    next_scanner: AtomicUsize,
    /// Each scan is inside.
    scanning: Gate,
    /// For reads of everything, one after the other. Opened at the start, because the name may lead to another file later.
    whole: Mutex<Reader>,
    /// The number of running reads of everything. The writer does not wait for them: they take too long.
    reading_whole: AtomicUsize,
    /// Counts commits. A snapshot older than this is not read.
    committed: Arc<AtomicU64>,
    /// Dropped last.
    _locked: Arc<Locked>,
}

/// One connection and its snapshot.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    /// The value of `committed` when the snapshot was taken; 0 without a snapshot.
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

    /// Reads on the connection of this thread.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Reader) -> Result<T, Error>) -> Result<T, Error> {
        let thread = THREAD.get();
        self.read_on(&self.quick, thread, read)
    }

    /// Does a long read, on a connection that no quick read waits for. [`Failure::TookTooLong`] after
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

    /// The same without a limit of time, for callers that ask for everything and wait for it.
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
            reader.release(); // The next read begins with a new snapshot.
        }
        result
    }

    /// Ends all snapshots, one connection after the other.
    pub(super) fn release(&self) {
        self.quick.iter().for_each(|reader| lock(reader).release());
    }

    /// Ends all snapshots, and lets none begin while the result lives. Running scans end first; until then quick reads go on.
    /// None if the scans take longer than `patience`: then no others begin until this or [`Self::let_scan`] is called.
    pub(super) fn hold(&self, patience: Duration) -> Option<Held<'_>> {
        let scans = self.scanning.close(patience)?;
        Some(self.hold_quick(scans))
    }

    fn hold_quick<'a>(&'a self, scans: Closed<'a>) -> Held<'a> {
        let mut quick: Vec<_> = self.quick.iter().map(lock).collect();
        quick.iter_mut().for_each(|reader| reader.release());
        Held { _quick: quick, _scans: scans }
    }

    /// The same if no scan runs. Otherwise none, and more scans may begin.
    pub(super) fn hold_if_idle(&self) -> Option<Held<'_>> {
        let scans = self.scanning.close_if_empty()?;
        Some(self.hold_quick(scans))
    }

    /// Reads everything, in one snapshot that the writer does not end. The next such read waits.
    pub(super) fn read_whole<T>(&self, read: impl FnOnce(&mut Reader) -> T) -> T {
        let mut reader = lock(&self.whole);
        let _inside = Whole::enter(&self.reading_whole);
        let result = read(&mut reader);
        reader.release();
        result
    }

    /// Whether a read of everything runs.
    pub(super) fn is_read_whole(&self) -> bool {
        self.reading_whole.load(Ordering::Acquire) > 0
    }

    /// Lets scans begin again.
    pub(super) fn let_scan(&self) {
        self.scanning.open();
    }
}

/// A read of everything runs while this lives.
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

/// No read runs while this lives.
pub(super) struct Held<'a> {
    _quick: Vec<MutexGuard<'a, Reader>>,
    _scans: Closed<'a>,
}

impl Reader {
    pub(super) fn open(path: &Path, purpose: Purpose) -> rusqlite::Result<Self> {
        connect(path, purpose).map(Self::over)
    }

    /// A reader on a connection to any database with our schema.
    pub(super) fn over(connection: Connection) -> Self {
        Self { connection, snapshot: 0, projects: HashMap::new() }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Takes a new snapshot, unless the present one was taken after this many commits.
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

    /// Finds one row. `read` gives the row of its project, and makes the rest of it.
    pub(super) fn find<T, B: FnOnce(ProjectId) -> T>(
        &mut self,
        select: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<(i64, B), Error>,
    ) -> Result<Option<T>, Error> {
        let found = {
            let mut statement = self.connection.prepare_cached(select)?;
            let mut rows = statement.query(parameters)?;
            rows.next()?.map(read).transpose()?
        };
        found.map(|(project, build)| Ok(build(self.project(project)?))).transpose()
    }

    /// Completes rows that were read with the rows of their projects.
    pub(super) fn with_projects<T, B: FnOnce(ProjectId) -> T>(
        &mut self,
        rows: Vec<(i64, B)>,
    ) -> Result<Vec<T>, Error> {
        rows.into_iter().map(|(project, build)| Ok(build(self.project(project)?))).collect()
    }

    /// The name of a project, which the connection remembers.
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

/// SQLite's errors for a page that cannot be read from the disk.
const UNREAD: [i32; 3] = [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS];

impl Failure {
    /// The meaning of an error of SQLite.
    pub(super) fn of_sqlite(error: &rusqlite::Error) -> Self {
        let extended_code = error.sqlite_error().map_or(0, |error| error.extended_code);
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Self::TookTooLong,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            // A statement that meets EIO fails with this code, too.
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
