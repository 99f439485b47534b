//! Orders, and their outcomes.

use model::{
    ContainerId, Order, OrderFailure, OrderFailureKind, OrderId, OrderOutcome, OrderQuery, OrderType,
    ProjectId, SecretId, Timestamp,
};
use rusqlite::Row;

use super::columns::{Built, named, user};
use super::reader::Reader;
use super::slices;
use crate::plan::List;
use crate::{Error, Failure, Slice, Sliced};

const RECORD: &str =
    "project, id, creator, created, updated, order_type, meta, secret, container, code, reason";

fn record(row: &Row<'_>) -> Built<impl FnOnce(ProjectId) -> Order + use<>> {
    let outcome = match (row.get(7)?, row.get(8)?, row.get(9)?) {
        (Some(secret), None, None) => OrderOutcome::Secret(SecretId::from_bytes(secret)),
        (None, Some(container), None) => OrderOutcome::Container(ContainerId::from_bytes(container)),
        (None, None, Some(code)) => {
            OrderOutcome::Failed(OrderFailure { kind: failure_kind(code), reason: row.get(10)? })
        }
        _ => return Err(Failure::Corrupt("what came of an order").into()),
    };
    let (id, creator, meta) = (OrderId::from_bytes(row.get(1)?), user(row, 2)?, row.get(6)?);
    let (created, updated) = (Timestamp::from_micros(row.get(3)?), Timestamp::from_micros(row.get(4)?));
    let order_type = named(row, 5, OrderType::parse, "order_type")?.ok_or(Failure::Corrupt("order_type"))?;
    let build = move |project| Order { id, project, creator, created, updated, order_type, meta, outcome };
    Ok((row.get(0)?, build))
}

/// The kind of failure behind a number in the column `code`; the inverse of [`failure_code`].
fn failure_kind(code: u16) -> OrderFailureKind {
    match code {
        400 => OrderFailureKind::Unsupported,
        500 => OrderFailureKind::Server,
        code => OrderFailureKind::Unknown(code),
    }
}

/// The number of a kind of failure in the column `code`.
pub(super) const fn failure_code(kind: OrderFailureKind) -> u16 {
    match kind {
        OrderFailureKind::Unsupported => 400,
        OrderFailureKind::Server => 500,
        OrderFailureKind::Unknown(code) => code,
    }
}

pub(super) fn order(reader: &mut Reader, id: OrderId) -> Result<Option<Order>, Error> {
    reader.find(&format!("SELECT {RECORD} FROM orders WHERE id = ?1"), [id.as_bytes()], record)
}

/// Whether a list may take too long for a request's thread.
pub(super) fn may_take_long(query: &OrderQuery) -> bool {
    slices::may_take_long(query.meta.is_some(), slice_of(query))
}

fn slice_of(query: &OrderQuery) -> Slice {
    Slice { offset: query.offset, limit: query.limit }
}

pub(super) fn orders(reader: &mut Reader, query: &OrderQuery) -> Result<Sliced<Order>, Error> {
    let list = |project| List::of_orders(query, project);
    let part = (RECORD, slice_of(query));
    let found = slices::slice_of_project(reader.connection(), &query.project, list, part, record)?;
    Ok(Sliced { items: reader.with_projects(found.items)?, total: found.total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_stored_as_older_versions_stored_it() {
        assert_eq!([400, 500].map(failure_kind), [OrderFailureKind::Unsupported, OrderFailureKind::Server]);
        for code in 0..=u16::MAX {
            assert_eq!(failure_code(failure_kind(code)), code);
        }
    }
}
