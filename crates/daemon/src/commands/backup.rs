//! `donjond backup FILE`: one consistent copy of the database, checked before it has its name.
//!
//! ```text
//! server runs:  client ──admin socket──▶ server: copies, opens everything in the copy, passes it as a descriptor
//!               client: FILE.partial ◀─bytes── descriptor, fsync, read again and compared, opened
//! none runs:    this process copies to FILE.partial, and opens everything in it
//! both:         rename to FILE, which may not exist; fsync of the folder
//! ```
//!
//! The client writes the file, so it belongs to the client's user and may be where the service cannot write. See
//! docs/decisions/0020.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use store::SqliteStore;
use store::sqlite::Purpose;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::client::{AdminError, Client};
use crate::admin::protocol::{BackedUp, Inspected, Progress, Step};
use crate::cli;
use crate::config::Config;
use crate::console::print_line;
use crate::error::{BackupError, Error, StoreError, SystemError};
use crate::inspect::{Watch, copy, inspect};
use crate::progress::ProgressPrinter;
use crate::stored;
use crate::threads;

/// Bytes that are copied or compared in one step.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Makes a backup.
pub(crate) fn run(flags: cli::Backup) -> Result<(), Error> {
    let config = Config::load(flags.settings.0, flags.config.as_deref())?;
    let begin = Instant::now();
    let to = flags.to.clone();
    let done = until_signal(move |printer, runtime| back_up(&config, &to, &printer, runtime))?;
    let BackedUp { bytes, found } = done;
    print_line(format_args!(
        "backup      {}: {:.1} MB in {:.1} s",
        flags.to.display(),
        bytes as f64 / 1e6,
        begin.elapsed().as_secs_f64()
    ));
    print_found(&found);
    if found.damaged > 0 {
        return Err(BackupError::Damaged { to: flags.to, damaged: found.damaged }.into());
    }
    print_line("The master key is not in it: keep a copy of that elsewhere.");
    Ok(())
}

/// Prints the result of a check.
pub(crate) fn print_found(found: &Inspected) {
    if found.complaints.is_empty() {
        print_line("integrity   every page and index is sound");
    }
    match found.damaged {
        0 => print_line(format_args!("payloads    {} opened, none is damaged", found.opened)),
        some => print_line(format_args!("payloads    {} opened, secrets damaged: {some}", found.opened)),
    }
    print_line(format_args!("holds       secrets: {}, projects: {}", found.secrets, found.projects));
}

/// Runs long work on a thread, and stops it at a signal to end. The work cleans up before this returns.
pub(crate) fn until_signal<T: Send + 'static>(
    work: impl FnOnce(Arc<ProgressPrinter>, &Handle) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let runtime = threads::main_runtime()?;
    let handle = runtime.handle().clone();
    let printer = ProgressPrinter::new();
    let done = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(SystemError::Runtime)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(SystemError::Runtime)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(SystemError::Runtime)?;
        let telling = Arc::clone(&printer);
        let mut working = tokio::task::spawn_blocking(move || work(telling, &handle));
        let done = tokio::select! {
            done = &mut working => done,
            _ = interrupt.recv() => { printer.stop(); working.await }
            _ = terminate.recv() => { printer.stop(); working.await }
            _ = hangup.recv() => { printer.stop(); working.await }
        };
        done.map_err(|error| SystemError::Runtime(io::Error::other(error)))?
    });
    printer.end();
    match done {
        Err(Error::Admin(AdminError::Stopped)) => Err(Error::Interrupted),
        done => done,
    }
}

fn back_up(
    config: &Config,
    to: &Path,
    printer: &Arc<ProgressPrinter>,
    runtime: &Handle,
) -> Result<BackedUp, Error> {
    if std::fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists(to.to_owned()).into());
    }
    let partial = Partial::beside(to);
    let watch: Arc<dyn Watch> = Arc::<ProgressPrinter>::clone(printer);
    let done = match stored::running(config)? {
        Some(server) => from_server(server, &partial, &watch)?,
        None => from_file(config, &partial, &watch, runtime)?,
    };
    if !watch.goes_on() {
        return Err(Error::Interrupted);
    }
    partial.finish(to)?;
    Ok(done)
}

fn from_server(mut server: Client, partial: &Partial, watch: &Arc<dyn Watch>) -> Result<BackedUp, Error> {
    let (done, copy) = server.backup(watch)?;
    let Some(copy) = copy.filter(|_| done.found.complaints.is_empty()) else {
        return Err(unsound(done.found));
    };
    let copy = File::from(copy);
    partial.take(&copy, done.bytes, watch)?;
    partial.compare(&copy, watch)?;
    // The server has opened everything in the copy. This checks once more that the file is a database of ours.
    let opened = SqliteStore::open(&partial.path, Purpose::Inspect)?;
    let counts = opened.look()?.counted()?;
    if counts != (done.found.secrets, done.found.projects) {
        return Err(BackupError::Differs(partial.path.clone()).into());
    }
    Ok(done)
}

