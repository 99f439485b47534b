//! Parses the end of a line of the trail. The service wrote that part, and no text of a caller can imitate it.

use super::chain::{CHANGE, COMMITTED, END, LINK, NUMBER, PENDING};

/// The largest number of a line or a change: the largest that the store's column holds. In a `u64` every such number has
/// a next one.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// A line without its line end, parsed from its end to its beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed<'a> {
    /// The part of the line that the link covers.
    pub(super) linked: &'a [u8],
    pub(super) number: u64,
    pub(super) link: [u8; 32],
    /// The number of its change, in lines of a change.
    pub(super) change: Option<u64>,
    /// The newest change that was certainly on disk. Lines of an older version do not have it.
    pub(super) committed: Option<u64>,
    /// The newest change that was written down, if that is a later one.
    pending: Option<u64>,
}

impl<'a> Parsed<'a> {
    pub(super) fn line(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_suffix(END.as_bytes())?;
        let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
        let linked = rest.strip_suffix(LINK.as_bytes())?;
        let mut link = [0; 32];
        for (byte, pair) in link.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?;
        }
        let (rest, number) = numbered(linked, NUMBER)?;
        let (rest, pending) = optional(rest, PENDING);
        let (rest, committed) = optional(rest, COMMITTED);
        let (_, change) = optional(rest, CHANGE);
        Some(Self { linked, number, link, change, committed, pending })
    }

    /// The newest change that was written down before this line, according to the line.
    pub(super) fn given(&self) -> u64 {
        [self.change, self.committed, self.pending].into_iter().flatten().max().unwrap_or(0)
    }

    /// Whether the line is about the service itself.
    pub(super) fn is_of_service(&self) -> bool {
        // The door comes after a time and the id of the request, whose lengths have bounds.
        let head = self.linked.get(..HEAD_BYTES.min(self.linked.len())).unwrap_or_default();
        head.windows(SERVICE.len()).any(|window| window == SERVICE)
    }

    /// Whether the line says that the service ended.
    pub(super) fn is_stop(&self) -> bool {
        self.is_of_service() && self.linked.windows(STOP.len()).any(|window| window == STOP)
    }
}

const HEAD_BYTES: usize = 160;
const SERVICE: &[u8] = b",\"door\":\"service\",\"project\":null";
const STOP: &[u8] = b",\"action\":\"service:stop\"";

/// Parses a digit as the service writes it: another spelling makes another line.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Splits a member with a number off the end.
fn numbered<'a>(line: &'a [u8], name: &str) -> Option<(&'a [u8], u64)> {
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, digits) = line.split_at_checked(line.len() - digits)?;
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number <= NUMBER_MAX).then_some((rest.strip_suffix(name.as_bytes())?, number))
}

fn optional<'a>(line: &'a [u8], name: &str) -> (&'a [u8], Option<u64>) {
    numbered(line, name).map_or((line, None), |(rest, number)| (rest, Some(number)))
}
