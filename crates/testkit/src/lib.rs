//! For development only: a vault on a temporary store, calls at a chosen time, and parts that fail on demand.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod faulty;
pub mod plain;

use std::path::Path;
use std::sync::Arc;

use model::{
    Call, Caller, Consumer, ConsumerId, Door, Guarded, ProjectId, Quotas, RequestId, Role, Roles, Timestamp,
    UNLIMITED, UserId, Uses,
};
use seal::FileProvider;
use store::sqlite::Purpose;
use store::{Change, Limit, SqliteStore, Store, unwitnessed};
use tempfile::TempDir;
use vault::{AuditSink, FileSink, OnLoss, Parts, Policy, Sync, Vault};

pub use faulty::{FaultyAudit, FaultyKeys, FaultyStore, Switch};

/// A vault with all its parts in a temporary folder.
pub struct Fixture {
    /// The vault.
    pub vault: Arc<Vault>,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Makes the store fail.
    pub store_fails: Switch,
    /// Makes the audit trail fail.
    pub audit_fails: Switch,
    folder: Arc<TempDir>,
}

impl Fixture {
    /// A new vault.
    pub async fn new() -> Self {
        Self::in_folder(Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// A new vault with a known master key: a line of base64.
    pub async fn with_master_key(line: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        std::fs::write(&path, line).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self::in_folder(Arc::new(folder)).await
    }

    /// The same vault after a restart.
    pub async fn restart(self) -> Self {
        let Self { vault, store, folder, .. } = self;
        drop((vault, store));
        Self::in_folder(folder).await
    }

    /// The same vault after a restart, with its database changed by hand before.
    pub async fn restart_after(self, statements: &str) -> Self {
        self.restart_changed(|database| run_sql(database, statements)).await
    }

    /// The same vault after a restart, with `change` applied to its database before.
    pub async fn restart_changed(self, change: impl FnOnce(&Path)) -> Self {
        let Self { vault, store, folder, .. } = self;
        drop((vault, store));
        change(&folder.path().join("donjon.db"));
        Self::in_folder(folder).await
    }

    /// Registers many consumers at once, directly in the store.
    pub async fn register(&self, project: &str, of: Guarded, uses: Vec<Uses>) {
        let mut tasks = tokio::task::JoinSet::new();
        for who in uses {
            let (id, project) = (ConsumerId::random(), ProjectId::try_from(project).unwrap());
            let consumer = Consumer { id, project, created: NOW, updated: NOW, who };
            let change = Change::AddConsumer { of, consumer, limit: Limit::NONE };
            let store = Arc::clone(&self.store);
            tasks.spawn(async move { store.apply(change, unwitnessed()).await.unwrap() });
        }
        tasks.join_all().await;
    }

    /// The folder of `donjon.db`, `master.key` and `audit.log`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn in_folder(folder: Arc<TempDir>) -> Self {
        let path = |name: &str| folder.path().join(name);
        let (store_fails, audit_fails) = (Switch::default(), Switch::default());
        let sqlite = SqliteStore::open(&path("donjon.db"), Purpose::Serve).unwrap();
        let store: Arc<dyn Store> = Arc::new(FaultyStore::new(sqlite, store_fails.clone()));
        let keys = FileProvider::new(path("master.key"));
        let parts = Parts {
            store: Arc::clone(&store),
            keys: &keys,
            audit: |chain| {
                let sink = FileSink::open(&path("audit.log"), Sync::Batch, chain)?;
                Ok(Arc::new(FaultyAudit::new(sink, audit_fails.clone())) as Arc<dyn AuditSink>)
            },
            quotas: Quotas::all(UNLIMITED),
            policy: Policy::legacy(),
            on_loss: OnLoss::Refuse,
        };
        let vault = Arc::new(Vault::open(parts).await.unwrap());
        Self { vault, store, store_fails, audit_fails, folder }
    }
}

/// Runs SQL on a database that is not open.
pub fn run_sql(database: &Path, statements: &str) {
    rusqlite::Connection::open(database).unwrap().execute_batch(statements).unwrap();
}

/// The time at which tests begin.
pub const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// A call of a project's admin, at [`NOW`].
pub fn call(project: &str) -> Call {
    Call {
        caller: Caller {
            project: ProjectId::try_from(project).unwrap(),
            user: None,
            roles: Roles::Fixed(&[Role::ADMIN]),
        },
        time: NOW,
        request: RequestId::random(),
        door: Door::Rest,
    }
}

/// The same call by a user with other roles.
pub fn by(user: &str, roles: &[&str], mut call: Call) -> Call {
    call.caller.user = Some(UserId::try_from(user).unwrap());
    call.caller.roles = roles.iter().map(|role| Role::from(*role)).collect();
    call
}

/// The same call, some seconds later.
pub fn later(seconds: i64, mut call: Call) -> Call {
    call.time = call.time.plus_micros(seconds * 1_000_000);
    call
}
