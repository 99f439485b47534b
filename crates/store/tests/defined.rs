//! What every store promises of secrets that hypervisors define: under ids of their own, looked up by what they are used
//! for, listed as handles, given values again and again, and kept in memory if they say so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::path::Path;
use std::sync::Arc;

use model::{
    Attributes, ChangeCursor, ChangeKind, Changes, ContentType, Encoding, Expect, Facet, FacetError, Facets,
    Metadatum, ProjectId, Secret, SecretId, Status, Timestamp, Usage, UsageType, Which,
};
use store::sqlite::Purpose;
use store::{Change, Error, Guarding, Limit, NodeName, Reseal, SqliteStore, Store, unwitnessed};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// A store in a folder of its own.
struct Fixture {
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Arc::new(open(folder.path())), folder }
    }

    fn restart(self) -> Self {
        let Self { store, folder } = self;
        drop(store);
        Self { store: Arc::new(open(folder.path())), folder }
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        self.store.apply(change, unwitnessed()).await
    }

    async fn define(&self, secret: &Secret) -> Result<(), Error> {
        self.apply(Change::DefineSecret {
            secret: Box::new(secret.clone()),
            reseal: None,
            limit: Limit::NONE,
        })
        .await
    }

    async fn set(&self, id: SecretId, sealed: &[u8]) -> Result<(), Error> {
        self.set_bound(id, sealed, false).await
    }

    async fn set_bound(&self, id: SecretId, sealed: &[u8], private: bool) -> Result<(), Error> {
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

    async fn envelope(&self, id: SecretId) -> Option<Vec<u8>> {
        self.store.sealed(id).await.unwrap().and_then(|found| found.payload).map(|payload| payload.1)
    }

    async fn usage_of(&self, id: SecretId) -> Option<Usage> {
        self.store.handle(id).await.unwrap().unwrap().listed.usage
    }

    /// The change log: kind and usage.
    async fn log(&self) -> Vec<(ChangeKind, Option<String>)> {
        let rows = self.store.changes(ChangeCursor::START, 1000).await.unwrap().rows().unwrap();
        assert!(rows.is_sorted_by(|a, b| a.cursor < b.cursor));
        rows.into_iter().map(|row| (row.kind, row.usage.map(|usage| usage.id))).collect()
    }

    fn files_with(&self, needle: &[u8]) -> Vec<std::path::PathBuf> {
        let paths = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let holds = |path: &std::path::PathBuf| {
            std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
        };
        paths.filter(holds).collect()
    }
}

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("donjon.db"), Purpose::Serve).unwrap()
}

fn project(name: &str) -> ProjectId {
    ProjectId::try_from(name).unwrap()
}

fn ceph(id: &str) -> Usage {
    Usage { usage_type: UsageType::Ceph, id: id.to_owned() }
}

/// A secret of project `p`, used for a Ceph client unless the name is empty.
fn secret(usage: &str) -> Secret {
    Secret {
        id: SecretId::random(),
        project: project("p"),
        attributes: Attributes::default(),
        creator: None,
        created: NOW,
        updated: NOW,
        status: Status::Active,
        content_type: None,
        project_access: true,
        facets: Facets {
            usage_type: (!usage.is_empty()).then_some(UsageType::Ceph),
            usage_id: (!usage.is_empty()).then(|| usage.to_owned()),
            ..Facets::default()
        },
        guard: None,
    }
}

fn ephemeral(mut secret: Secret) -> Secret {
    secret.facets.ephemeral = true;
    secret
}

fn persistent(mut secret: Secret) -> Secret {
    secret.facets.ephemeral = false;
    secret
}

