//! Expired secrets and spent orders, which upkeep deletes some at a time, so that no change waits long.

use model::{ProjectId, SecretId, Timestamp};

use super::reader::Reader;
use crate::Error;
use crate::limits::REAPED_AT_ONCE;

/// Secrets of all projects that have expired by then, oldest expiration first.
pub(super) fn expired(
    reader: &mut Reader,
    by: Timestamp,
    limit: u32,
) -> Result<Vec<(SecretId, ProjectId)>, Error> {
    let found: Vec<(SecretId, i64)> = reader
        .connection()
        .prepare_cached(
            "SELECT id, project FROM secrets INDEXED BY secrets_expiring \
             WHERE expiration <= ?1 ORDER BY expiration LIMIT ?2",
        )?
        .query_map((by.micros(), limit), |row| Ok((SecretId::from_bytes(row.get(0)?), row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    found.into_iter().map(|(id, project)| Ok((id, reader.project(project)?))).collect()
}

/// The number of orders that failed or whose outcome is gone, up to the most that one change deletes.
pub(super) fn spent_orders(reader: &mut Reader, before: Timestamp) -> Result<u32, Error> {
    Ok(reader
        .connection()
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM orders INDEXED BY orders_spent WHERE spent AND updated < ?1 LIMIT ?2)",
        )?
        .query_row((before.micros(), REAPED_AT_ONCE), |row| row.get(0))?)
}
