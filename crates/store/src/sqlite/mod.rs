//! The embedded store: one SQLite file, written ahead.
//!
//! ```text
//!  request ──▶ thread's own connection ──▶ snapshot, kept until the next commit
//!  request ──▶ queue ──▶ writer thread: BEGIN, all that wait, COMMIT (one fsync), acknowledge all
//! ```
//!
//! Reads run on the request's thread, on a connection of that thread, by prepared statements. Long reads (a filter that no
//! index serves) run on threads of their own. There is one writer, so no write waits for a lock. `donjon.db` is the
//! database and `donjon.db-wal` its write-ahead log; while a server runs, no other process can read either (`opening.rs`).
//! No page of a file is ever mapped into memory: a full or failing disk is an error of one read or change, not the end of
//! the process. Ephemeral secrets are in a second database that is memory alone.
//!
//! Deleted ciphertext is overwritten (`secure_delete`). The write-ahead log may still hold it, so the log is folded in and
//! emptied before the deletion is acknowledged. Older blocks may stay in a file system, on a disk or in a backup.

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
