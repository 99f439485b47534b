//! The audit trail in a file.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;

use super::chain::{Standing, content};
use super::tail::{TrailEnd, is_same_file, open};
use super::{AuditSink, Chain, Entry, Note, Ticket, note};

/// How often lines are forced to disk, unless each line is forced on its own.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How many bytes of lines may wait to be written together. More bytes are written at once.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// When a line is forced to disk. The operating system gets every line before its request goes on, so no line is lost
/// if the process dies; this setting matters if the machine dies.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sync {
    /// Once a second, all lines together.
    #[default]
    Batch,
    /// Each line, before its request goes on.
    Entry,
}

/// Appends lines to a file (mode 0600), and removes a line that was written only in part.
#[derive(Debug)]
pub struct FileSink(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    found: TrailEnd,
    state: Mutex<State>,
    /// Whether lines wait to be written, or were written and may not be on disk.
    dirty: AtomicBool,
}

#[derive(Debug)]
struct State {
    file: File,
    sync: Sync,
    /// The chain after the last line, written or waiting.
    chain: Chain,
    /// Lines that wait to be written, and the position of the chain before them.
    waiting: Vec<u8>,
    before: Standing,
    /// The ticket of the waiting lines.
    ticket: Ticket,
    length: u64,
    /// Whether the file ends in a part of a line, which is cut off before the next line is written.
    torn: bool,
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl FileSink {
    /// Opens the file, and creates it if it is missing. The chain continues after the trail's last line, or after
    /// `chain` if that is later: then a gap shows that lines are missing. The file does not change until a line is
    /// written.
    pub fn open(path: &Path, sync: Sync, mut chain: Chain) -> io::Result<Self> {
        let mut file = open(path)?;
        let (mut found, length) = TrailEnd::of_file(&mut file, &chain.key)?;
        if found.last.is_none()
            && let Some(rotated) = TrailEnd::of_rotated(path, &chain.key)?
        {
            found = TrailEnd { cut: found.cut, ..rotated };
        }
        let anchored = chain.at.number;
        match found.last {
            Some((number, link)) if number >= anchored => {
                chain.at = Standing { number, link, committed: found.committed };
            }
            last => {
                let last = last.map_or(0, |(number, _)| number);
                if last < anchored {
                    let path = path.display();
                    tracing::warn!(%path, last, known = anchored, "lines are missing at the end of the audit trail");
                }
            }
        }
        if let Some(after) = found.damaged_after {
            let path = path.display();
            tracing::warn!(%path, after, "lines at the end of the audit trail are not whole");
            // A power cut does not lose lines that were on disk for certain.
            found.damaged_after = Some(after).filter(|after| *after >= anchored);
        }
        let (before, torn) = (chain.at, found.cut.is_some());
        let (waiting, ticket) = (Vec::new(), Ticket::default());
        let state = State { file, sync, chain, waiting, before, ticket, length, torn };
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            found,
            state: Mutex::new(state),
            dirty: AtomicBool::new(false),
        });
        let sync = Arc::downgrade(&shared);
        std::thread::Builder::new().name("audit-sync".into()).spawn(move || sync_now_and_then(&sync))?;
        Ok(Self(shared))
    }

    fn with_line<T>(
        &self,
        content: impl FnOnce(&mut Vec<u8>),
        then: impl FnOnce(&mut State, &mut Vec<u8>) -> T,
    ) -> T {
        LINE.with_borrow_mut(|line| {
            line.clear();
            content(line);
            let done = then(&mut self.0.lock(), line);
            self.0.dirty.store(true, Ordering::Release);
            done
        })
    }
}

#[async_trait]
impl AuditSink for FileSink {
    fn found(&self) -> TrailEnd {
        self.0.found.clone()
    }

    fn record(&self, entry: &Entry<'_>) -> io::Result<()> {
        self.with_line(
            |line| content(line, entry),
            |state, line| {
                state.queue(line, entry.change);
                state.write()
            },
        )
    }

