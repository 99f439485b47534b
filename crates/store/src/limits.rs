//! The bounds of every store, whatever keeps its rows.

use std::time::Duration;

/// Changes that may wait to be done; one more is [`crate::Failure::Busy`].
pub const WAITING_MAX: usize = 4096;

/// Rows of the change log kept at the most; older ones are dropped now and then.
pub const CHANGES_KEPT: u64 = 100_000;

/// How long a row of the change log is kept, at the most, while the store serves.
pub const CHANGES_KEPT_FOR: Duration = Duration::from_secs(3600);

/// Pairs of user metadata a secret may have.
pub const METADATA_PAIRS_MAX: usize = 1000;

/// Secrets that a container may hold, and consumers that it, or a secret, may have.
pub const PARTS_MAX: u64 = 1000;

/// Memory that ephemeral secrets may take, with everything known about them; one more is [`crate::Failure::MemoryFull`].
/// About thirty thousand small ones fit, twice as many as libvirt lists.
pub const EPHEMERAL_MIB_MAX: u64 = 64;

/// The longest a list may take: a longer one costs everybody more than it is worth to one caller.
pub const SCAN_TIME_MAX: Duration = Duration::from_secs(10);

/// Orders that one change takes away at the most.
pub const REAPED_AT_ONCE: u32 = 256;
