//! Containers, and what is in them.

use model::{
    Container, ContainerId, ContainerQuery, ContainerSecret, ContainerType, Counted, Guard, ProjectId,
    SecretId, Text, Timestamp, UserId,
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::PARTS_MAX;
use super::apply::{Elsewhere, Failed, Witnessing, ensure_project, find, project_name, require};
use super::guards::guard;
use super::list::PATTERN_BYTES_MAX;
use super::quotas::Room;
use super::reader::Reader;
use super::rows::{named, project_number, short, user};
use super::slices::{self, Rows};
use crate::{Error, Limit, Slice, Sliced};

/// The name of the table, under which its rows are counted.
const KIND: &str = "containers";
const RECORD: &str = "project, id, creator, created, updated, name, container_type, project_access";
/// The column that follows them where the guard is read too, which lists do not show.
const GUARD: usize = 8;

struct Record {
    project: i64,
    id: ContainerId,
    creator: Option<UserId>,
    created: Timestamp,
    updated: Timestamp,
    name: Option<Text>,
    container_type: ContainerType,
    project_access: bool,
}

fn record(row: &Row<'_>) -> Result<Record, Error> {
    Ok(Record {
        project: row.get(0)?,
        id: ContainerId::from_bytes(row.get(1)?),
        creator: user(row, 2)?,
        created: Timestamp::from_micros(row.get(3)?),
        updated: Timestamp::from_micros(row.get(4)?),
        name: short(row, 5)?,
        container_type: named(row, 6, ContainerType::parse, "container_type")?
            .ok_or(Error::Corrupt("container_type"))?,
        project_access: row.get(7)?,
    })
}

impl Record {
    fn whole(self, reader: &mut Reader) -> Result<Container, Error> {
        Ok(Container {
            id: self.id,
            project: reader.project(self.project)?,
            creator: self.creator,
            created: self.created,
            updated: self.updated,
            name: self.name,
            container_type: self.container_type,
            project_access: self.project_access,
            guard: None,
        })
    }
}

pub(super) fn one(reader: &mut Reader, id: ContainerId) -> Result<Option<Container>, Error> {
    let found = {
        let mut statement = reader
            .connection()
            .prepare_cached(&format!("SELECT {RECORD}, guard FROM containers WHERE id = ?1"))?;
        let mut rows = statement.query([id.as_bytes()])?;
        rows.next()?.map(|row| Ok::<_, Error>((record(row)?, guard(row, GUARD)?))).transpose()?
    };
    let Some((found, guard)) = found else { return Ok(None) };
    Ok(Some(Container { guard, ..found.whole(reader)? }))
}

pub(super) fn secrets(reader: &mut Reader, id: ContainerId) -> Result<Vec<ContainerSecret>, Error> {
    let mut statement = reader.connection().prepare_cached(
        "SELECT c.name, s.id FROM container_secrets c JOIN secrets s ON s.seq = c.secret \
         WHERE c.container = (SELECT seq FROM containers WHERE id = ?1) ORDER BY c.seq",
    )?;
    let mut rows = statement.query([id.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(ContainerSecret { name: short(row, 0)?, secret: SecretId::from_bytes(row.get(1)?) });
    }
    Ok(found)
}

/// Whether a list may take longer than a request's thread should be kept.
pub(super) fn may_take_long(query: &ContainerQuery) -> bool {
    slices::may_take_long(query.name.is_some() || query.container_type.is_some(), slice_of(query))
}

fn slice_of(query: &ContainerQuery) -> Slice {
    Slice { offset: query.offset, limit: query.limit }
}

pub(super) fn all(reader: &mut Reader, query: &ContainerQuery) -> Result<Sliced<Container>, Error> {
    let Some(rows) = matching(reader.connection(), query)? else { return Ok(slices::nothing()) };
    let Sliced { items, total } = rows.slice(reader.connection(), slice_of(query), record)?;
    let items = items.into_iter().map(|record| record.whole(reader)).collect::<Result<_, _>>()?;
    Ok(Sliced { items, total })
}

/// None if nothing can match.
fn matching(connection: &Connection, query: &ContainerQuery) -> Result<Option<Rows>, Error> {
    let Some(mut rows) = Rows::of_project(connection, KIND, RECORD, &query.project)? else { return Ok(None) };
    if let Some(name) = &query.name {
        if name.as_str().len() > PATTERN_BYTES_MAX {
            return Ok(None);
        }
        if name.is_exact() {
            rows.which("name = ? COLLATE NOCASE", name.as_str().to_owned());
        } else {
            rows.which(&slices::is_like("name"), slices::like(name.as_str()));
        }
    }
    match query.container_type {
        None => {}
        Some(None) => return Ok(None),
        Some(Some(container_type)) => rows.which("container_type = ?", container_type.as_str().to_owned()),
    }
    Ok(Some(rows))
}

/// Where a container is, and what changes of it have to know.
pub(super) struct Place {
    pub(super) seq: i64,
    project: i64,
}

pub(super) fn place(here: &Connection, id: ContainerId) -> Result<Place, Failed> {
    let found = here
        .prepare_cached("SELECT seq, project FROM containers WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| Ok(Place { seq: row.get(0)?, project: row.get(1)? }))
        .optional()?;
    Ok(found.ok_or(Error::NotFound)?)
}

/// The number of a secret that a container of a project may hold.
fn reference(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    id: SecretId,
    project: &ProjectId,
    time: Timestamp,
) -> Result<i64, Failed> {
    let of_project = |connection: &Connection| {
        let number = project_number(connection, project)?;
        let found = find(connection, id)?;
        Ok(found.filter(|row| Some(row.project()) == number && !row.is_expired(time)))
    };
    if let Some(row) = of_project(here)? {
        return Ok(row.seq());
    }
    // Whether somebody else's is ephemeral is nobody's business.
    let ephemeral = elsewhere.look(of_project)?.is_some();
    Err(if ephemeral { Error::EphemeralReference(id) } else { Error::NoSuchReference(id) }.into())
}

pub(super) fn create(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    container: &Container,
    secrets: &[ContainerSecret],
    limit: Limit,
    witness: Witnessing<'_>,
) -> Result<(), Failed> {
    let now = container.created;
    require(u64::try_from(secrets.len()).is_ok_and(|parts| parts <= PARTS_MAX), Error::TooManyParts)?;
    let room = Room { project: &container.project, counted: Counted::Containers, limit, now };
    room.require(here, elsewhere, KIND)?;
    let numbers = secrets
        .iter()
        .map(|secret| reference(here, elsewhere, secret.secret, &container.project, now))
        .collect::<Result<Vec<_>, _>>()?;
    witness()?;
    let project = ensure_project(here, &container.project)?;
    insert(here, project, container, secrets, &numbers)
}

/// Writes a container that was checked, with the numbers of its secrets.
pub(super) fn insert(
    here: &Connection,
    project: i64,
    container: &Container,
    secrets: &[ContainerSecret],
    numbers: &[i64],
) -> Result<(), Failed> {
    here.prepare_cached(
        "INSERT INTO containers (id, project, creator, created, updated, name, container_type, project_access, guard) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)",
    )?
    .execute((
        container.id.as_bytes(),
        project,
        container.creator.as_ref().map(UserId::as_str),
        container.created.micros(),
        container.updated.micros(),
        container.name.as_ref().map(Text::as_str),
        container.container_type.as_str(),
        container.guard.as_ref().map(Guard::as_bytes),
    ))?;
    let seq = here.last_insert_rowid();
    for (secret, number) in secrets.iter().zip(numbers) {
        put(here, seq, *number, secret.name.as_ref())?;
    }
    Ok(())
}

fn put(here: &Connection, container: i64, secret: i64, name: Option<&Text>) -> Result<(), Failed> {
    here.prepare_cached("INSERT INTO container_secrets (container, secret, name) VALUES (?1, ?2, ?3)")?
        .execute((container, secret, name.map(Text::as_str)))?;
    Ok(())
}

/// The row of a secret in a container under a name.
fn part(here: &Connection, container: i64, secret: i64, name: Option<&Text>) -> Result<Option<i64>, Failed> {
    Ok(here
        .prepare_cached(
            "SELECT seq FROM container_secrets WHERE container = ?1 AND secret = ?2 AND name IS ?3",
        )?
        .query_row((container, secret, name.map(Text::as_str)), |row| row.get(0))
        .optional()?)
}

fn touch(here: &Connection, container: i64, time: Timestamp) -> Result<(), Failed> {
    here.prepare_cached("UPDATE containers SET updated = ?2 WHERE seq = ?1")?
        .execute((container, time.micros()))?;
    Ok(())
}

pub(super) fn add_secret(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    id: ContainerId,
    secret: &ContainerSecret,
    time: Timestamp,
    witness: Witnessing<'_>,
) -> Result<(), Failed> {
    let place = place(here, id)?;
    let project = project_name(here, place.project)?;
    let number = reference(here, elsewhere, secret.secret, &project, time)?;
    let taken = part(here, place.seq, number, secret.name.as_ref())?.is_some();
    require(!taken, Error::ReferenceTaken(secret.secret))?;
    let parts: u64 = here
        .prepare_cached("SELECT count(*) FROM container_secrets WHERE container = ?1")?
        .query_row([place.seq], |row| row.get(0))?;
    require(parts < PARTS_MAX, Error::TooManyParts)?;
    witness()?;
    put(here, place.seq, number, secret.name.as_ref())?;
    touch(here, place.seq, time)
}

pub(super) fn remove_secret(
    here: &Connection,
    id: ContainerId,
    secret: &ContainerSecret,
    time: Timestamp,
    witness: Witnessing<'_>,
) -> Result<(), Failed> {
    let place = place(here, id)?;
    let number = match find(here, secret.secret)? {
        Some(row) if row.project() == place.project && !row.is_expired(time) => row.seq(),
        _ => return Err(Error::NoSuchReference(secret.secret).into()),
    };
    let part = part(here, place.seq, number, secret.name.as_ref())?;
    let part = part.ok_or(Error::NotInContainer(secret.secret))?;
    witness()?;
    here.prepare_cached("DELETE FROM container_secrets WHERE seq = ?1")?.execute([part])?;
    touch(here, place.seq, time)
}

pub(super) fn delete(here: &Connection, id: ContainerId, witness: Witnessing<'_>) -> Result<(), Failed> {
    let place = place(here, id)?;
    witness()?;
    here.prepare_cached("DELETE FROM containers WHERE seq = ?1")?.execute([place.seq])?;
    Ok(())
}
