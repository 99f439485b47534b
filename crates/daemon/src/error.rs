//! Why a command failed, told to the operator: what happened, then, on a line of its own, what to do.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::loss::Loss;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keystone cannot be asked.
    #[error("{0}\nName files that the user that runs donjond can read, in the table [keystone].")]
    Keystone(#[from] barbican::KeystoneError),
    /// The system lacks what the process needs to protect itself.
    #[error(
        "the memory of this process cannot be protected from dumps: {0}\n\
         Donjon needs Linux with prctl(2) and setrlimit(2) allowed; look at the seccomp filter of the container."
    )]
    Harden(#[source] io::Error),
    /// The data directory.
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
    /// `init` met a store.
    #[error(
        "there is a store at {} already; nothing was touched\n\
         Start it with donjond serve, look at it with donjond check, or name another --data-dir.",
        .0.display()
    )]
    StoreExists(PathBuf),
    /// There is no database beside an audit trail.
    #[error(
        "there is no database at {}, and the audit trail {} is of one\n\
         Is the file system mounted? If the database is lost, restore a backup of it. To begin anew with an empty one: \
         donjond init.",
        store.display(),
        trail.display()
    )]
    StoreMissing {
        /// Where it should be.
        store: PathBuf,
        /// The trail that is there.
        trail: PathBuf,
    },
    /// `init` met a trail that the master key has not made.
    #[error(
        "the audit trail {} was not written under the master key from {key}\n\
         Move it away, with the files beside it that rotation made, or name another in the file (audit = …); nothing was touched.",
        trail.display()
    )]
    TrailOfAnother {
        /// The trail.
        trail: PathBuf,
        /// Where the key is, or would be.
        key: String,
    },
    /// Changes that were acknowledged are not in the database.
    #[error("{}", loss_text(.0))]
    Lost(Box<Loss>),
    /// The database cannot be opened.
    #[error("{source}\n{}", advice(source))]
    Open {
        /// Why.
        #[from]
        source: store::OpenError,
    },
    /// The database cannot be read.
    #[error("{}\n{}", .0, store_advice(.0))]
    Store(#[from] store::Error),
    /// The vault cannot be opened.
    #[error("{}", vault_text(source, store))]
    Vault {
        /// Why.
        source: vault::OpenError,
        /// Where the database is.
        store: PathBuf,
    },
    /// A socket.
    #[error(
        "cannot listen on {address}: {source}\n\
         See who does with: ss -ltnp. Choose another address with {flag}."
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Which flag moves it.
        flag: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A socket of the libvirt door.
    #[error("cannot listen on {}: {source}\n{}", path.display(), socket_advice(source))]
    ListenUnix {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The token that libvirt's daemons share.
    #[error("the system token {} cannot be used: {source}\n{}", path.display(), token_advice(source))]
    Token {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The same, at `token`, which makes it for them.
    #[error(
        "the system token {} cannot be made, or not be given to a group: {source}\n\
         Run this as root, and name a group that there is, and a file that holds a system token or is not there.",
        path.display()
    )]
    TokenGiven {
        /// Where it is to be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing is served.
    #[error(
        "there is nothing to serve: both --listen and --libvirt-socket are off\n\
         Leave one of them on."
    )]
    NothingToServe,
    /// What `virtsecretd` is asked for and is not here.
    #[error("{0}")]
    NotHere(&'static str),
    /// A socket that systemd passed.
    #[error(
        "a socket that systemd passed cannot be used: {0}\n\
         donjond takes TCP sockets (ListenStream=127.0.0.1:9311) for the REST API, and UNIX sockets for libvirt's; see \
         donjond.socket."
    )]
    PassedSocket(#[source] io::Error),
    /// A socket that systemd passed, whose name does not say what it is for.
    #[error(
        "the UNIX socket {} that systemd passed is called neither …-sock nor …-ro\n\
         Name it as libvirt does: virtsecretd-sock to read and write, virtsecretd-sock-ro to look only; see \
         donjond-libvirt.socket.",
        .0.display()
    )]
    PassedName(PathBuf),
    /// The runtime.
    #[error(
        "the server could not start: {0}\nThe limits of the service (tasks, memory, files) may be too low."
    )]
    Runtime(#[source] io::Error),
    /// Others can change what is kept.
    #[error(
        "{} is not used: {why}\n\
         Find out who could have changed it meanwhile, then {how} it.",
        path.display()
    )]
    Exposed {
        /// What.
        path: PathBuf,
        /// Why not.
        why: String,
        /// The command that mends it.
        how: &'static str,
    },
    /// The limit of open files is too low to start.
    #[error(
        "the limit of open files is {limit}, and starting takes {needed}\n\
         Raise it: LimitNOFILE= of the unit, ulimit -n in a shell."
    )]
    FewFiles {
        /// What it is.
        limit: usize,
        /// What it has to be.
        needed: usize,
    },
    /// The system gives not as many threads as it takes to start.
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
    /// The system gives no memory to start with.
    #[error(
        "the system does not give the {mib} MiB of memory that starting takes\n\
         Raise the limit: LimitAS= or LimitDATA= of the unit, ulimit -v and -d in a shell."
    )]
    LittleMemory {
        /// How much.
        mib: usize,
    },
    /// Something that cannot be, while a command ran.
    #[error(
        "ended by a fault of this program, at the place that was told\n\
         If the system is out of memory, threads or files, mend that; else please report it."
    )]
    Panicked,
    /// What a look at everything found.
    #[error("{}", unsound(*damaged, complaints))]
    Unsound {
        /// Secrets that do not open; each was named.
        damaged: u64,
        /// What SQLite says.
        complaints: Vec<String>,
    },
    /// A backup was made of a store in which secrets are damaged.
    #[error(
        "the copy is at {}, and secrets in it are damaged as they are in the store: {damaged}, named above\n\
         Keep older backups, which may have them whole, and look at the disk.",
        to.display()
    )]
    BackedUpDamaged {
        /// The copy.
        to: PathBuf,
        /// How many.
        damaged: u64,
    },
    /// A server that runs did not do what it was asked.
    #[error(transparent)]
    Admin(#[from] crate::admin::client::AdminError),
    /// The admin socket.
    #[error("cannot listen on {}: {source}\n{}", path.display(), admin_socket_advice(source))]
    ListenAdmin {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A server runs, and cannot be asked.
    #[error(
        "{} is in use by another process, which does not listen at the admin socket\n\
         Name the socket of the server that runs with --admin-socket, or stop that server.",
        .0.display()
    )]
    InUseUnasked(PathBuf),
    /// There is something where a backup is to be.
    #[error("there is something at {} already; nothing was touched\nName another file.", .0.display())]
    BackupExists(PathBuf),
    /// A backup that was not finished is where another one is to begin.
    #[error(
        "{} is there: another backup writes it, or was cut off in the middle\n\
         If none is running, remove it.",
        .0.display()
    )]
    BackupBegun(PathBuf),
    /// A copy of the database cannot be written, or not be read again.
    #[error("{}: {source}\nNothing of the copy was left. See that there is room and that it may be written.", path.display())]
    CopyFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The copy reads back otherwise than it was written.
    #[error(
        "what is read from {} is not what was written there\n\
         Nothing of the copy was left. Suspect the disk.",
        .0.display()
    )]
    CopyDiffers(PathBuf),
    /// There is not enough room for a copy.
    #[error(
        "there are {} MB free in {}, and a copy needs {} MB while it is made\n\
         Make room; nothing was changed.",
        free / 1_000_000, folder.display(), needed.div_ceil(1_000_000)
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// Stopped by a signal, or by who asked.
    #[error("stopped before it was done; nothing was left of it")]
    Interrupted,
    /// What `check --audit` found.
    #[error("the audit trail does not hold ({files}): {source}\n{}", trail_advice(source))]
    Trail {
        /// What was read.
        files: String,
        /// What is wrong with it.
        source: vault::TrailError,
    },
    /// A store whose first start was cut short.
    #[error("the store {} has no master key yet: its first start was cut short\nStart it with donjond serve.", .0.display())]
    Unfinished(PathBuf),
    /// The audit trail is not in files that are known.
    #[error(
        "the audit trail goes to standard output\nName the files that collect it: donjond check --audit FILE…"
    )]
    TrailElsewhere,
    /// Stopped by a second signal.
    #[error("ended at once by a second signal; requests in flight were cut off")]
    Cut,
}

