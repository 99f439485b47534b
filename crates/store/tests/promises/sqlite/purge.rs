//! Deleted, replaced and ephemeral envelopes are in no file of the embedded store.

use crate::contract::{add, ceph, ephemeral, plain, secret};
use crate::support::*;

#[tokio::test]
async fn ciphertext_is_in_no_file_once_its_deletion_is_acknowledged() {
    let fixture = Fixture::sqlite();
    let store = Arc::clone(&fixture.store);
    for length in [40, 20_000] {
        let ciphertext: Vec<u8> =
            (0..length).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let id = add(&store, plain("p"), Some(&ciphertext)).await;
        for _ in 0..20 {
            add(&store, plain("p"), Some(b"other")).await;
        }
        let needle = &ciphertext[8..40];
        assert!(!fixture.files_with(needle).is_empty(), "the search finds the envelope");
        assert!(store.secret(id).await.unwrap().is_some(), "a reader's snapshot is open meanwhile");
        store.apply(Change::DeleteSecret { id, unless_used: false, time: NOW }, unwitnessed()).await.unwrap();
        assert_eq!(fixture.files_with(needle), Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test]
async fn a_long_read_delays_deletions_and_nothing_else() {
    let fixture = Fixture::sqlite();
    let (store, folder) = (Arc::clone(&fixture.store), &fixture.folder);
    let log = || std::fs::metadata(folder.path().join("donjon.db-wal")).unwrap().len();
    let kept = add(&store, plain("p"), Some(b"kept")).await;
    let id = add(&store, plain("p"), Some(b"sealed")).await;
    let reader = rusqlite::Connection::open(folder.path().join("donjon.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM secrets").unwrap();
    let deleting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            store.apply(Change::DeleteSecret { id, unless_used: false, time: NOW }, unwitnessed()).await
        })
    };
    while !deleting.is_finished() {
        assert!(store.sealed(kept).await.unwrap().is_some(), "reads go on meanwhile");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    deleting.await.unwrap().unwrap();
    assert!(store.secret(id).await.unwrap().is_none());
    assert!(log() > 0, "the reader keeps the log");
    reader.execute_batch("COMMIT").unwrap();
    while log() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await; // No request is needed.
    }
}

#[tokio::test]
async fn the_write_ahead_log_is_folded_in_under_load() {
    let fixture = Fixture::sqlite();
    let (store, folder) = (Arc::clone(&fixture.store), &fixture.folder);
    let sealed = vec![7; 20_000];
    for _ in 0..3000 {
        let id = add(&store, plain("p"), Some(&sealed)).await;
        assert!(store.sealed(id).await.unwrap().is_some());
    }
    let log = std::fs::metadata(folder.path().join("donjon.db-wal")).unwrap().len();
    assert!(log < 64 << 20, "{log} bytes of log");
}

#[tokio::test]
async fn expired_secrets_on_disk_give_way_to_ephemeral_ones() {
    let fixture = Fixture::sqlite();
    let mut old = secret("c");
    old.attributes.expiration = Some(NOW.plus_micros(5));
    fixture.define(&old).await.unwrap();
    fixture.set(old.id, b"the-envelope-of-the-expired").await.unwrap();
    let new = ephemeral(Secret { created: NOW.plus_micros(5), ..secret("c") });
    fixture.define(&new).await.unwrap();
    assert_eq!(fixture.files_with(b"the-envelope-of-the-expired"), Vec::<std::path::PathBuf>::new());
    let mut same_id = secret("");
    same_id.attributes.expiration = Some(NOW.plus_micros(5));
    fixture.define(&same_id).await.unwrap();
    let again = ephemeral(Secret { created: NOW.plus_micros(9), id: same_id.id, ..secret("other") });
    fixture.define(&again).await.unwrap();
    assert_eq!(fixture.usage_of(again.id).await, Some(ceph("other")));
    let mut foreign = Secret { project: project("q"), ..secret("") };
    foreign.attributes.expiration = Some(NOW.plus_micros(5));
    fixture.define(&foreign).await.unwrap();
    let same = ephemeral(Secret { created: NOW.plus_micros(9), id: foreign.id, ..secret("") });
    assert!(matches!(fixture.define(&same).await, Err(Error::Conflict(Conflict::Id(_)))));
}

