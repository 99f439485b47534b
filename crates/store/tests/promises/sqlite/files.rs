//! The files of a store: locks, contents, and files that are moved away.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{
    Attributes, ChangeCursor, Changes, ContentType, Facets, ProjectId, Secret, SecretId, Status, Timestamp,
    Usage, UsageType,
};
use store::sqlite::{Purpose, Serving};
use store::{Change, Error, Failure, Limit, OpenError, SqliteStore, Store, unwitnessed};

const PATIENCE: Duration = Duration::from_secs(60);

struct Fixture {
    folder: tempfile::TempDir,
    store: Option<SqliteStore>,
    serving: Serving,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Serving::default())
    }

    fn with(serving: Serving) -> Self {
        let mut fixture = Self { folder: tempfile::tempdir().unwrap(), store: None, serving };
        fixture.open();
        fixture
    }

    fn open(&mut self) {
        self.store = Some(open_closed(&self.path("donjon.db"), Purpose::Serve, self.serving).unwrap());
    }

    fn close(&mut self) {
        self.store = None;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    async fn create(&self, sealed: &[u8], usage: Option<&str>) -> Result<SecretId, Error> {
        let now = Timestamp::from(std::time::SystemTime::now());
        let secret = Secret {
            id: SecretId::random(),
            project: ProjectId::try_from("p").unwrap(),
            attributes: Attributes::default(),
            creator: None,
            created: now,
            updated: now,
            status: Status::Active,
            content_type: Some(ContentType::OctetStream),
            project_access: true,
            guard: None,
            facets: Facets {
                usage_type: usage.map(|_| UsageType::Ceph),
                usage_id: usage.map(str::to_owned),
                ..Facets::default()
            },
        };
        let id = secret.id;
        let change = Change::CreateSecret {
            secret: Box::new(secret),
            sealed: Some(sealed.to_vec()),
            limit: Limit::NONE,
        };
        self.store().apply(change, unwitnessed()).await.map(|()| id)
    }

    async fn delete(&self, id: SecretId) {
        let time = Timestamp::from(std::time::SystemTime::now());
        let change = Change::DeleteSecret { id, unless_used: false, time };
        self.store().apply(change, unwitnessed()).await.unwrap();
    }

    async fn has(&self, id: SecretId) -> bool {
        self.store().sealed(id).await.unwrap().is_some()
    }

    /// Files that hold some bytes.
    fn files_with(&self, needle: &[u8]) -> Vec<PathBuf> {
        let paths = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let holds =
            |path: &PathBuf| fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle);
        paths.filter(holds).collect()
    }
}

