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
    match plan(reader.connection(), query, now)? {
        Some(plan) if !is_quick(reader.connection(), &plan)? => Ok(None),
        _ => list(reader, query, now).map(Some),
    }
}

pub(super) fn list(reader: &mut Reader, query: &ListQuery, now: Timestamp) -> Result<Page, Error> {
    let nothing = Page { secrets: Vec::new(), total: 0 };
    let Some(plan) = plan(reader.connection(), query, now)? else { return Ok(nothing) };
    let total = match &plan.kept {
        Some(kept) => kept_total(reader.connection(), kept)?,
        None => count(reader.connection(), &plan.list)?,
    };
    if query.offset >= total {
        return Ok(Page { total, ..nothing });
    }
    let slice = Slice { offset: query.offset, limit: query.limit };
    let page = plan.page::<Sqlite>(RECORD, total);
    let found = rows_of(reader.connection(), &page, &plan.list, slice, record)?;
    Ok(Page { secrets: reader.with_projects(found)?, total })
}

/// None if no secret can match.
fn plan(connection: &Connection, query: &ListQuery, now: Timestamp) -> Result<Option<SecretList>, Error> {
    let project = match &query.scope {
        Scope::Project(project) => project_number(connection, project)?,
        Scope::AclOf(_) => None,
    };
    Ok(SecretList::new(query, project, now))
}

/// Whether the rows that have to be counted, or passed over because they have expired, are few.
fn is_quick(connection: &Connection, plan: &SecretList) -> Result<bool, Error> {
    let rows = match &plan.kept {
        Some(KeptTotal { project, now, .. }) => {
            count_expiring(connection, "expiration <= ?2", (*project, *now, QUICK_ROWS_MAX))?
        }
        None => {
            let values = plan.list.values().map(|value| value as &dyn ToSql);
            let values = params_from_iter(values.chain([&QUICK_ROWS_MAX as &dyn ToSql]));
            let mut statement = connection.prepare_cached(&plan.list.count_up_to::<Sqlite>())?;
            statement.query_row(values, |row| row.get(0))?
        }
    };
    Ok(rows < QUICK_ROWS_MAX)
}

pub(super) fn kept_total(connection: &Connection, kept: &KeptTotal) -> Result<u64, Error> {
    let (kept, expired): (u64, u64) = connection
        .prepare_cached(
            "SELECT (SELECT coalesce(sum(secrets), 0) FROM totals \
                     WHERE project = ?1 AND secret_type = coalesce(?2, secret_type)), \
                    (SELECT count(*) FROM secrets INDEXED BY secrets_by_expiration \
                     WHERE project = ?1 AND expiration <= ?3 AND secret_type = coalesce(?2, secret_type))",
        )?
        .query_row((kept.project, kept.secret_type, kept.now), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(kept.saturating_sub(expired))
}

/// The number of a project's secrets, expired ones among them.
pub(super) fn secrets_of(connection: &Connection, project: i64) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(sum(secrets), 0) FROM totals WHERE project = ?1")?
        .query_row([project], |row| row.get(0))
}

/// The number of a project's secrets that have not expired, if it is less than `limit`; otherwise any number that is not
/// less. Reads at most three times `limit` rows, however many have expired.
pub(super) fn live_secrets_of(
    connection: &Connection,
    project: i64,
    now: Timestamp,
    limit: u64,
) -> rusqlite::Result<u64> {
    let count = |which: &str| count_expiring(connection, which, (project, now.micros(), limit));
    let expired = count("expiration <= ?2")?;
    if expired < limit {
        return Ok(secrets_of(connection, project)?.saturating_sub(expired));
    }
    Ok(count("expiration > ?2")? + count("expiration IS NULL")?)
}

/// Counts a project's secrets of some expiration, up to a limit: parameters are the project, the time and the limit.
fn count_expiring(
    connection: &Connection,
    which: &str,
    parameters: (i64, i64, u64),
) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(&format!(
            "SELECT count(*) FROM (SELECT 1 FROM secrets INDEXED BY secrets_by_expiration \
             WHERE project = ?1 AND {which} LIMIT ?3)"
        ))?
        .query_row(parameters, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use model::{Direction, Filters, Pattern, ProjectId, SecretType, SortKey, SortOrder, TypeFilter};

    use super::*;

    /// SQLite's plan for a page of a list of many secrets.
    fn plan(connection: &Connection, filters: Filters, sort: Vec<SortOrder>) -> String {
        let project = ProjectId::try_from("p").unwrap();
        let query = ListQuery { scope: Scope::Project(project), filters, sort, offset: 0, limit: 10 };
        let plan = super::plan(connection, &query, Timestamp::from_micros(0)).unwrap().unwrap();
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {}", plan.page::<Sqlite>(RECORD, 1_000_000)))
            .unwrap();
        let values = plan.list.values().map(|value| value as &dyn ToSql);
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
