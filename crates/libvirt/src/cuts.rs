//! A limit on log lines about connections that were cut off, because any client that reaches a socket can cause one.
//!
//! Metrics count all of them. The first line after a gap says how many were left out.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::limits::{CUT_LINES_MAX, CUT_LINES_TIME};

/// The log lines of all connections of a door.
#[derive(Debug, Default)]
pub(crate) struct CutLog(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl CutLog {
    /// Whether another line may be written now: if so, how many were left out since the last one.
    pub(crate) fn next_line(&self, now: Instant) -> Option<u64> {
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
    fn lines_beyond_the_limit_are_counted_and_the_next_line_says_how_many() {
        let (cuts, begin) = (CutLog::default(), Instant::now());
        for _ in 0..CUT_LINES_MAX {
            assert_eq!(cuts.next_line(begin), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(cuts.next_line(begin + CUT_LINES_TIME / 2), None);
        }
        assert_eq!(cuts.next_line(begin + CUT_LINES_TIME), Some(7));
        assert_eq!(cuts.next_line(begin + CUT_LINES_TIME), Some(0));
    }
}
