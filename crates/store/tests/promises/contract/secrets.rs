//! Secrets: acknowledged changes are there, refused ones left no trace, and deleted secrets are gone.

use super::lists::everything;
use super::metadata::{datum, set};
use crate::support::*;

pub(crate) fn plain(of: &str) -> Secret {
    Secret { creator: UserId::try_from("someone").ok(), ..record(of) }
}

pub(crate) async fn add(store: &Arc<dyn Store>, mut secret: Secret, sealed: Option<&[u8]>) -> SecretId {
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

pub(crate) fn fill(id: SecretId, sealed: &[u8]) -> Change {
    Change::FillPayload {
        id,
        private: false,
        content_type: ContentType::Text,
        sealed: sealed.to_vec(),
        time: NOW.plus_micros(5),
    }
}

#[tokio::test]
async fn an_acknowledged_secret_is_read_back_whole() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
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
    }
}

#[tokio::test]
async fn acknowledged_changes_are_there_after_a_restart() {
    for fixture in each_store() {
        let (check, anchor) = (b"check".to_vec(), AuditAnchor { number: 9, hash: [3; 32] });
        fixture.apply(Change::SetKeyCheck(check.clone())).await.unwrap();
        fixture.apply(Change::AnchorAudit { node: NodeName::ONLY, anchor }).await.unwrap();
        let id = add(&fixture.store, plain("p"), Some(b"sealed")).await;
        let store_id = fixture.store.id();
        let fixture = fixture.restart();
        let store = &fixture.store;
        assert_eq!(store.id(), store_id);
        assert_eq!(store.key_check().await.unwrap(), Some(check));
        assert_eq!(store.audit_anchor(&NodeName::ONLY).await.unwrap(), Some(anchor));
        let other = NodeName::from("other".to_owned());
        assert_eq!(store.audit_anchor(&other).await.unwrap(), None, "each node has its own");
        assert!(store.sealed(id).await.unwrap().unwrap().payload.is_some());
        let again = fixture.apply(Change::SetKeyCheck(b"other".to_vec())).await;
        assert!(matches!(again, Err(Error::Changed)));
    }
}

#[tokio::test]
async fn an_unwitnessed_change_leaves_no_trace() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let secret = plain("p");
        let id = secret.id;
        let change = Change::CreateSecret { secret: Box::new(secret), sealed: None, limit: Limit::NONE };
        let refused = store.apply(change, Box::new(|_| Err(Unwitnessed))).await;
        assert!(matches!(refused, Err(Error::Failed(Failure::Unwitnessed))));
        assert!(store.secret(id).await.unwrap().is_none());
        assert!(store.changes(ChangeCursor::START, 10).await.unwrap().rows().unwrap().is_empty());
        assert_eq!(store.list(&everything("p"), NOW).await.unwrap().total, 0);
    }
}

#[tokio::test]
async fn each_witnessed_change_has_a_number_of_its_own_for_good() {
    for fixture in each_store() {
        let given = Arc::new(std::sync::Mutex::new(Vec::new()));
        let create = |ephemeral, agrees: bool| {
            let facets = Facets { ephemeral, ..Facets::default() };
            let secret = Box::new(Secret { facets, ..plain("p") });
            let given = Arc::clone(&given);
            let witness: Witness = Box::new(move |number| {
                given.lock().unwrap().push(number);
                if agrees { Ok(()) } else { Err(Unwitnessed) }
            });
            (Change::DefineSecret { secret, reseal: None, limit: Limit::NONE }, witness)
        };
        let store = &fixture.store;
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
        let fixture = fixture.restart();
        let store = &fixture.store;
        assert_eq!((store.numbers().committed(), store.witnessed().await.unwrap()), (3, 3));
        store.numbers().go_on_after(7);
        let (change, witness) = create(false, true);
        store.apply(change, witness).await.unwrap();
        assert_eq!(given.lock().unwrap().last(), Some(&Some(8)));
        assert_eq!(store.numbers().committed(), 8);
        let fixture = fixture.restart();
        assert_eq!((fixture.store.numbers().committed(), fixture.store.witnessed().await.unwrap()), (8, 8));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_fills_at_once_is_done() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
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
                    Err(Error::Conflict(Conflict::Payload(_))) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            let payload = store.sealed(id).await.unwrap().unwrap().payload.unwrap();
            assert_eq!(payload, (ContentType::Text, done.clone()));
            assert_eq!(done.len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_once_all_succeed_and_totals_agree() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
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
    }
}

#[tokio::test]
async fn a_deleted_secret_is_gone_with_its_metadata() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
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
            assert!(matches!(store.apply(change, unwitnessed()).await, Err(Error::Absent(_))));
        }
    }
}

#[tokio::test]
async fn the_first_key_of_a_version_stays() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
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
    }
}

#[tokio::test]
async fn an_envelope_that_is_bound_to_another_flag_is_refused() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let id = add(&store, plain("p"), None).await;
        let reseal = Some(Reseal { from: None, to: None, guarding: Guarding::none() });
        let private =
            Change::SetFacet { id, facet: Facet::Private(true), expect: Expect::Any, reseal, time: NOW };
        store.apply(private, unwitnessed()).await.unwrap();
        assert!(matches!(store.apply(fill(id, b"public"), unwitnessed()).await, Err(Error::Changed)));
        assert!(store.sealed(id).await.unwrap().unwrap().payload.is_none());
    }
}
