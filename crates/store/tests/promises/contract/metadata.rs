//! User metadata and facets.

use super::{add, plain};
use crate::support::*;

pub(crate) fn datum(key: &str, value: &str) -> Metadatum {
    Metadatum { key: key.into(), value: value.into() }
}

pub(crate) fn set(id: SecretId, facet: Facet, expect: Expect) -> Change {
    Change::SetFacet { id, facet, expect, reseal: None, time: NOW }
}

#[tokio::test]
async fn metadata_is_added_changed_replaced_and_removed() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let id = add(&store, plain("p"), None).await;
        let apply = |change| store.apply(change, unwitnessed());
        apply(Change::AddMetadatum { id, datum: datum("k", "v") }).await.unwrap();
        let again = apply(Change::AddMetadatum { id, datum: datum("k", "w") }).await;
        assert!(matches!(again, Err(Error::Conflict(Conflict::Metadatum))));
        apply(Change::SetMetadatum { id, datum: datum("k", "w") }).await.unwrap();
        let missing = apply(Change::SetMetadatum { id, datum: datum("no", "w") }).await;
        assert!(matches!(missing, Err(Error::Absent(Absent::Metadatum))));
        assert_eq!(store.metadata(id).await.unwrap(), [datum("k", "w")]);
        let user = vec![datum("b", "1"), datum("a", "2"), datum("b", "3")];
        apply(Change::ReplaceMetadata { id, user, facets: vec![], reseal: None, time: NOW }).await.unwrap();
        assert_eq!(store.metadata(id).await.unwrap(), [datum("a", "2"), datum("b", "1")]);
        for _ in 0..2 {
            apply(Change::RemoveMetadatum { id, key: "a".into() }).await.unwrap();
        }
        assert_eq!(store.metadata(id).await.unwrap(), [datum("b", "1")]);
    }
}

#[tokio::test]
async fn facets_follow_their_rules_and_a_failed_change_changes_nothing() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let id = add(&store, plain("p"), Some(b"old")).await;
        let apply = |change| store.apply(change, unwitnessed());
        let facets = || async { store.secret(id).await.unwrap().unwrap().facets };
        apply(set(id, Facet::Encoding(Encoding::Hex), Expect::Default)).await.unwrap();
        let twice = apply(set(id, Facet::Encoding(Encoding::Raw), Expect::Default)).await;
        assert!(matches!(twice, Err(Error::Conflict(Conflict::Metadatum))));
        let absent = apply(set(id, Facet::Description(None), Expect::Set)).await;
        assert!(matches!(absent, Err(Error::Absent(Absent::Metadatum))));
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
        assert!(matches!(
            apply(public).await,
            Err(Error::Conflict(Conflict::Facet(FacetError::StaysPrivate)))
        ));
        assert!(store.metadata(id).await.unwrap().is_empty());
        assert_eq!(facets().await.description, None);
    }
}

#[tokio::test]
async fn a_usage_is_unique_in_its_project() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
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
        assert!(matches!(store.apply(change, unwitnessed()).await, Err(Error::Conflict(Conflict::Usage(_)))));
        let other = add(&store, plain("p"), None).await;
        let apply = |change| store.apply(change, unwitnessed());
        apply(set(other, Facet::UsageId(Some("/dev/x".into())), Expect::Any)).await.unwrap();
        let taken = apply(set(other, Facet::UsageType(Some(UsageType::Volume)), Expect::Any)).await;
        assert!(matches!(taken, Err(Error::Conflict(Conflict::Usage(_)))));
        apply(set(other, Facet::UsageType(Some(UsageType::Tls)), Expect::Any)).await.unwrap();
    }
}

#[tokio::test]
async fn a_secret_has_a_bounded_number_of_metadata_pairs() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let id = add(&store, plain("p"), None).await;
        let pairs = |n: usize| (0..n).map(|n| datum(&n.to_string(), "v")).collect();
        let replace = |user| Change::ReplaceMetadata { id, user, facets: vec![], reseal: None, time: NOW };
        let max = limits::METADATA_PAIRS_MAX;
        let over = store.apply(replace(pairs(max + 1)), unwitnessed()).await;
        assert!(matches!(over, Err(Error::Conflict(Conflict::TooManyMetadata))));
        store.apply(replace(pairs(max)), unwitnessed()).await.unwrap();
        let one_more = Change::AddMetadatum { id, datum: datum("more", "v") };
        assert!(matches!(
            store.apply(one_more, unwitnessed()).await,
            Err(Error::Conflict(Conflict::TooManyMetadata))
        ));
        assert_eq!(store.metadata(id).await.unwrap().len(), max);
    }
}
