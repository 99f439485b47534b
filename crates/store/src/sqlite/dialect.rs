//! How SQLite writes lists.

use model::Direction;
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::plan::{Dialect, Value};

/// SQLite's words.
pub(super) struct Sqlite;

impl Dialect for Sqlite {
    fn parameter(sql: &mut String, _: usize) {
        sql.push('?');
    }

    fn index(sql: &mut String, name: &str) {
        sql.extend(["INDEXED BY ", name]);
    }

    fn folded(sql: &mut String, column: &str, operator: &str, _: usize) {
        match operator {
            "=" => sql.extend([column, " = ? COLLATE NOCASE"]),
            _ => sql.extend([column, " COLLATE NOCASE ", operator, " ?"]),
        }
    }

    fn like(sql: &mut String, column: &str, _: usize) {
        sql.extend([column, r" LIKE ? ESCAPE '\'"]);
    }

    fn sort_key(sql: &mut String, column: &str, direction: Direction) {
        let direction = match direction {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        };
        sql.extend([column, " ", direction]);
    }

    fn page(columns: &str, rows: &str, order: &str) -> String {
        format!("SELECT {columns} {rows} {order}")
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

#[cfg(test)]
mod tests {
    use model::{
        Comparison, ContainerQuery, ContainerType, DateFilter, Filters, ListQuery, OrderQuery, Pattern,
        ProjectId, Scope, SecretType, SortKey, SortOrder, Timestamp, TypeFilter, UserId,
    };

    use super::*;
    use crate::plan::{KeptTotal, List, SecretList};

    fn query(filters: Filters, sort: &[(SortKey, Direction)]) -> ListQuery {
        let sort =
            sort.iter().map(|(key, direction)| SortOrder { key: *key, direction: *direction }).collect();
        let project = ProjectId::try_from("p").unwrap();
        ListQuery { scope: Scope::Project(project), filters, sort, offset: 0, limit: 10 }
    }

    fn secrets(query: &ListQuery) -> SecretList {
        SecretList::new(query, Some(1), Timestamp::from_micros(5)).unwrap()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn a_page_without_filters_walks_the_index_of_its_sort_key() {
        let plan = secrets(&query(Filters::default(), &[]));
        assert_eq!(
            plan.kept,
            Some(KeptTotal { project: 1, secret_type: None, now: 5 }),
            "nothing is counted"
        );
        assert_eq!(
            plan.page::<Sqlite>("id", 9),
            "SELECT id FROM secrets INDEXED BY secrets_by_created WHERE project = ? AND (expiration IS NULL OR expiration > ?) \
             ORDER BY created ASC, seq ASC LIMIT ? OFFSET ?"
        );
        let plan = secrets(&query(Filters::default(), &[(SortKey::Name, Direction::Descending)]));
        assert_eq!(
            plan.page::<Sqlite>("id", 9),
            "SELECT id FROM secrets INDEXED BY secrets_by_name WHERE project = ? AND (expiration IS NULL OR expiration > ?) \
             ORDER BY name DESC, created DESC, seq DESC LIMIT ? OFFSET ?"
        );
        assert!(plan.list.values().eq(&[Value::Integer(1), Value::Integer(5)]));
    }

    #[test]
    fn filters_are_conditions_and_a_few_matches_are_sorted() {
        let filters = Filters {
            name: Some(Pattern::new("a_\\b%")),
            mode: Some(Pattern::new("CBC")),
            bit_length: Some(256),
            secret_type: Some(TypeFilter::Is(SecretType::Opaque)),
            created: vec![DateFilter { comparison: Comparison::Less, with: Timestamp::from_micros(7) }],
            ..Filters::default()
        };
        let plan = secrets(&query(filters, &[(SortKey::Created, Direction::Descending)]));
        let conditions = [
            "project = ?",
            "(expiration IS NULL OR expiration > ?)",
            r"name LIKE ? ESCAPE '\'",
            "name COLLATE NOCASE >= ?",
            "name COLLATE NOCASE < ?",
            "mode = ? COLLATE NOCASE",
            "bit_length = ?",
            "created < ?",
            "secret_type = ?",
        ];
        let rows = |index| format!("FROM secrets INDEXED BY {index} WHERE {}", conditions.join(" AND "));
        let by_name = rows("secrets_by_name_filter");
        assert_eq!(plan.list.count::<Sqlite>(), format!("SELECT count(*) {by_name}"));
        assert_eq!(
            plan.list.count_up_to::<Sqlite>(),
            format!("SELECT count(*) FROM (SELECT 1 {by_name} LIMIT ?)")
        );
        let order = "ORDER BY created DESC, seq DESC LIMIT ? OFFSET ?";
        assert_eq!(plan.page::<Sqlite>("id", 1000), format!("SELECT id {by_name} {order}"));
        let by_created = rows("secrets_by_created");
        assert_eq!(plan.page::<Sqlite>("id", 1001), format!("SELECT id {by_created} {order}"));
        let (first, last) = (text(r"a\_\\b%"), text(&format!("a_\\b{}", char::MAX)));
        let values = [Value::Integer(1), Value::Integer(5), first, text("a_\\b"), last, text("CBC")];
        assert!(plan.list.values().take(6).eq(&values), "{:?}", plan.list);
    }

    #[test]
    fn a_list_by_acl_has_no_index_of_a_project() {
        let query = ListQuery {
            scope: Scope::AclOf(UserId::try_from("friend").unwrap()),
            ..query(Filters { name: Some(Pattern::new("x")), ..Filters::default() }, &[])
        };
        assert_eq!(
            SecretList::new(&query, None, Timestamp::from_micros(5)).unwrap().page::<Sqlite>("id", 9),
            "SELECT id FROM secrets WHERE seq IN (SELECT secret FROM secret_acl_users WHERE user = ?) \
             AND (expiration IS NULL OR expiration > ?) AND name = ? COLLATE NOCASE \
             ORDER BY created ASC, seq ASC LIMIT ? OFFSET ?"
        );
    }

    #[test]
    fn other_lists_are_in_order_of_commit() {
        let project = ProjectId::try_from("p").unwrap();
        let containers = ContainerQuery {
            project: project.clone(),
            name: Some(Pattern::new("c%")),
            container_type: Some(Some(ContainerType::Rsa)),
            offset: 0,
            limit: 9,
        };
        let list = List::of_containers(&containers, 1).unwrap();
        assert_eq!(
            list.page::<Sqlite>("id"),
            r"SELECT id FROM containers WHERE project = ? AND name LIKE ? ESCAPE '\' AND container_type = ? ORDER BY seq ASC LIMIT ? OFFSET ?"
        );
        let orders = OrderQuery { project, meta: Some("aes".to_owned()), offset: 0, limit: 9 };
        let list = List::of_orders(&orders, 1).unwrap();
        assert_eq!(
            list.count::<Sqlite>(),
            r"SELECT count(*) FROM orders WHERE project = ? AND meta LIKE ? ESCAPE '\'"
        );
        assert!(list.values().eq(&[Value::Integer(1), text("%aes%")]));
        let list = List::of_table("project_quotas", "project");
        assert_eq!(list.count::<Sqlite>(), "SELECT count(*) FROM project_quotas");
        assert_eq!(
            list.page::<Sqlite>("secrets"),
            "SELECT secrets FROM project_quotas ORDER BY project ASC LIMIT ? OFFSET ?"
        );
    }
}
