//! Lists as data: the conditions that a row has to meet, the order, and the index that serves them. A dialect writes them
//! as SQL, so that each database has its own words and one set of lists.
//!
//! The same page costs the same at a thousand secrets and at millions as long as no filter asks for something that no index
//! serves: totals are kept and not counted, and every sort key has its index, whose ties are in order of creation.
//!
//! | filter | found by | counted |
//! |---|---|---|
//! | none, type | – | never: kept totals, less the secrets that have expired and are still there |
//! | exact name, or one that begins with plain text | its index | the secrets that match |
//! | expiration, updated, created | its index | the secrets that match |
//! | other patterns, algorithm, mode, bit length | each row of the project | every row |

use model::{
    Comparison, ContainerQuery, DateFilter, Direction, ListQuery, OrderQuery, Pattern, Scope, SortKey,
    Timestamp, TypeFilter,
};

/// Up to so many matches are sorted. With more, the index of the sort key is walked to the page.
const SORTED_ROWS_MAX: u64 = 1000;
/// The longest pattern that can match anything worth finding: SQLite refuses one five times as long, and names have 255.
const PATTERN_BYTES_MAX: usize = 10_000;
/// The longest text that metadata of orders is searched for: comparing takes as long as both are long, multiplied.
const META_PATTERN_BYTES_MAX: usize = 1024;

/// The value of a parameter.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Integer(i64),
    Text(String),
}

