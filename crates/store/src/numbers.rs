//! The numbers of changes: each one that somebody witnesses has the next, for good, and the store keeps the newest.
//!
//! A transaction that fails uses up the numbers it gave, so no number ever means two changes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which number the next witnessed change has, and which are on disk.
#[derive(Debug, Default)]
pub struct Numbers {
    given: AtomicU64,
    committed: AtomicU64,
}

impl Numbers {
    /// Those of a store whose newest witnessed change is this.
    pub fn after(committed: u64) -> Self {
        Self { given: AtomicU64::new(committed), committed: AtomicU64::new(committed) }
    }

    /// The newest that was given to a change, whether or not that was done.
    pub fn given(&self) -> u64 {
        self.given.load(Ordering::Acquire)
    }

    /// The newest that is on disk for certain.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Changes have numbers above this from now on.
    pub fn go_on_after(&self, number: u64) {
        self.given.fetch_max(number, Ordering::AcqRel);
    }

    /// The number of the next change. What holds it is a column of 63 bits, which nobody fills.
    pub(crate) fn next(&self) -> u64 {
        self.given.fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }

    /// All up to this one are on disk now.
    pub(crate) fn commit(&self, number: u64) {
        self.committed.fetch_max(number, Ordering::AcqRel);
    }
}