#[tokio::test]
async fn a_definition_creates_once_and_then_changes_by_the_rules() {
    for kept in [persistent, ephemeral] {
        let fixture = Fixture::new();
        let mut secret = kept(secret("c"));
        fixture.define(&secret).await.unwrap();
        assert_eq!(fixture.store.secret(secret.id).await.unwrap().as_ref(), Some(&secret));
        fixture.set(secret.id, b"value").await.unwrap();
        secret.facets.description = Some("d".into());
        secret.facets.usage_type = Some(UsageType::Tls);
        fixture.define(&secret).await.unwrap();
        let found = fixture.store.secret(secret.id).await.unwrap().unwrap();
        assert_eq!(found.facets, secret.facets);
        assert_eq!(fixture.envelope(secret.id).await.unwrap(), b"value");
        let mut other = secret.clone();
        other.facets.usage_id = Some("d".into());
        let refused = fixture.define(&other).await;
        assert!(matches!(refused, Err(Error::Facet(FacetError::UsageStays(Some(id)))) if id == "c"));
        let mut private = secret.clone();
        private.facets.private = true;
        assert!(matches!(fixture.define(&private).await, Err(Error::Changed)), "the envelope is bound to it");
        let reseal =
            Reseal { from: Some(b"value".to_vec()), to: Some(b"bound".to_vec()), guarding: Guarding::none() };
        let change =
            Change::DefineSecret { secret: Box::new(private), reseal: Some(reseal), limit: Limit::NONE };
        fixture.apply(change).await.unwrap();
        assert_eq!(fixture.envelope(secret.id).await.unwrap(), b"bound");
        assert!(matches!(fixture.define(&secret).await, Err(Error::Facet(FacetError::StaysPrivate))));
        let foreign = Secret { project: project("q"), ..secret.clone() };
        assert!(matches!(fixture.define(&foreign).await, Err(Error::IdTaken)));
    }
}

#[tokio::test]
async fn a_usage_is_unique_in_file_and_memory_together() {
    for (first, second) in [
        (persistent as fn(Secret) -> Secret, persistent as fn(Secret) -> Secret),
        (persistent, ephemeral),
        (ephemeral, persistent),
        (ephemeral, ephemeral),
    ] {
        let fixture = Fixture::new();
        let holder = first(secret("c"));
        fixture.define(&holder).await.unwrap();
        let taken = fixture.define(&second(secret("c"))).await;
        assert!(matches!(taken, Err(Error::UsageTaken(by)) if by == holder.id));
        let mut other = second(secret("d"));
        fixture.define(&other).await.unwrap();
        let facet = Facet::UsageId(Some("c".into()));
        let set = Change::SetFacet { id: other.id, facet, expect: Expect::Any, reseal: None, time: NOW };
        assert!(matches!(fixture.apply(set).await, Err(Error::UsageTaken(by)) if by == holder.id));
        other.facets.usage_type = Some(UsageType::Iscsi);
        fixture.define(&other).await.unwrap();
        let found = |usage: Usage| {
            let store = Arc::clone(&fixture.store);
            async move { store.handle_by_usage(&project("p"), &usage).await.unwrap().map(|h| h.listed.id) }
        };
        assert_eq!(found(ceph("c")).await, Some(holder.id));
        assert_eq!(found(ceph("d")).await, None);
        assert_eq!(found(Usage { usage_type: UsageType::Iscsi, id: "d".into() }).await, Some(other.id));
        let elsewhere = fixture.store.handle_by_usage(&project("q"), &ceph("c")).await.unwrap();
        assert_eq!(elsewhere, None);
    }
}

#[tokio::test]
async fn a_usage_taken_by_what_has_expired_is_free() {
    let fixture = Fixture::new();
    let mut old = secret("c");
    old.attributes.expiration = Some(NOW.plus_micros(5));
    fixture.define(&old).await.unwrap();
    let late = Secret { created: NOW.plus_micros(5), ..secret("c") };
    fixture.define(&late).await.unwrap();
    assert!(fixture.store.secret(old.id).await.unwrap().is_none(), "what is left of it made way");
    let again = Secret { id: late.id, ..secret("c") };
    fixture.define(&again).await.unwrap();
    let mut same_id = secret("");
    same_id.attributes.expiration = Some(NOW.plus_micros(5));
    fixture.define(&same_id).await.unwrap();
    let new = Secret { created: NOW.plus_micros(9), id: same_id.id, ..secret("other") };
    fixture.define(&new).await.unwrap();
    assert_eq!(fixture.usage_of(new.id).await, Some(ceph("other")));
}

#[tokio::test]
async fn what_has_expired_on_disk_is_in_no_ephemeral_ones_way() {
    let fixture = Fixture::new();
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
    assert!(matches!(fixture.define(&same).await, Err(Error::IdTaken)));
}

#[tokio::test]
async fn a_value_rendered_otherwise_meanwhile_is_not_set() {
    let fixture = Fixture::new();
    let secret = secret("c");
    fixture.define(&secret).await.unwrap();
    let facet = Facet::Encoding(Encoding::Hex);
    let set = Change::SetFacet { id: secret.id, facet, expect: Expect::Any, reseal: None, time: NOW };
    fixture.apply(set).await.unwrap();
    assert!(matches!(fixture.set(secret.id, b"x").await, Err(Error::Changed)));
}