impl Error {
    /// 2 for usage and configuration, and where an operator has to decide, so that systemd does not try again; 1 for
    /// everything else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Keystone(_) | Self::NothingToServe | Self::NotHere(_) | Self::Lost(_) => {
                ExitCode::from(2)
            }
            Self::Harden(_)
            | Self::DataDir { .. }
            | Self::StoreExists(_)
            | Self::StoreMissing { .. }
            | Self::TrailOfAnother { .. }
            | Self::Open { .. }
            | Self::Store(_)
            | Self::Vault { .. }
            | Self::Listen { .. }
            | Self::ListenUnix { .. }
            | Self::Token { .. }
            | Self::TokenGiven { .. }
            | Self::PassedSocket(_)
            | Self::PassedName(_)
            | Self::Runtime(_)
            | Self::Exposed { .. }
            | Self::FewFiles { .. }
            | Self::FewThreads { .. }
            | Self::LittleMemory { .. }
            | Self::Panicked
            | Self::Unsound { .. }
            | Self::BackedUpDamaged { .. }
            | Self::Admin(_)
            | Self::ListenAdmin { .. }
            | Self::InUseUnasked(_)
            | Self::BackupExists(_)
            | Self::BackupBegun(_)
            | Self::CopyFile { .. }
            | Self::CopyDiffers(_)
            | Self::NoRoom { .. }
            | Self::Interrupted
            | Self::Trail { .. }
            | Self::Unfinished(_)
            | Self::TrailElsewhere
            | Self::Cut => ExitCode::from(1),
        }
    }
}

