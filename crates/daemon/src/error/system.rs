//! Errors of the system: it refuses a call, or its limits are too low.

use std::io;
use std::path::PathBuf;

/// What the system does not give to this process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SystemError {
    /// The process cannot protect its memory.
    #[error(
        "the memory of this process cannot be protected from dumps: {0}\n\
         Donjon needs Linux with prctl(2) and setrlimit(2) allowed; look at the seccomp filter of the container."
    )]
    Harden(#[source] io::Error),
    /// The data directory cannot be made.
    #[error(
        "the data directory {} cannot be made: {source}\n\
         Make it for the user that runs donjond (mode 0700), or name another with --data-dir.",
        path.display()
    )]
    DataDir {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The runtime cannot start.
    #[error(
        "the server could not start: {0}\nThe limits of the service (tasks, memory, files) may be too low."
    )]
    Runtime(#[source] io::Error),
    /// The limit of open files is too low to start.
    #[error(
        "the limit of open files is {limit}, and starting takes {needed}\n\
         Raise it: LimitNOFILE= of the unit, ulimit -n in a shell."
    )]
    FewFiles {
        /// The current limit.
        limit: usize,
        /// The limit that a start needs.
        needed: usize,
    },
    /// The system gives fewer threads than a start needs.
    #[error(
        "the system does not give the {threads} threads that starting takes: {source}\n\
         Raise the limit: TasksMax= or LimitNPROC= of the unit, ulimit -u in a shell, pids.max of the container."
    )]
    FewThreads {
        /// How many.
        threads: usize,
        /// Why not.
        source: io::Error,
    },
    /// The system gives less memory than a start needs.
    #[error(
        "the system does not give the {mib} MiB of memory that starting takes\n\
         Raise the limit: LimitAS= or LimitDATA= of the unit, ulimit -v and -d in a shell."
    )]
    LittleMemory {
        /// How much.
        mib: usize,
    },
}

pub(super) const EXHAUSTED: &str = "The limits of the service (files, tasks, memory: LimitNOFILE=, TasksMax=, MemoryMax=), or of the system, are too low.";

/// Whether the system is short of files, threads or memory (`EMFILE`, `ENFILE`, `EAGAIN`, `ENOMEM`), so that the request itself
/// is not at fault. An error with an added path is known by its text alone.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let all = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM].map(Errno::raw_os_error);
    all.iter().any(|errno| match error.raw_os_error() {
        Some(found) => found == *errno,
        None => error.to_string().ends_with(&format!("(os error {errno})")),
    })
}