#[tokio::test]
async fn a_follower_sees_every_change_of_file_and_memory_in_order() {
    let fixture = Fixture::new();
    let store = Arc::clone(&fixture.store);
    const CHANGES: u64 = 3000;
    let follower = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut after = ChangeCursor::START;
        while after.number() < CHANGES {
            for row in runtime.block_on(store.changes(after, 256)).unwrap().rows().unwrap() {
                assert_eq!(row.cursor.number(), after.number() + 1, "a row was passed over");
                after = row.cursor;
            }
        }
    });
    for n in 0..CHANGES {
        let secret = if n % 2 == 0 { secret("") } else { ephemeral(secret("")) };
        fixture.define(&secret).await.unwrap();
    }
    follower.await.unwrap();
}

#[tokio::test]
async fn a_piece_of_the_change_log_has_a_bound_and_goes_on() {
    let fixture = Fixture::new();
    for n in 0..12 {
        let long = secret(&format!("{n}{}", "u".repeat(300_000)));
        fixture.define(&if n % 3 == 0 { ephemeral(long) } else { long }).await.unwrap();
    }
    let (mut after, mut seen, mut looks) = (ChangeCursor::START, Vec::new(), 0);
    loop {
        let rows = fixture.store.changes(after, 256).await.unwrap().rows().unwrap();
        let Some(last) = rows.last() else { break };
        assert!(rows.len() <= 8, "{} rows at once", rows.len());
        after = last.cursor;
        seen.extend(rows.into_iter().map(|row| row.usage.unwrap().id.trim_end_matches('u').to_owned()));
        looks += 1;
    }
    assert_eq!(seen, (0..12).map(|n: i32| n.to_string()).collect::<Vec<_>>());
    assert!(looks > 1);
}

#[tokio::test]
async fn an_ephemeral_secret_is_in_no_file_and_ends_with_the_store() {
    let fixture = Fixture::new();
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
    let fixture = Fixture::new();
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
async fn a_secret_that_moves_to_and_fro_is_never_missed() {
    let fixture = Fixture::new();
    let secret = secret("c");
    fixture.define(&secret).await.unwrap();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, id) = (Arc::clone(&fixture.store), secret.id);
            tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..20_000 {
                    runtime.block_on(async {
                        assert!(store.handle(id).await.unwrap().is_some());
                        assert!(store.handle_by_usage(&project("p"), &ceph("c")).await.unwrap().is_some());
                        assert_eq!(store.count(&project("p"), Which::default(), NOW).await.unwrap(), 1);
                    });
                }
            })
        })
        .collect();
    for _ in 0..60 {
        fixture.define(&ephemeral(secret.clone())).await.unwrap();
        fixture.define(&secret).await.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_payload_is_set_again_and_again_and_the_one_before_is_gone_soon() {
    let fixture = Fixture::new();
    let secret = secret("c");
    fixture.define(&secret).await.unwrap();
    fixture.set(secret.id, b"the-envelope-that-was-first").await.unwrap();
    fixture.set(secret.id, b"the-one-after-it").await.unwrap();
    assert_eq!(fixture.envelope(secret.id).await.unwrap(), b"the-one-after-it");
    assert!(matches!(fixture.set_bound(secret.id, b"x", true).await, Err(Error::Changed)));
    let missing = fixture.set(SecretId::random(), b"x").await;
    assert!(matches!(missing, Err(Error::NotFound)));
    while !fixture.files_with(b"the-envelope-that-was-first").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await; // Nobody has to ask for it.
    }
}

#[tokio::test]
async fn the_change_log_says_what_a_secret_is_used_for_even_when_it_is_gone() {
    use ChangeKind::{Created, Deleted, Redefined, ValueChanged};
    for kept in [persistent, ephemeral] {
        let fixture = Fixture::new();
        let secret = kept(secret("c"));
        fixture.define(&secret).await.unwrap();
        fixture.set(secret.id, b"x").await.unwrap();
        fixture.define(&secret).await.unwrap();
        fixture.apply(Change::DeleteSecret { id: secret.id, unless_used: false, time: NOW }).await.unwrap();
        let kinds: Vec<_> =
            [Created, ValueChanged, Redefined, Deleted].map(|kind| (kind, Some("c".to_owned()))).into();
        assert_eq!(fixture.log().await, kinds);
    }
    let fixture = Fixture::new();
    let create = Change::CreateSecret {
        secret: Box::new(secret("")),
        sealed: Some(b"x".to_vec()),
        limit: Limit::NONE,
    };
    let create = match create {
        Change::CreateSecret { mut secret, sealed, limit } => {
            secret.content_type = Some(ContentType::Text);
            Change::CreateSecret { secret, sealed, limit }
        }
        other => other,
    };
    fixture.apply(create).await.unwrap();
    assert_eq!(fixture.log().await, [(Created, None), (ValueChanged, None)]);
}