fn from_file(
    config: &Config,
    partial: &Partial,
    watch: &Arc<dyn Watch>,
    runtime: &Handle,
) -> Result<BackedUp, Error> {
    let (store, opener) = stored::unlock(config, runtime)?;
    let bytes = partial.made(copy(&store, &partial.path, watch))?;
    drop(store);
    let found = inspect(&SqliteStore::open(&partial.path, Purpose::Inspect)?, &opener, watch, runtime)?;
    if found.complaints.is_empty() { Ok(BackedUp { bytes, found }) } else { Err(unsound(found)) }
}

pub(crate) fn unsound(found: Inspected) -> Error {
    StoreError::Unsound { damaged: found.damaged, complaints: found.complaints }.into()
}

/// The unfinished file. It is removed at the end, unless it was finished.
struct Partial {
    path: PathBuf,
    /// Whether this process made the file.
    is_ours: Cell<bool>,
}

impl Partial {
    fn beside(to: &Path) -> Self {
        let mut name = to.as_os_str().to_owned();
        name.push(".partial");
        Self { path: name.into(), is_ours: Cell::new(false) }
    }

    fn create(&self) -> Result<File, Error> {
        let mut new = OpenOptions::new();
        self.made(
            new.write(true)
                .create_new(true)
                .mode(0o600)
                .open(&self.path)
                .map_err(BackupError::file(&self.path)),
        )
    }

    /// Notes whether the file was made, or belongs to another backup.
    fn made<T>(&self, made: Result<T, Error>) -> Result<T, Error> {
        match made {
            Ok(made) => {
                self.is_ours.set(true);
                Ok(made)
            }
            Err(Error::Backup(BackupError::File { path, source }))
                if path == self.path && source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Err(BackupError::Begun(path).into())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes all bytes of a file, to disk.
    fn take(&self, from: &File, of: u64, watch: &Arc<dyn Watch>) -> Result<(), Error> {
        let mut file = self.create()?;
        let (mut chunk, mut done) = (vec![0; CHUNK_BYTES], 0);
        loop {
            let length = self.failed(from.read_at(&mut chunk, done))?;
            if length == 0 {
                break;
            }
            self.failed(file.write_all(chunk.get(..length).unwrap_or_default()))?;
            done += length as u64;
            watch.progress(Progress { step: Step::Write, done, of: of.max(done) });
            if !watch.goes_on() {
                return Err(Error::Interrupted);
            }
        }
        self.failed(file.sync_all())
    }

    /// Checks that the file on disk equals the other, byte for byte.
    fn compare(&self, with: &File, watch: &Arc<dyn Watch>) -> Result<(), Error> {
        let mut written = self.failed(File::open(&self.path))?;
        let (mut ours, mut theirs, mut at) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES], 0);
        loop {
            let length = self.failed(written.read(&mut ours))?;
            let ours = ours.get(..length).unwrap_or_default();
            let theirs = theirs.get_mut(..length.max(1)).unwrap_or_default();
            let is_same = match length {
                0 => self.failed(with.read_at(theirs, at))? == 0,
                _ => with.read_exact_at(theirs, at).is_ok() && theirs == ours,
            };
            if !is_same {
                return Err(BackupError::Differs(self.path.clone()).into());
            }
            if length == 0 {
                return Ok(());
            }
            at += length as u64;
            if !watch.goes_on() {
                return Err(Error::Interrupted);
            }
        }
    }

    /// Gives the file its name, which must not exist, and syncs its folder.
    fn finish(self, to: &Path) -> Result<(), Error> {
        let named = match renameat_with(CWD, &self.path, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system has this call. A link does not replace a file either; it leaves the first name.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => std::fs::hard_link(&self.path, to),
            Ok(()) => {
                self.is_ours.set(false);
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        };
        match named {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(to.to_owned()).into());
            }
            Err(source) => return Err(BackupError::file(to)(source)),
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|open| open.sync_all());
        synced.map_err(BackupError::file(folder))
    }

    fn failed<T>(&self, done: io::Result<T>) -> Result<T, Error> {
        done.map_err(BackupError::file(&self.path))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.is_ours.get() {
            let _ = std::fs::remove_file(&self.path); // If it stays, the next backup reports it.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_made_meanwhile_stays_and_the_copy_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("copy.db");
        let partial = Partial::beside(&to);
        partial.create().unwrap();
        assert!(matches!(Partial::beside(&to).create(), Err(Error::Backup(BackupError::Begun(_)))));
        std::fs::write(&to, "somebody's").unwrap();
        assert!(matches!(partial.finish(&to), Err(Error::Backup(BackupError::Exists(_)))));
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "somebody's");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
