//! Asks for a value at a terminal, twice, without showing it.
//!
//! By hand on termios rather than with a crate for passwords: so the value is in one buffer that is wiped, it may be
//! longer than the 4095 bytes of a line that the terminal edits, and Ctrl-C gives the terminal back as it was. That costs
//! the keys for editing: backspace and Ctrl-U are done here, others are characters.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

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

/// The value, typed the same twice.
pub(crate) fn twice() -> Result<Zeroizing<Vec<u8>>, Error> {
    let first = once("Value (not shown): ")?;
    let again = once("Again: ")?;
    if first == again { Ok(first) } else { Err(Error::NotTheSame) }
}

fn once(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let terminal = input::stdin().map_err(Error::Terminal)?;
    let quiet = Quiet::begin(&terminal).map_err(Error::Terminal)?;
    console::prompt(text);
    let line = line(terminal);
    drop(quiet);
    console::tell("");
    line
}

/// As long as it lives, the terminal shows nothing, edits nothing, and sends no signals.
struct Quiet {
    terminal: OwnedFd,
    before: Termios,
}

impl Quiet {
    fn begin(terminal: impl AsFd) -> io::Result<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before); // What else could be done?
    }
}

/// One line, without its end.
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
            _ if line.len() == VALUE_BYTES_MAX => return Err(Error::TooLong { bytes_max: VALUE_BYTES_MAX }),
            other => line.push(other),
        }
    }
}

/// Takes back a whole character, which in UTF-8 may be several bytes.
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
    fn a_line_may_be_given_up_and_has_a_limit() {
        assert!(matches!(line(&b"hun\x03"[..]), Err(Error::Cancelled)));
        assert!(matches!(line(&b"hun\x1c"[..]), Err(Error::Cancelled)));
        assert!(matches!(line(&b"no end"[..]), Err(Error::Terminal(_))));
        let long = [vec![b'x'; VALUE_BYTES_MAX + 1], b"\n".to_vec()].concat();
        assert!(matches!(line(&long[..]), Err(Error::TooLong { .. })));
    }
}
