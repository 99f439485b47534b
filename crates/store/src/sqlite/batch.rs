//! Changes on their way, and the transactions that do them.
//!
//! A change is first checked, then witnessed, then written (`rules/`). One that fails its checks has written nothing, so
//! it takes nothing with it and needs no savepoint, which would copy every page it touches. What can fail after that is
//! the database itself, and then the whole transaction fails, for everybody in it.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::memory::Memory;
use super::tables::SqlTables;
use crate::rules::{Effects, NotDone, Transaction};
use crate::{Change, Error, Failure, Numbers, Unwitnessed, Witness, ephemeral};

/// One change on its way.
pub(super) struct Job {
    pub(super) change: Change,
    witness: Witness,
    pub(super) done: oneshot::Sender<Result<(), Error>>,
}

impl Job {
    pub(super) fn new(change: Change, witness: Witness) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (done, wait) = oneshot::channel();
        (Self { change, witness, done }, wait)
    }

    /// Answers, once what follows the commit is done. What promises that ciphertext is gone is not done if it is not.
    pub(super) fn answer(self, answer: Result<Done, Error>, purged: &rusqlite::Result<()>) {
        let answer = match (purged, answer) {
            (Err(error), Ok(Done { deleted: true })) => Err(Failure::of_sqlite(error).into()),
            (_, answer) => answer.map(drop),
        };
        let _ = self.done.send(answer); // Nobody waits for an answer whose client has gone.
    }
}

/// A change that was done.
pub(super) struct Done {
    /// It deleted ciphertext, which is to be gone when it is answered.
    pub(super) deleted: bool,
}

/// The file, and the numbers of changes that are written there.
#[derive(Clone, Copy)]
pub(super) struct Here<'a> {
    pub(super) file: &'a Connection,
    pub(super) numbers: &'a Numbers,
}

impl Here<'_> {
    /// Writes down, as part of the transaction, the newest number given in it.
    fn keep(self, number: u64) -> rusqlite::Result<()> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.file.prepare_cached("UPDATE store SET witnessed = ?1")?.execute([number]).map(drop)
    }
}

/// Runs the batch. The newest number of its changes; an error means that nothing of it was done.
pub(super) fn commit_batch(
    here: Here<'_>,
    memory: &Memory,
    batch: &mut [Job],
    effects: &mut Effects,
    answers: &mut Vec<Result<Done, Error>>,
) -> rusqlite::Result<u64> {
    run(here.file, "BEGIN IMMEDIATE")?;
    let mut newest = 0;
    for Job { change, witness, .. } in batch {
        let numbered = is_numbered(change);
        let mut witness = || {
            let number = numbered.then(|| here.numbers.next());
            witness(number).map_err(|Unwitnessed| Failure::Unwitnessed)?;
            newest = number.unwrap_or(newest);
            Ok(())
        };
        let deleted_before = std::mem::take(&mut effects.deleted);
        let mut tables = SqlTables(here.file);
        let mut transaction =
            Transaction { here: &mut tables, beside: memory, witness: &mut witness, effects: &mut *effects };
        answers.push(match transaction.apply(change) {
            Ok(()) => Ok(Done { deleted: effects.deleted }),
            Err(NotDone::Refused(error)) => Err(error),
            Err(NotDone::Keeper(error)) => return Err(error),
        });
        effects.deleted |= deleted_before;
    }
    if newest > 0 {
        here.keep(newest)?;
    }
    run(here.file, "COMMIT")?;
    Ok(newest)
}

/// Runs one change in a transaction of the file and one of memory. The file's is committed first: of the two only it
/// can fail, and then nothing was done. What is written in memory alone has no number: it ends with the process, so nobody
/// can miss it, and the file need not be forced to disk for it.
pub(super) fn commit_in_both(
    here: Here<'_>,
    memory: &Connection,
    job: &mut Job,
    effects: &mut Effects,
) -> Result<(), NotDone<rusqlite::Error>> {
    let Job { change, witness, .. } = job;
    let (file, mut newest) = (here.file, None);
    let done = (|| {
        run(file, "BEGIN IMMEDIATE")?;
        run(memory, "BEGIN")?;
        let (mut durable, mut kept) = (SqlTables(file), SqlTables(memory));
        let numbered = ephemeral::is_durable(&durable, change)?;
        let mut witness = || {
            newest = numbered.then(|| here.numbers.next());
            witness(newest).map_err(|Unwitnessed| Failure::Unwitnessed.into())
        };
        ephemeral::apply(&mut durable, &mut kept, change, &mut witness, effects)?;
        if let Some(newest) = newest {
            here.keep(newest)?;
        }
        run(file, "COMMIT")?;
        Ok(run(memory, "COMMIT")?)
    })();
    if done.is_err() {
        for connection in [file, memory].into_iter().filter(|connection| !connection.is_autocommit()) {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    if let (Ok(()), Some(newest)) = (&done, newest) {
        here.numbers.commit(newest);
    }
    done
}

/// Whether a change of the file is one that the audit trail has: the store's own upkeep is not.
fn is_numbered(change: &Change) -> bool {
    !matches!(
        change,
        Change::SetKeyCheck(_)
            | Change::ReplaceKeyCheck { .. }
            | Change::PutGuards(_)
            | Change::AddProjectKey { .. }
            | Change::ReapOrders { .. }
            | Change::AnchorAudit { .. }
    )
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
