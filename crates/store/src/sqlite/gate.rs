//! A gate for long reads. The writer closes it, and waits until no long read runs.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lets many threads in, and keeps them out while one needs that none is inside.
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
    /// How often the gate was opened.
    turn: u64,
}

/// A thread is inside while this lives.
pub(super) struct Inside<'a>(&'a Gate);

/// No thread is inside while this lives.
pub(super) struct Closed<'a>(&'a Gate);

impl Gate {
    /// Enters. A thread that finds the gate closed enters when it opens, before it can be closed again, so none waits for ever.
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

    /// Lets no more threads in, and waits for those inside. None if they take longer: the gate stays closed, so that no others
    /// follow, and the caller has to try again.
    pub(super) fn close(&self, patience: Duration) -> Option<Closed<'_>> {
        let mut state = self.state();
        state.closed = true;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, patience, |state| state.inside > 0)
            .unwrap_or_else(PoisonError::into_inner);
        (state.inside == 0).then(|| Closed(self))
    }

    /// Closes the gate if no thread is inside; otherwise nothing changes.
    pub(super) fn close_if_empty(&self) -> Option<Closed<'_>> {
        let mut state = self.state();
        let empty = state.inside == 0;
        state.closed |= empty;
        empty.then(|| Closed(self))
    }

    /// Lets waiting threads in.
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
    fn closing_waits_for_threads_inside_and_lets_no_others_in() {
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
        assert!(gate.close(Duration::ZERO).is_none(), "the thread that waited is inside");
        leave.send(()).unwrap();
        assert!(gate.close(LONG).is_some());
        drop(gate.enter());
        thread.join().unwrap();
    }
}
