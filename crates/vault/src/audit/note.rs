//! Lines that the service writes about itself: its start, a cut end that it found in the file, its stop.
//!
//! ```text
//! {"time":"…","request":"req-…","door":"service","project":null,"user":null,"roles":[],"action":"service:start",
//!  "secret":null,"cut_at":81234,"cut_bytes":97,"outcome":"ok","committed":41,"n":120,"link":"…"}
//! ```

use std::io::Write as _;

use model::{RequestId, Timestamp};

use super::chain::time;

/// A line about the service itself.
#[derive(Clone, Debug)]
pub struct Note {
    /// When.
    pub time: Timestamp,
    /// An id of its own.
    pub request: RequestId,
    /// What happened.
    pub event: Event,
}

/// What happened to the service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// `service:init`: a store was made.
    Init,
    /// `service:start`: it serves.
    Start {
        /// A part of a line stood at the end of the file, and was cut off.
        cut: Option<Cut>,
        /// Lines after the one with this number were not whole. Nobody had said yet that they were on disk.
        damaged_after: Option<u64>,
    },
    /// `service:accept-rollback`: the operator accepted the loss of changes that the trail calls committed.
    AcceptRollback {
        /// The newest change that the store has.
        lost_after: u64,
        /// The newest that was committed.
        lost_through: u64,
    },
    /// `service:committed`: changes are on disk, and no line of a request has said so yet.
    Committed,
    /// `service:reopen`: the file before was moved away, and this is a new one.
    Reopen,
    /// `service:stop`: it ended in order.
    Stop,
}

/// The bytes that were cut off the end of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cut {
    /// The length of the file since.
    pub at: u64,
    /// How many bytes it lost.
    pub bytes: u64,
}

impl Event {
    pub(super) const fn action(self) -> &'static str {
        match self {
            Self::Init => "service:init",
            Self::Start { .. } => "service:start",
            Self::AcceptRollback { .. } => "service:accept-rollback",
            Self::Committed => "service:committed",
            Self::Reopen => "service:reopen",
            Self::Stop => "service:stop",
        }
    }
}

/// Writes the content of a note: all but the numbers and the link.
pub(super) fn content(line: &mut Vec<u8>, note: &Note) {
    line.extend_from_slice(b"{\"time\":\"");
    time(line, note.time);
    line.extend_from_slice(b"\",\"request\":\"");
    line.extend_from_slice(&note.request.to_ascii());
    let action = note.event.action();
    // Writing to memory cannot fail.
    let _ = write!(
        line,
        "\",\"door\":\"service\",\"project\":null,\"user\":null,\"roles\":[],\"action\":\"{action}\",\"secret\":null"
    );
    match note.event {
        Event::Start { cut, damaged_after } => {
            if let Some(Cut { at, bytes }) = cut {
                let _ = write!(line, ",\"cut_at\":{at},\"cut_bytes\":{bytes}");
            }
            if let Some(number) = damaged_after {
                let _ = write!(line, ",\"damaged_after\":{number}");
            }
        }
        Event::AcceptRollback { lost_after, lost_through } => {
            let _ = write!(line, ",\"lost_after\":{lost_after},\"lost_through\":{lost_through}");
        }
        Event::Init | Event::Committed | Event::Reopen | Event::Stop => {}
    }
    line.extend_from_slice(b",\"outcome\":\"ok\"");
}

/// Reads a verified line of the service.
pub(super) fn read(line: &[u8]) -> Option<(String, Event)> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    let number = |name: &str| line.get(name).and_then(serde_json::Value::as_u64);
    let event = match line.get("action")?.as_str()? {
        "service:init" => Event::Init,
        "service:start" => Event::Start {
            cut: number("cut_at").zip(number("cut_bytes")).map(|(at, bytes)| Cut { at, bytes }),
            damaged_after: number("damaged_after"),
        },
        "service:accept-rollback" => {
            Event::AcceptRollback { lost_after: number("lost_after")?, lost_through: number("lost_through")? }
        }
        "service:committed" => Event::Committed,
        "service:reopen" => Event::Reopen,
        "service:stop" => Event::Stop,
        _ => return None, // Of a later version.
    };
    Some((line.get("time")?.as_str()?.to_owned(), event))
}
