//! Consumers of secrets and of containers.

use model::{Consumer, ConsumerId, Counted, Guarded, ProjectId, Timestamp, Uses};
use rusqlite::{Connection, Row};

use super::apply::{Elsewhere, Failed, Witnessing, ensure_project, project_name, require, row_of};
use super::reader::Reader;
use super::rows::{project_number, short_text};
use super::{PARTS_MAX, containers, quotas};
use crate::{Error, Limit, Slice, Sliced};

/// Where the consumers of a kind of thing are.
struct Tables {
    /// The name of the table, under which its rows are counted.
    kind: &'static str,
    select: &'static str,
    count: &'static str,
    /// Those of one thing; the last two parameters are the slice.
    page: &'static str,
    one: &'static str,
    same: &'static str,
    add: &'static str,
    remove: &'static str,
}

static OF_SECRETS: Tables = Tables {
    kind: "secret_consumers",
    select: "SELECT seq FROM secrets WHERE id = ?1",
    count: "SELECT count(*) FROM secret_consumers WHERE secret = ?1",
    page: "SELECT id, project, created, updated, service, resource_type, resource_id FROM secret_consumers \
           WHERE secret = ?1 ORDER BY seq LIMIT ?2 OFFSET ?3",
    one: "SELECT id, project, created, updated, service, resource_type, resource_id FROM secret_consumers \
          WHERE secret = ?1 AND id = ?2",
    same: "SELECT project FROM secret_consumers WHERE secret = ?1 AND service = ?2 AND resource_type = ?3 AND resource_id = ?4",
    add: "INSERT INTO secret_consumers (secret, service, resource_type, resource_id, id, project, created, updated) \
          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    remove: "DELETE FROM secret_consumers \
             WHERE secret = ?1 AND service = ?2 AND resource_type = ?3 AND resource_id = ?4",
};

static OF_CONTAINERS: Tables = Tables {
    kind: "container_consumers",
    select: "SELECT seq FROM containers WHERE id = ?1",
    count: "SELECT count(*) FROM container_consumers WHERE container = ?1",
    page: "SELECT id, project, created, updated, name, url FROM container_consumers \
           WHERE container = ?1 ORDER BY seq LIMIT ?2 OFFSET ?3",
    one: "SELECT id, project, created, updated, name, url FROM container_consumers WHERE container = ?1 AND id = ?2",
    same: "SELECT project FROM container_consumers WHERE container = ?1 AND name = ?2 AND url = ?3",
    add: "INSERT INTO container_consumers (container, name, url, id, project, created, updated) \
          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    remove: "DELETE FROM container_consumers WHERE container = ?1 AND name = ?2 AND url = ?3",
};

fn tables(of: Guarded) -> (&'static Tables, [u8; 16]) {
    match of {
        Guarded::Secret(id) => (&OF_SECRETS, *id.as_bytes()),
        Guarded::Container(id) => (&OF_CONTAINERS, *id.as_bytes()),
    }
}

/// The columns that name a use.
fn named(who: &Uses) -> Vec<&str> {
    match who {
        Uses::Secret { service, resource_type, resource_id } => {
            vec![service.as_str(), resource_type.as_str(), resource_id.as_str()]
        }
        Uses::Container { name, url } => vec![name.as_str(), url.as_str()],
    }
}

/// The number of a thing, if it is here.
fn number(connection: &Connection, tables: &Tables, id: [u8; 16]) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached(tables.select)?;
    let mut rows = statement.query([id])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

type Built = (i64, Box<dyn FnOnce(ProjectId) -> Consumer>);

fn built(row: &Row<'_>, of: Guarded) -> Result<Built, Error> {
    let id = ConsumerId::from_bytes(row.get(0)?);
    let (created, updated) = (Timestamp::from_micros(row.get(2)?), Timestamp::from_micros(row.get(3)?));
    let who = match of {
        Guarded::Secret(_) => Uses::Secret {
            service: short_text(row, 4)?,
            resource_type: short_text(row, 5)?,
            resource_id: short_text(row, 6)?,
        },
        Guarded::Container(_) => Uses::Container { name: short_text(row, 4)?, url: short_text(row, 5)? },
    };
    Ok((row.get(1)?, Box::new(move |project| Consumer { id, project, created, updated, who })))
}

/// Nothing if the thing is not here.
pub(super) fn all(reader: &mut Reader, of: Guarded, slice: Slice) -> Result<Option<Sliced<Consumer>>, Error> {
    let (tables, id) = tables(of);
    let Some(seq) = number(reader.connection(), tables, id)? else { return Ok(None) };
    let total = reader.connection().prepare_cached(tables.count)?.query_row([seq], |row| row.get(0))?;
    let found: Vec<Built> = {
        let mut statement = reader.connection().prepare_cached(tables.page)?;
        let offset = i64::try_from(slice.offset).unwrap_or(i64::MAX);
        let mut rows = statement.query((seq, slice.limit, offset))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(built(row, of)?);
        }
        found
    };
    let items = found.into_iter().map(|(project, build)| Ok(build(reader.project(project)?)));
    Ok(Some(Sliced { items: items.collect::<Result<_, Error>>()?, total }))
}