    fn note(&self, note: &Note) -> io::Result<()> {
        self.with_line(
            |line| note::content(line, note),
            |state, line| {
                state.queue(line, None);
                state.write()
            },
        )
    }

    fn queue(&self, entry: &Entry<'_>) -> Ticket {
        self.with_line(
            |line| content(line, entry),
            |state, line| {
                let ticket = state.queue(line, entry.change);
                if state.waiting.len() > WAITING_BYTES_MAX {
                    let _ = state.write(); // The tickets carry the outcome.
                }
                ticket
            },
        )
    }

    fn settle(&self, ticket: &Ticket) -> Option<io::Result<()>> {
        Some(match ticket.outcome() {
            Some(outcome) => outcome,
            None => {
                let mut state = self.0.lock();
                ticket.outcome().unwrap_or_else(|| state.write())
            }
        })
    }

    async fn wait(&self, ticket: &Ticket) -> io::Result<()> {
        self.settle(ticket).unwrap_or(Ok(())) // A file always knows the outcome.
    }

    fn synced_head(&self) -> io::Result<(u64, [u8; 32])> {
        // A second handle keeps requests from waiting for the disk.
        let (head, file) = {
            let mut state = self.0.lock();
            state.write()?;
            ((state.chain.at.number, state.chain.at.link), state.file.try_clone()?)
        };
        file.sync_data()?;
        Ok(head)
    }

    fn committed(&self) -> u64 {
        self.0.lock().chain.at.committed
    }