/// A condition on one row, with the value that it compares with.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Condition {
    /// The column compares so with the value.
    Is(&'static str, Comparison, Value),
    /// The column compares so with the text, if A–Z and a–z are equal.
    IsFolded(&'static str, Comparison, Value),
    /// The column fits a pattern of SQL's LIKE whose escape is the backslash, if A–Z and a–z are equal.
    IsLike(&'static str, Value),
    /// The secret has not expired at a time.
    IsLive(Value),
    /// The ACL of the secret names a user.
    AclNames(Value),
}

impl Condition {
    pub(crate) fn value(&self) -> &Value {
        match self {
            Self::Is(_, _, value)
            | Self::IsFolded(_, _, value)
            | Self::IsLike(_, value)
            | Self::IsLive(value)
            | Self::AclNames(value) => value,
        }
    }
}

/// The SQL that differs from database to database.
pub(crate) trait Dialect {
    /// A parameter; the first is 1.
    fn parameter(sql: &mut String, number: usize);
    /// Makes the database use an index. It stands after the name of the table.
    fn index(sql: &mut String, name: &str);
    /// As [`Condition::IsFolded`].
    fn folded(sql: &mut String, column: &str, operator: &str, number: usize);
    /// As [`Condition::IsLike`].
    fn like(sql: &mut String, column: &str, number: usize);
    /// One key of an order. Absent values come first if it ascends, and last if it descends.
    fn sort_key(sql: &mut String, column: &str, direction: Direction);
    /// The statement for a page: columns, the rows with their conditions, and the order with limit and offset.
    fn page(columns: &str, rows: &str, order: &str) -> String;
}

/// The rows of one table that meet conditions, in an order.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) table: &'static str,
    pub(crate) conditions: Vec<Condition>,
    order: Vec<(&'static str, Direction)>,
    /// The index that finds the rows, if one does.
    found_by: Option<&'static str>,
}

impl List {
    /// All rows of a table, in the order of a column.
    pub(crate) fn of_table(table: &'static str, column: &'static str) -> Self {
        let order = vec![(column, Direction::Ascending)];
        Self { table, conditions: Vec::new(), order, found_by: None }
    }

    /// The rows of a project, in order of commit.
    fn of_project(table: &'static str, project: i64) -> Self {
        let mut list = Self::of_table(table, "seq");
        list.require("project", Comparison::Equal, Value::Integer(project));
        list
    }

    /// The containers that match. None if none can match.
    pub(crate) fn of_containers(query: &ContainerQuery, project: i64) -> Option<Self> {
        let mut list = Self::of_project("containers", project);
        if let Some(name) = &query.name {
            list.require_pattern("name", name)?;
        }
        if let Some(container_type) = query.container_type {
            list.require_text("container_type", container_type?.as_str());
        }
        Some(list)
    }

    /// The orders that match. None if none can match.
    pub(crate) fn of_orders(query: &OrderQuery, project: i64) -> Option<Self> {
        let mut list = Self::of_project("orders", project);
        match &query.meta {
            Some(meta) if meta.len() > META_PATTERN_BYTES_MAX => return None,
            Some(meta) => list.require_like("meta", &format!("%{meta}%")),
            None => {}
        }
        Some(list)
    }

    pub(crate) fn require_text(&mut self, column: &'static str, text: &str) {
        self.require(column, Comparison::Equal, Value::Text(text.to_owned()));
    }

    fn require(&mut self, column: &'static str, comparison: Comparison, value: Value) {
        self.conditions.push(Condition::Is(column, comparison, value));
    }

    fn require_folded(&mut self, column: &'static str, comparison: Comparison, text: String) {
        self.conditions.push(Condition::IsFolded(column, comparison, Value::Text(text)));
    }

    fn require_like(&mut self, column: &'static str, pattern: &str) {
        let escaped = pattern.replace('\\', r"\\").replace('_', r"\_");
        self.conditions.push(Condition::IsLike(column, Value::Text(escaped)));
    }

    /// None if no row can match.
    fn require_pattern(&mut self, column: &'static str, pattern: &Pattern) -> Option<()> {
        if pattern.as_str().len() > PATTERN_BYTES_MAX {
            return None;
        }
        // Without a wildcard LIKE is equality, for which there is an index.
        if pattern.is_exact() {
            self.require_folded(column, Comparison::Equal, pattern.as_str().to_owned());
        } else {
            self.require_like(column, pattern.as_str());
        }
        Some(())
    }

    /// The values of a statement's parameters, in their order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.conditions.iter().map(Condition::value)
    }

    /// The statement that counts the rows.
    pub(crate) fn count<D: Dialect>(&self) -> String {
        format!("SELECT count(*) {}", self.rows::<D>(self.found_by))
    }

    /// The statement that counts the rows up to a limit, which is its last parameter.
    pub(crate) fn count_up_to<D: Dialect>(&self) -> String {
        let mut sql = format!("SELECT count(*) FROM (SELECT 1 {} LIMIT ", self.rows::<D>(self.found_by));
        D::parameter(&mut sql, self.conditions.len() + 1);
        sql.push(')');
        sql
    }

    /// The statement for a page; its last two parameters are limit and offset.
    pub(crate) fn page<D: Dialect>(&self, columns: &str) -> String {
        self.page_by::<D>(columns, self.found_by)
    }

    fn page_by<D: Dialect>(&self, columns: &str, index: Option<&str>) -> String {
        let mut order = "ORDER BY ".to_owned();
        for (place, (column, direction)) in self.order.iter().enumerate() {
            order.push_str(if place == 0 { "" } else { ", " });
            D::sort_key(&mut order, column, *direction);
        }
        order.push_str(" LIMIT ");
        D::parameter(&mut order, self.conditions.len() + 1);
        order.push_str(" OFFSET ");
        D::parameter(&mut order, self.conditions.len() + 2);
        D::page(columns, &self.rows::<D>(index), &order)
    }

    /// `FROM …`, and the conditions.
    fn rows<D: Dialect>(&self, index: Option<&str>) -> String {
        let mut sql = format!("FROM {}", self.table);
        if let Some(index) = index {
            sql.push(' ');
            D::index(&mut sql, index);
        }
        for (place, condition) in self.conditions.iter().enumerate() {
            sql.push_str(if place == 0 { " WHERE " } else { " AND " });
            write_condition::<D>(&mut sql, condition, place + 1);
        }
        sql
    }
}

fn write_condition<D: Dialect>(sql: &mut String, condition: &Condition, number: usize) {
    match condition {
        Condition::Is(column, comparison, _) => {
            sql.extend([*column, " ", operator(*comparison), " "]);
            D::parameter(sql, number);
        }
        Condition::IsFolded(column, comparison, _) => D::folded(sql, column, operator(*comparison), number),
        Condition::IsLike(column, _) => D::like(sql, column, number),
        Condition::IsLive(_) => {
            sql.push_str("(expiration IS NULL OR expiration > ");
            D::parameter(sql, number);
            sql.push(')');
        }
        Condition::AclNames(_) => {
            sql.push_str("seq IN (SELECT secret FROM secret_acl_users WHERE user = ");
            D::parameter(sql, number);
            sql.push(')');
        }
    }
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

/// A total that needs no counting: of a project's secrets, or of those of one type, that have not expired at a time.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct KeptTotal {
    pub(crate) project: i64,
    pub(crate) secret_type: Option<&'static str>,
    pub(crate) now: i64,
}

impl KeptTotal {
    pub(crate) fn of_project(project: i64, now: Timestamp) -> Self {
        Self { project, secret_type: None, now: now.micros() }
    }
}

/// A list of secrets.
#[derive(Debug)]
pub(crate) struct SecretList {
    pub(crate) list: List,
    /// The index of the first sort key.
    ordered_by: Option<&'static str>,
    /// The total, if it is kept.
    pub(crate) kept: Option<KeptTotal>,
}

impl SecretList {
    /// The secrets that match. None if none can match. `project` is the row of the project, if the query names a
    /// project that is known.
    pub(crate) fn new(query: &ListQuery, project: Option<i64>, now: Timestamp) -> Option<Self> {
        let condition = match &query.scope {
            Scope::Project(_) => Condition::Is("project", Comparison::Equal, Value::Integer(project?)),
            Scope::AclOf(user) => Condition::AclNames(Value::Text(user.as_str().to_owned())),
        };
        let conditions = vec![condition, Condition::IsLive(Value::Integer(now.micros()))];
        let mut list = List { table: "secrets", conditions, order: order_of(query), found_by: None };
        list.filter_secrets(query)?;
        let is_filtered = list.conditions.len() > 2;
        let secret_type = match query.filters.secret_type {
            Some(TypeFilter::Unknown) => return None,
            Some(TypeFilter::Is(secret_type)) => Some(secret_type.as_str()),
            None => None,
        };
        if let Some(secret_type) = secret_type {
            list.require_text("secret_type", secret_type);
            list.found_by.get_or_insert("secrets_by_secret_type");
        }
        // Every index begins with the project.
        let ordered_by = project.map(|_| order_index(query, list.found_by));
        list.found_by = project.and(list.found_by);
        let kept = project.filter(|_| !is_filtered);
        let kept = kept.map(|project| KeptTotal { secret_type, ..KeptTotal::of_project(project, now) });
        Some(Self { list, ordered_by, kept })
    }

    /// The statement for a page of a list of `total` secrets; its last two parameters are limit and offset.
    pub(crate) fn page<D: Dialect>(&self, columns: &str, total: u64) -> String {
        let is_sorted = total <= SORTED_ROWS_MAX && self.list.found_by.is_some();
        self.list.page_by::<D>(columns, if is_sorted { self.list.found_by } else { self.ordered_by })
    }
}

impl List {
    /// Adds the filters of a query, except the type. None if no secret can match.
    fn filter_secrets(&mut self, query: &ListQuery) -> Option<()> {
        let filters = &query.filters;
        if let Some(name) = &filters.name {
            self.require_pattern("name", name)?;
            let prefix = name.as_str().split('%').next().unwrap_or_default();
            if name.is_exact() {
                self.found_by = Some("secrets_by_name_filter");
            } else if !prefix.is_empty() {
                // A database cannot use an index for a bound pattern, so the range is a condition, too.
                self.require_folded("name", Comparison::GreaterOrEqual, prefix.to_owned());
                self.require_folded("name", Comparison::Less, format!("{prefix}{}", char::MAX));
                self.found_by = Some("secrets_by_name_filter");
            }
        }
        for (column, pattern) in [("algorithm", &filters.algorithm), ("mode", &filters.mode)] {
            if let Some(pattern) = pattern {
                self.require_pattern(column, pattern)?;
            }
        }
        if let Some(bits) = filters.bit_length {
            self.require("bit_length", Comparison::Equal, Value::Integer(i64::from(bits)));
        }
        for (column, index, dates) in [
            ("expiration", "secrets_by_expiration", &filters.expiration),
            ("updated", "secrets_by_updated", &filters.updated),
            ("created", "secrets_by_created", &filters.created),
        ] {
            for DateFilter { comparison, with } in dates {
                self.require(column, *comparison, Value::Integer(with.micros()));
                self.found_by.get_or_insert(index);
            }
        }
        Some(())
    }
}

/// The sort keys of a query. Ties are in order of creation.
fn order_of(query: &ListQuery) -> Vec<(&'static str, Direction)> {
    let mut order: Vec<_> = query.sort.iter().map(|sort| (sort.key.as_str(), sort.direction)).collect();
    let ties = query.sort.last().map_or(Direction::Ascending, |sort| sort.direction);
    if !query.sort.iter().any(|sort| sort.key == SortKey::Created) {
        order.push((SortKey::Created.as_str(), ties));
    }
    order.push(("seq", ties));
    order
}

fn order_index(query: &ListQuery, found_by: Option<&'static str>) -> &'static str {
    match query.sort.first().map_or(SortKey::Created, |sort| sort.key) {
        // These two indexes end in `created`, so they give its order, too.
        SortKey::Created => match found_by {
            Some(by @ "secrets_by_secret_type") => by,
            Some(by) if query.filters.name.as_ref().is_some_and(Pattern::is_exact) => by,
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
