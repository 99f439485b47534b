//! Quotas: what was said of them, and whether there is room for one more.

use model::{Counted, ProjectId, ProjectQuotas, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::apply::{Elsewhere, Failed, Witnessing, ensure_project, require};
use super::list::Kept;
use super::reader::Reader;
use super::rows::project_number;
use crate::{Error, Limit, Slice, Sliced};

/// In the order of [`Counted::ALL`].
const COLUMNS: &str = "secrets, orders, containers, consumers, cas";

fn quotas(row: &Row<'_>) -> rusqlite::Result<ProjectQuotas> {
    let mut found = ProjectQuotas::default();
    for (column, counted) in Counted::ALL.into_iter().enumerate() {
        found = found.with(counted, row.get(column)?);
    }
    Ok(found)
}

pub(super) fn of_project(reader: &mut Reader, project: &ProjectId) -> Result<Option<ProjectQuotas>, Error> {
    Ok(said(reader.connection(), project)?)
}

fn said(connection: &Connection, project: &ProjectId) -> rusqlite::Result<Option<ProjectQuotas>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM project_quotas WHERE project = (SELECT id FROM projects WHERE name = ?1)"
        ))?
        .query_row([project.as_str()], quotas)
        .optional()
}

pub(super) fn all(reader: &mut Reader, slice: Slice) -> Result<Sliced<(ProjectId, ProjectQuotas)>, Error> {
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

pub(super) fn set(
    here: &Connection,
    project: &ProjectId,
    quotas: &ProjectQuotas,
    witness: Witnessing<'_>,
) -> Result<(), Failed> {
    witness()?;
    let project = ensure_project(here, project)?;
    here.prepare_cached("INSERT OR IGNORE INTO project_quotas (project) VALUES (?1)")?.execute([project])?;
    for counted in Counted::ALL {
        if let Some(quota) = quotas.of(counted) {
            here.prepare_cached(&format!(
                "UPDATE project_quotas SET {} = ?2 WHERE project = ?1",
                counted.as_str()
            ))?
            .execute((project, quota))?;
        }
    }
    Ok(())
}

pub(super) fn delete(here: &Connection, project: &ProjectId, witness: Witnessing<'_>) -> Result<(), Failed> {
    require(said(here, project)?.is_some(), Error::NotFound)?;
    witness()?;
    here.prepare_cached(
        "DELETE FROM project_quotas WHERE project = (SELECT id FROM projects WHERE name = ?1)",
    )?
    .execute([project.as_str()])?;
    Ok(())
}

/// Room for one more of something in a project.
pub(super) struct Room<'a> {
    pub(super) project: &'a ProjectId,
    pub(super) counted: Counted,
    /// Where the project has no quota of its own.
    pub(super) limit: Limit,
    pub(super) now: Timestamp,
}

impl Room<'_> {
    /// Refuses one more row of a kind where the project has as many as it may. Inside the transaction that adds it, so
    /// nobody adds another meanwhile.
    pub(super) fn require(
        &self,
        here: &Connection,
        elsewhere: Elsewhere<'_>,
        kind: &str,
    ) -> Result<(), Failed> {
        let said_elsewhere = || elsewhere.look(|connection| Ok(said(connection, self.project)?));
        let own = match said(here, self.project)? {
            None => said_elsewhere()?,
            own => own,
        };
        let limit = own.and_then(|own| own.of(self.counted)).unwrap_or(self.limit.0);
        let Ok(limit) = u64::try_from(limit) else { return Ok(()) };
        Ok(require(self.is_below(limit, here, elsewhere, kind)?, Error::QuotaReached(self.counted))?)
    }

    fn is_below(
        &self,
        limit: u64,
        here: &Connection,
        elsewhere: Elsewhere<'_>,
        kind: &str,
    ) -> Result<bool, Failed> {
        let sum = |count: &dyn Fn(&Connection, i64) -> Result<u64, Error>| {
            let count = |connection: &Connection| match project_number(connection, self.project)? {
                Some(project) => Ok(count(connection, project)?),
                None => Ok(0),
            };
            Ok::<_, Failed>(count(here)? + elsewhere.look(count)?)
        };
        if self.counted != Counted::Secrets {
            return Ok(sum(&|connection, project| Ok(tally(connection, project, kind)?))? < limit);
        }
        // Those that have expired and are still there do not count, which only matters where all are too many.
        Ok(sum(&|connection, project| self.secrets(project).with_expired(connection))? < limit
            || sum(&|connection, project| self.secrets(project).total_up_to(connection, limit))? < limit)
    }

    fn secrets(&self, project: i64) -> Kept {
        Kept::of_project(project, self.now)
    }
}

/// How many rows of a kind a project has.
pub(super) fn tally(connection: &Connection, project: i64, kind: &str) -> rusqlite::Result<u64> {
    let rows: Option<u64> = connection
        .prepare_cached("SELECT rows FROM tallies WHERE project = ?1 AND kind = ?2")?
        .query_row((project, kind), |row| row.get(0))
        .optional()?;
    Ok(rows.unwrap_or(0))
}
