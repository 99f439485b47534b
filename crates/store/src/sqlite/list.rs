//! Lists of secrets, and kept totals. `plan.rs` says how a list is found; here is on which thread, and how it is counted.

use model::{ListQuery, Page, Scope, Timestamp};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::columns::{RECORD, record};
use super::dialect::Sqlite;
use super::reader::Reader;
use super::rows::project_number;
use super::slices::{QUICK_OFFSET_MAX, count, rows_of};
use crate::plan::{KeptTotal, SecretList};
use crate::{Error, Slice};

/// Up to so many rows are counted on a request's thread, more on another.
const QUICK_ROWS_MAX: u64 = 10_000;

/// Whether a list may take too long for a request's thread.
pub(super) fn may_take_long(query: &ListQuery) -> bool {
    let filters = &query.filters;
    let scans = [&filters.algorithm, &filters.mode].into_iter().flatten().next().is_some()
        || filters.bit_length.is_some()
        || filters.name.as_ref().is_some_and(|name| !name.is_exact())
        || !(filters.created.is_empty() && filters.updated.is_empty() && filters.expiration.is_empty());
    scans || query.offset > QUICK_OFFSET_MAX || query.sort.len() > 1 || matches!(query.scope, Scope::AclOf(_))
}

/// The page, unless more rows have to be counted than a request's thread should count.
pub(super) fn list_if_quick(
    reader: &mut Reader,
    query: &ListQuery,
    now: Timestamp,
) -> Result<Option<Page>, Error> {
    match Plan::new(reader.connection(), query, now)? {
        Some(plan) if !plan.is_quick(reader.connection())? => Ok(None),
        _ => list(reader, query, now).map(Some),
    }
}

pub(super) fn list(reader: &mut Reader, query: &ListQuery, now: Timestamp) -> Result<Page, Error> {
    let nothing = Page { secrets: Vec::new(), total: 0 };
    let Some(plan) = Plan::new(reader.connection(), query, now)? else { return Ok(nothing) };
    let total = plan.total(reader.connection())?;
    if query.offset >= total {
        return Ok(Page { total, ..nothing });
    }
    let sql = plan.secrets.page::<Sqlite>(RECORD, total);
    let slice = Slice { offset: query.offset, limit: query.limit };
    let found = rows_of(reader.connection(), &sql, &plan.secrets.list, slice, record)?;
    Ok(Page { secrets: reader.with_projects(found)?, total })
}

/// A list of secrets in this database.
struct Plan {
    secrets: SecretList,
    /// The total, if it needs no counting.
    kept: Option<Kept>,
}

/// A kept total: of one project, or of one type in it.
pub(super) struct Kept {
    project: i64,
    secret_type: Option<&'static str>,
    now: i64,
}

impl Plan {
    /// None if no secret can match.
    fn new(connection: &Connection, query: &ListQuery, now: Timestamp) -> Result<Option<Self>, Error> {
        let project = match &query.scope {
            Scope::Project(project) => project_number(connection, project)?,
            Scope::AclOf(_) => None,
        };
        let Some(secrets) = SecretList::new(query, project, now) else { return Ok(None) };
        let kept = secrets.kept.zip(project);
        let kept =
            kept.map(|(KeptTotal { secret_type }, project)| Kept { project, secret_type, now: now.micros() });
        Ok(Some(Self { secrets, kept }))
    }

    /// Whether the rows that have to be counted, or passed over because they have expired, are few.
    fn is_quick(&self, connection: &Connection) -> Result<bool, Error> {
        let rows: u64 = match &self.kept {
            Some(kept) => connection
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT 1 FROM secrets INDEXED BY secrets_by_expiration \
                     WHERE project = ?1 AND expiration <= ?2 LIMIT ?3)",
                )?
                .query_row((kept.project, kept.now, QUICK_ROWS_MAX), |row| row.get(0))?,
            None => {
                let values = self.secrets.list.values().map(|value| value as &dyn ToSql);
                connection
                    .prepare_cached(&self.secrets.list.count_up_to::<Sqlite>())?
                    .query_row(params_from_iter(values.chain([&QUICK_ROWS_MAX as &dyn ToSql])), |row| {
                        row.get(0)
                    })?
            }
        };
        Ok(rows < QUICK_ROWS_MAX)
    }

    fn total(&self, connection: &Connection) -> Result<u64, Error> {
        match &self.kept {
            Some(kept) => kept.total(connection),
            None => count(connection, &self.secrets.list),
        }
    }
}

