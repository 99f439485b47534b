//! The change log: every change of file and memory, in order.

use std::collections::VecDeque;

use super::metadata::set;
use super::secrets::fill;
use super::{add, ephemeral, persistent, plain, secret};
use crate::support::*;

#[tokio::test]
async fn the_change_log_has_each_change_in_order() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
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
    }
}

#[tokio::test]
async fn a_follower_sees_every_change_of_file_and_memory_in_order() {
    for fixture in each_store() {
        let store = Arc::clone(&fixture.store);
        let new = |n| if n % 2 == 0 { secret("") } else { ephemeral(secret("")) };
        let secrets: Vec<_> = (0..3000).map(new).collect();
        let mut unseen: VecDeque<_> = secrets.iter().map(|secret| secret.id).collect();
        let follower = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut after = ChangeCursor::START;
            while !unseen.is_empty() {
                for row in runtime.block_on(store.changes(after, 256)).unwrap().rows().unwrap() {
                    assert_eq!(Some(row.secret), unseen.pop_front(), "a row is missing");
                    after = row.cursor;
                }
            }
        });
        for secret in &secrets {
            fixture.define(secret).await.unwrap();
        }
        follower.await.unwrap();
    }
}

#[tokio::test]
async fn a_piece_of_the_change_log_has_a_bound_and_goes_on() {
    for fixture in each_store() {
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
}

#[tokio::test]
async fn the_change_log_has_the_usage_of_a_deleted_secret() {
    use ChangeKind::{Created, Deleted, Redefined, ValueChanged};
    for kept in [persistent, ephemeral] {
        for fixture in each_store() {
            let secret = kept(secret("c"));
            fixture.define(&secret).await.unwrap();
            fixture.set(secret.id, b"x").await.unwrap();
            fixture.define(&secret).await.unwrap();
            fixture
                .apply(Change::DeleteSecret { id: secret.id, unless_used: false, time: NOW })
                .await
                .unwrap();
            let kinds: Vec<_> =
                [Created, ValueChanged, Redefined, Deleted].map(|kind| (kind, Some("c".to_owned()))).into();
            assert_eq!(fixture.log().await, kinds);
        }
    }
    for fixture in each_store() {
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
}

#[tokio::test]
async fn a_long_usage_counts_as_many_rows() {
    for fixture in each_store() {
        fixture.define(&secret(&"u".repeat(10 * 1024))).await.unwrap();
        let row = fixture.store.changes(ChangeCursor::START, 10).await.unwrap().rows().unwrap().remove(0);
        let eleven = ChangeCursor::from_number(11);
        assert_eq!(row.cursor, eleven);
        assert_eq!(*fixture.store.newest_change().borrow(), eleven);
    }
}
