//! The facts that decide about access, with the guard that vouches for them.

use model::{Access, ContainerId, Guarded, ProjectId, SecretId};
use rusqlite::Row;

use super::acls;
use super::columns::{ACCESS, access};
use super::reader::Reader;
use super::rows::read_all;
use crate::{Error, Failure, Kind, Regarded, RegardedRow};

/// The columns of a container that stand for [`ACCESS`].
const CONTAINER_ACCESS: &str = "project, creator, project_access, 0, NULL, guard";

/// The columns that decide about access, and the table.
fn columns_of(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Secrets => (ACCESS, "secrets"),
        Kind::Containers => (CONTAINER_ACCESS, "containers"),
    }
}

/// The facts that decide about access to one secret or container.
pub(super) fn access_to(reader: &mut Reader, of: Guarded) -> Result<Option<Access>, Error> {
    let (columns, table) = columns_of(match of {
        Guarded::Secret(_) => Kind::Secrets,
        Guarded::Container(_) => Kind::Containers,
    });
    let select = format!("SELECT {columns} FROM {table} WHERE id = ?1");
    reader.find(&select, [of.as_bytes()], |row| access(row, 0))
}

/// The facts that decide about access to each row after a number.
pub(super) fn access_after(
    reader: &mut Reader,
    kind: Kind,
    after: i64,
    limit: u32,
) -> Result<Vec<RegardedRow>, Error> {
    let (columns, table) = columns_of(kind);
    let select = format!("SELECT seq, id, {columns} FROM {table} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let rows = read_all(reader.connection(), &select, (after, limit), |row| {
        Ok((row.get(0)?, guarded(kind, row).and_then(|of| Ok((of, access(row, 2)?)))))
    })?;
    let completed = |(row, parts): (i64, Result<_, Error>)| {
        let of = parts.as_ref().ok().map(|(of, _)| *of);
        let regarded = |(of, (project, build)): (_, (_, _))| regarded(reader, of, project, build);
        RegardedRow { row, of, read: parts.and_then(regarded) }
    };
    Ok(rows.into_iter().map(completed).collect())
}

fn guarded(kind: Kind, row: &Row<'_>) -> Result<Guarded, Error> {
    let id = row.get(1).map_err(|_| Failure::Corrupt("an id of a secret or a container"))?;
    Ok(match kind {
        Kind::Secrets => Guarded::Secret(SecretId::from_bytes(id)),
        Kind::Containers => Guarded::Container(ContainerId::from_bytes(id)),
    })
}

fn regarded(
    reader: &mut Reader,
    of: Guarded,
    project: i64,
    build: impl FnOnce(ProjectId) -> Access,
) -> Result<Regarded, Error> {
    let acl = acls::find_acl(reader.connection(), of)?.and_then(|found| found.acl).map(|acl| acl.users);
    Ok(Regarded { of, access: build(reader.project(project)?), acl })
}
