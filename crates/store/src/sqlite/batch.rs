//! Changes that wait for the writer, and the transactions that do them.
//!
//! A change is first checked, then witnessed, then written (`rules/`). One that fails its checks has written nothing, so
//! the rest of the batch goes on without a savepoint, which would copy every page it touches. After the witness only the
//! database itself can fail, and then the whole transaction fails, for everybody in it.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::memory::Memory;
use super::tables::SqlTables;
use crate::rules::{Effects, NotDone, Transaction};
use crate::{Change, Error, Failure, Numbers, Unwitnessed, Witness, ephemeral};

/// One change that waits, and the caller who waits for it.
pub(super) struct Job {
    pub(super) change: Change,
    witness: Witness,
    pub(super) reply: oneshot::Sender<Result<(), Error>>,
}

impl Job {
    pub(super) fn new(change: Change, witness: Witness) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (reply, done) = oneshot::channel();
        (Self { change, witness, reply }, done)
    }

    /// Answers after the commit and the purge. A deletion whose ciphertext is not gone is answered with an error.
    pub(super) fn answer(self, answer: Result<Done, Error>, purged: &rusqlite::Result<()>) {
        let answer = match (purged, answer) {
            (Err(error), Ok(Done { deleted: true })) => Err(Failure::of_sqlite(error).into()),
            (_, answer) => answer.map(drop),
        };
        let _ = self.reply.send(answer); // The caller may have gone.
    }
}

/// A change that was done.
pub(super) struct Done {
    /// It deleted ciphertext, which has to be gone before the answer.
    pub(super) deleted: bool,
}

/// The file, and the numbers of witnessed changes that are written there.
#[derive(Clone, Copy)]
pub(super) struct NumberedFile<'a> {
    pub(super) file: &'a Connection,
    pub(super) numbers: &'a Numbers,
}

impl NumberedFile<'_> {
    /// Writes the newest number of the transaction, as part of it.
    fn write_newest(self, number: u64) -> rusqlite::Result<()> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.file.prepare_cached("UPDATE store SET witnessed = ?1")?.execute([number]).map(drop)
    }
}

/// Does a batch in one transaction, and gives the newest number of its changes. After an error nothing of it was done.
pub(super) fn commit_batch(
    numbered: NumberedFile<'_>,
    memory: &Memory,
    batch: &mut [Job],
    effects: &mut Effects,
    answers: &mut Vec<Result<Done, Error>>,
) -> rusqlite::Result<u64> {
    run(numbered.file, "BEGIN IMMEDIATE")?;
    let mut newest = 0;
    for Job { change, witness, .. } in batch {
        let has_number = is_numbered(change);
        let mut witness = || {
            let number = has_number.then(|| numbered.numbers.next());
            witness(number).map_err(|Unwitnessed| Failure::Unwitnessed)?;
            newest = number.unwrap_or(newest);
            Ok(())
        };
        let deleted_before = std::mem::take(&mut effects.deleted);
        let mut tables = SqlTables(numbered.file);
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
        numbered.write_newest(newest)?;
    }
    run(numbered.file, "COMMIT")?;
    Ok(newest)
}

/// Does one change in a transaction of the file and one of memory. The file commits first: only its commit can fail, and then
/// nothing was done. A change of memory alone has no number: it ends with the process, so nobody can miss it, and the
/// file need not be forced to disk for it.
pub(super) fn commit_in_both(
    numbered: NumberedFile<'_>,
    memory: &Connection,
    job: &mut Job,
    effects: &mut Effects,
) -> Result<(), NotDone<rusqlite::Error>> {
    let Job { change, witness, .. } = job;
    let (file, mut newest) = (numbered.file, None);
    let done = (|| {
        run(file, "BEGIN IMMEDIATE")?;
        run(memory, "BEGIN")?;
        let (mut durable, mut kept) = (SqlTables(file), SqlTables(memory));
        let has_number = ephemeral::is_durable(&durable, change)?;
        let mut witness = || {
            newest = has_number.then(|| numbered.numbers.next());
            witness(newest).map_err(|Unwitnessed| Failure::Unwitnessed.into())
        };
        ephemeral::apply(&mut durable, &mut kept, change, &mut witness, effects)?;
        if let Some(newest) = newest {
            numbered.write_newest(newest)?;
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
        numbered.numbers.commit(newest);
    }
    done
}

/// Whether the audit trail has the number of a change of the file. It has none of the store's own upkeep.
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
