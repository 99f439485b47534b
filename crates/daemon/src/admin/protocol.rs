//! The admin socket's messages, which are lines of JSON.
//!
//! ```text
//! server  {"donjon_admin":1,"version":"0.1.0"}
//! client  {"id":1,"ask":"check"}
//! server  {"id":1,"progress":{"step":"payloads","done":5120,"of":20000}}
//! server  {"id":1,"found":{"secret":"4f1c…","row":17,"why":"does not open: …"}}
//! server  {"id":1,"done":{…}}           or  {"id":1,"error":{"kind":"busy","text":"…"}}
//! ```
//!
//! docs/admin-socket.md describes them for authors of clients. Both sides ignore unknown members, so that a later version may add
//! some. A change of a meaning changes [`VERSION`].

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The protocol's version. A client that reads another version asks nothing.
pub(crate) const VERSION: u32 = 1;
/// The longest line, with its end, in either direction.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;
/// The longest text of an error or a finding; the rest is cut off.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The first line of a server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Greeting {
    /// [`VERSION`].
    pub(crate) donjon_admin: u32,
    /// The program's.
    pub(crate) version: String,
}

impl Greeting {
    pub(crate) fn ours() -> Self {
        Self { donjon_admin: VERSION, version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// The requests.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// The store that is served, and facts that are known without a check.
    Status,
    /// Check every page, and open every payload.
    Check,
    /// Copy the database, check the copy, and pass it as a descriptor.
    Backup,
}

/// One line of a client.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Request {
    /// The client's own number, which every answer repeats.
    pub(crate) id: u64,
    pub(crate) ask: Ask,
}

/// A line that is not a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NotARequest {
    /// Its number, if it has one.
    pub(crate) id: Option<u64>,
    pub(crate) fault: Fault,
}

impl Request {
    /// Reads a line, without its end.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, NotARequest> {
        let not = |id, kind, text: &str| NotARequest { id, fault: Fault::new(kind, text) };
        let Ok(Value::Object(members)) = serde_json::from_slice(line) else {
            return Err(not(None, Kind::NotARequest, "the line is no JSON object"));
        };
        let id = members.get("id").and_then(Value::as_u64);
        let (Some(number), Some(Value::String(ask))) = (id, members.get("ask")) else {
            let text = "a request has \"id\", a number, and \"ask\", a word";
            return Err(not(id, Kind::NotARequest, text));
        };
        let known = serde_json::from_value(Value::String(ask.clone()));
        let ask = known.map_err(|_| not(id, Kind::Unknown, "this server knows no such request"))?;
        Ok(Self { id: number, ask })
    }
}

/// One line of a server, after the greeting.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Reply {
    /// The number of the request, if the line answers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    #[serde(flatten)]
    pub(crate) said: Said,
}

/// The content of a line. `done` and `error` are the last lines about a request.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Progress(Progress),
    Found(Finding),
    Done(Value),
    Error(Fault),
}

/// The progress of a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Progress {
    pub(crate) step: Step,
    /// Part of `of`; both are 0 if nobody knows.
    pub(crate) done: u64,
    pub(crate) of: u64,
}

/// The current step.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// SQLite checks pages and indexes. It reports no progress.
    Pages,
    /// Payloads are opened; counted in payloads.
    Payloads,
    /// The database is copied; counted in bytes.
    Copy,
    /// The client writes the copy to its file; counted in bytes.
    Write,
}

/// A secret that is damaged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    /// Its id, unless the row has none.
    pub(crate) secret: Option<String>,
    /// The number of its row.
    pub(crate) row: u64,
    pub(crate) why: String,
}

/// The answer to `check`: the content of a store.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Inspected {
    pub(crate) secrets: u64,
    pub(crate) projects: u64,
    /// Payloads that opened.
    pub(crate) opened: u64,
    /// The number of damaged secrets; each was reported when it was found.
    pub(crate) damaged: u64,
    /// SQLite's complaints about pages and indexes.
    pub(crate) complaints: Vec<String>,
}

impl Inspected {
    pub(crate) fn is_sound(&self) -> bool {
        self.damaged == 0 && self.complaints.is_empty()
    }
}

/// The answer to `backup`, which comes with the descriptor of the copy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct BackedUp {
    pub(crate) bytes: u64,
    pub(crate) found: Inspected,
}

/// The answer to `status`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    /// The database.
    pub(crate) database: String,
    /// The identity of the database's file: device and inode.
    pub(crate) file: (u64, u64),
    /// Whether the path still leads to that file.
    pub(crate) in_place: bool,
    /// The store's id, in hexadecimal.
    pub(crate) store: String,
    /// A value that identifies the right master key, in hexadecimal. It reveals nothing of the key.
    pub(crate) key_check: String,
    /// The last recorded end of the audit trail: number and hash, in hexadecimal.
    pub(crate) audit: Option<(u64, String)>,
    /// The newest change that has a line in the audit trail and is on disk.
    pub(crate) witnessed: u64,
    /// Requested payloads that did not open.
    pub(crate) unopened: u64,
}

impl Status {
    /// Whether this server has the database at that path. It keeps a file that was deleted, moved or replaced, and only it
    /// can copy that file.
    pub(crate) fn is_of(&self, database: &Path) -> bool {
        let found = std::fs::metadata(database).map(|found| (found.dev(), found.ino()));
        found.is_ok_and(|found| found == self.file) || (!self.in_place && self.is_named(database))
    }

