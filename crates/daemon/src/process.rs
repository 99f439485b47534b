//! Prepares the process before any key is read.
//!
//! - Nothing dumps its memory: no core file, no `ptrace` by programs of the same user, no `/proc/PID/mem`.
//!   This does not stop root, nor keep memory out of swap; the locked pages of `seal` do the latter.
//! - Its new files belong to its user alone.
//! - It may hold as many connections as the system allows.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use rustix::fs::Mode;
use rustix::process::{self, DumpableBehavior, Resource, Rlimit};

use crate::error::{Error, SystemError};

/// Approximate number of open files of a server without connections, and some for connections.
const OPEN_FILES_MIN: usize = 64;
/// Open files of each serving thread: its runtime's, and its connection to the database.
const OPEN_FILES_EACH: usize = 8;
/// Threads for each serving thread: itself, and one for long work.
const THREADS_EACH: usize = 2;
/// Threads of the background work, and one to spare.
const THREADS_BESIDE: usize = 6;
/// Approximate memory of a start. Memory that is missing later fails one request, but during the start it would end the process
/// without a message.
const MEMORY_MIN: usize = 32 * 1024 * 1024;

/// Applies all of these. It fails only on a system without the calls.
pub(crate) fn harden() -> rustix::io::Result<()> {
    process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    process::umask(Mode::RWXG | Mode::RWXO);
    raise_open_files()
}

/// Raises the soft limit to the hard one. The soft limit is low for programs that use `select(2)`, which this one does not.
fn raise_open_files() -> rustix::io::Result<()> {
    let limit = process::getrlimit(Resource::Nofile);
    process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
}

/// Checks the resources for a start with this many serving threads. Without them libraries fail with poorer messages.
pub(crate) fn require_room(serving: NonZeroUsize) -> Result<(), Error> {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let needed = open + OPEN_FILES_MIN + OPEN_FILES_EACH * serving.get();
    let limit = process::getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if limit < needed {
        return Err(SystemError::FewFiles { limit, needed }.into());
    }
    let mut memory: Vec<u8> = Vec::new();
    memory
        .try_reserve_exact(MEMORY_MIN)
        .map_err(|_| SystemError::LittleMemory { mib: MEMORY_MIN / 1024 / 1024 })?;
    drop(memory);
    let threads = THREADS_EACH * serving.get() + THREADS_BESIDE;
    Ok(all_at_once(threads).map_err(|source| SystemError::FewThreads { threads, source })?)
}

/// Starts this many threads, and ends them when all run or one cannot start.
fn all_at_once(threads: usize) -> io::Result<()> {
    let hold = Mutex::new(());
    std::thread::scope(|scope| {
        let held = hold.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = || drop(hold.lock());
        let started =
            (0..threads).try_for_each(|_| std::thread::Builder::new().spawn_scoped(scope, wait).map(drop));
        drop(held);
        started
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_here_and_not_for_a_billion_threads() {
        require_room(NonZeroUsize::MIN).unwrap();
        let many = NonZeroUsize::new(1_000_000_000).unwrap();
        assert!(matches!(require_room(many), Err(Error::System(SystemError::FewFiles { .. }))));
    }
}
