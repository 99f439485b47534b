//! Parts of the lists of what a project has, in order of commit.

use model::ProjectId;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::quotas::tally;
use super::rows::project_number;
use crate::{Error, Slice, Sliced};

/// An offset beyond this takes long enough not to be walked where requests are served.
pub(super) const QUICK_OFFSET_MAX: u64 = 1000;

/// Whether finding a part may take longer than a request's thread should be kept.
pub(super) fn may_take_long(is_filtered: bool, slice: Slice) -> bool {
    is_filtered || slice.offset > QUICK_OFFSET_MAX
}

/// Rows of one project in one table.
pub(super) struct Rows {
    /// Its name, under which its rows are counted.
    table: &'static str,
    columns: &'static str,
    project: i64,
    conditions: String,
    values: Vec<Value>,
}

impl Rows {
    /// None if the project has nothing at all.
    pub(super) fn of_project(
        connection: &Connection,
        table: &'static str,
        columns: &'static str,
        project: &ProjectId,
    ) -> Result<Option<Self>, Error> {
        let Some(project) = project_number(connection, project)? else { return Ok(None) };
        let values = vec![Value::from(project)];
        Ok(Some(Self { table, columns, project, conditions: "project = ?".to_owned(), values }))
    }

    /// Only those that meet a condition.
    pub(super) fn which(&mut self, condition: &str, value: impl Into<Value>) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
        self.values.push(value.into());
    }

    /// A part of them, and how many there are.
    pub(super) fn slice<T>(
        &self,
        connection: &Connection,
        slice: Slice,
        mut build: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Sliced<T>, Error> {
        let Self { table, columns, project, conditions, values } = self;
        let total = match values.len() {
            1 => tally(connection, *project, table)?,
            _ => connection
                .prepare_cached(&format!("SELECT count(*) FROM {table} WHERE {conditions}"))?
                .query_row(params_from_iter(values), |row| row.get(0))?,
        };
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {columns} FROM {table} WHERE {conditions} ORDER BY seq LIMIT ? OFFSET ?"
        ))?;
        let page: [&dyn ToSql; 2] = [&slice.limit, &i64::try_from(slice.offset).unwrap_or(i64::MAX)];
        let values = values.iter().map(|value| value as &dyn ToSql).chain(page);
        let mut rows = statement.query(params_from_iter(values))?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            items.push(build(row)?);
        }
        Ok(Sliced { items, total })
    }
}

/// That a column is like a pattern that [`like`] made.
pub(super) fn is_like(column: &str) -> String {
    format!(r"{column} LIKE ? ESCAPE '\'")
}

/// A pattern in which `%` is the one wildcard, for SQL's LIKE.
pub(super) fn like(pattern: &str) -> String {
    pattern.replace('\\', r"\\").replace('_', r"\_")
}

/// What a list is of nobody.
pub(super) const fn nothing<T>() -> Sliced<T> {
    Sliced { items: Vec::new(), total: 0 }
}
