//! Quotas of projects, and the numbers of their rows that are kept beside them.

use model::{Counted, ProjectId, ProjectQuotas};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::reader::Reader;
use crate::{Error, Slice, Sliced};

/// In the order of [`Counted::ALL`].
const COLUMNS: &str = "secrets, orders, containers, consumers, cas";

fn quotas(row: &Row<'_>) -> rusqlite::Result<ProjectQuotas> {
    let mut found = ProjectQuotas::default();
    for (column, counted) in Counted::ALL.into_iter().enumerate() {
        found = found.with(counted, row.get(column)?);
    }
    Ok(found)
}

pub(super) fn project_quotas(
    reader: &mut Reader,
    project: &ProjectId,
) -> Result<Option<ProjectQuotas>, Error> {
    Ok(own_quotas(reader.connection(), project)?)
}

pub(super) fn own_quotas(
    connection: &Connection,
    project: &ProjectId,
) -> rusqlite::Result<Option<ProjectQuotas>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM project_quotas WHERE project = (SELECT id FROM projects WHERE name = ?1)"
        ))?
        .query_row([project.as_str()], quotas)
        .optional()
}

pub(super) fn all_project_quotas(
    reader: &mut Reader,
    slice: Slice,
) -> Result<Sliced<(ProjectId, ProjectQuotas)>, Error> {
    let total = reader.connection().query_row("SELECT count(*) FROM project_quotas", [], |row| row.get(0))?;
    let found: Vec<(ProjectQuotas, i64)> = reader
        .connection()
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, project FROM project_quotas ORDER BY project LIMIT ?1 OFFSET ?2"
        ))?
        .query_map((slice.limit, i64::try_from(slice.offset).unwrap_or(i64::MAX)), |row| {
            Ok((quotas(row)?, row.get(Counted::ALL.len())?))
        })?
        .collect::<Result<_, _>>()?;
    let items = found.into_iter().map(|(quotas, project)| Ok((reader.project(project)?, quotas)));
    Ok(Sliced { items: items.collect::<Result<_, Error>>()?, total })
}

/// How many rows of a kind a project has.
pub(super) fn tally(connection: &Connection, project: i64, kind: &str) -> rusqlite::Result<u64> {
    let rows: Option<u64> = connection
        .prepare_cached("SELECT rows FROM tallies WHERE project = ?1 AND kind = ?2")?
        .query_row((project, kind), |row| row.get(0))
        .optional()?;
    Ok(rows.unwrap_or(0))
}