#[tokio::test]
async fn long_usages_in_the_change_log_count_as_many() {
    let fixture = Fixture::new();
    fixture.define(&secret(&"u".repeat(10 * 1024))).await.unwrap();
    let row = fixture.store.changes(ChangeCursor::START, 10).await.unwrap().rows().unwrap().remove(0);
    let eleven = ChangeCursor::from_number(11);
    assert_eq!(row.cursor, eleven);
    assert_eq!(*fixture.store.newest_change().borrow(), eleven);
}

#[tokio::test]
async fn handles_are_counted_and_listed_by_what_is_asked_for() {
    for many in [false, true] {
        let fixture = Fixture::new();
        let mut all = Vec::new();
        for n in 0..if many { 2200 } else { 40 } {
            let mut secret = if n % 3 == 0 { secret("") } else { secret(&format!("u{n}")) };
            secret.facets.private = n % 2 == 0;
            secret.facets.ephemeral = n % 7 == 0;
            if n % 11 == 0 {
                secret.attributes.expiration = Some(NOW);
            }
            all.push(secret);
        }
        let defined = all.iter().map(|secret| fixture.define(secret));
        for done in futures(defined).await {
            done.unwrap();
        }
        for private in [None, Some(true), Some(false)] {
            for ephemeral in [None, Some(true), Some(false)] {
                let which = Which { private, ephemeral };
                let mut want: Vec<_> = all
                    .iter()
                    .filter(|secret| !secret.is_expired(NOW))
                    .filter(|secret| private.is_none_or(|private| secret.facets.private == private))
                    .filter(|secret| ephemeral.is_none_or(|ephemeral| secret.facets.ephemeral == ephemeral))
                    .map(|secret| (secret.id, secret.facets.usage().map(|usage| usage.id)))
                    .collect();
                let found = fixture.store.handles(&project("p"), which, NOW, 16_384).await.unwrap();
                let mut found: Vec<_> =
                    found.into_iter().map(|listed| (listed.id, listed.usage.map(|usage| usage.id))).collect();
                want.sort();
                found.sort();
                assert_eq!(found, want, "{which:?}");
                assert_eq!(fixture.store.count(&project("p"), which, NOW).await.unwrap(), want.len() as u64);
                let few = fixture.store.handles(&project("p"), which, NOW, 3).await.unwrap();
                assert_eq!(few.len(), want.len().min(3));
            }
        }
        assert_eq!(fixture.store.count(&project("q"), Which::default(), NOW).await.unwrap(), 0);
    }
}

/// All at once, so that they share transactions.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().zip(done.iter_mut()).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn memory_that_is_full_refuses_more_and_loses_nothing() {
    let fixture = Fixture::new();
    let mut first = ephemeral(secret("first"));
    first.facets.description = Some("d".repeat(4 << 20));
    fixture.define(&first).await.unwrap();
    let mut defined = 1;
    let refused = loop {
        let mut next = ephemeral(secret(""));
        next.facets.description = first.facets.description.clone();
        match fixture.define(&next).await {
            Ok(()) => defined += 1,
            Err(error) => break error,
        }
        assert!(defined < 100, "there is no bound");
    };
    assert!(matches!(refused, Error::MemoryFull), "{refused}");
    assert_eq!(fixture.store.count(&project("p"), Which::default(), NOW).await.unwrap(), defined);
    fixture.apply(Change::DeleteSecret { id: first.id, unless_used: false, time: NOW }).await.unwrap();
    fixture.define(&first).await.unwrap();
    fixture.define(&secret("on disk")).await.unwrap();
}

#[test]
fn a_store_of_the_first_schema_is_brought_to_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("donjon.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(include_str!("../migrations/sqlite/0001.sql")).unwrap();
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
    let store = open(folder.path());
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
fn passphrases_that_orders_of_the_third_schema_kept_are_gone_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("donjon.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(concat!(
        include_str!("../migrations/sqlite/0001.sql"),
        include_str!("../migrations/sqlite/0002.sql"),
        include_str!("../migrations/sqlite/0003.sql"),
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
    drop(open(folder.path()));
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
