//! Takes away what is not there for anybody any more: some at a time, so that nobody waits long.

use model::Timestamp;
use rusqlite::Connection;

use super::apply::{Effects, Failed, Place, expired};
use super::reader::Reader;
use crate::Error;

/// The most secrets, and the most orders, that one change takes away.
pub const REAPED_AT_ONCE: u32 = 256;

/// The most rows that go with them, of all that belongs to them: one secret alone may have some thousands.
const ROWS_AT_ONCE: u64 = 4096;

/// Whether there is anything to take away.
pub(super) fn is_due(
    reader: &mut Reader,
    expired_by: Timestamp,
    orders_before: Timestamp,
) -> Result<bool, Error> {
    Ok(reader
        .connection()
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM secrets INDEXED BY secrets_expiring WHERE expiration <= ?1) \
             OR EXISTS (SELECT 1 FROM orders INDEXED BY orders_spent WHERE spent AND updated < ?2)",
        )?
        .query_row((expired_by.micros(), orders_before.micros()), |row| row.get(0))?)
}

/// Secrets that have expired by then. Whoever follows the change log is told that they are gone.
pub(super) fn secrets(here: &Connection, expired_by: Timestamp, effects: &mut Effects) -> Result<(), Failed> {
    let enough = here.total_changes() + ROWS_AT_ONCE;
    let found: Vec<Place> = expired(here, expired_by, REAPED_AT_ONCE)?;
    for row in found {
        row.delete(here, effects, expired_by)?;
        if here.total_changes() >= enough {
            break;
        }
    }
    Ok(())
}

/// Orders with nothing to show for them.
pub(super) fn orders(here: &Connection, before: Timestamp) -> Result<(), Failed> {
    here.prepare_cached(
        "DELETE FROM orders WHERE seq IN (SELECT seq FROM orders INDEXED BY orders_spent \
         WHERE spent AND updated < ?1 ORDER BY updated LIMIT ?2)",
    )?
    .execute((before.micros(), REAPED_AT_ONCE))?;
    Ok(())
}
