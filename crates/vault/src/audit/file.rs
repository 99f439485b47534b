//! The audit trail in a file.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::chain::content;
use super::check::parse;
use super::{AuditSink, Chain, Entry};

/// How often lines handed to the operating system are forced to disk, if not each by itself.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// The longest line read back; ids, roles and headers have limits that keep lines far below.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// When a line is forced to disk. It is always handed to the operating system before the request goes on, so that
/// nothing is lost if the process dies; this is about the machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sync {
    /// Once a second, all lines since.
    #[default]
    Batch,
    /// Each line before its request goes on.
    Entry,
}

/// Lines appended to a file (mode 0600). A line that did not get whole into the file is taken out again.
#[derive(Debug)]
pub struct FileSink {
    shared: Arc<Shared>,
    sync: Sync,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    dirty: AtomicBool,
}

#[derive(Debug)]
struct State {
    file: File,
    chain: Chain,
    length: u64,
    /// A part of a line stands at the end and could not be taken out.
    torn: bool,
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl FileSink {
    /// Opens the file, making it if need be. The chain goes on after the file's last line, or after `chain` if that
    /// is further on: lines that are missing then show as a gap.
    pub fn open(path: &Path, sync: Sync, mut chain: Chain) -> io::Result<Self> {
        let mut file = open(path)?;
        let length = end_of_last_line(&mut file)?;
        file.set_len(length)?; // A torn last line was never answered to anybody.
        if let Some((number, link)) = last_line(&mut file, length)?
            && number >= chain.number
        {
            (chain.number, chain.link) = (number, link);
        }
        let state = State { file, chain, length, torn: false };
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            state: Mutex::new(state),
            dirty: AtomicBool::new(false),
        });
        if sync == Sync::Batch {
            let shared = Arc::downgrade(&shared);
            std::thread::Builder::new()
                .name("audit-sync".into())
                .spawn(move || sync_now_and_then(&shared))?;
        }
        Ok(Self { shared, sync })
    }
}

impl AuditSink for FileSink {
    fn record(&self, entry: &Entry<'_>) -> io::Result<()> {
        LINE.with_borrow_mut(|line| {
            line.clear();
            content(line, entry);
            let mut state = self.shared.lock();
            state.append(line)?;
            match self.sync {
                Sync::Entry => state.file.sync_data(),
                Sync::Batch => {
                    self.shared.dirty.store(true, Ordering::Release);
                    Ok(())
                }
            }
        })
    }

    fn head(&self) -> (u64, [u8; 32]) {
        let state = self.shared.lock();
        (state.chain.number, state.chain.link)
    }

    fn reopen(&self) -> io::Result<()> {
        let mut file = open(&self.shared.path)?;
        let length = end_of_last_line(&mut file)?;
        let mut state = self.shared.lock();
        state.file.sync_data()?;
        state.file = file;
        state.length = length;
        state.torn = false;
        Ok(())
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if let Err(error) = self.shared.lock().file.sync_data() {
            tracing::error!(%error, "the end of the audit trail is not on disk");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        let link = self.chain.complete(line);
        if let Err(error) = self.file.write_all(line) {
            self.torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += line.len() as u64;
        self.chain.advance(link);
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Forces lines to disk once in a while, for as long as there is a sink.
fn sync_now_and_then(shared: &Weak<Shared>) {
    loop {
        std::thread::sleep(SYNC_EVERY);
        let Some(shared) = shared.upgrade() else { return };
        if shared.dirty.swap(false, Ordering::AcqRel) {
            // A second handle, so that no request waits for the disk.
            let synced = shared.lock().file.try_clone().and_then(|file| file.sync_data());
            if let Err(error) = synced {
                tracing::error!(%error, path = %shared.path.display(), "the audit trail was not forced to disk");
                shared.dirty.store(true, Ordering::Release);
            }
        }
    }
}

fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail = tail(file, length)?;
    Ok(match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => length - (tail.len() - at - 1) as u64,
        None if tail.len() as u64 == length => 0,
        None => length, // No line of ours is so long: leave it for the check to complain about.
    })
}

fn last_line(file: &mut File, length: u64) -> io::Result<Option<(u64, [u8; 32])>> {
    let tail = tail(file, length)?;
    let line =
        tail.strip_suffix(b"\n").unwrap_or(&tail).rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(parse(line).map(|(_, number, link)| (number, link)))
}

fn tail(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    let from = length.saturating_sub(LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(length - from).read_to_end(&mut tail)?;
    Ok(tail)
}
