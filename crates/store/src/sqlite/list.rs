//! Lists: which index finds what matches, and which gives the order.
//!
//! The same page costs the same at a thousand secrets and at millions as long as no filter asks for what no index
//! serves: totals are kept and not counted, and every sort key has its index, whose ties are in order of creation.
//!
//! | filter | found by | counted |
//! |---|---|---|
//! | none, type | – | never: kept totals, less what has expired and is still there |
//! | exact name, or one that begins with plain text | its index | what it matches |
//! | expiration, updated, created | its index | what it matches |
//! | other patterns, algorithm, mode, bit length | each row of the project | every row |

use model::{
    Comparison, DateFilter, Direction, ListQuery, Page, Pattern, Scope, SortKey, Timestamp, TypeFilter,
};
use rusqlite::types::Value;
use rusqlite::{Connection, ToSql, params_from_iter};

use super::columns::{RECORD, record};
use super::reader::Reader;
use super::rows::project_number;
use super::slices::{self, QUICK_OFFSET_MAX};
use crate::Error;

/// Up to so many matches are sorted; of more, the page is found by walking the index of the sort key.
const SORTED_ROWS_MAX: u64 = 1000;
/// What is found or has expired is counted where requests are served up to this; more is counted elsewhere.
const QUICK_ROWS_MAX: u64 = 10_000;
/// The longest pattern that can match anything worth finding: SQLite refuses one five times as long, and names have 255.
pub(super) const PATTERN_BYTES_MAX: usize = 10_000;

/// Whether a list may take longer than a request's thread should be kept.
pub(super) fn may_take_long(query: &ListQuery) -> bool {
    let filters = &query.filters;
    let scans = [&filters.algorithm, &filters.mode].into_iter().flatten().next().is_some()
        || filters.bit_length.is_some()
        || filters.name.as_ref().is_some_and(|name| !name.is_exact())
        || !(filters.created.is_empty() && filters.updated.is_empty() && filters.expiration.is_empty());
    scans || query.offset > QUICK_OFFSET_MAX || query.sort.len() > 1 || matches!(query.scope, Scope::AclOf(_))
}

/// The page, unless finding it means to count more rows than should be counted here.
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
    let built: Vec<_> = {
        let mut statement = reader.connection().prepare_cached(&plan.page(total))?;
        let page: [&dyn ToSql; 2] = [&query.limit, &i64::try_from(query.offset).unwrap_or(i64::MAX)];
        let values = plan.values.iter().map(|value| value as &dyn ToSql).chain(page);
        let mut rows = statement.query(params_from_iter(values))?;
        let mut built = Vec::new();
        while let Some(row) = rows.next()? {
            built.push((row.get::<_, i64>(0)?, record(row)?));
        }
        built
    };
    let secrets = built
        .into_iter()
        .map(|(project, build)| Ok(build(reader.project(project)?)))
        .collect::<Result<_, Error>>()?;
    Ok(Page { secrets, total })
}

/// A list, as SQL.
struct Plan<'query> {
    query: &'query ListQuery,
    conditions: Vec<String>,
    values: Vec<Value>,
    /// The index that finds what matches, if one does.
    found_by: Option<&'static str>,
    /// The total needs no counting.
    kept: Option<Kept>,
}

/// A kept total: of one project, or of one type in it.
pub(super) struct Kept {
    project: i64,
    secret_type: Option<&'static str>,
    now: i64,
}

