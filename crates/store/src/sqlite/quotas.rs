//! Quotas of projects.

use model::{Counted, ProjectId, ProjectQuotas};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::reader::Reader;
use super::slices;
use crate::plan::List;
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
    let list = List::of_table("project_quotas", "project");
    let columns = format!("{COLUMNS}, project");
    let found = slices::slice_of(reader.connection(), &list, (&columns, slice), |row| {
        Ok((row.get(Counted::ALL.len())?, quotas(row)?))
    })?;
    let items = found.items.into_iter().map(|(project, quotas)| Ok((reader.project(project)?, quotas)));
    Ok(Sliced { items: items.collect::<Result<_, Error>>()?, total: found.total })
}
