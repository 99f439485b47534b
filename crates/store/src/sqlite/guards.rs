//! The guards of rows, read with what they are of.

use model::{ContainerId, Guard, Guarded, SecretId};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::acls;
use super::reader::Reader;
use super::rows::{moment, user};
use crate::{Error, Kind, Regarded, RegardedRow};

/// From one column.
pub(super) fn guard(row: &Row<'_>, column: usize) -> Result<Option<Guard>, Error> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        value => Ok(Some(value.as_blob().map_err(|_| Error::Corrupt("guard"))?.to_vec().into())),
    }
}

/// What decides about rows after a number.
pub(super) fn after(
    reader: &mut Reader,
    kind: Kind,
    after: i64,
    limit: u32,
) -> Result<Vec<RegardedRow>, Error> {
    let select = match kind {
        Kind::Secrets => {
            "SELECT seq, id, project, creator, project_access, private, expiration, guard FROM secrets \
             WHERE seq > ?1 ORDER BY seq LIMIT ?2"
        }
        Kind::Containers => {
            "SELECT seq, id, project, creator, project_access, 0, NULL, guard FROM containers \
             WHERE seq > ?1 ORDER BY seq LIMIT ?2"
        }
    };
    let rows = {
        let mut statement = reader.connection().prepare_cached(select)?;
        let mut rows = statement.query((after, limit))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((row.get(0)?, parts(kind, row)));
        }
        found
    };
    let whole = |(row, parts): (i64, Result<Parts, Error>)| {
        let of = parts.as_ref().ok().map(|parts| parts.of);
        RegardedRow { row, of, read: whole(reader, parts) }
    };
    Ok(rows.into_iter().map(whole).collect())
}

/// A row, with the number of its project instead of the project.
struct Parts {
    project: i64,
    rest: Box<dyn FnOnce(model::ProjectId) -> Regarded>,
    of: Guarded,
}

fn parts(kind: Kind, row: &Row<'_>) -> Result<Parts, Error> {
    let unreadable = |_| Error::Corrupt("an id or a fact of a secret or a container");
    let id = row.get(1).map_err(unreadable)?;
    let of = match kind {
        Kind::Secrets => Guarded::Secret(SecretId::from_bytes(id)),
        Kind::Containers => Guarded::Container(ContainerId::from_bytes(id)),
    };
    let (project_access, private) = (row.get(4).map_err(unreadable)?, row.get(5).map_err(unreadable)?);
    let (creator, expiration, guard) = (user(row, 3)?, moment(row, 6)?, guard(row, 7)?);
    let rest = move |project| Regarded {
        of,
        project,
        creator,
        project_access,
        private,
        expiration,
        acl: None,
        guard,
    };
    Ok(Parts { project: row.get(2)?, rest: Box::new(rest), of })
}

fn whole(reader: &mut Reader, parts: Result<Parts, Error>) -> Result<Regarded, Error> {
    let Parts { project, rest, of } = parts?;
    let acl = acls::find_acl(reader.connection(), of)?.and_then(|found| found.acl).map(|acl| acl.users);
    Ok(Regarded { acl, ..rest(reader.project(project)?) })
}
