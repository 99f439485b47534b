//! Containers, and what is in them.

use model::{
    Container, ContainerId, ContainerQuery, ContainerSecret, ContainerType, SecretId, Text, Timestamp, UserId,
};
use rusqlite::Row;

use super::columns::{guard, named, short, user};
use super::reader::Reader;
use super::slices;
use crate::plan::List;
use crate::{Error, Failure, Slice, Sliced};

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
            .ok_or(Failure::Corrupt("container_type"))?,
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

pub(super) fn container(reader: &mut Reader, id: ContainerId) -> Result<Option<Container>, Error> {
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

pub(super) fn container_secrets(reader: &mut Reader, id: ContainerId) -> Result<Vec<ContainerSecret>, Error> {
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

pub(super) fn containers(reader: &mut Reader, query: &ContainerQuery) -> Result<Sliced<Container>, Error> {
    let list = |project| List::of_containers(query, project);
    let part = (RECORD, slice_of(query));
    let found = slices::slice_of_project(reader.connection(), &query.project, list, part, record)?;
    let items = found.items.into_iter().map(|record| record.whole(reader)).collect::<Result<_, _>>()?;
    Ok(Sliced { items, total: found.total })
}
