//! Files of older schemas, of unknown ones, and of other programs.

use crate::contract::{add, everything, plain};
use crate::support::*;

#[test]
fn a_store_of_the_first_schema_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("donjon.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(include_str!("../../../migrations/sqlite/0001.sql")).unwrap();
    raw.execute_batch(
        "INSERT INTO store (id) VALUES (randomblob(16)); INSERT INTO projects (name) VALUES ('p'); \
         INSERT INTO secrets (id, project, created, updated, status, secret_type, project_access, private, ephemeral, \
         encoding) VALUES (zeroblob(16), 1, 1, 1, 'ACTIVE', 'opaque', 1, 0, 0, 'raw'); \
         INSERT INTO changes VALUES (5, zeroblob(16), 1, 'created', 1000000 * unixepoch()); \
         INSERT INTO audit_anchor VALUES (1, 7, zeroblob(32)); \
         PRAGMA application_id = 1685024362; PRAGMA user_version = 1",
    )
    .unwrap();
    drop(raw);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let anchor =
        |store: &SqliteStore| runtime.block_on(store.audit_anchor(&NodeName::ONLY)).unwrap().unwrap();
    let looked_at = SqliteStore::open(&path, Purpose::Inspect).unwrap();
    assert_eq!(anchor(&looked_at).number, 7);
    let mut look = looked_at.look().unwrap();
    let swept = look.sweep(0).unwrap();
    assert!(
        swept.iter().all(|row| row.row.as_ref().is_ok_and(|row| row.access.guard.is_none())),
        "{swept:?}"
    );
    assert_eq!(swept.len(), 1);
    drop((look, looked_at));
    let store = open_sqlite(folder.path());
    assert_eq!(anchor(&store).number, 7);
    runtime.block_on(async {
        let listed = store.handles(&project("p"), Which::default(), NOW, 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(
            store.changes(ChangeCursor::START, 10).await.unwrap(),
            Changes::Missed { up_to: ChangeCursor::from_number(4) }
        );
        let rows = store.changes(ChangeCursor::from_number(4), 10).await.unwrap().rows().unwrap();
        assert_eq!((rows[0].cursor.number(), rows[0].usage.clone()), (5, None));
    });
    drop(store);
    let version: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 5);
}

#[test]
fn passphrases_in_orders_of_the_third_schema_leave_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("donjon.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(concat!(
        include_str!("../../../migrations/sqlite/0001.sql"),
        include_str!("../../../migrations/sqlite/0002.sql"),
        include_str!("../../../migrations/sqlite/0003.sql"),
        "INSERT INTO store (id) VALUES (randomblob(16)); INSERT INTO projects (name) VALUES ('p');"
    ))
    .unwrap();
    for (number, meta) in [
        r#"{"algorithm": "rsa", "pass_phrase": "hunter2", "bit_length": 2048}"#,
        r#"{"pass_phrase": {"a": "hunter2"}}"#,
        r#"{"algorithm": "aes",  "note": "pass_phrase"}"#,
        "pass_phrase",
    ]
    .into_iter()
    .enumerate()
    {
        raw.execute(
            "INSERT INTO orders (id, project, created, updated, order_type, meta, code, reason, spent) \
             VALUES (randomblob(16), 1, ?1, ?1, 'asymmetric', ?2, 500, '', 1)",
            (number, meta),
        )
        .unwrap();
    }
    raw.execute_batch("PRAGMA application_id = 1685024362; PRAGMA user_version = 3").unwrap();
    drop(raw);
    let has_it = |bytes: Vec<u8>| bytes.windows(7).any(|window| window == b"hunter2");
    assert!(has_it(std::fs::read(&path).unwrap()));
    drop(open_sqlite(folder.path()));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap().path();
        assert!(!has_it(std::fs::read(&file).unwrap()), "{}", file.display());
    }
    let raw = rusqlite::Connection::open(&path).unwrap();
    let mut select = raw.prepare("SELECT meta FROM orders ORDER BY seq").unwrap();
    let kept: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        kept,
        [
            r#"{"algorithm":"rsa","bit_length":2048}"#,
            "{}",
            r#"{"algorithm": "aes",  "note": "pass_phrase"}"#,
            "pass_phrase"
        ]
    );
}

#[test]
fn only_our_own_files_of_our_schema_are_opened_and_by_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("donjon.db");
    assert!(matches!(SqliteStore::open(&path, Purpose::Inspect), Err(OpenError::Missing(_))));
    let store = SqliteStore::open(&path, Purpose::Serve).unwrap();
    assert!(matches!(SqliteStore::open(&path, Purpose::Serve), Err(OpenError::InUse(_))));
    assert!(matches!(SqliteStore::open(&path, Purpose::Inspect), Err(OpenError::InUse(_))));
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    drop(store);
    assert!(SqliteStore::open(&path, Purpose::Inspect).is_ok());
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 77).unwrap();
    drop(raw);
    let refused = SqliteStore::open(&path, Purpose::Serve).unwrap_err();
    assert!(matches!(refused, OpenError::Schema { found: 77, known: 5, .. }), "{refused}");
    for (name, content) in [("text", &b"hello"[..]), ("db", b"")] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        if content.is_empty() {
            rusqlite::Connection::open(&path).unwrap().execute("CREATE TABLE t (x)", []).unwrap();
        }
        assert!(matches!(SqliteStore::open(&path, Purpose::Serve), Err(OpenError::Foreign(_))));
        assert!(matches!(SqliteStore::open(&path, Purpose::Inspect), Err(OpenError::Foreign(_))));
    }
}

#[tokio::test]
async fn a_list_that_counts_many_rows_is_the_same_list() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open_sqlite(folder.path()));
    let mut named = plain("p");
    named.attributes.name = Some(Text::try_from("same").unwrap());
    add(&store, named, None).await;
    drop(store);
    let raw = rusqlite::Connection::open(folder.path().join("donjon.db")).unwrap();
    let columns = "project, creator, created, updated, status, secret_type, name, project_access, private, ephemeral, \
                   encoding";
    raw.execute(
        &format!(
            "WITH RECURSIVE numbers (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM numbers WHERE value < 30000) \
             INSERT INTO secrets (id, expiration, {columns}) SELECT randomblob(16), iif(value % 2, 1, NULL), {columns} \
             FROM secrets, numbers"
        ),
        [],
    )
    .unwrap();
    drop(raw);
    let store: Arc<dyn Store> = Arc::new(open_sqlite(folder.path()));
    let filters = Filters { name: Some(Pattern::new("SAME")), ..Filters::default() };
    for filters in [Filters::default(), filters] {
        let page = store.list(&ListQuery { filters, ..everything("p") }, NOW).await.unwrap();
        assert_eq!((page.total, page.secrets.len()), (15_001, 100));
    }
}
