//! A stream to the daemon: a socket, a socket with TLS, or a program that copies the bytes.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{Shutdown, shutdown};

use crate::error::Result;
use crate::limits::{HANDSHAKE_WAIT_MAX, SEND_WAIT_MAX};
use crate::tls::{Credentials, Session};
use crate::transfer;
use crate::uri::Uri;

/// A stream socket to the daemon, or to the program that leads there.
pub(crate) struct Stream {
    socket: OwnedFd,
    /// The program. It ends when its end of the socket is closed, and is then waited for, so that it leaves no zombie.
    carrier: Option<Child>,
    session: Option<Session>,
    is_secure: bool,
}

impl Stream {
    /// The socket of a program that carries the stream to the daemon.
    pub(crate) fn carried(socket: UnixStream, carrier: Child) -> Self {
        let mut stream = Self::from(socket);
        stream.carrier = Some(carrier);
        stream
    }

    /// A socket that is encrypted from here on.
    pub(crate) fn encrypted(socket: TcpStream, uri: &Uri, credentials: Credentials) -> Result<Self> {
        let mut stream = Self::from(socket);
        let deadline = Instant::now() + HANDSHAKE_WAIT_MAX;
        stream.session = Some(Session::begin(&stream.socket, uri, credentials, deadline)?);
        stream.is_secure = true;
        Ok(stream)
    }

    /// Whether no other host can listen: the stream stays on this machine, is encrypted, or a program carries it.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether we encrypt the stream.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.session.is_some()
    }

    /// The socket, to be polled.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether bytes can be received although a poll of the socket may not say so.
    pub(crate) fn holds_some(&self) -> bool {
        self.session.as_ref().is_some_and(Session::holds_some)
    }

    pub(crate) fn limit_sending(&self) -> io::Result<()> {
        Ok(set_socket_timeout(&self.socket, Timeout::Send, Some(SEND_WAIT_MAX))?)
    }

    pub(crate) fn send_all(&self, bytes: &[u8]) -> io::Result<()> {
        match &self.session {
            Some(session) => session.send_all(&self.socket, bytes),
            None => transfer::send_all(&self.socket, bytes),
        }
    }

    /// Receives at most as many bytes as there is room for. 0 is the end; `WouldBlock` if there are none and `wait` is false.
    pub(crate) fn receive(&self, room: &mut [u8], wait: bool) -> io::Result<usize> {
        match &self.session {
            Some(session) => session.receive(&self.socket, room, wait),
            None => transfer::receive(&self.socket, room, wait),
        }
    }

    /// Whether something can be received before this moment.
    pub(crate) fn wait_until(&self, deadline: Instant) -> io::Result<bool> {
        Ok(self.holds_some() || transfer::wait(&self.socket, PollFlags::IN, Some(deadline))?)
    }

    /// Ends both directions. A receiving thread gets the end of the stream.
    pub(crate) fn shut_down(&self) {
        if let Some(session) = &self.session {
            session.say_goodbye(&self.socket);
        }
        let _ = shutdown(&self.socket, Shutdown::Both); // It may be gone already.
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Self { socket: socket.into(), carrier: None, session: None, is_secure: true }
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self { socket: socket.into(), carrier: None, session: None, is_secure: false }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(carrier) = &mut self.carrier {
            let _ = shutdown(&self.socket, Shutdown::Both);
            let _ = carrier.kill(); // It has nothing left to copy, and may not notice.
            let _ = carrier.wait();
        }
    }
}
