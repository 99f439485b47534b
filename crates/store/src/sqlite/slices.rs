//! Parts of lists, and the lengths of lists.

use model::ProjectId;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params_from_iter};

use super::dialect::Sqlite;
use super::rows::{project_number, read_all};
use crate::plan::List;
use crate::{Error, Slice, Sliced};

/// Up to so many rows are passed over on a request's thread, more on another.
pub(super) const QUICK_OFFSET_MAX: u64 = 1000;

/// Whether finding a part may take too long for a request's thread.
pub(super) fn may_take_long(is_filtered: bool, slice: Slice) -> bool {
    is_filtered || slice.offset > QUICK_OFFSET_MAX
}

/// A part of a list of one project. `list` gets the row of the project, and gives no list if no row can match. Without a
/// filter the length is a kept total.
pub(super) fn slice_of_project<T>(
    connection: &Connection,
    project: &ProjectId,
    list: impl FnOnce(i64) -> Option<List>,
    (columns, slice): (&str, Slice),
    build: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Sliced<T>, Error> {
    let nothing = Sliced { items: Vec::new(), total: 0 };
    let Some(project) = project_number(connection, project)? else { return Ok(nothing) };
    let Some(list) = list(project) else { return Ok(nothing) };
    let total = match list.conditions.len() {
        1 => tally(connection, project, list.table)?,
        _ => count(connection, &list)?,
    };
    Ok(Sliced { items: rows_of(connection, &list.page::<Sqlite>(columns), &list, slice, build)?, total })
}

/// A part of a list that is counted row by row.
pub(super) fn slice_of<T>(
    connection: &Connection,
    list: &List,
    (columns, slice): (&str, Slice),
    build: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Sliced<T>, Error> {
    let total = count(connection, list)?;
    Ok(Sliced { items: rows_of(connection, &list.page::<Sqlite>(columns), list, slice, build)?, total })
}

/// The kept total of a project's rows in a table.
pub(super) fn tally(connection: &Connection, project: i64, kind: &str) -> rusqlite::Result<u64> {
    let rows: Option<u64> = connection
        .prepare_cached("SELECT rows FROM tallies WHERE project = ?1 AND kind = ?2")?
        .query_row((project, kind), |row| row.get(0))
        .optional()?;
    Ok(rows.unwrap_or(0))
}

pub(super) fn count(connection: &Connection, list: &List) -> Result<u64, Error> {
    let values = params_from_iter(list.values());
    Ok(connection.prepare_cached(&list.count::<Sqlite>())?.query_row(values, |row| row.get(0))?)
}

/// The rows of a page, by the statement that finds them.
pub(super) fn rows_of<T>(
    connection: &Connection,
    sql: &str,
    list: &List,
    slice: Slice,
    build: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let page: [&dyn ToSql; 2] = [&slice.limit, &i64::try_from(slice.offset).unwrap_or(i64::MAX)];
    let values = list.values().map(|value| value as &dyn ToSql).chain(page);
    read_all(connection, sql, params_from_iter(values), build)
}