#[tokio::test]
async fn an_ephemeral_secret_is_in_no_file_and_ends_with_the_store() {
    let fixture = Fixture::sqlite();
    let secret = ephemeral(secret("only-in-memory-usage"));
    fixture.define(&secret).await.unwrap();
    fixture.set(secret.id, b"only-in-memory-envelope").await.unwrap();
    let pair = Metadatum { key: "k".into(), value: "only-in-memory-metadata".into() };
    fixture.apply(Change::AddMetadatum { id: secret.id, datum: pair.clone() }).await.unwrap();
    assert_eq!(fixture.store.metadata(secret.id).await.unwrap(), [pair]);
    assert_eq!(fixture.envelope(secret.id).await.unwrap(), b"only-in-memory-envelope");
    assert_eq!(fixture.files_with(b"only-in-memory"), Vec::<std::path::PathBuf>::new());
    assert_eq!(fixture.files_with(secret.id.as_bytes()), Vec::<std::path::PathBuf>::new());
    let fixture = fixture.restart();
    assert!(fixture.store.secret(secret.id).await.unwrap().is_none());
    assert!(
        fixture.store.handle_by_usage(&project("p"), &ceph("only-in-memory-usage")).await.unwrap().is_none()
    );
}

#[tokio::test]
async fn a_secret_defined_as_ephemeral_leaves_the_file_for_memory_and_comes_back_whole() {
    let fixture = Fixture::sqlite();
    let mut secret = secret("c");
    secret.attributes.name = Some("name".try_into().unwrap());
    fixture.define(&secret).await.unwrap();
    fixture.set(secret.id, b"an-envelope-of-some-length").await.unwrap();
    let pair = Metadatum { key: "k".into(), value: "v".into() };
    fixture.apply(Change::AddMetadatum { id: secret.id, datum: pair.clone() }).await.unwrap();
    assert!(!fixture.files_with(b"an-envelope-of-some-length").is_empty());
    fixture.define(&ephemeral(secret.clone())).await.unwrap();
    assert_eq!(fixture.files_with(b"an-envelope-of-some-length"), Vec::<std::path::PathBuf>::new());
    let check = |ephemeral: bool| {
        let (store, id, name, pair) =
            (Arc::clone(&fixture.store), secret.id, secret.attributes.name.clone(), pair.clone());
        async move {
            let found = store.secret(id).await.unwrap().unwrap();
            assert_eq!((found.facets.ephemeral, found.attributes.name), (ephemeral, name));
            assert_eq!(found.content_type, Some(ContentType::OctetStream));
            assert_eq!(store.metadata(id).await.unwrap(), [pair]);
            assert_eq!(store.count(&project("p"), Which::default(), NOW).await.unwrap(), 1);
            let sealed = store.sealed(id).await.unwrap().unwrap();
            assert_eq!(sealed.payload.unwrap().1, b"an-envelope-of-some-length");
        }
    };
    check(true).await;
    fixture.define(&secret).await.unwrap();
    check(false).await;
    let fixture = fixture.restart();
    assert_eq!(fixture.envelope(secret.id).await.unwrap(), b"an-envelope-of-some-length");
}

#[tokio::test]
async fn a_replaced_payload_leaves_the_files_soon() {
    let fixture = Fixture::sqlite();
    let secret = secret("c");
    fixture.define(&secret).await.unwrap();
    fixture.set(secret.id, b"the-envelope-that-was-first").await.unwrap();
    fixture.set(secret.id, b"the-one-after-it").await.unwrap();
    assert_eq!(fixture.envelope(secret.id).await.unwrap(), b"the-one-after-it");
    assert!(matches!(fixture.set_bound(secret.id, b"x", true).await, Err(Error::Changed)));
    let missing = fixture.set(SecretId::random(), b"x").await;
    assert!(matches!(missing, Err(Error::Absent(_))));
    while !fixture.files_with(b"the-envelope-that-was-first").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await; // No request is needed.
    }
}
