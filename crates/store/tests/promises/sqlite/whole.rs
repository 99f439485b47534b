//! Copies of a store in use.

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Attributes, ContentType, Facets, ProjectId, Secret, SecretId, Status, Timestamp, Which};
use store::sqlite::Purpose;
use store::{Change, CopyError, Limit, SqliteStore, Store, unwitnessed};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn secret() -> Secret {
    Secret {
        id: SecretId::random(),
        project: ProjectId::try_from("p").unwrap(),
        attributes: Attributes::default(),
        creator: None,
        created: NOW,
        updated: NOW,
        status: Status::Active,
        content_type: Some(ContentType::OctetStream),
        project_access: true,
        facets: Facets::default(),
        guard: None,
    }
}

async fn create(store: &SqliteStore, sealed: &[u8]) -> SecretId {
    let secret = Box::new(secret());
    let id = secret.id;
    let change = Change::CreateSecret { secret, sealed: Some(sealed.to_vec()), limit: Limit::NONE };
    store.apply(change, unwitnessed()).await.unwrap();
    id
}

async fn envelope(store: &SqliteStore, id: SecretId) -> Option<Vec<u8>> {
    store.sealed(id).await.unwrap().and_then(|found| found.payload).map(|payload| payload.1)
}

fn open(folder: &tempfile::TempDir) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(&folder.path().join("donjon.db"), Purpose::Serve).unwrap())
}

/// A copy shows one moment; changes, reads and deletions go on while it is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_shows_one_moment_while_changes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let mut before = Vec::new();
    for n in 0..40_u8 {
        before.push(create(&store, &vec![n; 200_000]).await);
    }
    let newest = store.newest_change().borrow().number();
    let copy = folder.path().join("copy.db");
    let (said, mut says) = tokio::sync::mpsc::unbounded_channel();
    let (go, goes) = std::sync::mpsc::channel::<()>();
    let copied = tokio::task::spawn_blocking({
        let (store, copy) = (Arc::clone(&store), copy.clone());
        move || {
            store.copy_to(&copy, |progress| {
                said.send(progress).unwrap();
                goes.recv().unwrap();
                ControlFlow::Continue(())
            })
        }
    });
    let first = says.recv().await.unwrap();
    assert!(0 < first.done && first.done < first.all, "{first:?}");
    let after = create(&store, &[77; 5000]).await;
    let delete = Change::DeleteSecret { id: before[3], unless_used: false, time: NOW };
    let begin = Instant::now();
    store.apply(delete, unwitnessed()).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(30));
    let all = Which { ephemeral: None, private: None };
    let listed = store.handles(&ProjectId::try_from("p").unwrap(), all, NOW, 1000).await.unwrap();
    assert_eq!(listed.len(), 40, "lists do not wait for a copy");
    for _ in 0..1000 {
        let _ = go.send(());
    }
    let copied = copied.await.unwrap().unwrap();
    assert_eq!(copied.newest_change, newest);
    assert_eq!(copied.bytes, std::fs::metadata(&copy).unwrap().len());
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);

    let restored = SqliteStore::open(&copy, Purpose::Serve).unwrap();
    assert_eq!(restored.id(), store.id());
    assert!(restored.integrity().unwrap().is_empty());
    for (n, id) in before.iter().enumerate() {
        assert_eq!(envelope(&restored, *id).await.unwrap(), vec![u8::try_from(n).unwrap(); 200_000]);
    }
    assert_eq!(envelope(&restored, after).await, None);
    // Envelopes that were deleted meanwhile are in no file once the copy has ended.
    let log = folder.path().join("donjon.db-wal");
    let begin = Instant::now();
    while std::fs::metadata(&log).unwrap().len() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(store.integrity().unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_copy_leaves_no_file_and_removes_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    create(&store, &vec![1; 3_000_000]).await;
    let copy = folder.path().join("copy.db");
    let stopped = store.copy_to(&copy, |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(CopyError::Stopped)), "{stopped:?}");
    assert!(!copy.exists());
    std::fs::write(&copy, "mine").unwrap();
    let there = store.copy_to(&copy, |_| ControlFlow::Continue(()));
    assert!(matches!(there, Err(CopyError::File { .. })), "{there:?}");
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
    let nowhere = store.copy_to(&folder.path().join("no/copy.db"), |_| ControlFlow::Continue(()));
    assert!(matches!(nowhere, Err(CopyError::File { .. })), "{nowhere:?}");
}