impl<'query> Plan<'query> {
    /// No plan if nothing can match.
    fn new(connection: &Connection, query: &'query ListQuery, now: Timestamp) -> Result<Option<Self>, Error> {
        let mut plan = Plan { query, conditions: Vec::new(), values: Vec::new(), found_by: None, kept: None };
        let project = match &query.scope {
            Scope::Project(project) => {
                let Some(project) = project_number(connection, project)? else { return Ok(None) };
                plan.add("project = ?", project);
                Some(project)
            }
            Scope::AclOf(user) => {
                plan.add(
                    "seq IN (SELECT secret FROM secret_acl_users WHERE user = ?)",
                    user.as_str().to_owned(),
                );
                None
            }
        };
        plan.add("(expiration IS NULL OR expiration > ?)", now.micros());
        let secret_type = match query.filters.secret_type {
            Some(TypeFilter::Unknown) => return Ok(None),
            Some(TypeFilter::Is(secret_type)) => Some(secret_type.as_str()),
            None => None,
        };
        if plan.filter_rows().is_none() {
            return Ok(None);
        }
        let filtered = plan.conditions.len() > 2;
        if let Some(secret_type) = secret_type {
            plan.add("secret_type = ?", secret_type.to_owned());
            plan.found_by.get_or_insert("secrets_by_secret_type");
        }
        match project {
            Some(project) if !filtered => plan.kept = Some(Kept { project, secret_type, now: now.micros() }),
            Some(_) => {}
            None => plan.found_by = None, // Every index begins with the project.
        }
        Ok(Some(plan))
    }

    /// Adds the conditions that are looked up or checked row by row. None if one cannot hold.
    fn filter_rows(&mut self) -> Option<()> {
        let filters = &self.query.filters;
        if let Some(name) = &filters.name {
            self.pattern("name", name)?;
            let prefix = name.as_str().split('%').next().unwrap_or_default();
            if name.is_exact() {
                self.found_by = Some("secrets_by_name_filter");
            } else if !prefix.is_empty() {
                // SQLite does not see through a bound pattern, so the range is said.
                self.add("name COLLATE NOCASE >= ?", prefix.to_owned());
                self.add("name COLLATE NOCASE < ?", format!("{prefix}{}", char::MAX));
                self.found_by = Some("secrets_by_name_filter");
            }
        }
        for (column, pattern) in [("algorithm", &filters.algorithm), ("mode", &filters.mode)] {
            if let Some(pattern) = pattern {
                self.pattern(column, pattern)?;
            }
        }
        if let Some(bits) = filters.bit_length {
            self.add("bit_length = ?", i64::from(bits));
        }
        for (column, index, dates) in [
            ("expiration", "secrets_by_expiration", &filters.expiration),
            ("updated", "secrets_by_updated", &filters.updated),
            ("created", "secrets_by_created", &filters.created),
        ] {
            for DateFilter { comparison, with } in dates {
                self.add(&format!("{column} {} ?", operator(*comparison)), with.micros());
                self.found_by.get_or_insert(index);
            }
        }
        Some(())
    }

    fn pattern(&mut self, column: &str, pattern: &Pattern) -> Option<()> {
        if pattern.as_str().len() > PATTERN_BYTES_MAX {
            return None;
        }
        // Without a wildcard LIKE is equality that takes either case of A–Z, and so is NOCASE, which has an index.
        if pattern.is_exact() {
            self.add(&format!("{column} = ? COLLATE NOCASE"), pattern.as_str().to_owned());
        } else {
            self.add(&slices::is_like(column), slices::like(pattern.as_str()));
        }
        Some(())
    }

    fn add(&mut self, condition: &str, value: impl Into<Value>) {
        self.conditions.push(condition.to_owned());
        self.values.push(value.into());
    }

