//! The way to the daemon: a socket, or a program that carries what is said to one.
//!
//! Sending never raises SIGPIPE, whatever program this is a part of.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::limits::SEND_WAIT_MAX;

/// A stream socket to the daemon, or to the program that is the way there.
pub(crate) struct Stream {
    socket: OwnedFd,
    /// Ends when its end of the socket is closed; waited for then, so that it leaves no zombie.
    carrier: Option<Child>,
    is_secure: bool,
}

impl Stream {
    /// The socket of a program that carries the stream to the daemon.
    pub(crate) fn carried(socket: UnixStream, carrier: Child) -> Self {
        Self { socket: socket.into(), carrier: Some(carrier), is_secure: true }
    }

    /// Whether nobody else can listen: it stays on this machine, or the carrier sees to it.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether what is said is encrypted by us.
    pub(crate) fn is_encrypted(&self) -> bool {
        false
    }

    /// The socket, to be polled.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn limit_sending(&self) -> io::Result<()> {
        Ok(set_socket_timeout(&self.socket, Timeout::Send, Some(SEND_WAIT_MAX))?)
    }

    pub(crate) fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What has come, at most as much as there is room for. 0 is the end; `WouldBlock` if nothing is there and `wait` is
    /// not asked for.
    pub(crate) fn receive(&self, room: &mut [u8], wait: bool) -> io::Result<usize> {
        let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        loop {
            match recv(&self.socket, &mut *room, flags) {
                Ok((_, received)) => return Ok(received),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether something can be received before this moment.
    pub(crate) fn wait_until(&self, deadline: Instant) -> io::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left.max(Duration::from_millis(1))).ok();
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) if !left.is_zero() => {}
                Err(rustix::io::Errno::INTR) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends both directions; whoever receives is told.
    pub(crate) fn shut_down(&self) {
        let _ = shutdown(&self.socket, Shutdown::Both); // It may be gone already.
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Self { socket: socket.into(), carrier: None, is_secure: true }
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self { socket: socket.into(), carrier: None, is_secure: false }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(carrier) = &mut self.carrier {
            let _ = shutdown(&self.socket, Shutdown::Both);
            let _ = carrier.kill(); // It has nothing left to carry, and may not notice.
            let _ = carrier.wait();
        }
    }
}