/// Why a vault cannot be opened, and what to do. The provider's own texts say both.
fn vault_text(error: &vault::OpenError, store: &Path) -> String {
    use vault::OpenError::{Audit, Keys, Lost, Provider, Store, WrongMasterKey};
    let store = store.display();
    match error {
        Provider(error) => chain(error),
        WrongMasterKey { from } => format!(
            "the master key ({from}) is not the one that the store {store} was made with\n\
             Restore the right key, or name it with --master-key. A new key would open nothing, so none is made."
        ),
        Keys(error) => {
            format!("a key cannot be used: {error}\nThis machine may be failing, or out of memory.")
        }
        Store(error) => format!("{error}\n{}", store_advice(error)),
        Lost(lost) => format!(
            "changes {} to {} are not in the database {}\nLook at it with donjond check.",
            lost.after + 1,
            lost.through,
            store
        ),
        Audit(error) => format!("the audit trail cannot be opened: {error}\n{}", audit_advice(error)),
    }
}

/// Names the damage and the remedy.
fn unsound(damaged: u64, complaints: &[String]) -> String {
    if complaints.is_empty() {
        let secrets = if damaged == 1 { "1 secret is" } else { &format!("{damaged} secrets are") };
        return format!(
            "{secrets} damaged: the ids are above\n\
             Keep the database as it is, and look at the disk. Restore a backup that has them, or delete them and have \
             their owners store them again."
        );
    }
    let more =
        if damaged == 0 { String::new() } else { format!("damaged secrets: {damaged}, named above\n") };
    format!(
        "the database is damaged:\n{}\n{more}Stop the server and restore a backup.",
        complaints.join("\n")
    )
}

/// What to do about a system token that cannot be used.
fn token_advice(error: &io::Error) -> &'static str {
    if is_exhausted(error) {
        return EXHAUSTED;
    }
    "Let the user that runs donjond read it (libvirt makes it for root alone), or name another with \
     --libvirt-token; another one will not open private secrets to libvirt's daemons."
}

