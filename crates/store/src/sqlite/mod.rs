//! The embedded store: one SQLite file, written ahead.
//!
//! ```text
//!  request ──▶ thread's own connection ──▶ snapshot, kept until something is committed
//!  request ──▶ queue ──▶ writer thread: BEGIN, all that waits, COMMIT (one fsync), acknowledge all
//! ```
//!
//! Reads run where the request runs, on a connection of the thread, by prepared statements; what may take long (a
//! filter that no index serves) runs on threads for that. Writers never see "locked": there is one. `donjon.db` is
//! the database, `-wal` belongs to it, and no other process can read either meanwhile (`opening.rs`). No page of a file
//! is ever mapped into memory: a disk that is full or fails is an error of one read or change, not the end of the
//! process. Ephemeral secrets are in a second database that is memory alone.
//!
//! Deleted ciphertext is overwritten (`secure_delete`), and the log that may still hold it is folded in and emptied
//! before the deletion is acknowledged. What a file system, a disk or a backup keeps of older blocks is beyond that.

mod acls;
mod batch;
mod columns;
mod consumers;
mod containers;
mod copy;
mod dialect;
mod gate;
mod guards;
mod handles;
mod list;
mod look;
mod memory;
mod opening;
mod orders;
mod quotas;
mod reader;
mod reap;
mod rows;
mod slices;
mod store;
mod tables;
mod transport_keys;
mod trim;
mod write_ahead_log;
mod writer;

pub use copy::{Copied, CopyProgress};
pub use look::{Look, Swept};
pub use opening::Purpose;
pub use store::SqliteStore;
pub use writer::{BATCH_DEFAULT, Serving};
