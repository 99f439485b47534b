//! The format of a line and the chain of lines. Knows no file.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use model::Timestamp;
use seal::ChainKey;
use store::Numbers;

use super::text::{hex, text};
use super::{Entry, Object};

/// Stands before the number of the line's change, in lines of a change.
pub(super) const CHANGE: &str = ",\"change\":";
/// Stands before the number of the newest change that is certainly on disk.
pub(super) const COMMITTED: &str = ",\"committed\":";
/// Stands before the number of the newest change that was written down, if that is a later one.
pub(super) const PENDING: &str = ",\"pending\":";
/// Stands before the line's own number.
pub(super) const NUMBER: &str = ",\"n\":";
/// Stands before the link.
pub(super) const LINK: &str = ",\"link\":\"";
/// Ends a line.
pub(super) const END: &str = "\"}";

/// The chain so far: its key, its last line, and the numbers of changes.
pub struct Chain {
    pub(super) key: ChainKey,
    pub(super) at: Standing,
    pub(super) numbers: Arc<Numbers>,
}

/// Where a chain stands: its last line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) number: u64,
    pub(super) link: [u8; 32],
    /// The newest change that the line says is on disk.
    pub(super) committed: u64,
}

impl Chain {
    /// A chain that continues after a line. A new chain begins after number 0 with link zero. `numbers` are those of the
    /// store's changes.
    pub fn new(key: ChainKey, number: u64, link: [u8; 32], numbers: Arc<Numbers>) -> Self {
        Self { key, at: Standing { number, link, committed: 0 }, numbers }
    }

    /// Completes `line`, which holds the content, with numbers, link and line end. Returns the position after the line,
    /// to which the caller moves the chain once the line is written. The newest change on disk is read now, so a later
    /// line never names an earlier one.
    pub(super) fn complete(&self, line: &mut Vec<u8>, change: Option<u64>) -> Standing {
        let committed = self.numbers.committed();
        let given = self.numbers.given();
        append(line, COMMITTED, committed);
        if given > committed && change != Some(given) {
            append(line, PENDING, given);
        }
        let number = self.at.number + 1;
        append(line, NUMBER, number);
        let link = self.key.link(&self.at.link, line);
        line.extend_from_slice(LINK.as_bytes());
        line.extend(link.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]));
        line.extend_from_slice(END.as_bytes());
        line.push(b'\n');
        Standing { number, link, committed }
    }
}

/// Writes a member with a number. `write!` costs about four times as much.
fn append(line: &mut Vec<u8>, name: &str, mut number: u64) {
    line.extend_from_slice(name.as_bytes());
    let mut digits = [0; 20]; // 2^64 has 20 digits.
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        (*digit, number) = (b'0' + (number % 10) as u8, number / 10);
        at -= 1;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(digits.get(at..).unwrap_or_default());
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("number", &self.at.number).finish_non_exhaustive()
    }
}

/// Writes the content of a line; [`Chain::complete`] adds the rest.
pub(super) fn content(line: &mut Vec<u8>, entry: &Entry<'_>) {
    let Entry { call, action, of, outcome, change } = entry;
    line.extend_from_slice(b"{\"time\":\"");
    time(line, call.time);
    line.extend_from_slice(b"\",\"request\":\"");
    line.extend_from_slice(&call.request.to_ascii());
    line.extend_from_slice(b"\",\"door\":\"");
    line.extend_from_slice(call.door.as_str().as_bytes());
    line.extend_from_slice(b"\",\"project\":");
    text(line, call.caller.project.as_str());
    line.extend_from_slice(b",\"user\":");
    match &call.caller.user {
        Some(user) => text(line, user.as_str()),
        None => line.extend_from_slice(b"null"),
    }
    line.extend_from_slice(b",\"roles\":[");
    for (n, role) in call.caller.roles.iter().enumerate() {
        if n > 0 {
            line.push(b',');
        }
        text(line, role.as_str());
    }
    line.extend_from_slice(b"],\"action\":\"");
    line.extend_from_slice(action.as_str().as_bytes());
    line.extend_from_slice(b"\",\"secret\":");
    // Writing to memory cannot fail.
    let _ = match of {
        Some(Object::Secret(id)) => write!(line, "\"{id}\""),
        Some(Object::Container(id)) => write!(line, "null,\"container\":\"{id}\""),
        Some(Object::Order(id)) => write!(line, "null,\"order\":\"{id}\""),
        Some(Object::TransportKey(id)) => write!(line, "null,\"transport_key\":\"{id}\""),
        Some(Object::Quotas(_)) => write!(line, "null,\"quotas_of\":"),
        None => write!(line, "null"),
    };
    if let Some(Object::Quotas(project)) = of {
        text(line, project.as_str());
    }
    line.extend_from_slice(b",\"outcome\":\"");
    line.extend_from_slice(outcome.as_str().as_bytes());
    line.push(b'"');
    if let Some(change) = change {
        append(line, CHANGE, *change);
    }
}

/// Writes a time as [`Timestamp`] prints it. The calendar is computed once a second, not once a line.
pub(super) fn time(line: &mut Vec<u8>, time: Timestamp) {
    const SECOND: i64 = 1_000_000;
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let (second, micros) = (time.micros().div_euclid(SECOND), time.micros().rem_euclid(SECOND));
    LAST.with_borrow_mut(|(last, text)| {
        if *last != second {
            (*last, *text) = (second, Timestamp::from_micros(second.saturating_mul(SECOND)).to_string());
        }
        line.extend_from_slice(text.as_bytes());
    });
    if micros > 0 {
        let _ = write!(line, ".{micros:06}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_print() {
        for number in [0, 1, 9, 10, 99, 1_234_567_890, i64::MAX as u64, u64::MAX] {
            let mut line = Vec::new();
            append(&mut line, NUMBER, number);
            assert_eq!(String::from_utf8(line).unwrap(), format!("{NUMBER}{number}"));
        }
    }

    #[test]
    fn times_are_written_as_they_print() {
        for micros in [0, 1, 999_999, 1_000_000, -1, 1_790_000_000_123_456, 1_790_000_000_999_999] {
            let mut line = Vec::new();
            let moment = Timestamp::from_micros(micros);
            time(&mut line, moment);
            assert_eq!(String::from_utf8(line).unwrap(), moment.to_string());
        }
    }
}