impl Kept {
    /// The total of a project's secrets that have not expired.
    pub(super) fn of_project(project: i64, now: Timestamp) -> Self {
        Self { project, secret_type: None, now: now.micros() }
    }

    pub(super) fn total(&self, connection: &Connection) -> Result<u64, Error> {
        let (kept, expired): (u64, u64) = connection
            .prepare_cached(
                "SELECT (SELECT coalesce(sum(secrets), 0) FROM totals \
                         WHERE project = ?1 AND secret_type = coalesce(?2, secret_type)), \
                        (SELECT count(*) FROM secrets INDEXED BY secrets_by_expiration \
                         WHERE project = ?1 AND expiration <= ?3 AND secret_type = coalesce(?2, secret_type))",
            )?
            .query_row((self.project, self.secret_type, self.now), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(kept.saturating_sub(expired))
    }

    /// The number of a project's secrets, expired ones among them.
    pub(super) fn secrets_of(connection: &Connection, project: i64) -> rusqlite::Result<u64> {
        connection
            .prepare_cached("SELECT coalesce(sum(secrets), 0) FROM totals WHERE project = ?1")?
            .query_row([project], |row| row.get(0))
    }

    /// The total if it is less than `limit`; otherwise any number that is not less. Reads at most three times `limit` rows,
    /// however many have expired.
    pub(super) fn total_up_to(&self, connection: &Connection, limit: u64) -> rusqlite::Result<u64> {
        let count = |which: &str| {
            connection
                .prepare_cached(&format!(
                    "SELECT count(*) FROM (SELECT 1 FROM secrets INDEXED BY secrets_by_expiration \
                     WHERE project = ?1 AND {which} LIMIT ?3)"
                ))?
                .query_row((self.project, self.now, limit), |row| row.get::<_, u64>(0))
        };
        let expired = count("expiration <= ?2")?;
        if expired < limit {
            return Ok(Self::secrets_of(connection, self.project)?.saturating_sub(expired));
        }
        Ok(count("expiration > ?2")? + count("expiration IS NULL")?)
    }
}

#[cfg(test)]
mod tests {
    use model::{Direction, Filters, Pattern, ProjectId, SecretType, SortKey, SortOrder, TypeFilter};

    use super::*;

    /// SQLite's plan for a page of a list of many secrets.
    fn plan(connection: &Connection, filters: Filters, sort: Vec<SortOrder>) -> String {
        let project = ProjectId::try_from("p").unwrap();
        let query = ListQuery { scope: Scope::Project(project), filters, sort, offset: 0, limit: 10 };
        let plan = Plan::new(connection, &query, Timestamp::from_micros(0)).unwrap().unwrap();
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {}", plan.secrets.page::<Sqlite>(RECORD, 1_000_000)))
            .unwrap();
        let values = plan.secrets.list.values().map(|value| value as &dyn ToSql);
        let values = values.chain([&10_i64 as &dyn ToSql, &0_i64]);
        let rows = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
    }

    #[test]
    fn a_page_by_one_key_walks_its_index_and_sorts_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        super::super::opening::create_schema(&connection).unwrap();
        connection.execute("INSERT INTO projects (name) VALUES ('p')", []).unwrap();
        let typed =
            || Filters { secret_type: Some(TypeFilter::Is(SecretType::Public)), ..Filters::default() };
        let named = || Filters { name: Some(Pattern::new("n")), ..Filters::default() };
        for direction in [Direction::Ascending, Direction::Descending] {
            for key in SortKey::ALL {
                let found = plan(&connection, Filters::default(), vec![SortOrder { key, direction }]);
                let index = format!("SEARCH secrets USING INDEX secrets_by_{} (project=?)", key.as_str());
                assert_eq!(found, index);
            }
            let newest = || vec![SortOrder { key: SortKey::Created, direction }];
            for sort in [newest(), Vec::new()] {
                let found = plan(&connection, typed(), sort.clone());
                assert_eq!(
                    found,
                    "SEARCH secrets USING INDEX secrets_by_secret_type (project=? AND secret_type=?)"
                );
                let found = plan(&connection, named(), sort);
                assert_eq!(found, "SEARCH secrets USING INDEX secrets_by_name_filter (project=? AND name=?)");
            }
        }
        assert_eq!(
            plan(&connection, Filters::default(), Vec::new()),
            "SEARCH secrets USING INDEX secrets_by_created (project=?)"
        );
    }
}
