//! Who may read for long, and who waits until nobody does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lets many in, and keeps them out while somebody needs that none is inside.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    waiting: usize,
    closed: bool,
    /// How often it was opened.
    turn: u64,
}

/// One that was let in, until dropped.
pub(super) struct Inside<'a>(&'a Gate);

/// Nobody is inside while this lives.
pub(super) struct Closed<'a>(&'a Gate);

impl Gate {
    /// Goes in. Whoever found it closed goes in when it opens, before it can be closed again, so nobody waits for ever.
    pub(super) fn enter(&self) -> Inside<'_> {
        let mut state = self.state();
        if state.closed {
            state.waiting += 1;
            let turn = state.turn;
            let waits = |state: &mut State| state.turn == turn;
            drop(self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner));
        } else {
            state.inside += 1;
        }
        Inside(self)
    }

    /// Lets nobody in any more and waits for those inside. None if they take longer: the gate stays closed, so that they
    /// are the last, and this is to be called again.
    pub(super) fn close(&self, patience: Duration) -> Option<Closed<'_>> {
        let mut state = self.state();
        state.closed = true;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, patience, |state| state.inside > 0)
            .unwrap_or_else(PoisonError::into_inner);
        (state.inside == 0).then(|| Closed(self))
    }

    /// The same if nobody is inside. Otherwise nothing changes for anybody.
    pub(super) fn close_if_empty(&self) -> Option<Closed<'_>> {
        let mut state = self.state();
        let empty = state.inside == 0;
        state.closed |= empty;
        empty.then(|| Closed(self))
    }

    /// Lets in who waits.
    pub(super) fn open(&self) {
        let mut state = self.state();
        state.closed = false;
        state.inside += std::mem::take(&mut state.waiting);
        state.turn += 1;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
        self.0.changed.notify_all();
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn who_is_inside_is_waited_for_and_nobody_follows() {
        let gate = Arc::new(Gate::default());
        let inside = gate.enter();
        assert!(gate.close(SOON).is_none());
        let (said, says) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let other = Arc::clone(&gate);
        let thread = std::thread::spawn(move || {
            let _inside = other.enter();
            said.send(()).unwrap();
            left.recv().unwrap();
        });
        assert!(says.recv_timeout(SOON).is_err(), "it is closed");
        drop(inside);
        let closed = gate.close(LONG).unwrap();
        assert!(says.recv_timeout(SOON).is_err(), "it is closed");
        drop(closed);
        says.recv_timeout(LONG).unwrap();
        assert!(gate.close(Duration::ZERO).is_none(), "who waited is inside");
        leave.send(()).unwrap();
        assert!(gate.close(LONG).is_some());
        drop(gate.enter());
        thread.join().unwrap();
    }
}
