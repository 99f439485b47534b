//! Secrets that hypervisors define: under chosen ids, found by usage, listed as handles, and kept in memory on demand.

use super::plain;
use crate::support::*;

impl Fixture {
    pub(crate) async fn usage_of(&self, id: SecretId) -> Option<Usage> {
        self.store.handle(id).await.unwrap().unwrap().listed.usage
    }

    /// The change log: kind and usage.
    pub(crate) async fn log(&self) -> Vec<(ChangeKind, Option<String>)> {
        let rows = self.store.changes(ChangeCursor::START, 1000).await.unwrap().rows().unwrap();
        assert!(rows.is_sorted_by(|a, b| a.cursor < b.cursor));
        rows.into_iter().map(|row| (row.kind, row.usage.map(|usage| usage.id))).collect()
    }
}

pub(crate) fn ceph(id: &str) -> Usage {
    Usage { usage_type: UsageType::Ceph, id: id.to_owned() }
}

/// A secret of project `p`, used for a Ceph client unless the name is empty.
pub(crate) fn secret(usage: &str) -> Secret {
    let facets = Facets {
        usage_type: (!usage.is_empty()).then_some(UsageType::Ceph),
        usage_id: (!usage.is_empty()).then(|| usage.to_owned()),
        ..Facets::default()
    };
    Secret { facets, ..record("p") }
}

pub(crate) fn ephemeral(mut secret: Secret) -> Secret {
    secret.facets.ephemeral = true;
    secret
}

pub(crate) fn persistent(mut secret: Secret) -> Secret {
    secret.facets.ephemeral = false;
    secret
}

#[tokio::test]
async fn a_move_from_the_file_to_memory_is_a_change_of_the_file() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
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
    }
}

#[tokio::test]
async fn a_definition_creates_once_and_then_changes_by_the_rules() {
    for kept in [persistent, ephemeral] {
        for fixture in each_store() {
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
            assert!(
                matches!(refused, Err(Error::Conflict(Conflict::Facet(FacetError::UsageStays(Some(id))))) if id == "c")
            );
            let mut private = secret.clone();
            private.facets.private = true;
            assert!(
                matches!(fixture.define(&private).await, Err(Error::Changed)),
                "the envelope is bound to it"
            );
            let reseal = Reseal {
                from: Some(b"value".to_vec()),
                to: Some(b"bound".to_vec()),
                guarding: Guarding::none(),
            };
            let change =
                Change::DefineSecret { secret: Box::new(private), reseal: Some(reseal), limit: Limit::NONE };
            fixture.apply(change).await.unwrap();
            assert_eq!(fixture.envelope(secret.id).await.unwrap(), b"bound");
            assert!(matches!(
                fixture.define(&secret).await,
                Err(Error::Conflict(Conflict::Facet(FacetError::StaysPrivate)))
            ));
            let foreign = Secret { project: project("q"), ..secret.clone() };
            assert!(matches!(fixture.define(&foreign).await, Err(Error::Conflict(Conflict::Id(_)))));
        }
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
        for fixture in each_store() {
            let holder = first(secret("c"));
            fixture.define(&holder).await.unwrap();
            let taken = fixture.define(&second(secret("c"))).await;
            assert!(matches!(taken, Err(Error::Conflict(Conflict::Usage(by))) if by == holder.id));
            let mut other = second(secret("d"));
            fixture.define(&other).await.unwrap();
            let facet = Facet::UsageId(Some("c".into()));
            let set = Change::SetFacet { id: other.id, facet, expect: Expect::Any, reseal: None, time: NOW };
            assert!(
                matches!(fixture.apply(set).await, Err(Error::Conflict(Conflict::Usage(by))) if by == holder.id)
            );
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
}

#[tokio::test]
async fn the_usage_of_an_expired_secret_is_free() {
    for fixture in each_store() {
        let mut old = secret("c");
        old.attributes.expiration = Some(NOW.plus_micros(5));
        fixture.define(&old).await.unwrap();
        let late = Secret { created: NOW.plus_micros(5), ..secret("c") };
        fixture.define(&late).await.unwrap();
        assert!(fixture.store.secret(old.id).await.unwrap().is_none(), "it made way");
        let again = Secret { id: late.id, ..secret("c") };
        fixture.define(&again).await.unwrap();
        let mut same_id = secret("");
        same_id.attributes.expiration = Some(NOW.plus_micros(5));
        fixture.define(&same_id).await.unwrap();
        let new = Secret { created: NOW.plus_micros(9), id: same_id.id, ..secret("other") };
        fixture.define(&new).await.unwrap();
        assert_eq!(fixture.usage_of(new.id).await, Some(ceph("other")));
    }
}

#[tokio::test]
async fn a_value_is_not_set_if_its_rendering_changed_meanwhile() {
    for fixture in each_store() {
        let secret = secret("c");
        fixture.define(&secret).await.unwrap();
        let facet = Facet::Encoding(Encoding::Hex);
        let set = Change::SetFacet { id: secret.id, facet, expect: Expect::Any, reseal: None, time: NOW };
        fixture.apply(set).await.unwrap();
        assert!(matches!(fixture.set(secret.id, b"x").await, Err(Error::Changed)));
    }
}

#[tokio::test]
async fn a_secret_that_moves_to_and_fro_is_never_missed() {
    for fixture in each_store() {
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
                            assert!(
                                store.handle_by_usage(&project("p"), &ceph("c")).await.unwrap().is_some()
                            );
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
}

#[tokio::test]
async fn handles_are_counted_and_listed_by_privacy_and_place() {
    for many in [false, true] {
        for fixture in each_store() {
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
                        .filter(|secret| {
                            ephemeral.is_none_or(|ephemeral| secret.facets.ephemeral == ephemeral)
                        })
                        .map(|secret| (secret.id, secret.facets.usage().map(|usage| usage.id)))
                        .collect();
                    let found = fixture.store.handles(&project("p"), which, NOW, 16_384).await.unwrap();
                    let mut found: Vec<_> = found
                        .into_iter()
                        .map(|listed| (listed.id, listed.usage.map(|usage| usage.id)))
                        .collect();
                    want.sort();
                    found.sort();
                    assert_eq!(found, want, "{which:?}");
                    assert_eq!(
                        fixture.store.count(&project("p"), which, NOW).await.unwrap(),
                        want.len() as u64
                    );
                    let few = fixture.store.handles(&project("p"), which, NOW, 3).await.unwrap();
                    assert_eq!(few.len(), want.len().min(3));
                }
            }
            assert_eq!(fixture.store.count(&project("q"), Which::default(), NOW).await.unwrap(), 0);
        }
    }
}

/// Runs all futures at once, so that their changes share transactions.
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
async fn full_memory_refuses_more_and_loses_nothing() {
    for fixture in each_store() {
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
        assert!(matches!(refused, Error::Failed(Failure::MemoryFull)), "{refused}");
        assert_eq!(fixture.store.count(&project("p"), Which::default(), NOW).await.unwrap(), defined);
        fixture.apply(Change::DeleteSecret { id: first.id, unless_used: false, time: NOW }).await.unwrap();
        fixture.define(&first).await.unwrap();
        fixture.define(&secret("on disk")).await.unwrap();
    }
}
