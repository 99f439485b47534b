//! What is done to the process itself before any key is read.
//!
//! - Nothing dumps its memory: no core file, no `ptrace` by programs of the same user, no `/proc/PID/mem`.
//!   This does not stop root, nor keep memory out of swap; the locked pages of `seal` do the latter.
//! - Files it makes are for its user alone.
//! - It may hold as many connections as the system allows it.

use rustix::fs::Mode;
use rustix::io::Result;
use rustix::process::{self, DumpableBehavior, Resource, Rlimit};

/// Does all of it. Refused only by a system that lacks these calls.
pub(crate) fn harden() -> Result<()> {
    process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    process::umask(Mode::RWXG | Mode::RWXO);
    raise_open_files()
}

/// The soft limit is 1024 for the sake of programs that use `select(2)`, which this one does not.
fn raise_open_files() -> Result<()> {
    let limit = process::getrlimit(Resource::Nofile);
    process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
}