    fn reopen(&self) -> io::Result<bool> {
        // The lock comes first: another thread may append to this very file, and the lines count.
        let mut state = self.0.lock();
        state.write()?;
        state.file.sync_data()?;
        if is_same_file(&state.file, &self.0.path) {
            return Ok(false); // The file is still in its place.
        }
        let mut file = open(&self.0.path)?;
        let (end, length) = TrailEnd::of_file(&mut file, &state.chain.key)?;
        (state.file, state.length, state.torn) = (file, length, end.cut.is_some());
        Ok(true)
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if let Err(error) = state.write().and_then(|()| state.file.sync_data()) {
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
    /// Completes a line and puts it after the waiting lines.
    fn queue(&mut self, line: &mut Vec<u8>, change: Option<u64>) -> Ticket {
        self.chain.at = self.chain.complete(line, change);
        self.waiting.extend_from_slice(line);
        self.ticket.clone()
    }

    /// Hands all waiting lines to the operating system. If that fails, the chain returns to its position before them.
    fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.append();
        match written {
            Ok(()) => self.before = self.chain.at,
            Err(_) => self.chain.at = self.before,
        }
        self.waiting.clear();
        std::mem::take(&mut self.ticket).settle(&written);
        written
    }

    fn append(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        let written = self.file.write_all(&self.waiting).and_then(|()| match self.sync {
            Sync::Entry => self.file.sync_data(),
            Sync::Batch => Ok(()),
        });
        match written {
            Ok(()) => self.length += self.waiting.len() as u64,
            Err(_) => self.torn = self.file.set_len(self.length).is_err(),
        }
        written
    }
}

/// Forces lines to disk every [`SYNC_EVERY`], as long as the sink exists.
fn sync_now_and_then(shared: &Weak<Shared>) {
    loop {
        std::thread::sleep(SYNC_EVERY);
        let Some(shared) = shared.upgrade() else { return };
        if shared.dirty.swap(false, Ordering::AcqRel) {
            // Writes the lines of requests that were given up. A second handle keeps requests from waiting for the disk.
            let handle = {
                let mut state = shared.lock();
                state.write().and_then(|()| state.file.try_clone())
            };
            let synced = handle.and_then(|file| file.sync_data());
            if let Err(error) = synced {
                tracing::error!(%error, path = %shared.path.display(), "the audit trail was not forced to disk");
                shared.dirty.store(true, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Call, Caller, Door, ProjectId, RequestId, Role, Roles, Timestamp};

    use super::super::{Outcome, check_trail};
    use super::*;
    use crate::Action;

    fn chain(key: &seal::MasterKey) -> Chain {
        Chain::new(key.chain_key(), 0, [0; 32], Arc::default())
    }

    #[test]
    fn every_waiting_request_learns_of_a_failed_write_and_the_chain_has_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let key = seal::MasterKey::random().unwrap();
        let sink = FileSink::open(&path, Sync::Batch, chain(&key)).unwrap();
        let call = Call {
            caller: Caller {
                project: ProjectId::try_from("p").unwrap(),
                user: None,
                roles: Roles::Fixed(&[Role::ADMIN]),
            },
            time: Timestamp::from_micros(0),
            request: RequestId::random(),
            door: Door::Rest,
        };
        let entry = Entry {
            call: &call,
            action: Action::ListSecrets,
            of: None,
            outcome: Outcome::Done,
            change: None,
        };
        sink.record(&entry).unwrap();
        let writable = std::mem::replace(&mut sink.0.lock().file, File::open(&path).unwrap());
        let tickets = [sink.queue(&entry), sink.queue(&entry)];
        assert!(tickets.iter().all(|ticket| ticket.outcome().is_none()));
        assert!(tickets.iter().all(|ticket| sink.settle(ticket).unwrap().is_err()));
        assert!(sink.record(&entry).is_err());
        sink.0.lock().file = writable;
        assert!(
            tickets.iter().all(|ticket| sink.settle(ticket).unwrap().is_err()),
            "a settled ticket keeps its outcome"
        );
        let ticket = sink.queue(&entry);
        sink.record(&entry).unwrap();
        sink.settle(&ticket).unwrap().unwrap();
        let trail = std::fs::read(&path).unwrap();
        assert_eq!(
            check_trail(&key.chain_key(), &trail[..], Some(sink.synced_head().unwrap())).unwrap().lines,
            3
        );
    }

    #[test]
    fn a_failed_write_takes_nothing_with_it_after_the_file_was_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let key = seal::MasterKey::random().unwrap();
        let sink = FileSink::open(&path, Sync::Batch, chain(&key)).unwrap();
        let lines = || std::fs::read(&path).unwrap().iter().filter(|byte| **byte == b'\n').count();
        let line = || b"{\"outcome\":\"ok\"".to_vec();
        for _ in 0..3 {
            sink.0.lock().queue(&mut line(), None);
            sink.reopen().unwrap(); // The file is still in its place.
            sink.0.lock().queue(&mut line(), None);
        }
        sink.synced_head().unwrap();
        let length = sink.0.lock().length;
        assert_eq!((lines(), length), (6, std::fs::metadata(&path).unwrap().len()));
        let moved = folder.path().join("audit.log.1");
        std::fs::rename(&path, &moved).unwrap();
        sink.reopen().unwrap();
        sink.0.lock().queue(&mut line(), None);
        assert_eq!(sink.synced_head().unwrap().0, 7);
        let both = [std::fs::read(&moved).unwrap(), std::fs::read(&path).unwrap()].concat();
        assert_eq!(check_trail(&key.chain_key(), &both[..], None).unwrap().lines, 7);
    }

    #[test]
    fn two_processes_do_not_write_one_trail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let open = || {
            let key = seal::MasterKey::random().unwrap();
            FileSink::open(&path, Sync::Batch, chain(&key))
        };
        let first = open().unwrap();
        assert_eq!(open().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        assert!(open().is_ok());
    }

    #[test]
    fn a_line_whose_request_was_given_up_is_still_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let key = seal::MasterKey::random().unwrap();
        let sink = FileSink::open(&path, Sync::Batch, chain(&key)).unwrap();
        sink.0.lock().queue(&mut b"{\"outcome\":\"ok\"".to_vec(), None);
        drop(sink);
        assert_eq!(std::fs::read(&path).unwrap().iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}