/// Opens a store again. A process that another test starts at this moment holds our locks, too, until it runs its program.
fn open_closed(path: &Path, purpose: Purpose, serving: Serving) -> Result<SqliteStore, OpenError> {
    let begin = Instant::now();
    loop {
        match SqliteStore::open_with(path, purpose, serving) {
            Err(OpenError::InUse(_)) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened,
        }
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs another process of this test, which tries to read the database with SQLite's defaults. Gives its output.
fn other_program(path: &Path) -> String {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::files::reads_as_another_program", "--nocapture"])
        .env("READ_THIS", path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn reads_as_another_program() {
    let Some(path) = std::env::var_os("READ_THIS") else { return };
    let read = rusqlite::Connection::open(path).and_then(|connection| {
        connection.busy_timeout(Duration::ZERO)?;
        connection.query_row("SELECT count(*) FROM secrets", [], |row| row.get::<_, i64>(0))
    });
    println!("found: {read:?}");
}

#[tokio::test]
async fn no_file_is_mapped_and_no_other_program_reads_a_store_in_use() {
    let mut fixture = Fixture::new();
    let (path, index) = (fixture.path("donjon.db"), fixture.path("donjon.db-shm"));
    let id = fixture.create(&[7; 100_000], None).await.unwrap();
    assert!(fixture.has(id).await);
    assert!(!index.exists(), "the index of the log is in memory");
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("donjon.db"), "a page of a file that is mapped may not be there: {maps}");
    let said = other_program(&path);
    assert!(said.contains("DatabaseBusy"), "{said}");
    fixture.close();
    assert!(other_program(&path).contains("found: Ok(1)"));
    // An index that an earlier version left does no harm, and is removed.
    fs::write(&index, vec![0xa5; 32_768]).unwrap();
    fixture.open();
    assert!(fixture.has(id).await);
    assert!(!index.exists());
}

#[tokio::test]
async fn a_database_is_locked_under_each_of_its_names() {
    let mut fixture = Fixture::new();
    let (path, link, hard) = (fixture.path("donjon.db"), fixture.path("link.db"), fixture.path("hard.db"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let by_link = SqliteStore::open(&link, Purpose::Serve);
    assert!(matches!(by_link, Err(OpenError::InUse(_))), "{by_link:?}");
    let id = fixture.create(b"x", None).await.unwrap();
    fixture.close();
    // Through a link it is the same store, with the same files beside it.
    let linked = open_closed(&link, Purpose::Serve, Serving::default()).unwrap();
    assert!(linked.sealed(id).await.unwrap().is_some());
    assert!(!fixture.path("link.db.lock").exists() && !fixture.path("link.db-wal").exists());
    drop(linked);
    fs::hard_link(&path, &hard).unwrap();
    for name in [&path, &hard] {
        for purpose in [Purpose::Serve, Purpose::Inspect] {
            let refused = open_closed(name, purpose, Serving::default());
            assert!(matches!(refused, Err(OpenError::Linked { names: 2, .. })), "{refused:?}");
        }
    }
    fs::remove_file(&hard).unwrap();
    fixture.open();
    assert!(fixture.has(id).await);
}

#[tokio::test]
async fn changes_are_refused_after_a_file_was_moved_away() {
    let fixture = Fixture::new();
    let id = fixture.create(b"before", None).await.unwrap();
    for name in ["donjon.db", "donjon.db-wal"] {
        let (path, aside) = (fixture.path(name), fixture.path("aside"));
        fs::rename(&path, &aside).unwrap();
        let refused = fixture.create(b"lost", None).await;
        assert!(matches!(&refused, Err(Error::Failed(Failure::TakenAway(_)))), "{name} gone: {refused:?}");
        // A copy in its place is another file.
        fs::copy(&aside, &path).unwrap();
        let refused = fixture.create(b"lost", None).await;
        assert!(
            matches!(&refused, Err(Error::Failed(Failure::TakenAway(_)))),
            "{name} replaced: {refused:?}"
        );
        assert!(fixture.has(id).await, "acknowledged changes are read");
        let copy = fixture.path("copy.db");
        fixture.store().copy_to(&copy, |_| ControlFlow::Continue(())).unwrap();
        fs::remove_file(copy).unwrap();
        fs::rename(&aside, &path).unwrap();
        fixture.create(b"after", None).await.unwrap();
    }
}

#[tokio::test]
async fn the_write_ahead_log_is_folded_in_without_changes() {
    let mut fixture = Fixture::new();
    let log = fixture.path("donjon.db-wal");
    let id = fixture.create(&[3; 50_000], None).await.unwrap();
    until("the log is empty", || fs::metadata(&log).unwrap().len() == 0);
    until("so says the store", || fixture.store().log_bytes() == 0);
    // The log that a crash leaves is folded in without a change.
    fs::copy(fixture.path("donjon.db"), fixture.path("crashed.db")).unwrap();
    let other = fixture.create(&[4; 50_000], None).await.unwrap();
    fs::copy(&log, fixture.path("crashed.db-wal")).unwrap();
    assert!(fs::metadata(fixture.path("crashed.db-wal")).unwrap().len() > 50_000);
    fixture.close();
    let store = SqliteStore::open(&fixture.path("crashed.db"), Purpose::Serve).unwrap();
    until("that log is empty", || fs::metadata(fixture.path("crashed.db-wal")).unwrap().len() == 0);
    assert!(store.sealed(id).await.unwrap().is_some() && store.sealed(other).await.unwrap().is_some());
}

#[tokio::test]
async fn change_log_rows_of_deleted_secrets_leave_the_files_and_followers_learn_of_the_gap() {
    let serving = Serving { changes_for: Duration::from_secs(2), ..Serving::default() };
    let mut fixture = Fixture::with(serving);
    let id = fixture.create(b"sealed", Some("client.of-a-deleted-secret")).await.unwrap();
    fixture.delete(id).await;
    let newest = *fixture.store().newest_change().borrow();
    let rows = fixture.store().changes(ChangeCursor::START, 100).await.unwrap().rows().unwrap();
    assert_eq!(rows.last().unwrap().cursor, newest);
    assert_eq!(
        rows.last().unwrap().usage,
        Some(Usage { usage_type: UsageType::Ceph, id: "client.of-a-deleted-secret".into() })
    );
    let (by_id, by_usage) = (*id.as_bytes(), b"client.of-a-deleted-secret");
    assert!(!fixture.files_with(&by_id).is_empty(), "followers need it");
    // Without any request the rows go.
    until("nothing tells of it", || {
        fixture.files_with(&by_id).is_empty() && fixture.files_with(by_usage).is_empty()
    });
    assert_eq!(
        fixture.store().changes(ChangeCursor::START, 100).await.unwrap(),
        Changes::Missed { up_to: newest }
    );
    assert_eq!(
        fixture.store().changes(ChangeCursor::from_number(newest.number() - 1), 100).await.unwrap(),
        Changes::Missed { up_to: newest }
    );
    assert_eq!(fixture.store().changes(newest, 100).await.unwrap(), Changes::Rows(Vec::new()));
    // Numbers go on where they ended, though no row is left.
    fixture.close();
    fixture.open();
    assert_eq!(*fixture.store().newest_change().borrow(), newest);
    assert_eq!(
        fixture.store().changes(ChangeCursor::START, 100).await.unwrap(),
        Changes::Missed { up_to: newest }
    );
    fixture.create(b"sealed", None).await.unwrap();
    let rows = fixture.store().changes(newest, 100).await.unwrap().rows().unwrap();
    assert_eq!(rows[0].cursor.number(), newest.number() + 1);
    // Rows that grew old while no server ran go at the start.
    fixture.close();
    std::thread::sleep(Duration::from_secs(2));
    fixture.open();
    let begin = Instant::now();
    while fixture.store().changes(newest, 100).await.unwrap().rows().is_some() {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
