//! The admin socket's client, for the commands of this program.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::de::DeserializeOwned;
use store::{AuditAnchor, StoreId};

use super::protocol::{
    Ask, BackedUp, Fault, Greeting, Inspected, Lines, Reply, Request, Said, Status, VERSION, line,
};
use crate::inspect::Watch;

/// How often the client checks whether the answer is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A server that is silent for this time does not answer any more. While it works it reports its progress several times a
/// second, except when it waits for the disk.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Why a server did not do what the client asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// This user may not use the socket.
    #[error(
        "{} cannot be used: {source}\n\
         Run this as root, or as the user that runs donjond.",
        path.display()
    )]
    Refused {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection ended, or the bytes are not the protocol's.
    #[error(
        "the server at {} does not answer: {source}\n\
         See whether it runs well, and what its log says.",
        path.display()
    )]
    Lost {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server refused, and said why.
    #[error("the server that runs refuses: {}", .0.text)]
    Fault(Fault),
    /// Nobody wants the answer any more.
    #[error("stopped")]
    Stopped,
}

/// The server that runs on a store.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    path: PathBuf,
    lines: Lines,
    descriptors: VecDeque<OwnedFd>,
    asked: u64,
    /// Its status, as it sent it.
    pub(crate) status: Status,
}

/// The facts that identify a store and check its trail.
#[derive(Debug)]
pub(crate) struct StoreFacts {
    pub(crate) store: StoreId,
    pub(crate) key_check: Vec<u8>,
    pub(crate) anchor: Option<AuditAnchor>,
}

/// Ignores progress, and never stops.
struct Nobody;

impl Watch for Nobody {
    fn progress(&self, _: super::protocol::Progress) {}
    fn found(&self, _: super::protocol::Finding) {}
    fn goes_on(&self) -> bool {
        true
    }
}

impl Client {
    /// The server that runs on this database and listens at this path, if any.
    pub(crate) fn find(socket: &Path, database: &Path) -> Result<Option<Self>, AdminError> {
        use io::ErrorKind::{ConnectionRefused, InvalidInput, NotFound};
        let stream = match UnixStream::connect(socket) {
            Ok(stream) => stream,
            // No server listens there, or none can: the path is too long for a socket.
            Err(error) if matches!(error.kind(), NotFound | ConnectionRefused | InvalidInput) => {
                return Ok(None);
            }
            Err(source) => return Err(AdminError::Refused { path: socket.to_owned(), source }),
        };
        let mut client = Self {
            stream,
            path: socket.to_owned(),
            lines: Lines::default(),
            descriptors: VecDeque::new(),
            asked: 0,
            status: Status::nothing(),
        };
        client.stream.set_read_timeout(Some(LOOK_EVERY)).map_err(|error| client.lost(error))?;
        let nobody: Arc<dyn Watch> = Arc::new(Nobody);
        client.greet(&nobody)?;
        client.status = client.ask(Ask::Status, &nobody)?.0;
        Ok(client.status.is_of(database).then_some(client))
    }

    /// Has the server check everything.
    pub(crate) fn check(&mut self, watch: &Arc<dyn Watch>) -> Result<Inspected, AdminError> {
        Ok(self.ask(Ask::Check, watch)?.0)
    }

    /// Has the server make a copy and check it. Returns the copy, unless its pages are damaged.
    pub(crate) fn backup(
        &mut self,
        watch: &Arc<dyn Watch>,
    ) -> Result<(BackedUp, Option<OwnedFd>), AdminError> {
        self.ask(Ask::Backup, watch)
    }

    /// Its status, parsed.
    pub(crate) fn parse_status(&self) -> Result<StoreFacts, AdminError> {
        let Status { store, key_check, audit, .. } = &self.status;
        let bytes = |text: &str| {
            unhex(text).ok_or_else(|| {
                self.lost(io::Error::other("its status is not hexadecimal where it has to be"))
            })
        };
        let fixed = |length| {
            self.lost(io::Error::other(format!("its status has not {length} bytes where it has to")))
        };
        let anchor = match audit {
            None => None,
            Some((number, hash)) => {
                let hash = bytes(hash)?.try_into().map_err(|_| fixed(32))?;
                Some(AuditAnchor { number: *number, hash })
            }
        };
        let store = bytes(store)?.try_into().map_err(|_| fixed(16))?;
        Ok(StoreFacts { store, key_check: bytes(key_check)?, anchor })
    }

    fn greet(&mut self, watch: &Arc<dyn Watch>) -> Result<(), AdminError> {
        let first = self.line(watch)?;
        if let Ok(Reply { said: Said::Error(fault), .. }) = serde_json::from_slice(&first) {
            return Err(AdminError::Fault(fault));
        }
        let greeting: Greeting = self.parsed(&first)?;
        if greeting.donjon_admin != VERSION {
            let text = format!(
                "donjond {} speaks version {} of the admin protocol, and this program version {VERSION}",
                greeting.version, greeting.donjon_admin
            );
            return Err(self.lost(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        Ok(())
    }

    fn ask<T: DeserializeOwned>(
        &mut self,
        ask: Ask,
        watch: &Arc<dyn Watch>,
    ) -> Result<(T, Option<OwnedFd>), AdminError> {
        self.asked += 1;
        let id = self.asked;
        let sent = self.stream.write_all(&line(&Request { id, ask }));
        sent.map_err(|error| self.lost(error))?;
        loop {
            let line = self.line(watch)?;
            let reply: Reply = self.parsed(&line)?;
            if reply.id.is_some_and(|of| of != id) {
                continue;
            }
            match reply.said {
                Said::Progress(progress) => watch.progress(progress),
                Said::Found(finding) => watch.found(finding),
                Said::Error(fault) => return Err(AdminError::Fault(fault)),
                Said::Done(value) => {
                    let done = serde_json::from_value(value).map_err(|error| self.lost(error.into()))?;
                    return Ok((done, self.descriptors.pop_front()));
                }
            }
        }
    }

    fn line(&mut self, watch: &Arc<dyn Watch>) -> Result<Vec<u8>, AdminError> {
        let begin = Instant::now();
        loop {
            match self.lines.next_line() {
                Ok(Some(line)) => return Ok(line),
                Ok(None) => {}
                Err(_) => return Err(self.lost(io::Error::other("a line of it is too long"))),
            }
            if !watch.goes_on() {
                return Err(AdminError::Stopped);
            }
            match self.receive() {
                Ok(0) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if begin.elapsed() > SILENCE_MAX {
                        return Err(self.lost(io::ErrorKind::TimedOut.into()));
                    }
                }
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(&self.stream, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        self.lines.add(bytes.get(..received.bytes).unwrap_or_default());
        Ok(received.bytes)
    }

    fn parsed<T: DeserializeOwned>(&self, line: &[u8]) -> Result<T, AdminError> {
        serde_json::from_slice(line).map_err(|error| self.lost(error.into()))
    }

    fn lost(&self, source: io::Error) -> AdminError {
        AdminError::Lost { path: self.path.clone(), source }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