    fn is_named(&self, database: &Path) -> bool {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::fs::canonicalize(folder.unwrap_or(Path::new(".")));
        folder
            .ok()
            .zip(database.file_name())
            .is_some_and(|(folder, name)| folder.join(name) == Path::new(&self.database))
    }

    /// A status before the server has sent one.
    pub(crate) fn nothing() -> Self {
        Self {
            pid: 0,
            database: String::new(),
            file: (0, 0),
            in_place: true,
            store: String::new(),
            key_check: String::new(),
            audit: None,
            witnessed: 0,
            unopened: 0,
        }
    }
}

/// Why a request failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

impl Fault {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
        }
        Self { kind, text }
    }
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The caller is neither root nor the server's user.
    Denied,
    /// The line is too long, not JSON, or lacks a member of a request.
    NotARequest,
    /// This version does not know the request.
    Unknown,
    /// The server is at its limit; try later.
    Busy,
    /// The disk has too little room.
    NoRoom,
    /// The server tried and failed.
    Failed,
    /// A kind of a later version.
    #[serde(other)]
    Other,
}

/// A line, with its end.
pub(crate) fn line<T: Serialize>(message: &T) -> Vec<u8> {
    // Only maps with keys that are not text can fail, and none is here.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Cuts lines out of the received bytes.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    held: Vec<u8>,
    /// The search for the next line end begins here.
    looked_at: usize,
}

/// A line is longer than [`LINE_BYTES_MAX`]. Later bytes cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooLong;

impl Lines {
    /// Adds bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    pub(crate) fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let unseen = self.held.get(self.looked_at..).unwrap_or_default();
        match unseen.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let end = self.looked_at + end;
                if end >= LINE_BYTES_MAX {
                    return Err(TooLong);
                }
                let mut line: Vec<u8> = self.held.drain(..=end).collect();
                line.pop();
                self.looked_at = 0;
                Ok(Some(line))
            }
            None if self.held.len() >= LINE_BYTES_MAX => Err(TooLong),
            None => {
                self.looked_at = self.held.len();
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_unknown_members_are_ignored() {
        let parsed = Request::parse(br#"{"id":7,"ask":"check","slowly":true}"#);
        assert_eq!(parsed, Ok(Request { id: 7, ask: Ask::Check }));
    }

    #[test]
    fn a_malformed_request_gets_an_error() {
        for (line, id, kind) in [
            (&b""[..], None, Kind::NotARequest),
            (b"\xff\xfe", None, Kind::NotARequest),
            (b"[1]", None, Kind::NotARequest),
            (br#"{"ask":"check"}"#, None, Kind::NotARequest),
            (br#"{"id":-1,"ask":"check"}"#, None, Kind::NotARequest),
            (br#"{"id":3}"#, Some(3), Kind::NotARequest),
            (br#"{"id":3,"ask":["check"]}"#, Some(3), Kind::NotARequest),
            (br#"{"id":3,"ask":"rotate"}"#, Some(3), Kind::Unknown),
        ] {
            let not = Request::parse(line).unwrap_err();
            assert_eq!((not.id, not.fault.kind), (id, kind), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn replies_are_as_in_the_document() {
        let reply = |said| String::from_utf8(line(&Reply { id: Some(1), said })).unwrap();
        assert_eq!(
            reply(Said::Progress(Progress { step: Step::Payloads, done: 5120, of: 20_000 })),
            "{\"id\":1,\"progress\":{\"step\":\"payloads\",\"done\":5120,\"of\":20000}}\n"
        );
        assert_eq!(
            reply(Said::Error(Fault::new(Kind::NoRoom, "full"))),
            "{\"id\":1,\"error\":{\"kind\":\"no_room\",\"text\":\"full\"}}\n"
        );
        let denied = Reply { id: None, said: Said::Error(Fault::new(Kind::Denied, "no")) };
        assert_eq!(line(&denied), b"{\"error\":{\"kind\":\"denied\",\"text\":\"no\"}}\n");
        assert_eq!(serde_json::from_slice::<Reply>(&line(&denied)).unwrap(), denied);
        let later = br#"{"id":1,"error":{"kind":"tired","text":"","since":3}}"#;
        assert!(matches!(
            serde_json::from_slice::<Reply>(later).unwrap().said,
            Said::Error(Fault { kind: Kind::Other, .. })
        ));
    }

    #[test]
    fn lines_are_cut_from_bytes_in_any_pieces() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for byte in b"one\n\nthree\nfo" {
            lines.add(&[*byte]);
            while let Some(line) = lines.next_line().unwrap() {
                found.push(line);
            }
        }
        assert_eq!(found, [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let mut lines = Lines::default();
        lines.add(&vec![b'x'; LINE_BYTES_MAX - 1]);
        assert_eq!(lines.next_line(), Ok(None));
        lines.add(b"\n");
        assert_eq!(lines.next_line().unwrap().map(|line| line.len()), Some(LINE_BYTES_MAX - 1));
        lines.add(&vec![b'x'; LINE_BYTES_MAX]);
        assert_eq!(lines.next_line(), Err(TooLong));
    }

    #[test]
    fn texts_are_cut_between_letters() {
        let fault = Fault::new(Kind::Failed, "ü".repeat(TEXT_BYTES_MAX));
        assert!(fault.text.len() <= TEXT_BYTES_MAX && fault.text.ends_with('ü'));
    }
}
