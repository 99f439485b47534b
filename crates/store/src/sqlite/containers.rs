//! Containers, and the secrets in them.

use model::{
    Container, ContainerId, ContainerQuery, ContainerSecret, ContainerType, ProjectId, SecretId, Timestamp,
};
use rusqlite::Row;

use super::columns::{Built, guard, named, short, user};
use super::reader::Reader;
use super::rows::read_all;
use super::slices;
use crate::plan::List;
use crate::{Error, Failure, Slice, Sliced};

const RECORD: &str = "project, id, creator, created, updated, name, container_type, project_access";
/// The column after them in statements that read the guard, too. Lists do not.
const GUARD: usize = 8;

fn record(row: &Row<'_>) -> Built<impl FnOnce(ProjectId) -> Container + use<>> {
    let id = ContainerId::from_bytes(row.get(1)?);
    let (creator, name, project_access) = (user(row, 2)?, short(row, 5)?, row.get(7)?);
    let (created, updated) = (Timestamp::from_micros(row.get(3)?), Timestamp::from_micros(row.get(4)?));
    let container_type = named(row, 6, ContainerType::parse, "container_type")?;
    let container_type = container_type.ok_or(Failure::Corrupt("container_type"))?;
    let build = move |project| Container {
        id,
        project,
        creator,
        created,
        updated,
        name,
        container_type,
        project_access,
        guard: None,
    };
    Ok((row.get(0)?, build))
}

pub(super) fn container(reader: &mut Reader, id: ContainerId) -> Result<Option<Container>, Error> {
    let select = format!("SELECT {RECORD}, guard FROM containers WHERE id = ?1");
    reader.find(&select, [id.as_bytes()], |row| {
        let ((project, build), guard) = (record(row)?, guard(row, GUARD)?);
        Ok((project, move |project| Container { guard, ..build(project) }))
    })
}

pub(super) fn container_secrets(reader: &mut Reader, id: ContainerId) -> Result<Vec<ContainerSecret>, Error> {
    const SELECT: &str = "SELECT c.name, s.id FROM container_secrets c JOIN secrets s ON s.seq = c.secret \
         WHERE c.container = (SELECT seq FROM containers WHERE id = ?1) ORDER BY c.seq";
    read_all(reader.connection(), SELECT, [id.as_bytes()], |row| {
        Ok(ContainerSecret { name: short(row, 0)?, secret: SecretId::from_bytes(row.get(1)?) })
    })
}

/// Whether a list may take too long for a request's thread.
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
    Ok(Sliced { items: reader.with_projects(found.items)?, total: found.total })
}
