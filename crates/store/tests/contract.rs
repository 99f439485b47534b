//! What every store promises, as one suite. A second store runs the same tests through `with_store`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use model::{
    AclChange, Attributes, BitLength, ChangeCursor, ChangeKind, Comparison, ContentType, DateFilter,
    Direction, Encoding, Expect, Facet, FacetError, Facets, Filters, Guarded, KeyVersion, ListQuery,
    Metadatum, Pattern, ProjectId, Scope, Secret, SecretId, SecretType, SortKey, SortOrder, Status, Text,
    Timestamp, TypeFilter, UsageType, UserId,
};
use store::sqlite::Purpose;
use store::{
    AuditAnchor, Change, Error, Guarding, Limit, NodeName, OpenError, Reseal, SqliteStore, Store,
    Unwitnessed, unwitnessed,
};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("donjon.db"), Purpose::Serve).unwrap()
}

async fn with_store<F: Future<Output = ()>>(test: impl FnOnce(Arc<dyn Store>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(open(folder.path()))).await;
}

fn project(name: &str) -> ProjectId {
    ProjectId::try_from(name).unwrap()
}

fn plain(project_name: &str) -> Secret {
    Secret {
        id: SecretId::random(),
        project: project(project_name),
        attributes: Attributes::default(),
        creator: Some(UserId::try_from("someone").unwrap()),
        created: NOW,
        updated: NOW,
        status: Status::Active,
        content_type: None,
        project_access: true,
        facets: Facets::default(),
        guard: None,
    }
}

async fn add(store: &Arc<dyn Store>, mut secret: Secret, sealed: Option<&[u8]>) -> SecretId {
    let id = secret.id;
    secret.content_type = sealed.map(|_| ContentType::OctetStream);
    let change = Change::CreateSecret {
        secret: Box::new(secret),
        sealed: sealed.map(<[u8]>::to_vec),
        limit: Limit::NONE,
    };
    store.apply(change, unwitnessed()).await.unwrap();
    id
}

fn fill(id: SecretId, sealed: &[u8]) -> Change {
    Change::FillPayload {
        id,
        private: false,
        content_type: ContentType::Text,
        sealed: sealed.to_vec(),
        time: NOW.plus_micros(5),
    }
}

fn datum(key: &str, value: &str) -> Metadatum {
    Metadatum { key: key.into(), value: value.into() }
}

fn set(id: SecretId, facet: Facet, expect: Expect) -> Change {
    Change::SetFacet { id, facet, expect, reseal: None, time: NOW }
}

