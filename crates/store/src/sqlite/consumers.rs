//! Consumers of secrets and of containers.

use model::{Consumer, ConsumerId, Guarded, ProjectId, Timestamp, Uses};
use rusqlite::{Connection, Row, Statement};

use super::columns::short_text;
use super::reader::Reader;
use super::rows::read_all;
use crate::{Error, Slice, Sliced};

/// The statements about consumers of secrets, or of containers.
pub(super) struct Statements {
    select: &'static str,
    pub(super) count: &'static str,
    /// The consumers of one thing; the last two parameters are the slice.
    page: &'static str,
    one: &'static str,
    pub(super) same: &'static str,
    pub(super) add: &'static str,
    pub(super) remove: &'static str,
}

static OF_SECRETS: Statements = Statements {
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

static OF_CONTAINERS: Statements = Statements {
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

pub(super) fn statements_of(of: Guarded) -> &'static Statements {
    match of {
        Guarded::Secret(_) => &OF_SECRETS,
        Guarded::Container(_) => &OF_CONTAINERS,
    }
}

/// Binds a row and the columns that name a use of it. Gives the number of the next parameter.
pub(super) fn bind_use(statement: &mut Statement<'_>, row: i64, who: &Uses) -> rusqlite::Result<usize> {
    statement.raw_bind_parameter(1, row)?;
    let (names, count) = match who {
        Uses::Secret { service, resource_type, resource_id } => ([service, resource_type, resource_id], 3),
        Uses::Container { name, url } => ([name, url, url], 2),
    };
    for (at, name) in names.into_iter().take(count).enumerate() {
        statement.raw_bind_parameter(at + 2, name.as_str())?;
    }
    Ok(count + 2)
}

/// The row of a secret or a container, if it is here.
fn row_of(connection: &Connection, of: Guarded) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached(statements_of(of).select)?;
    let mut rows = statement.query([of.as_bytes()])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// The row of a project, and a consumer that still needs its name.
pub(super) type Built = (i64, Box<dyn FnOnce(ProjectId) -> Consumer>);

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

/// Some consumers of a row, each with the row of its project.
pub(super) fn rows(
    connection: &Connection,
    of: Guarded,
    row: i64,
    slice: Slice,
) -> Result<Vec<Built>, Error> {
    let parameters = (row, slice.limit, i64::try_from(slice.offset).unwrap_or(i64::MAX));
    read_all(connection, statements_of(of).page, parameters, |row| built(row, of))
}

/// None if the secret or the container is not here.
pub(super) fn consumers_of(
    reader: &mut Reader,
    of: Guarded,
    slice: Slice,
) -> Result<Option<Sliced<Consumer>>, Error> {
    let Some(row) = row_of(reader.connection(), of)? else { return Ok(None) };
    let mut count = reader.connection().prepare_cached(statements_of(of).count)?;
    let total = count.query_row([row], |row| row.get(0))?;
    drop(count);
    let found = rows(reader.connection(), of, row, slice)?;
    Ok(Some(Sliced { items: reader.with_projects(found)?, total }))
}

pub(super) fn consumer(reader: &mut Reader, of: Guarded, id: ConsumerId) -> Result<Option<Consumer>, Error> {
    let Some(row) = row_of(reader.connection(), of)? else { return Ok(None) };
    reader.find(statements_of(of).one, (row, id.as_bytes()), |row| built(row, of))
}
