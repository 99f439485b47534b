//! A circuit breaker: after several failures in a row, Keystone is only tried now and then, so that requests are answered
//! at once instead of waiting in vain.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the circuit. One of several Keystones behind an address may fail alone.
const FAILURES_MAX: u32 = 3;
/// The pause between attempts then.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// The pause when Keystone refuses the service itself: it may lock out users after too many attempts
/// (`[security_compliance] lockout_failure_attempts`).
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// The circuit breaker.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    pause: Duration,
    next_try: Option<Instant>,
}

/// The change that an attempt made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// From now on Keystone is only tried now and then.
    Opened,
    /// Keystone is asked without pauses again.
    Closed,
}

impl Circuit {
    /// Whether to ask now. Once in each pause the answer is yes.
    pub(super) fn lets_through(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.next_try {
            None => true,
            Some(time) if now < time => false,
            Some(_) => {
                state.next_try = Some(now + state.pause);
                true
            }
        }
    }

    /// Whether it is only tried now and then.
    pub(super) fn is_open(&self) -> bool {
        self.state().next_try.is_some()
    }

    /// Keystone has answered.
    pub(super) fn succeeded(&self) -> Change {
        let mut state = self.state();
        let was_open = state.next_try.is_some();
        *state = State::default();
        if was_open { Change::Closed } else { Change::None }
    }

    /// Keystone has failed.
    pub(super) fn failed(&self, now: Instant) -> Change {
        self.fail(now, 1, PAUSE)
    }

    /// Keystone has refused the service itself, and will refuse it again.
    pub(super) fn refused(&self, now: Instant) -> Change {
        self.fail(now, FAILURES_MAX, REFUSED_PAUSE)
    }

    fn fail(&self, now: Instant, weight: u32, pause: Duration) -> Change {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(weight);
        if state.failures < FAILURES_MAX {
            return Change::None;
        }
        let was_open = state.next_try.is_some();
        state.pause = pause;
        state.next_try = Some(now + pause);
        if was_open { Change::None } else { Change::Opened }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_failures_it_is_tried_now_and_then() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        for expect in [Change::None, Change::None, Change::Opened, Change::None] {
            assert!(expect == Change::None || circuit.lets_through(now));
            assert_eq!(circuit.failed(now), expect);
        }
        assert!(circuit.is_open() && !circuit.lets_through(now));
        let later = now + PAUSE;
        assert!(circuit.lets_through(later), "once");
        assert!(!circuit.lets_through(later), "and not twice");
        assert_eq!(circuit.succeeded(), Change::Closed);
        assert!(circuit.lets_through(later));
        assert_eq!(circuit.failed(later), Change::None, "it starts anew");
    }

    #[test]
    fn a_refused_service_waits_longer() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        assert_eq!(circuit.refused(now), Change::Opened);
        assert!(!circuit.lets_through(now + PAUSE));
        assert!(circuit.lets_through(now + REFUSED_PAUSE));
    }
}