/// What to do about an admin socket that cannot be made.
fn admin_socket_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_exhausted(error) => EXHAUSTED,
        io::ErrorKind::AddrInUse => "See who does with: ss -lxp. Choose another path with --admin-socket.",
        io::ErrorKind::InvalidInput => {
            "The path of a UNIX socket has 107 bytes at the most: choose a shorter one with --admin-socket."
        }
        _ => {
            "Let the user that runs donjond write there, or choose another path with --admin-socket (off for none)."
        }
    }
}

/// What to do about an audit trail that cannot be opened.
fn audit_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_exhausted(error) => EXHAUSTED,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ROOM,
        io::ErrorKind::InvalidInput => {
            "Name a regular file that belongs to the user that runs donjond and has one name, itself and not a link to it, with \
             --audit; nothing was changed."
        }
        io::ErrorKind::InvalidData => {
            "Name the audit trail with --audit. If this is it, find out who wrote there, and move the file away; nothing was \
             changed."
        }
        _ => {
            "Let the user that runs donjond write there, or name another file with --audit; without it nothing is served."
        }
    }
}

/// Names the loss and the remedy.
fn loss_text(loss: &Loss) -> String {
    let Loss { store, trail, lost, changes } = loss;
    let mut text = format!(
        "changes are lost: the audit trail {trail} says that change {} was committed, and the newest in {} is {}",
        lost.through,
        store.display(),
        lost.after
    );
    match changes.numbers.len() {
        0 => text += &format!("\n  changes {} to {} (they have no line there)", lost.after + 1, lost.through),
        lines => {
            text += &format!("\n  {lines} changes are missing, up to {}:", changes.until);
            for change in &changes.first {
                text += &format!(
                    "\n  change {} at {}, {}, {} {}",
                    change.number, change.time, change.request, change.action, change.of
                );
            }
            if lines > changes.first.len() {
                text += &format!("\n  … and {} more, which the trail has", lines - changes.first.len());
            }
        }
    }
    text + "\nIs this the right database, and whole (donjond check; was donjon.db-wal left behind)? Put back the one that was \
            served last. If a backup was restored, or they cannot be had back: donjond serve --accept-rollback goes on without them."
}

/// What to do about a UNIX socket that cannot be made.
fn socket_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_exhausted(error) => EXHAUSTED,
        io::ErrorKind::AddrInUse => {
            "See who does with: ss -lxp. Stop it, or choose another path with --libvirt-socket."
        }
        io::ErrorKind::InvalidInput => {
            "The path of a UNIX socket has 107 bytes at the most: choose a shorter one with --libvirt-socket."
        }
        _ => {
            "Let the user that runs donjond write there, or choose another path with --libvirt-socket (off for none)."
        }
    }
}

/// What to do about a database that cannot be opened.
fn advice(error: &store::OpenError) -> &'static str {
    use store::OpenError::{Database, DiskFull, File, Foreign, InUse, Linked, Missing, Schema, Unreadable};
    match error {
        Missing(_) => {
            "Make a store with donjond init or donjond serve, or name one with --data-dir or --store."
        }
        InUse(_) => {
            "One server serves a store, and nobody else reads it meanwhile: stop the other donjond (or sqlite3), or name \
             another --data-dir."
        }
        Linked { .. } => {
            "Two servers would each have a write-ahead log for it: remove the other names (find -samefile), or copy the \
             file (cp) and put the copy in its place."
        }
        DiskFull(_) => ROOM,
        Unreadable(_) => {
            "Look at the disk (dmesg); restore a backup of the database if the disk is broken: nothing was changed."
        }
        Foreign(_) => "Name Donjon's own database with --store sqlite:PATH; nothing was changed.",
        Schema { found, known, .. } if found > known => {
            "A later donjond wrote it: start that version or a later one; nothing was changed."
        }
        Schema { .. } => {
            "No version of donjond is known that wrote this: restore a backup; nothing was changed."
        }
        File { source, .. } if is_exhausted(source) => EXHAUSTED,
        File { .. } => "Let the user that runs donjond read and write there, or name another place.",
        Database { message, .. } if says_not_writable(message) => NOT_WRITABLE,
        Database { .. } => {
            "Look at the disk, then restore a backup of database and master key if it is damaged."
        }
    }
}

