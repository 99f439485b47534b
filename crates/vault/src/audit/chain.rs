//! The line format and the chain, without any file.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;

use model::Timestamp;
use seal::ChainKey;

use super::{Entry, Object};

/// What stands between the content of a line and its number.
pub(super) const NUMBER: &str = ",\"n\":";
/// What stands between the number of a line and its link.
pub(super) const LINK: &str = ",\"link\":\"";
/// What ends a line.
pub(super) const END: &str = "\"}";

/// The chain so far: the key, and the last line's number and link.
pub struct Chain {
    pub(super) key: ChainKey,
    pub(super) number: u64,
    pub(super) link: [u8; 32],
}

impl Chain {
    /// A chain that goes on after a line; after number 0 with link zero, a new one.
    pub fn new(key: ChainKey, number: u64, link: [u8; 32]) -> Self {
        Self { key, number, link }
    }

    /// Completes `line`, which holds the content, with number, link and line end. The chain moves on only when the
    /// line was written: [`Chain::advance`].
    pub(super) fn complete(&self, line: &mut Vec<u8>) -> [u8; 32] {
        let _ = write!(line, "{NUMBER}{}", self.number + 1);
        let link = self.key.link(&self.link, line);
        line.extend_from_slice(LINK.as_bytes());
        line.extend(link.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]));
        line.extend_from_slice(END.as_bytes());
        line.push(b'\n');
        link
    }

    pub(super) fn advance(&mut self, link: [u8; 32]) {
        self.number += 1;
        self.link = link;
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("number", &self.number).finish_non_exhaustive()
    }
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Writes the content of a line: all but number and link.
pub(super) fn content(line: &mut Vec<u8>, entry: &Entry<'_>) {
    let Entry { call, action, of, outcome } = entry;
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
}

/// As [`Timestamp`] prints it. The calendar is asked once a second, not once a line.
fn time(line: &mut Vec<u8>, time: Timestamp) {
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

/// A JSON string: what callers say of themselves may hold anything.
fn text(line: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(line, text);
}

#[cfg(test)]
mod tests {
    use super::*;

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
