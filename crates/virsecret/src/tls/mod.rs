//! A TLS session over a socket that one thread sends on while another receives.
//!
//! ```text
//!  send_all ──▶ outgoing ═▶ state: encrypt ─┐ ciphertext ──▶ socket       outgoing is held while something is sent,
//!                                           │                            state only while nothing is waited for
//!  receive  ◀──────────── state: decrypt ◀──┴─ socket, what is there
//!                │ owes an answer (a key update)
//!                └─▶ outgoing, if nobody has it; else who has it sends it afterwards
//! ```
//!
//! So whoever receives never waits for whoever sends: a daemon that takes nothing until it is read from is read from. That
//! the sender looks for answers owed after it has let go of `outgoing` leaves no gap.
//!
//! What was decrypted and did not fit the caller's room stays in the session, where no poll of the socket sees it:
//! [`Session::holds_some`] tells of it.
//!
//! Left out: session resumption, early data. What is received is decrypted in buffers of rustls, which does not wipe them.

mod certificate;
mod credentials;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::PollFlags;
use rustls::ClientConnection;

use crate::error::{Error, Result, TlsError};
use crate::limits::TLS_READS_MAX;
use crate::stream;
use crate::uri::Uri;

pub(crate) use credentials::Credentials;

/// What a daemon says in the session once it has accepted our certificate and address.
const ACCEPTED: u8 = 1;

/// See above.
pub(crate) struct Session {
    /// Never held while anything is waited for.
    state: Mutex<ClientConnection>,
    /// What is encrypted and not sent yet. Held while it is sent, so that records go in their order.
    outgoing: Mutex<Vec<u8>>,
}

impl Session {
    /// Shakes hands, and waits until the daemon has accepted us. The socket may block: it is never waited for beyond the
    /// deadline.
    pub(crate) fn begin(
        socket: &OwnedFd,
        uri: &Uri,
        credentials: Credentials,
        deadline: Instant,
    ) -> Result<Self> {
        let host = uri.host().name_or_localhost();
        let mut state = credentials.connection(host, uri.options().no_verify)?;
        shake_hands(&mut state, socket, deadline).map_err(blamed)?;
        let session = Self { state: Mutex::new(state), outgoing: Mutex::default() };
        session.confirm(socket, deadline)?;
        Ok(session)
    }