fn everything(project_name: &str) -> ListQuery {
    ListQuery {
        scope: Scope::Project(project(project_name)),
        filters: Filters::default(),
        sort: Vec::new(),
        offset: 0,
        limit: 100,
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_read_back_whole() {
    with_store(|store| async move {
        let mut secret = plain("p");
        secret.attributes = Attributes {
            name: Some(Text::try_from("a\0b 密").unwrap()),
            algorithm: Some(Text::try_from("aes").unwrap()),
            bit_length: Some(BitLength::try_from(256).unwrap()),
            mode: Some(Text::try_from("").unwrap()),
            secret_type: SecretType::Symmetric,
            expiration: Some(NOW.plus_micros(7)),
        };
        secret.content_type = Some(ContentType::OctetStream);
        secret.facets = Facets {
            description: Some("d".into()),
            usage_type: Some(UsageType::Ceph),
            usage_id: Some("client.x".into()),
            private: true,
            ephemeral: false,
            encoding: Encoding::Hex,
        };
        add(&store, secret.clone(), Some(b"sealed")).await;
        assert_eq!(store.secret(secret.id).await.unwrap(), Some(secret.clone()));
        let sealed = store.sealed(secret.id).await.unwrap().unwrap();
        assert_eq!(sealed.payload, Some((ContentType::OctetStream, b"sealed".to_vec())));
        let access = sealed.access;
        assert_eq!((access.project, access.creator), (secret.project, secret.creator));
        assert_eq!((access.private, access.project_access), (true, true));
        assert_eq!(access.expiration, Some(NOW.plus_micros(7)));
        assert!(store.secret(SecretId::random()).await.unwrap().is_none());
        assert!(store.sealed(SecretId::random()).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (id, store_id) = {
        let store: Arc<dyn Store> = Arc::new(open(folder.path()));
        store.apply(Change::SetKeyCheck(b"check".to_vec()), unwitnessed()).await.unwrap();
        let anchor = AuditAnchor { number: 9, hash: [3; 32] };
        store.apply(Change::AnchorAudit { node: NodeName::ONLY, anchor }, unwitnessed()).await.unwrap();
        (add(&store, plain("p"), Some(b"sealed")).await, store.id())
    };
    let store = open(folder.path());
    assert_eq!(store.id(), store_id);
    let other = NodeName::from("other".to_owned());
    assert_eq!(store.audit_anchor(&other).await.unwrap(), None, "each node has its own");
    assert_eq!(store.key_check().await.unwrap(), Some(b"check".to_vec()));
    assert_eq!(
        store.audit_anchor(&NodeName::ONLY).await.unwrap(),
        Some(AuditAnchor { number: 9, hash: [3; 32] })
    );
    assert!(store.sealed(id).await.unwrap().unwrap().payload.is_some());
    assert!(matches!(
        store.apply(Change::SetKeyCheck(b"other".to_vec()), unwitnessed()).await,
        Err(Error::Changed)
    ));
}

#[tokio::test]
async fn an_unwitnessed_change_leaves_no_trace() {
    with_store(|store| async move {
        let secret = plain("p");
        let id = secret.id;
        let change = Change::CreateSecret { secret: Box::new(secret), sealed: None, limit: Limit::NONE };
        let refused = store.apply(change, Box::new(|_| Err(Unwitnessed))).await;
        assert!(matches!(refused, Err(Error::Unwitnessed)));
        assert!(store.secret(id).await.unwrap().is_none());
        assert!(store.changes(ChangeCursor::START, 10).await.unwrap().rows().unwrap().is_empty());
        assert_eq!(store.list(&everything("p"), NOW).await.unwrap().total, 0);
    })
    .await;
}

#[tokio::test]
async fn each_witnessed_change_has_a_number_of_its_own_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let given = Arc::new(std::sync::Mutex::new(Vec::new()));
    let create = |ephemeral, agrees: bool| {
        let facets = Facets { ephemeral, ..Facets::default() };
        let secret = Box::new(Secret { facets, ..plain("p") });
        let given = Arc::clone(&given);
        let witness: store::Witness = Box::new(move |number| {
            given.lock().unwrap().push(number);
            if agrees { Ok(()) } else { Err(Unwitnessed) }
        });
        (Change::DefineSecret { secret, reseal: None, limit: Limit::NONE }, witness)
    };
    let store: Arc<dyn Store> = Arc::new(open(folder.path()));
    for (ephemeral, agrees) in [(false, true), (true, true), (false, false), (false, true)] {
        let (change, witness) = create(ephemeral, agrees);
        assert_eq!(store.apply(change, witness).await.is_ok(), agrees);
    }
    let anchor = AuditAnchor { number: 9, hash: [3; 32] };
    store.apply(Change::AnchorAudit { node: NodeName::ONLY, anchor }, unwitnessed()).await.unwrap();
    assert_eq!(
        *given.lock().unwrap(),
        [Some(1), None, Some(2), Some(3)],
        "what was refused used its number up"
    );
    assert_eq!((store.numbers().committed(), store.witnessed().await.unwrap()), (3, 3));
    drop(store);
    let store: Arc<dyn Store> = Arc::new(open(folder.path()));
    assert_eq!((store.numbers().committed(), store.witnessed().await.unwrap()), (3, 3));
    store.numbers().go_on_after(7);
    let (change, witness) = create(false, true);
    store.apply(change, witness).await.unwrap();
    assert_eq!(given.lock().unwrap().last(), Some(&Some(8)));
    assert_eq!(store.numbers().committed(), 8);
    drop(store);
    let looking = SqliteStore::open(&folder.path().join("donjon.db"), Purpose::Inspect).unwrap();
    assert_eq!((looking.numbers().committed(), looking.witnessed().await.unwrap()), (8, 8));
}

#[tokio::test]
async fn what_moves_from_the_file_to_memory_is_a_change_of_the_file() {
    with_store(|store| async move {
        let secret = Secret { facets: Facets { private: true, ..Facets::default() }, ..plain("p") };
        let define = |ephemeral| Change::DefineSecret {
            secret: Box::new(Secret {
                facets: Facets { ephemeral, private: true, ..Facets::default() },
                ..secret.clone()
            }),
            reseal: Some(Reseal { from: None, to: None, guarding: Guarding::none() }),
            limit: Limit::NONE,
        };
        for (ephemeral, number) in [(false, 1), (true, 2), (true, 2), (false, 3)] {
            store.apply(define(ephemeral), unwitnessed()).await.unwrap();
            assert_eq!(store.numbers().given(), number, "{ephemeral}");
        }
        assert_eq!(store.witnessed().await.unwrap(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_fills_at_once_exactly_one_is_done() {
    with_store(|store| async move {
        for _ in 0..20 {
            let id = add(&store, plain("p"), None).await;
            let tasks: Vec<_> = (0..8_u8)
                .map(|n| {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move { store.apply(fill(id, &[n]), unwitnessed()).await.map(|()| n) })
                })
                .collect();
            let mut done = Vec::new();
            for task in tasks {
                match task.await.unwrap() {
                    Ok(n) => done.push(n),
                    Err(Error::HasPayload) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            let payload = store.sealed(id).await.unwrap().unwrap().payload.unwrap();
            assert_eq!(payload, (ContentType::Text, done.clone()));
            assert_eq!(done.len(), 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_once_all_succeed_and_totals_agree() {
    with_store(|store| async move {
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for n in 0..40 {
                        let id = add(&store, plain("p"), Some(b"x")).await;
                        assert!(
                            store.secret(id).await.unwrap().is_some(),
                            "a read sees what was acknowledged"
                        );
                        if n % 4 == 0 {
                            store
                                .apply(
                                    Change::DeleteSecret { id, unless_used: false, time: NOW },
                                    unwitnessed(),
                                )
                                .await
                                .unwrap();
                            assert!(store.secret(id).await.unwrap().is_none());
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.list(&everything("p"), NOW).await.unwrap().total, 16 * 30);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_secret_is_gone_with_all_it_had() {
    with_store(|store| async move {
        let id = add(&store, plain("p"), Some(b"x")).await;
        store.apply(Change::AddMetadatum { id, datum: datum("k", "v") }, unwitnessed()).await.unwrap();
        store.apply(Change::DeleteSecret { id, unless_used: false, time: NOW }, unwitnessed()).await.unwrap();
        assert!(store.secret(id).await.unwrap().is_none());
        assert!(store.metadata(id).await.unwrap().is_empty());
        for change in [
            fill(id, b"y"),
            Change::DeleteSecret { id, unless_used: false, time: NOW },
            Change::AddMetadatum { id, datum: datum("k", "v") },
            set(id, Facet::Private(true), Expect::Any),
        ] {
            assert!(matches!(store.apply(change, unwitnessed()).await, Err(Error::NotFound)));
        }
    })
    .await;
}

#[tokio::test]
async fn metadata_changes_do_what_they_say() {
    with_store(|store| async move {
        let id = add(&store, plain("p"), None).await;
        let apply = |change| store.apply(change, unwitnessed());
        apply(Change::AddMetadatum { id, datum: datum("k", "v") }).await.unwrap();
        let again = apply(Change::AddMetadatum { id, datum: datum("k", "w") }).await;
        assert!(matches!(again, Err(Error::MetadatumExists)));
        apply(Change::SetMetadatum { id, datum: datum("k", "w") }).await.unwrap();
        let missing = apply(Change::SetMetadatum { id, datum: datum("no", "w") }).await;
        assert!(matches!(missing, Err(Error::MetadatumNotFound)));
        assert_eq!(store.metadata(id).await.unwrap(), [datum("k", "w")]);
        let user = vec![datum("b", "1"), datum("a", "2"), datum("b", "3")];
        apply(Change::ReplaceMetadata { id, user, facets: vec![], reseal: None, time: NOW }).await.unwrap();
        assert_eq!(store.metadata(id).await.unwrap(), [datum("a", "2"), datum("b", "1")]);
        for _ in 0..2 {
            apply(Change::RemoveMetadatum { id, key: "a".into() }).await.unwrap();
        }
        assert_eq!(store.metadata(id).await.unwrap(), [datum("b", "1")]);
    })
    .await;
}

#[tokio::test]
async fn facets_follow_their_rules_and_a_failed_change_changes_nothing() {
    with_store(|store| async move {
        let id = add(&store, plain("p"), Some(b"old")).await;
        let apply = |change| store.apply(change, unwitnessed());
        let facets = || async { store.secret(id).await.unwrap().unwrap().facets };
        apply(set(id, Facet::Encoding(Encoding::Hex), Expect::Default)).await.unwrap();
        let twice = apply(set(id, Facet::Encoding(Encoding::Raw), Expect::Default)).await;
        assert!(matches!(twice, Err(Error::MetadatumExists)));
        let absent = apply(set(id, Facet::Description(None), Expect::Set)).await;
        assert!(matches!(absent, Err(Error::MetadatumNotFound)));
        assert_eq!(facets().await.encoding, Encoding::Hex);

        let blind = apply(set(id, Facet::Private(true), Expect::Any)).await;
        assert!(matches!(blind, Err(Error::Changed)), "the envelope has to change with the flag");
        let resealed = |from: &[u8]| Change::SetFacet {
            id,
            facet: Facet::Private(true),
            expect: Expect::Any,
            reseal: Some(Reseal {
                from: Some(from.to_vec()),
                to: Some(b"new".to_vec()),
                guarding: Guarding::none(),
            }),
            time: NOW,
        };
        assert!(matches!(apply(resealed(b"stale")).await, Err(Error::Changed)));
        assert!(!facets().await.private);
        apply(resealed(b"old")).await.unwrap();
        assert!(facets().await.private);
        assert_eq!(store.sealed(id).await.unwrap().unwrap().payload.unwrap().1, b"new");
        let public = Change::ReplaceMetadata {
            id,
            user: vec![datum("k", "v")],
            facets: vec![Facet::Description(Some("d".into())), Facet::Private(false)],
            reseal: None,
            time: NOW,
        };
        assert!(matches!(apply(public).await, Err(Error::Facet(FacetError::StaysPrivate))));
        assert!(store.metadata(id).await.unwrap().is_empty());
        assert_eq!(facets().await.description, None);
    })
    .await;
}

#[tokio::test]
async fn a_usage_is_unique_in_its_project() {
    with_store(|store| async move {
        let with_usage = |project| {
            let mut secret = plain(project);
            secret.facets.usage_type = Some(UsageType::Volume);
            secret.facets.usage_id = Some("/dev/x".into());
            secret
        };
        add(&store, with_usage("p"), None).await;
        add(&store, with_usage("q"), None).await;
        let change =
            Change::CreateSecret { secret: Box::new(with_usage("p")), sealed: None, limit: Limit::NONE };
        assert!(matches!(store.apply(change, unwitnessed()).await, Err(Error::UsageTaken(_))));
        let other = add(&store, plain("p"), None).await;
        let apply = |change| store.apply(change, unwitnessed());
        apply(set(other, Facet::UsageId(Some("/dev/x".into())), Expect::Any)).await.unwrap();
        let taken = apply(set(other, Facet::UsageType(Some(UsageType::Volume)), Expect::Any)).await;
        assert!(matches!(taken, Err(Error::UsageTaken(_))));
        apply(set(other, Facet::UsageType(Some(UsageType::Tls)), Expect::Any)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_first_key_of_a_version_stays() {
    with_store(|store| async move {
        let key = |version, wrapped: &[u8]| Change::AddProjectKey {
            project: project("p"),
            version: KeyVersion(version),
            wrapped: wrapped.to_vec(),
        };
        let found = |version| {
            let store = Arc::clone(&store);
            async move { store.project_key(&project("p"), version).await.unwrap().map(|key| key.wrapped) }
        };
        assert_eq!(found(None).await, None);
        for wrapped in [b"first", b"other"] {
            store.apply(key(1, wrapped), unwitnessed()).await.unwrap();
        }
        assert_eq!(found(None).await, Some(b"first".to_vec()));
        store.apply(key(2, b"second"), unwitnessed()).await.unwrap();
        assert_eq!(found(None).await, Some(b"second".to_vec()));
        assert_eq!(found(Some(KeyVersion(1))).await, Some(b"first".to_vec()));
        assert_eq!(found(Some(KeyVersion(3))).await, None);
    })
    .await;
}

#[tokio::test]
async fn the_change_log_tells_what_was_done_in_order() {
    with_store(|store| async move {
        let mut newest = store.newest_change();
        let id = add(&store, plain("p"), None).await;
        store.apply(fill(id, b"x"), unwitnessed()).await.unwrap();
        let _ = store.apply(fill(id, b"x"), unwitnessed()).await;
        store.apply(set(id, Facet::Encoding(Encoding::Hex), Expect::Any), unwitnessed()).await.unwrap();
        store.apply(Change::DeleteSecret { id, unless_used: false, time: NOW }, unwitnessed()).await.unwrap();
        let rows = store.changes(ChangeCursor::START, 100).await.unwrap().rows().unwrap();
        let kinds: Vec<_> = rows.iter().map(|row| row.kind).collect();
        assert_eq!(
            kinds,
            [ChangeKind::Created, ChangeKind::ValueChanged, ChangeKind::Redefined, ChangeKind::Deleted]
        );
        assert!(rows.iter().all(|row| row.secret == id && row.project == project("p")));
        assert!(rows.is_sorted_by(|a, b| a.cursor < b.cursor));
        assert_eq!(store.changes(rows[1].cursor, 1).await.unwrap().rows().unwrap(), rows[2..3]);
        newest.wait_for(|newest| *newest == rows[3].cursor).await.unwrap();
    })
    .await;
}

/// A mixed lot: absent values, ties, either case, expired and not, two projects.
/// Many secrets, different in all that matters. If asked to, every fifth is defined as an ephemeral one; at a time of its
/// own, because between the file and memory ties have no order.
async fn lot(store: &Arc<dyn Store>, some_ephemeral: bool) -> Vec<Secret> {
    let pick = |of: &[&str], n: usize| match of[n % of.len()] {
        "-" => None,
        text => Some(Text::try_from(text).unwrap()),
    };
    let mut all = Vec::new();
    for n in 0..120_usize {
        let mut secret = plain(if n % 10 == 9 { "other" } else { "p" });
        let at = |micros: usize| NOW.plus_micros(i64::try_from(micros).unwrap());
        secret.created = at(n / 3);
        secret.updated = at(n * 7 % 50);
        secret.attributes = Attributes {
            name: pick(
                &["alpha", "Alpha", "-", "beta", "al_ha", "al%a", "", "密", "al\\ha", "\\h_", "\\_x"],
                n * 7,
            ),
            algorithm: pick(&["aes", "-", "AES", "rsa", "x_"], n * 3),
            mode: pick(&["cbc", "-", "gcm", "C_c"], n),
            bit_length: [None, Some(128), Some(256)][n % 3]
                .map(|bits: i64| BitLength::try_from(bits).unwrap()),
            secret_type: SecretType::ALL[n * 11 % 6],
            expiration: [None, Some(at(40)), Some(at(5000 + n)), None][n % 4],
        };
        if some_ephemeral && n % 5 == 1 {
            secret.created = at(1000 - n);
            secret.facets.ephemeral = true;
            let define =
                Change::DefineSecret { secret: Box::new(secret.clone()), reseal: None, limit: Limit::NONE };
            store.apply(define, unwitnessed()).await.unwrap();
        } else {
            add(store, secret.clone(), None).await;
        }
        all.push(secret);
    }
    all
}

fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.to_ascii_lowercase().chars().collect(), text.to_ascii_lowercase().chars().collect());
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('%', rest)), _) => {
                matches(rest, text) || text.split_first().is_some_and(|(_, t)| matches(pattern, t))
            }
            (Some((p, rest)), Some((t, more))) => p == t && matches(rest, more),
            _ => false,
        }
    }
    matches(&pattern, &text)
}

fn expected(all: &[Secret], query: &ListQuery, now: Timestamp) -> Vec<SecretId> {
    let Scope::Project(project) = &query.scope else { panic!() };
    let filters = &query.filters;
    let text = |pattern: &Option<Pattern>, text: &Option<Text>| match (pattern, text) {
        (None, _) => true,
        (Some(pattern), Some(text)) => like(pattern.as_str(), text.as_str()),
        (Some(_), None) => false,
    };
    let date = |filters: &[DateFilter], moment: Option<Timestamp>| {
        filters.iter().all(|DateFilter { comparison, with }| {
            moment.is_some_and(|moment| match comparison {
                Comparison::Equal => moment == *with,
                Comparison::Greater => moment > *with,
                Comparison::GreaterOrEqual => moment >= *with,
                Comparison::Less => moment < *with,
                Comparison::LessOrEqual => moment <= *with,
            })
        })
    };
    let mut found: Vec<(usize, &Secret)> = all
        .iter()
        .enumerate()
        .filter(|(_, secret)| {
            let attributes = &secret.attributes;
            secret.project == *project
                && !secret.is_expired(now)
                && text(&filters.name, &attributes.name)
                && text(&filters.algorithm, &attributes.algorithm)
                && text(&filters.mode, &attributes.mode)
                && filters
                    .bit_length
                    .is_none_or(|bits| attributes.bit_length.is_some_and(|b| u32::from(b.bits()) == bits))
                && filters.secret_type.is_none_or(|t| t == TypeFilter::Is(attributes.secret_type))
                && date(&filters.created, Some(secret.created))
                && date(&filters.updated, Some(secret.updated))
                && date(&filters.expiration, attributes.expiration)
        })
        .collect();
    let by = |key: SortKey, a: &Secret, b: &Secret| {
        let (x, y) = (&a.attributes, &b.attributes);
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        match key {
            SortKey::Algorithm => text(&x.algorithm).cmp(&text(&y.algorithm)),
            SortKey::BitLength => x.bit_length.map(|b| b.bits()).cmp(&y.bit_length.map(|b| b.bits())),
            SortKey::Created => a.created.cmp(&b.created),
            SortKey::Expiration => x.expiration.cmp(&y.expiration),
            SortKey::Mode => text(&x.mode).cmp(&text(&y.mode)),
            SortKey::Name => text(&x.name).cmp(&text(&y.name)),
            SortKey::SecretType => x.secret_type.as_str().cmp(y.secret_type.as_str()),
            SortKey::Status => Ordering::Equal,
            SortKey::Updated => a.updated.cmp(&b.updated),
        }
    };
    found.sort_by(|(m, a), (n, b)| {
        let mut order = Ordering::Equal;
        let turn = |order: Ordering, direction| {
            if direction == Direction::Descending { order.reverse() } else { order }
        };
        for sort in &query.sort {
            order = order.then(turn(by(sort.key, a, b), sort.direction));
        }
        let ties = query.sort.last().map_or(Direction::Ascending, |sort| sort.direction);
        order.then(turn(a.created.cmp(&b.created).then(m.cmp(n)), ties))
    });
    found.into_iter().map(|(_, secret)| secret.id).collect()
}

async fn check_list(store: &Arc<dyn Store>, all: &[Secret], query: ListQuery, now: Timestamp) {
    let want = expected(all, &query, now);
    for (offset, limit) in [(0, 100), (3, 4), (want.len().saturating_sub(1), 10), (want.len(), 10), (2000, 1)]
    {
        let query = ListQuery { offset: offset as u64, limit, ..query.clone() };
        let page = store.list(&query, now).await.unwrap();
        let got: Vec<_> = page.secrets.iter().map(|secret| secret.id).collect();
        let want_page: Vec<_> = want.iter().copied().skip(offset).take(limit as usize).collect();
        assert_eq!(page.total, want.len() as u64, "total of {query:?}");
        assert_eq!(got, want_page, "{query:?}");
        for secret in page.secrets {
            assert_eq!(Some(&secret), all.iter().find(|known| known.id == secret.id));
        }
    }
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_counted_as_a_plain_search_would() {
    check_lists(false).await;
}

#[tokio::test]
async fn secrets_in_memory_are_in_every_list_at_their_place() {
    check_lists(true).await;
}

async fn check_lists(some_ephemeral: bool) {
    with_store(|store| async move {
        let all = lot(&store, some_ephemeral).await;
        let dates = |list: &[(Comparison, i64)]| {
            list.iter()
                .map(|(comparison, at)| DateFilter { comparison: *comparison, with: NOW.plus_micros(*at) })
                .collect::<Vec<_>>()
        };
        let pattern = |text: &str| Some(Pattern::new(text));
        let filters = [
            Filters::default(),
            Filters { name: pattern("ALPHA"), ..Filters::default() },
            Filters { name: pattern("al%"), ..Filters::default() },
            Filters { name: pattern("al_ha"), ..Filters::default() },
            Filters { name: pattern("%a%"), mode: pattern("cbc"), ..Filters::default() },
            Filters { name: pattern("al\\%a"), ..Filters::default() },
            Filters { name: pattern("%l_h%"), ..Filters::default() },
            Filters { name: pattern("al_h%"), ..Filters::default() },
            Filters { name: pattern("\\_%"), ..Filters::default() },
            Filters { name: pattern("%\\h_"), ..Filters::default() },
            Filters { algorithm: pattern("a_s"), ..Filters::default() },
            Filters { algorithm: pattern("%_"), mode: pattern("c_%"), ..Filters::default() },
            Filters { algorithm: pattern("aes"), bit_length: Some(256), ..Filters::default() },
            Filters { secret_type: Some(TypeFilter::Is(SecretType::Public)), ..Filters::default() },
            Filters { secret_type: Some(TypeFilter::Unknown), ..Filters::default() },
            Filters {
                secret_type: Some(TypeFilter::Is(SecretType::Opaque)),
                name: pattern("beta"),
                ..Filters::default()
            },
            Filters {
                created: dates(&[(Comparison::Greater, 5), (Comparison::LessOrEqual, 30)]),
                ..Filters::default()
            },
            Filters { updated: dates(&[(Comparison::Equal, 14)]), ..Filters::default() },
            Filters {
                expiration: dates(&[(Comparison::GreaterOrEqual, 5010), (Comparison::Less, 5100)]),
                created: dates(&[(Comparison::Less, 25)]),
                ..Filters::default()
            },
        ];
        let sort = |list: &[(SortKey, Direction)]| -> Vec<SortOrder> {
            list.iter().map(|(key, direction)| SortOrder { key: *key, direction: *direction }).collect()
        };
        let mut sorts = vec![
            Vec::new(),
            sort(&[(SortKey::Name, Direction::Descending), (SortKey::Created, Direction::Ascending)]),
            sort(&[(SortKey::SecretType, Direction::Ascending), (SortKey::Updated, Direction::Descending)]),
        ];
        for key in SortKey::ALL {
            sorts.push(sort(&[(key, Direction::Ascending)]));
            sorts.push(sort(&[(key, Direction::Descending)]));
        }
        for filters in &filters {
            for sort in &sorts {
                for now in [NOW, NOW.plus_micros(40), NOW.plus_micros(5050)] {
                    let query = ListQuery { filters: filters.clone(), sort: sort.clone(), ..everything("p") };
                    check_list(&store, &all, query, now).await;
                }
            }
        }
        assert_eq!(store.list(&everything("nobody"), NOW).await.unwrap().total, 0);
    })
    .await;
}

#[tokio::test]
async fn a_list_by_acl_asks_for_the_user_in_any_project() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(folder.path()));
    let all = lot(&store, false).await;
    for secret in all.iter().skip(2).step_by(3) {
        let users = vec![Text::try_from("friend").unwrap(), Text::try_from("other").unwrap()];
        let change = AclChange::Replace { project_access: true, users };
        let of = Guarded::Secret(secret.id);
        let change = Change::SetAcl { of, change, guarding: Guarding::none(), time: NOW };
        store.apply(change, unwitnessed()).await.unwrap();
    }
    let user = |name| UserId::try_from(name).unwrap();
    let named: Vec<_> = all.iter().skip(2).step_by(3).collect();
    let query =
        |filters, sort| ListQuery { scope: Scope::AclOf(user("friend")), filters, sort, ..everything("p") };
    assert_eq!(store.list(&query(Filters::default(), vec![]), NOW).await.unwrap().total, named.len() as u64);
    let opaque = Filters { secret_type: Some(TypeFilter::Is(SecretType::Opaque)), ..Filters::default() };
    let alpha = Filters { name: Some(Pattern::new("al%")), ..Filters::default() };
    let late = Filters {
        expiration: vec![DateFilter { comparison: Comparison::Greater, with: NOW.plus_micros(50) }],
        ..Filters::default()
    };
    for filters in [Filters::default(), opaque, alpha, late] {
        for key in SortKey::ALL {
            let sort = vec![SortOrder { key, direction: Direction::Descending }];
            let page = store.list(&query(filters.clone(), sort), NOW).await.unwrap();
            assert_eq!(page.secrets.len() as u64, page.total);
            assert!(page.secrets.iter().all(|secret| named.iter().any(|known| known.id == secret.id)));
        }
    }
    let stranger = ListQuery { scope: Scope::AclOf(user("stranger")), ..everything("p") };
    assert_eq!(store.list(&stranger, NOW).await.unwrap().total, 0);
    let acl = async |id| store.acl(Guarded::Secret(id)).await.unwrap().unwrap().acl;
    assert!(acl(named[0].id).await.unwrap().users.iter().any(|user| user.as_str() == "friend"));
    assert_eq!(acl(all[0].id).await, None);
}

#[tokio::test]
async fn odd_patterns_find_nothing_and_harm_nothing() {
    with_store(|store| async move {
        lot(&store, true).await;
        for name in
            ["%".repeat(60_000), "%a".repeat(3000), "_%".repeat(5000), "\0".into(), "%\u{10ffff}".into()]
        {
            let filters = Filters { name: Some(Pattern::new(&name)), ..Filters::default() };
            assert!(store.list(&ListQuery { filters, ..everything("p") }, NOW).await.is_ok());
        }
    })
    .await;
}

#[tokio::test]
async fn ciphertext_is_in_no_file_once_its_deletion_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(folder.path()));
    let files_with = |needle: &[u8]| {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
                found.push(path);
            }
        }
        found
    };
    for length in [40, 20_000] {
        let ciphertext: Vec<u8> =
            (0..length).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let id = add(&store, plain("p"), Some(&ciphertext)).await;
        for _ in 0..20 {
            add(&store, plain("p"), Some(b"other")).await;
        }
        let needle = &ciphertext[8..40];
        assert!(!files_with(needle).is_empty(), "the search finds what is there");
        assert!(store.secret(id).await.unwrap().is_some(), "a reader's snapshot is open meanwhile");
        store.apply(Change::DeleteSecret { id, unless_used: false, time: NOW }, unwitnessed()).await.unwrap();
        assert_eq!(files_with(needle), Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test]
async fn a_read_that_lasts_delays_a_deletion_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(folder.path()));
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
        tokio::time::sleep(std::time::Duration::from_millis(5)).await; // Nobody has to ask for it.
    }
}

#[tokio::test]
async fn an_envelope_bound_to_another_flag_is_not_filled_in() {
    with_store(|store| async move {
        let id = add(&store, plain("p"), None).await;
        let reseal = Some(Reseal { from: None, to: None, guarding: Guarding::none() });
        let private =
            Change::SetFacet { id, facet: Facet::Private(true), expect: Expect::Any, reseal, time: NOW };
        store.apply(private, unwitnessed()).await.unwrap();
        assert!(matches!(store.apply(fill(id, b"public"), unwitnessed()).await, Err(Error::Changed)));
        assert!(store.sealed(id).await.unwrap().unwrap().payload.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_secret_has_a_bounded_number_of_metadata_pairs() {
    with_store(|store| async move {
        let id = add(&store, plain("p"), None).await;
        let pairs = |n: usize| (0..n).map(|n| datum(&n.to_string(), "v")).collect();
        let replace = |user| Change::ReplaceMetadata { id, user, facets: vec![], reseal: None, time: NOW };
        let max = store::limits::METADATA_PAIRS_MAX;
        let over = store.apply(replace(pairs(max + 1)), unwitnessed()).await;
        assert!(matches!(over, Err(Error::TooManyMetadata)));
        store.apply(replace(pairs(max)), unwitnessed()).await.unwrap();
        let one_more = Change::AddMetadatum { id, datum: datum("more", "v") };
        assert!(matches!(store.apply(one_more, unwitnessed()).await, Err(Error::TooManyMetadata)));
        assert_eq!(store.metadata(id).await.unwrap().len(), max);
    })
    .await;
}

#[tokio::test]
async fn a_list_that_counts_many_rows_is_the_same_list() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(folder.path()));
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
    let store: Arc<dyn Store> = Arc::new(open(folder.path()));
    let filters = Filters { name: Some(Pattern::new("SAME")), ..Filters::default() };
    for filters in [Filters::default(), filters] {
        let page = store.list(&ListQuery { filters, ..everything("p") }, NOW).await.unwrap();
        assert_eq!((page.total, page.secrets.len()), (15_001, 100));
    }
}

#[tokio::test]
async fn the_log_is_folded_in_under_a_steady_load_of_reads_and_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(folder.path()));
    let sealed = vec![7; 20_000];
    for _ in 0..3000 {
        let id = add(&store, plain("p"), Some(&sealed)).await;
        assert!(store.sealed(id).await.unwrap().is_some());
    }
    let log = std::fs::metadata(folder.path().join("donjon.db-wal")).unwrap().len();
    assert!(log < 64 << 20, "{log} bytes of log");
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