/// What to do about a database that cannot be used.
fn store_advice(error: &store::Error) -> &'static str {
    match error {
        store::Error::Failed(store::Failure::DiskFull) => ROOM,
        store::Error::Failed(store::Failure::Unavailable(message)) if says_not_writable(message) => {
            NOT_WRITABLE
        }
        _ => "Look at the whole database with donjond check.",
    }
}

const EXHAUSTED: &str = "The limits of the service (files, tasks, memory: LimitNOFILE=, TasksMax=, MemoryMax=), or of the system, are too low.";

/// `EMFILE`, `ENFILE`, `EAGAIN`, `ENOMEM`: nothing is wrong with what was asked for. An error that was given a path has only
/// its text left.
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let all = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM].map(Errno::raw_os_error);
    all.iter().any(|errno| match error.raw_os_error() {
        Some(found) => found == *errno,
        None => error.to_string().ends_with(&format!("(os error {errno})")),
    })
}

const ROOM: &str = "Make room there, then start it again: what was acknowledged is there.";

const NOT_WRITABLE: &str = "The file or its directory cannot be written, and SQLite keeps -wal beside it even to read: \
                            run this as the user that owns both (sudo -u donjon …), where the file system is not \
                            read-only.";

/// `SQLITE_READONLY` and `SQLITE_CANTOPEN`, of which only SQLite's texts come this far.
fn says_not_writable(message: &str) -> bool {
    message.contains("readonly database") || message.contains("unable to open database file")
}

/// What to do about an audit trail that does not hold.
fn trail_advice(error: &vault::TrailError) -> &'static str {
    use vault::TrailError::{Altered, CutOff, Foreign, Gap, Read, Several, WentBack};
    match error {
        Read(_) => "Name files that can be read.",
        Gap { line: 1, .. } => "Name every rotated file since the first, oldest first.",
        Several(faults) if matches!(faults.first(), Some(Gap { line: 1, .. })) => {
            "Name every rotated file since the first, oldest first."
        }
        Foreign { .. } | Gap { .. } | Altered { .. } | CutOff { .. } | WentBack { .. } | Several(_) => {
            "Keep these files as they are, and find out who could write them."
        }
    }
}

/// An error and its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { text + ": " + &cause }
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn told(error: Error, expect: Expect) {
        expect.assert_eq(&error.to_string());
    }

    #[test]
    fn what_cannot_be_written_is_not_called_damaged() {
        let message = "attempt to write a readonly database".to_owned();
        told(
            store::OpenError::Database { path: "/srv/donjon.db".into(), message: message.clone() }.into(),
            expect![[r#"
                /srv/donjon.db: attempt to write a readonly database
                The file or its directory cannot be written, and SQLite keeps -wal beside it even to read: run this as the user that owns both (sudo -u donjon …), where the file system is not read-only."#]],
        );
        told(
            store::Error::from(store::Failure::Unavailable(message)).into(),
            expect![[r#"
            the database cannot be used: attempt to write a readonly database
            The file or its directory cannot be written, and SQLite keeps -wal beside it even to read: run this as the user that owns both (sudo -u donjon …), where the file system is not read-only."#]],
        );
    }

    #[test]
    fn what_sqlite_complains_of_otherwise_may_be_damage() {
        let message = "database disk image is malformed".to_owned();
        told(
            store::OpenError::Database { path: "/srv/donjon.db".into(), message }.into(),
            expect![[r#"
            /srv/donjon.db: database disk image is malformed
            Look at the disk, then restore a backup of database and master key if it is damaged."#]],
        );
    }
}