    fn confirm(&self, socket: &OwnedFd, deadline: Instant) -> Result<()> {
        let mut said = [0];
        let received = loop {
            match self.receive(socket, &mut said, false) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(socket, PollFlags::IN, deadline).map_err(TlsError::Unconfirmed)?;
                }
                Err(error) => return Err(TlsError::Unconfirmed(error).into()),
                Ok(received) => break received,
            }
        };
        match (received, said) {
            (0, _) => Err(TlsError::Unconfirmed(io::ErrorKind::UnexpectedEof.into()).into()),
            (_, [ACCEPTED]) => Ok(()),
            _ => Err(TlsError::Refused.into()),
        }
    }

    /// Sends all of it, and waits as long as the socket does.
    pub(crate) fn send_all(&self, socket: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
        let mut outgoing = lock(&self.outgoing);
        while !bytes.is_empty() {
            let mut state = self.state();
            let taken = state.writer().write(bytes)?;
            take(&mut state, &mut outgoing)?;
            drop(state);
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into()); // Cannot be: all that was there has just been taken.
            }
            stream::send_all(socket, &outgoing)?;
            outgoing.clear();
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        drop(outgoing);
        self.send_owed(socket);
        Ok(())
    }

    /// What has come, at most as much as there is room for; 0 is the end. `WouldBlock` if nothing is there and `wait` is not
    /// asked for. One thread at a time.
    pub(crate) fn receive(&self, socket: &OwnedFd, room: &mut [u8], wait: bool) -> io::Result<usize> {
        loop {
            let mut state = self.state();
            let received = receive_there(&mut state, socket, room);
            let owes = state.wants_write();
            drop(state);
            if owes {
                self.send_owed(socket);
            }
            match received {
                Err(error) if wait && error.kind() == io::ErrorKind::WouldBlock => {
                    stream::wait(socket, PollFlags::IN, None)?;
                }
                other => return other,
            }
        }
    }

    /// Whether something can be received although nothing may come any more.
    pub(crate) fn holds_some(&self) -> bool {
        let there = self.state().process_new_packets();
        there.is_ok_and(|there| there.plaintext_bytes_to_read() > 0 || there.peer_has_closed())
    }

    /// Tells the daemon that nothing more is said, unless somebody is just sending: then the end cuts that short anyway.
    pub(crate) fn say_goodbye(&self, socket: &OwnedFd) {
        if let Ok(mut outgoing) = self.outgoing.try_lock() {
            let mut state = self.state();
            state.send_close_notify();
            let taken = take(&mut state, &mut outgoing);
            drop(state);
            if taken.is_ok() {
                let _ = Ready(socket.as_fd()).write(&outgoing); // Nobody depends on its being heard.
            }
        }
    }

    /// Sends what the session has to say of its own, if nobody is sending and as far as the socket takes it. The rest goes
    /// before the next message.
    fn send_owed(&self, socket: &OwnedFd) {
        while self.owes()
            && let Ok(mut outgoing) = self.outgoing.try_lock()
        {
            let taken = take(&mut self.state(), &mut outgoing);
            match taken.and_then(|()| Ready(socket.as_fd()).write(&outgoing)) {
                Ok(sent) => drop(outgoing.drain(..sent)),
                Err(_) => return, // If it is not that the socket is full, whoever uses it next is told.
            }
        }
    }

    fn owes(&self) -> bool {
        self.state().wants_write()
    }

    fn state(&self) -> MutexGuard<'_, ClientConnection> {
        lock(&self.state)
    }
}

/// What needs no waiting: first what the session holds, then what has come.
fn receive_there(state: &mut ClientConnection, socket: &OwnedFd, room: &mut [u8]) -> io::Result<usize> {
    for _ in 0..TLS_READS_MAX {
        match state.reader().read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Whoever cuts the stream there gains nothing: a message says how long it is.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            other => return other,
        }
        state.read_tls(&mut Ready(socket.as_fd()))?;
        state.process_new_packets().map_err(broken)?;
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// All ciphertext that there is.
fn take(state: &mut ClientConnection, outgoing: &mut Vec<u8>) -> io::Result<()> {
    while state.wants_write() {
        state.write_tls(outgoing)?;
    }
    Ok(())
}

fn shake_hands(state: &mut ClientConnection, socket: &OwnedFd, deadline: Instant) -> io::Result<()> {
    let mut ready = Ready(socket.as_fd());
    while state.is_handshaking() || state.wants_write() {
        let (direction, done) = if state.wants_write() {
            (PollFlags::OUT, state.write_tls(&mut ready))
        } else {
            (PollFlags::IN, state.read_tls(&mut ready))
        };
        match done {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(socket, direction, deadline)?,
            Err(error) => return Err(error),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if direction == PollFlags::OUT => {}
            Ok(_) => {
                if let Err(error) = state.process_new_packets() {
                    let _ = state.write_tls(&mut ready); // The alert that says why.
                    return Err(broken(error));
                }
            }
        }
    }
    Ok(())
}

fn wait(socket: &OwnedFd, direction: PollFlags, deadline: Instant) -> io::Result<()> {
    let ready = stream::wait(socket, direction, Some(deadline))?;
    if ready { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whether a handshake failed for what the daemon is, or for what happened.
fn blamed(error: io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => TlsError::Untrusted(why.clone()).into(),
        _ => TlsError::Handshake(error).into(),
    }
}

/// A socket as far as it is ready: neither direction ever blocks, or raises SIGPIPE.
struct Ready<'a>(BorrowedFd<'a>);

impl Read for Ready<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        stream::receive(self.0, room, false)
    }
}

impl Write for Ready<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        stream::send_some(self.0, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing here panics while it holds a lock; if it did, what is behind would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The library that does all the cryptography of the rest of Donjon too.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
