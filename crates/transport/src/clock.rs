//! A clock that shows what no answer can be dated with.
//!
//! hyper dates every answer, and looks at the clock whenever it is polled; before 1970 and after 9999 it panics. A clock
//! that shows such a time is broken, and what would be written by it is wrong for good. So nothing is served meanwhile.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 10000-01-01T00:00:00Z: what a date in HTTP (RFC 9110, section 5.6.7) has no digits for.
const END_S: u64 = 253_402_300_800;
/// hyper writes no date that is later than now, but the clock goes on while it looks.
const MARGIN_S: u64 = 60;

/// Polls what hyper does, as long as the clock shows a time that it can write. `None` once it does not.
pub(crate) async fn while_datable<F: Future + Unpin>(mut work: F) -> Option<F::Output> {
    poll_fn(|cx| match is_datable(SystemTime::now()) {
        true => Pin::new(&mut work).poll(cx).map(Some),
        false => Poll::Ready(None),
    })
    .await
}

fn is_datable(now: SystemTime) -> bool {
    now.duration_since(UNIX_EPOCH).is_ok_and(|since| since < Duration::from_secs(END_S - MARGIN_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_has_four_digits_for_a_year() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(is_datable(UNIX_EPOCH) && is_datable(SystemTime::now()) && is_datable(at(END_S - 61)));
        assert!(!is_datable(at(END_S - 1)) && !is_datable(at(END_S * 20)));
        assert!(!is_datable(UNIX_EPOCH - Duration::from_secs(1)));
    }
}
