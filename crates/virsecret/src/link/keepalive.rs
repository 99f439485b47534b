//! How long the daemon may be silent. No I/O and no clock: the caller says what time it is.

use std::time::{Duration, Instant};

/// Asks for a sign of life after each interval of silence, and gives up after some without an answer.
#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    /// PINGs that may stay unanswered.
    count: u32,
    unanswered: u32,
    due: Instant,
}

/// What to do about silence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Silence {
    /// Nothing for so long.
    Wait(Duration),
    /// Ask, and then nothing for so long.
    Ask(Duration),
    /// The daemon is gone.
    GiveUp,
}

impl Keepalive {
    pub(super) fn new(interval: Duration, count: u32, now: Instant) -> Self {
        Self { interval, count, unanswered: 0, due: now + interval }
    }

    /// When to ask again, or to give up: an interval after something was heard, or asked.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Something came from the daemon.
    pub(super) fn heard(&mut self, now: Instant) {
        (self.due, self.unanswered) = (now + self.interval, 0);
    }

    /// What is due now.
    pub(super) fn at(&mut self, now: Instant) -> Silence {
        if now < self.due {
            return Silence::Wait(self.due - now);
        }
        if self.unanswered >= self.count {
            return Silence::GiveUp;
        }
        self.unanswered += 1;
        self.due = now + self.interval;
        Silence::Ask(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_daemon_is_asked_some_times_and_then_given_up() {
        let (begin, interval) = (Instant::now(), Duration::from_secs(5));
        let mut keepalive = Keepalive::new(interval, 2, begin);
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(keepalive.at(at(3)), Silence::Wait(Duration::from_secs(2)));
        assert_eq!(keepalive.at(at(5)), Silence::Ask(interval));
        assert_eq!(keepalive.at(at(10)), Silence::Ask(interval));
        assert_eq!(keepalive.at(at(15)), Silence::GiveUp);
    }

    #[test]
    fn a_sign_of_life_begins_the_count_anew() {
        let (begin, interval) = (Instant::now(), Duration::from_secs(5));
        let mut keepalive = Keepalive::new(interval, 1, begin);
        assert_eq!(keepalive.at(begin + interval), Silence::Ask(interval));
        keepalive.heard(begin + interval);
        assert_eq!(keepalive.due(), begin + 2 * interval);
        assert_eq!(keepalive.at(begin + 2 * interval), Silence::Ask(interval));
        assert_eq!(keepalive.at(begin + 3 * interval), Silence::GiveUp);
    }
}
