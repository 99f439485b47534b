//! Reads of everything while changes go on: one consistent copy, and SQLite's check of every page.
//!
//! Both use a connection of their own, one after the other, with one snapshot from the beginning to the end, so no request
//! waits for them and no change makes them begin again. Until one ends the write-ahead log cannot be emptied: it grows with
//! each change, and deleted ciphertext stays in it.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::opening::{self, private};
use super::store::SqliteStore;
use crate::{CopyError, Error, Failure};

/// Pages copied between two reports of progress: 1 MiB.
const STEP_PAGES: i32 = 256;
/// SQLite's instructions between two questions whether to go on with a check: some milliseconds.
const TICK_EACH: i32 = 100_000;

/// The progress of a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CopyProgress {
    /// Bytes copied so far.
    pub done: u64,
    /// Bytes of the whole.
    pub all: u64,
}

/// A finished copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Copied {
    /// The length of the file.
    pub bytes: u64,
    /// The newest row of the change log that is in it.
    pub newest_change: u64,
}

impl SqliteStore {
    /// Writes one consistent copy of the file to a new file of mode 0600, durable when this returns, while changes go on.
    /// Blocks. Ephemeral secrets are not in it. `go_on` is asked after each mebibyte.
    pub fn copy_to(
        &self,
        path: &Path,
        mut go_on: impl FnMut(CopyProgress) -> ControlFlow<()>,
    ) -> Result<Copied, CopyError> {
        let failed = |source| CopyError::File { path: path.to_owned(), source };
        private().create_new(true).open(path).map_err(failed)?;
        let copied = self.copy_over(path, &mut go_on).and_then(|copied| {
            make_whole(path).and_then(|()| make_durable(path)).map_err(failed)?;
            Ok(copied)
        });
        if copied.is_err() {
            let _ = fs::remove_file(path); // The rest would look like a copy.
        }
        copied
    }

    fn copy_over(
        &self,
        path: &Path,
        go_on: &mut dyn FnMut(CopyProgress) -> ControlFlow<()>,
    ) -> Result<Copied, CopyError> {
        self.with_everything(|from| {
            let (newest_change, _) = opening::change_log(from).map_err(Error::from)?;
            let mut to = new_database(path).map_err(Error::from)?;
            let page_bytes: u64 =
                from.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(Error::from)?;
            let bytes = |pages| u64::try_from(pages).unwrap_or(0) * page_bytes;
            let backup = Backup::new(from, &mut to).map_err(Error::from)?;
            loop {
                let step = backup.step(STEP_PAGES).map_err(Error::from)?;
                let progress = backup.progress();
                let all = bytes(progress.pagecount);
                match step {
                    StepResult::Done => return Ok(Copied { bytes: all, newest_change }),
                    StepResult::More => {}
                    _ => return Err(Error::from(Failure::Unavailable("the copy is locked".into())).into()),
                }
                if go_on(CopyProgress { done: all - bytes(progress.remaining), all }).is_break() {
                    return Err(CopyError::Stopped);
                }
            }
        })
    }

    /// About how long a copy will be.
    pub fn bytes(&self) -> Result<u64, Error> {
        self.readers.read(|reader| {
            let number =
                |name| reader.connection().pragma_query_value(None, name, |row| row.get::<_, u64>(0));
            Ok(number("page_count")?.saturating_mul(number("page_size")?))
        })
    }

    /// SQLite's own check of the whole file; the first complaints, or none. Blocks.
    pub fn integrity(&self) -> Result<Vec<String>, Error> {
        self.integrity_while(|| true)
    }

    /// The same. `go_on` is asked now and then; when it says no, the check ends with [`Failure::TookTooLong`].
    pub fn integrity_while(
        &self,
        mut go_on: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Vec<String>, Error> {
        self.with_everything(|connection| {
            connection.progress_handler(TICK_EACH, Some(move || !go_on()))?;
            let lines = lines(connection, "PRAGMA integrity_check(10)");
            connection.progress_handler(TICK_EACH, None::<fn() -> bool>)?;
            if lines.as_ref().is_err_and(|error| matches!(Failure::of_sqlite(error), Failure::Unreadable)) {
                return Ok(vec![Failure::Unreadable.to_string()]); // The check ends there.
            }
            Ok(lines?.into_iter().filter(|line| line != "ok").collect())
        })
    }

    /// Reads on the connection for copies and checks, with one snapshot.
    fn with_everything<T, E: From<Error>>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.readers.read_whole(|reader| {
            reader.renew(u64::MAX)?; // A number above all: the snapshot is never that of an earlier read.
            read(reader.connection_mut())
        })
    }
}

fn lines(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// An empty database in a file that no other program knows. It needs no journal, and becomes durable once it is whole.
fn new_database(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    Ok(connection)
}

/// Says in the file's header that it has no write-ahead log (1 instead of 2: sqlite.org/fileformat2.html, 1.3.3). Otherwise
/// a program that reads the copy makes a log beside it.
fn make_whole(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all_at(&[1, 1], 18)
}

fn make_durable(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
