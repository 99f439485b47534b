//! Lines of the log about connections that were cut off: only so many in a while, because anybody who reaches a socket can
//! cause one. All are counted, and the first line after some were left out says how many.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::limits::{CUT_LINES_MAX, CUT_LINES_TIME};

/// The lines of all connections of a door.
#[derive(Debug, Default)]
pub(crate) struct Cuts(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Cuts {
    /// Whether there may be another line now: if so, how many were left out since the last one.
    pub(crate) fn next(&self, now: Instant) -> Option<u64> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.since.is_none_or(|since| now.duration_since(since) >= CUT_LINES_TIME) {
            *recent = Recent { since: Some(now), lines: 0, left_out: recent.left_out };
        }
        if recent.lines >= CUT_LINES_MAX {
            recent.left_out += 1;
            return None;
        }
        recent.lines += 1;
        Some(std::mem::take(&mut recent.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_so_many_lines_the_rest_are_counted_and_told_later() {
        let (cuts, begin) = (Cuts::default(), Instant::now());
        for _ in 0..CUT_LINES_MAX {
            assert_eq!(cuts.next(begin), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(cuts.next(begin + CUT_LINES_TIME / 2), None);
        }
        assert_eq!(cuts.next(begin + CUT_LINES_TIME), Some(7));
        assert_eq!(cuts.next(begin + CUT_LINES_TIME), Some(0));
    }
}
