//! The stores that the suite runs on, and records to put there.

use std::path::Path;

pub(crate) use std::sync::Arc;

pub(crate) use model::*;
pub(crate) use store::sqlite::Purpose;
pub(crate) use store::*;

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_000_000);
pub(crate) const LATER: Timestamp = Timestamp::from_micros(2_000_000);

/// Opens a store that keeps its rows in a folder of its own.
type OpenStore = fn(&Path) -> Arc<dyn Store>;

/// The stores that the suite can run on, by name.
const KNOWN: [(&str, OpenStore); 1] = [("sqlite", |folder| Arc::new(open_sqlite(folder)))];

/// A new store of each kind that `DONJON_TEST_STORE` lists.
pub(crate) fn each_store() -> impl Iterator<Item = Fixture> {
    let list = std::env::var("DONJON_TEST_STORE").unwrap_or_else(|_| "sqlite".to_owned());
    let listed = listed_stores(&list).unwrap_or_else(|unknown| panic!("DONJON_TEST_STORE: {unknown}"));
    listed.into_iter().map(Fixture::new)
}

/// The stores that a list names, divided by commas. An error lists the stores that the suite knows.
fn listed_stores(list: &str) -> Result<Vec<OpenStore>, String> {
    let open = |name: &str| {
        let found = KNOWN.iter().find(|(known, _)| *known == name);
        let known = || KNOWN.map(|(known, _)| known).join(", ");
        found.map(|(_, open)| *open).ok_or_else(|| format!("there is no store {name:?}; known: {}", known()))
    };
    list.split(',').map(|name| open(name.trim())).collect()
}

pub(crate) fn open_sqlite(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("donjon.db"), Purpose::Serve).unwrap()
}

/// A store in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) folder: tempfile::TempDir,
    open: OpenStore,
}

impl Fixture {
    fn new(open: OpenStore) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: open(folder.path()), folder, open }
    }

    /// The embedded store.
    pub(crate) fn sqlite() -> Self {
        Self::new(|folder| Arc::new(open_sqlite(folder)))
    }

    /// The same store, opened again.
    pub(crate) fn restart(self) -> Self {
        let Self { store, folder, open } = self;
        drop(store);
        Self { store: open(folder.path()), folder, open }
    }

    pub(crate) async fn apply(&self, change: Change) -> Result<(), Error> {
        self.store.apply(change, unwitnessed()).await
    }

    pub(crate) async fn define(&self, secret: &Secret) -> Result<(), Error> {
        self.apply(Change::DefineSecret {
            secret: Box::new(secret.clone()),
            reseal: None,
            limit: Limit::NONE,
        })
        .await
    }

    pub(crate) async fn set(&self, id: SecretId, sealed: &[u8]) -> Result<(), Error> {
        self.set_bound(id, sealed, false).await
    }

    pub(crate) async fn set_bound(&self, id: SecretId, sealed: &[u8], private: bool) -> Result<(), Error> {
        self.apply(Change::SetPayload {
            id,
            private,
            rendered: Encoding::Raw,
            encoding: Encoding::Raw,
            content_type: ContentType::OctetStream,
            sealed: sealed.to_vec(),
            time: NOW,
        })
        .await
    }

    pub(crate) async fn envelope(&self, id: SecretId) -> Option<Vec<u8>> {
        self.store.sealed(id).await.unwrap().and_then(|found| found.payload).map(|payload| payload.1)
    }

    pub(crate) fn files_with(&self, needle: &[u8]) -> Vec<std::path::PathBuf> {
        let paths = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let holds = |path: &std::path::PathBuf| {
            std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
        };
        paths.filter(holds).collect()
    }
}

pub(crate) fn project(name: &str) -> ProjectId {
    ProjectId::try_from(name).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

/// A secret of a project, without a payload.
pub(crate) fn record(of: &str) -> Secret {
    Secret {
        id: SecretId::random(),
        project: project(of),
        attributes: Attributes::default(),
        creator: None,
        created: NOW,
        updated: NOW,
        status: Status::Active,
        content_type: None,
        project_access: true,
        facets: Facets::default(),
        guard: None,
    }
}

#[test]
fn an_unknown_store_is_an_error_that_lists_the_known_ones() {
    assert_eq!(listed_stores("sqlite, sqlite").unwrap().len(), 2);
    assert_eq!(listed_stores("sqlite,tape").unwrap_err(), r#"there is no store "tape"; known: sqlite"#);
}
