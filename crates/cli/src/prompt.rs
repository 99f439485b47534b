//! Asks for a value at a terminal, twice, without showing it.
//!
//! It uses termios itself and no crate for passwords, for three reasons: the value is in one buffer that is wiped, it may
//! be longer than the 4095 bytes of a line that the terminal edits, and Ctrl-C restores the terminal. So it must handle
//! backspace and Ctrl-U itself. Other control characters are refused: a cursor key or Ctrl-Z would become part of the value
//! unseen.
//!
//! A signal that ends the program waits until the terminal is restored. SIGKILL and SIGSTOP cannot wait: after them
//! `stty sane` restores the echo.

use std::fs::File;
use std::io::{self, Read};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use virsecret::limits::VALUE_BYTES_MAX;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::{console, input};

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_BACKSLASH: u8 = 0x1c;
const DELETE: u8 = 0x7f;

/// Asks twice, and gives the value if both are the same.
pub(crate) fn twice() -> Result<Zeroizing<Vec<u8>>, Error> {
    let first = once("Value (not shown): ")?;
    let again = once("Again: ")?;
    if first == again { Ok(first) } else { Err(Error::NotTheSame) }
}

fn once(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let terminal = input::stdin().map_err(Error::Terminal)?;
    let mut quiet = Quiet::begin(terminal).map_err(Error::Terminal)?;
    console::prompt(text);
    let line = line(&mut quiet);
    drop(quiet); // A signal that has come meanwhile ends the program here.
    console::tell("");
    line
}

/// While it exists, the terminal shows nothing, edits nothing and sends no signals, and signals from elsewhere that end a
/// program wait. There is one thread, so no other thread takes them.
struct Quiet {
    terminal: File,
    before: Termios,
    /// Readable while a signal waits. It is never read, so the signal still waits at the end.
    signals: SignalFd,
    mask_before: SigSet,
}

impl Quiet {
    fn begin(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        let ending: SigSet =
            [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM].into_iter().collect();
        let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC)?;
        let mask_before = ending.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let quiet = Self { terminal, before, signals, mask_before };
        tcsetattr(&quiet.terminal, OptionalActions::Flush, &modes)?;
        Ok(quiet)
    }
}

impl Read for Quiet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready =
            [PollFd::new(&self.terminal, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        poll(&mut ready, None)?;
        let [_, signals] = ready;
        if !signals.revents().is_empty() {
            return Err(io::Error::other("a signal to end has come"));
        }
        self.terminal.read(buffer)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before); // What else could be done?
        let _ = self.mask_before.thread_set_mask();
    }
}

/// Reads one line, without its end.
fn line(mut from: impl Read) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut line = Zeroizing::new(Vec::with_capacity(VALUE_BYTES_MAX));
    loop {
        let mut byte = Zeroizing::new([0]);
        from.read_exact(&mut *byte).map_err(Error::Terminal)?;
        let [byte] = *byte;
        match byte {
            b'\n' | b'\r' | CTRL_D => return Ok(line),
            CTRL_C | CTRL_BACKSLASH => return Err(Error::Cancelled),
            BACKSPACE | DELETE => rub_out(&mut line),
            CTRL_U => line.clear(),
            other if other.is_ascii_control() => return Err(Error::ControlCharacter),
            _ if line.len() == VALUE_BYTES_MAX => return Err(Error::TooLong { bytes_max: VALUE_BYTES_MAX }),
            other => line.push(other),
        }
    }
}

/// Removes the last character, which may have several bytes in UTF-8.
fn rub_out(line: &mut Vec<u8>) {
    let is_inside = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    while line.pop().is_some_and(is_inside) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_as_it_is_typed() {
        let check = |typed: &[u8], expect: &[u8]| assert_eq!(line(typed).ok().unwrap().to_vec(), expect);
        check(b"hunter2\nrest", b"hunter2");
        check(b"hunter2\r", b"hunter2");
        check(b"hunter\x043", b"hunter");
        check("hä\x7f\x7fx\n".as_bytes(), b"x");
        check(b"\x08\x08a\n", b"a");
        check(b"wrong\x15right\n", b"right");
        check(b"\n", b"");
    }

    #[test]
    fn keys_that_make_no_text_are_refused() {
        for typed in [&b"hun\x1ater2\n"[..], b"hun\x1b[Dter2\n", b"hun\tter2\n", b"\x00\n"] {
            let refused = line(typed).map(|line| line.to_vec()).unwrap_err();
            assert!(refused.to_string().contains("--file"), "{refused}");
        }
    }

    #[test]
    fn a_line_can_be_cancelled_and_has_a_limit() {
        assert!(matches!(line(&b"hun\x03"[..]), Err(Error::Cancelled)));
        assert!(matches!(line(&b"hun\x1c"[..]), Err(Error::Cancelled)));
        assert!(matches!(line(&b"no end"[..]), Err(Error::Terminal(_))));
        let long = [vec![b'x'; VALUE_BYTES_MAX + 1], b"\n".to_vec()].concat();
        assert!(matches!(line(&long[..]), Err(Error::TooLong { .. })));
    }
}