    /// Whether what has to be counted, or passed over because it has expired, is little.
    fn is_quick(&self, connection: &Connection) -> Result<bool, Error> {
        let rows: u64 = match &self.kept {
            Some(kept) => connection
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT 1 FROM secrets INDEXED BY secrets_by_expiration \
                     WHERE project = ?1 AND expiration <= ?2 LIMIT ?3)",
                )?
                .query_row((kept.project, kept.now, QUICK_ROWS_MAX), |row| row.get(0))?,
            None => {
                let (from, conditions) = (by(self.found_by), self.conditions.join(" AND "));
                let sql =
                    format!("SELECT count(*) FROM (SELECT 1 FROM secrets{from} WHERE {conditions} LIMIT ?)");
                let values = self.values.iter().map(|value| value as &dyn ToSql);
                connection
                    .prepare_cached(&sql)?
                    .query_row(params_from_iter(values.chain([&QUICK_ROWS_MAX as &dyn ToSql])), |row| {
                        row.get(0)
                    })?
            }
        };
        Ok(rows < QUICK_ROWS_MAX)
    }

    fn total(&self, connection: &Connection) -> Result<u64, Error> {
        if let Some(kept) = &self.kept {
            return kept.total(connection);
        }
        let sql = format!(
            "SELECT count(*) FROM secrets{} WHERE {}",
            by(self.found_by),
            self.conditions.join(" AND ")
        );
        Ok(connection.prepare_cached(&sql)?.query_row(params_from_iter(&self.values), |row| row.get(0))?)
    }

    /// The statement for the page; its last two parameters are limit and offset.
    fn page(&self, total: u64) -> String {
        let index = match &self.query.scope {
            Scope::AclOf(_) => None,
            Scope::Project(_) if total <= SORTED_ROWS_MAX && self.found_by.is_some() => self.found_by,
            Scope::Project(_) => Some(self.ordered_by()),
        };
        let mut order = String::new();
        for sort in &self.query.sort {
            order.push_str(&format!("{} {}, ", sort.key.as_str(), direction(sort.direction)));
        }
        let ties = direction(self.query.sort.last().map_or(Direction::Ascending, |sort| sort.direction));
        if !self.query.sort.iter().any(|sort| sort.key == SortKey::Created) {
            order.push_str(&format!("created {ties}, "));
        }
        let conditions = self.conditions.join(" AND ");
        format!(
            "SELECT {RECORD} FROM secrets{} WHERE {conditions} ORDER BY {order}seq {ties} LIMIT ? OFFSET ?",
            by(index)
        )
    }

    /// The index whose order is that of the list, as far as one index goes.
    fn ordered_by(&self) -> &'static str {
        match self.query.sort.first().map_or(SortKey::Created, |sort| sort.key) {
            // These two end in `created`, so they give its order too.
            SortKey::Created => match self.found_by {
                Some(by @ "secrets_by_secret_type") => by,
                Some(by) if self.query.filters.name.as_ref().is_some_and(Pattern::is_exact) => by,
                _ => "secrets_by_created",
            },
            SortKey::Algorithm => "secrets_by_algorithm",
            SortKey::BitLength => "secrets_by_bit_length",
            SortKey::Expiration => "secrets_by_expiration",
            SortKey::Mode => "secrets_by_mode",
            SortKey::Name => "secrets_by_name",
            SortKey::SecretType => "secrets_by_secret_type",
            SortKey::Status => "secrets_by_status",
            SortKey::Updated => "secrets_by_updated",
        }
    }
}

impl Kept {
    /// Of all secrets of a project that have not expired.
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

    /// The total if it is less than `limit`, and something that is not less otherwise. Looks at no more rows than three
    /// times the limit, however many have expired.
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

fn by(index: Option<&str>) -> String {
    index.map_or_else(String::new, |index| format!(" INDEXED BY {index}"))
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    }
}

#[cfg(test)]
mod tests {
    use model::{Filters, ProjectId, SecretType, SortOrder};

    use super::*;

    /// How SQLite finds the page of a list of many secrets.
    fn plan(connection: &Connection, filters: Filters, sort: Vec<SortOrder>) -> String {
        let project = ProjectId::try_from("p").unwrap();
        let query = ListQuery { scope: Scope::Project(project), filters, sort, offset: 0, limit: 10 };
        let plan = Plan::new(connection, &query, Timestamp::from_micros(0)).unwrap().unwrap();
        let mut statement =
            connection.prepare(&format!("EXPLAIN QUERY PLAN {}", plan.page(1_000_000))).unwrap();
        let page = [Value::Integer(10), Value::Integer(0)];
        let rows = statement
            .query_map(params_from_iter(plan.values.iter().chain(&page)), |row| row.get::<_, String>(3))
            .unwrap();
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
