//! The numbers of witnessed changes. Each such change gets the next number, and the store keeps the newest.
//!
//! A transaction that fails uses up its numbers, so no number ever means two changes.

use std::sync::atomic::{AtomicU64, Ordering};

/// The newest number that was given, and the newest that is on disk.
#[derive(Debug, Default)]
pub struct Numbers {
    given: AtomicU64,
    committed: AtomicU64,
}

impl Numbers {
    /// The numbers of a store whose newest witnessed change has this one.
    pub fn after(committed: u64) -> Self {
        Self { given: AtomicU64::new(committed), committed: AtomicU64::new(committed) }
    }

    /// The newest number that was given to a change, done or not.
    pub fn given(&self) -> u64 {
        self.given.load(Ordering::Acquire)
    }

    /// The newest number that is on disk for certain.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Makes all later numbers greater than this one.
    pub fn go_on_after(&self, number: u64) {
        self.given.fetch_max(number, Ordering::AcqRel);
    }

    /// The number of the next change. Its column has 63 bits, which never run out.
    pub(crate) fn next(&self) -> u64 {
        self.given.fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }

    /// Notes that changes up to this number are on disk.
    pub(crate) fn commit(&self, number: u64) {
        self.committed.fetch_max(number, Ordering::AcqRel);
    }
}
