//! Errors of the store: its database, master key, audit trail, or another user of them.

use std::io;
use std::path::{Path, PathBuf};

use super::system::{EXHAUSTED, is_exhausted};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// `init` found an existing store.
    #[error(
        "there is a store at {} already; nothing was touched\n\
         Start it with donjond serve, look at it with donjond check, or name another --data-dir.",
        .0.display()
    )]
    Exists(PathBuf),
    /// An audit trail exists, and its database does not.
    #[error(
        "there is no database at {}, and the audit trail {} is of one\n\
         Is the file system mounted? If the database is lost, restore a backup of it. To begin anew with an empty one: \
         donjond init.",
        store.display(),
        trail.display()
    )]
    Missing {
        /// Where it should be.
        store: PathBuf,
        /// The trail that is there.
        trail: PathBuf,
    },
    /// The first start of the store was interrupted.
    #[error("the store {} has no master key yet: its first start was cut short\nStart it with donjond serve.", .0.display())]
    Unfinished(PathBuf),
    /// A running server has the store and no admin socket.
    #[error(
        "{} is in use by another process, which does not listen at the admin socket\n\
         Name the socket of the server that runs with --admin-socket, or stop that server.",
        .0.display()
    )]
    InUseUnasked(PathBuf),
    /// Other users can change a file.
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
    /// The database cannot be opened.
    #[error("{source}\n{}", advice(source))]
    Open {
        /// Why.
        #[from]
        source: store::OpenError,
    },
    /// The database cannot be read.
    #[error("{}\n{}", .0, store_advice(.0))]
    Read(#[from] store::Error),
    /// The vault cannot be opened.
    #[error("{}", vault_text(source, store))]
    Vault {
        /// Why.
        source: vault::OpenError,
        /// Where the database is.
        store: PathBuf,
    },
    /// A check found damage.
    #[error("{}", unsound(*damaged, complaints))]
    Unsound {
        /// The number of secrets that do not open; each was named.
        damaged: u64,
        /// What SQLite says.
        complaints: Vec<String>,
    },
    /// `init` found an audit trail of another master key.
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
    /// `check --audit` found a fault.
    #[error("the audit trail does not hold ({files}): {source}\n{}", trail_advice(source))]
    Trail {
        /// What was read.
        files: String,
        /// What is wrong with it.
        source: vault::TrailError,
    },
    /// The audit trail goes to standard output, so its files are unknown.
    #[error(
        "the audit trail goes to standard output\nName the files that collect it: donjond check --audit FILE…"
    )]
    TrailElsewhere,
}

/// Why a vault cannot be opened, and what to do. The texts of a key provider already say both.
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

/// Describes the damage and what to do about it.
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

const ROOM: &str = "Make room there, then start it again: what was acknowledged is there.";

const NOT_WRITABLE: &str = "The file or its directory cannot be written, and SQLite keeps -wal beside it even to read: \
                            run this as the user that owns both (sudo -u donjon …), where the file system is not \
                            read-only.";

/// Recognises `SQLITE_READONLY` and `SQLITE_CANTOPEN` by SQLite's texts; the codes do not come this far.
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
    fn told(error: StoreError, expect: Expect) {
        expect.assert_eq(&error.to_string());
    }

    #[test]
    fn a_read_only_database_is_not_called_damaged() {
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
    fn other_errors_of_sqlite_may_be_damage() {
        let message = "database disk image is malformed".to_owned();
        told(
            store::OpenError::Database { path: "/srv/donjon.db".into(), message }.into(),
            expect![[r#"
            /srv/donjon.db: database disk image is malformed
            Look at the disk, then restore a backup of database and master key if it is damaged."#]],
        );
    }
}
