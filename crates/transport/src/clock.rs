//! A guard against clocks outside the years 1970 to 9999.
//!
//! hyper dates every answer, and reads the clock whenever it is polled. Before 1970 and after 9999 it panics. A clock with
//! such a time is broken, and times stored by it would stay wrong. So nothing is served meanwhile.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 10000-01-01T00:00:00Z: a date in HTTP (RFC 9110, section 5.6.7) has four digits for the year.
const END_S: u64 = 253_402_300_800;
/// The clock goes on between our look at it and that of hyper.
const MARGIN_S: u64 = 60;

/// Polls a future of hyper while the clock shows a time that hyper can write. `None` once it does not.
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
