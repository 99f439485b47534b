//! Orders, and what came of them.

use model::{
    Container, ContainerId, ContainerSecret, Counted, Order, OrderId, OrderOutcome, OrderQuery, OrderType,
    Secret, SecretId, Timestamp, UserId,
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::apply::{Effects, Elsewhere, Failed, Witnessing, add_made, ensure_project, require};
use super::containers;
use super::quotas::Room;
use super::reader::Reader;
use super::rows::{named, user};
use super::slices::{self, Rows};
use crate::{Error, Limit, Slice, Sliced};

/// The longest text that metadata is searched for: comparing takes as long as both are long, multiplied.
const META_PATTERN_BYTES_MAX: usize = 1024;
/// The name of the table, under which its rows are counted.
const KIND: &str = "orders";
const RECORD: &str =
    "project, id, creator, created, updated, order_type, meta, secret, container, code, reason";

/// A row, with the number of its project instead of the project.
struct Record {
    project: i64,
    id: OrderId,
    creator: Option<UserId>,
    created: Timestamp,
    updated: Timestamp,
    order_type: OrderType,
    meta: String,
    outcome: OrderOutcome,
}

fn record(row: &Row<'_>) -> Result<Record, Error> {
    let outcome = match (row.get(7)?, row.get(8)?, row.get(9)?) {
        (Some(secret), None, None) => OrderOutcome::Secret(SecretId::from_bytes(secret)),
        (None, Some(container), None) => OrderOutcome::Container(ContainerId::from_bytes(container)),
        (None, None, Some(code)) => OrderOutcome::Failed { code, reason: row.get(10)? },
        _ => return Err(Error::Corrupt("what came of an order")),
    };
    Ok(Record {
        project: row.get(0)?,
        id: OrderId::from_bytes(row.get(1)?),
        creator: user(row, 2)?,
        created: Timestamp::from_micros(row.get(3)?),
        updated: Timestamp::from_micros(row.get(4)?),
        order_type: named(row, 5, OrderType::parse, "order_type")?.ok_or(Error::Corrupt("order_type"))?,
        meta: row.get(6)?,
        outcome,
    })
}

impl Record {
    fn whole(self, reader: &mut Reader) -> Result<Order, Error> {
        let Self { project, id, creator, created, updated, order_type, meta, outcome } = self;
        let project = reader.project(project)?;
        Ok(Order { id, project, creator, created, updated, order_type, meta, outcome })
    }
}

pub(super) fn one(reader: &mut Reader, id: OrderId) -> Result<Option<Order>, Error> {
    let found = {
        let mut statement =
            reader.connection().prepare_cached(&format!("SELECT {RECORD} FROM orders WHERE id = ?1"))?;
        let mut rows = statement.query([id.as_bytes()])?;
        rows.next()?.map(record).transpose()?
    };
    found.map(|found| found.whole(reader)).transpose()
}

/// Whether a list may take longer than a request's thread should be kept.
pub(super) fn may_take_long(query: &OrderQuery) -> bool {
    slices::may_take_long(query.meta.is_some(), slice_of(query))
}

fn slice_of(query: &OrderQuery) -> Slice {
    Slice { offset: query.offset, limit: query.limit }
}

pub(super) fn all(reader: &mut Reader, query: &OrderQuery) -> Result<Sliced<Order>, Error> {
    let rows = Rows::of_project(reader.connection(), KIND, RECORD, &query.project)?;
    let Some(mut rows) = rows else { return Ok(slices::nothing()) };
    if let Some(meta) = &query.meta {
        if meta.len() > META_PATTERN_BYTES_MAX {
            return Ok(slices::nothing());
        }
        rows.which(&slices::is_like("meta"), slices::like(&format!("%{meta}%")));
    }
    let Sliced { items, total } = rows.slice(reader.connection(), slice_of(query), record)?;
    let items = items.into_iter().map(|record| record.whole(reader)).collect::<Result<_, _>>()?;
    Ok(Sliced { items, total })
}

/// What came of an order, to be stored with it.
pub(super) struct Made<'a> {
    pub(super) secrets: &'a [(Secret, Vec<u8>)],
    pub(super) container: Option<(&'a Container, &'a [ContainerSecret])>,
}

pub(super) fn create(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    order: &Order,
    made: &Made<'_>,
    limit: Limit,
    witness: Witnessing<'_>,
    effects: &mut Effects,
) -> Result<(), Failed> {
    let room = Room { project: &order.project, counted: Counted::Orders, limit, now: order.created };
    room.require(here, elsewhere, KIND)?;
    witness()?;
    let project = ensure_project(here, &order.project)?;
    let mut numbers = Vec::with_capacity(made.secrets.len());
    for (secret, sealed) in made.secrets {
        numbers.push((secret.id, add_made(here, project, secret, sealed, effects)?));
    }
    if let Some((container, parts)) = made.container {
        let number = |part: &ContainerSecret| {
            let found = numbers.iter().find(|(id, _)| *id == part.secret);
            found.map(|(_, number)| *number).ok_or(Error::NoSuchReference(part.secret))
        };
        let numbers = parts.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        containers::insert(here, project, container, parts, &numbers)?;
    }
    insert(here, project, order)
}

fn insert(here: &Connection, project: i64, order: &Order) -> Result<(), Failed> {
    let (secret, container, failed) = match &order.outcome {
        OrderOutcome::Secret(id) => (Some(id.as_bytes()), None, None),
        OrderOutcome::Container(id) => (None, Some(id.as_bytes()), None),
        OrderOutcome::Failed { code, reason } => (None, None, Some((*code, reason.as_str()))),
    };
    let spent = failed.is_some();
    let (code, reason) = failed.unzip();
    here.prepare_cached(
        "INSERT INTO orders (id, project, creator, created, updated, order_type, meta, secret, container, code, reason, \
         spent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute((
        order.id.as_bytes(),
        project,
        order.creator.as_ref().map(UserId::as_str),
        order.created.micros(),
        order.updated.micros(),
        order.order_type.as_str(),
        &order.meta,
        secret,
        container,
        code,
        reason,
        spent,
    ))?;
    Ok(())
}

pub(super) fn delete(here: &Connection, id: OrderId, witness: Witnessing<'_>) -> Result<(), Failed> {
    let found: Option<i64> = here
        .prepare_cached("SELECT seq FROM orders WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?;
    require(found.is_some(), Error::NotFound)?;
    witness()?;
    here.prepare_cached("DELETE FROM orders WHERE seq = ?1")?.execute([found])?;
    Ok(())
}
