//! Bytes to and from a socket, and waiting for it.
//!
//! Sending never raises SIGPIPE, whatever program this is a part of.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Sends all of it.
pub(crate) fn send_all(socket: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match send(&socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// As much as the socket takes at once.
pub(crate) fn send_some(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(rustix::io::retry_on_intr(|| send(&socket, bytes, flags))?)
}

/// Sleeps in poll(2): who sleeps in recv(2) on a UNIX socket is woken once more, and for nothing, when the daemon has
/// received what was sent, because there is room to send again. (Linux net/unix/af_unix.c, unix_write_space)
pub(crate) fn receive(socket: impl AsFd, room: &mut [u8], wait: bool) -> io::Result<usize> {
    let lookout = wait.then(Lookout::begin);
    let mut looks = lookout.as_ref().map_or(0, |lookout| lookout.looks);
    loop {
        if wait && looks == 0 {
            self::wait(&socket, PollFlags::IN, None)?;
        }
        match recv(&socket, &mut *room, RecvFlags::DONTWAIT) {
            Ok((_, received)) => {
                lookout.inspect(|lookout| lookout.came(looks));
                return Ok(received);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if wait => {
                looks = looks.saturating_sub(1);
                std::thread::yield_now();
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// How often a thread looks before it sleeps: some tens of microseconds, in which a daemon on this machine has answered
/// most calls. To sleep and to be woken would take longer.
const LOOKS_MAX: u32 = 60;
/// So often in a row it was in vain, and then it is tried only now and then: these calls take longer.
const VAIN_MAX: u32 = 4;
const VAIN_EACH: u32 = 32;

/// Threads of this process that wait to receive.
static WAITING: AtomicU32 = AtomicU32::new(0);
/// How often in a row nothing came while somebody looked.
static VAIN: AtomicU32 = AtomicU32::new(0);

/// A thread that waits to receive, and how often it may look.
struct Lookout {
    looks: u32,
}

impl Lookout {
    /// Where several wait, the cores are better left to who works for them.
    fn begin() -> Self {
        let vain = VAIN.load(Ordering::Relaxed);
        let is_alone = WAITING.fetch_add(1, Ordering::Relaxed) == 0;
        let is_worth_it = vain < VAIN_MAX || vain.is_multiple_of(VAIN_EACH);
        Self { looks: if is_alone && is_worth_it { LOOKS_MAX } else { 0 } }
    }

    /// What was waited for came, when there were so many looks left.
    fn came(&self, left: u32) {
        match (self.looks, left) {
            (0, _) | (_, 0) => drop(VAIN.fetch_add(1, Ordering::Relaxed)),
            _ => VAIN.store(0, Ordering::Relaxed),
        }
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a direction is ready before this moment; if there is none, it is waited for as long as it takes.
pub(crate) fn wait(socket: impl AsFd, direction: PollFlags, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left.max(Duration::from_millis(1))).ok());
        match poll(&mut [PollFd::new(&socket, direction)], timeout.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) if left.is_none_or(|left| !left.is_zero()) => {}
            Err(rustix::io::Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