pub(super) fn one(reader: &mut Reader, of: Guarded, id: ConsumerId) -> Result<Option<Consumer>, Error> {
    let (tables, of_id) = tables(of);
    let Some(seq) = number(reader.connection(), tables, of_id)? else { return Ok(None) };
    let found = {
        let mut statement = reader.connection().prepare_cached(tables.one)?;
        let mut rows = statement.query((seq, id.as_bytes()))?;
        rows.next()?.map(|row| built(row, of)).transpose()?
    };
    found.map(|(project, build)| Ok(build(reader.project(project)?))).transpose()
}

/// Whether anybody says that they use a secret.
pub(super) fn has_any(here: &Connection, secret: i64) -> Result<bool, Failed> {
    Ok(here.prepare_cached("SELECT 1 FROM secret_consumers WHERE secret = ?1")?.exists([secret])?)
}

fn seq_of(here: &Connection, of: Guarded) -> Result<i64, Failed> {
    match of {
        Guarded::Secret(id) => Ok(row_of(here, id)?.seq()),
        Guarded::Container(id) => Ok(containers::place(here, id)?.seq),
    }
}

/// The number of the project that a consumer was registered from, if it was.
fn registered_from(here: &Connection, tables: &Tables, seq: i64, who: &Uses) -> Result<Option<i64>, Failed> {
    let mut statement = here.prepare_cached(tables.same)?;
    statement.raw_bind_parameter(1, seq)?;
    for (at, value) in named(who).into_iter().enumerate() {
        statement.raw_bind_parameter(at + 2, value)?;
    }
    let mut rows = statement.raw_query();
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

pub(super) fn add(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    of: Guarded,
    consumer: &Consumer,
    limit: Limit,
    witness: Witnessing<'_>,
) -> Result<(), Failed> {
    let (tables, _) = tables(of);
    require(consumer.who.is_of(of), Error::Corrupt("a consumer of something else"))?;
    let seq = seq_of(here, of)?;
    if registered_from(here, tables, seq, &consumer.who)?.is_some() {
        return Ok(witness()?);
    }
    let known: u64 = here.prepare_cached(tables.count)?.query_row([seq], |row| row.get(0))?;
    require(known < PARTS_MAX, Error::TooManyParts)?;
    let room = quotas::Room {
        project: &consumer.project,
        counted: Counted::Consumers,
        limit,
        now: consumer.created,
    };
    room.require(here, elsewhere, tables.kind)?;
    witness()?;
    let project = ensure_project(here, &consumer.project)?;
    insert(here, tables, seq, project, consumer)
}

fn insert(
    here: &Connection,
    tables: &Tables,
    seq: i64,
    project: i64,
    consumer: &Consumer,
) -> Result<(), Failed> {
    let mut statement = here.prepare_cached(tables.add)?;
    statement.raw_bind_parameter(1, seq)?;
    let names = named(&consumer.who);
    let next = names.len() + 2;
    for (at, value) in names.into_iter().enumerate() {
        statement.raw_bind_parameter(at + 2, value)?;
    }
    statement.raw_bind_parameter(next, consumer.id.as_bytes())?;
    statement.raw_bind_parameter(next + 1, project)?;
    statement.raw_bind_parameter(next + 2, consumer.created.micros())?;
    statement.raw_bind_parameter(next + 3, consumer.updated.micros())?;
    statement.raw_execute()?;
    Ok(())
}

pub(super) fn remove(
    here: &Connection,
    of: Guarded,
    who: &Uses,
    only_of: Option<&ProjectId>,
    witness: Witnessing<'_>,
) -> Result<(), Failed> {
    let (tables, _) = tables(of);
    require(who.is_of(of), Error::NotFound)?;
    let seq = seq_of(here, of)?;
    let from = registered_from(here, tables, seq, who)?.ok_or(Error::NotFound)?;
    if let Some(only_of) = only_of {
        require(project_number(here, only_of)? == Some(from), Error::OthersConsumer)?;
    }
    witness()?;
    let mut statement = here.prepare_cached(tables.remove)?;
    statement.raw_bind_parameter(1, seq)?;
    for (at, value) in named(who).into_iter().enumerate() {
        statement.raw_bind_parameter(at + 2, value)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// The consumers of a secret, to be brought elsewhere with it.
pub(super) fn to_bring(from: &Connection, of: Guarded, seq: i64) -> Result<Vec<Consumer>, Failed> {
    let (tables, _) = tables(of);
    let mut statement = from.prepare_cached(tables.page)?;
    let mut rows = statement.query((seq, u32::MAX, 0))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (project, build) = built(row, of)?;
        found.push(build(project_name(from, project)?));
    }
    Ok(found)
}

/// Gives a secret a consumer that it had elsewhere.
pub(super) fn bring(to: &Connection, secret: i64, consumer: &Consumer) -> Result<(), Failed> {
    let project = ensure_project(to, &consumer.project)?;
    insert(to, &OF_SECRETS, secret, project, consumer)
}
