//! Containers, orders and transport keys: kept, listed in order, and deleted once they are spent.

use super::belongings::*;
use crate::support::*;

#[tokio::test]
async fn containers_hold_secrets_of_their_project_and_lose_deleted_ones() {
    for fixture in each_store() {
        let (a, b) = (fixture.add(filled("p")).await, fixture.add(filled("p")).await);
        let (foreign, in_memory) = (fixture.add(filled("q")).await, fixture.add(unwritten("p")).await);
        let mut gone = filled("p");
        gone.attributes.expiration = Some(NOW);
        let expired = fixture.add(gone).await;
        let held = container("p", "c");
        for wrong in [foreign, expired, SecretId::random()] {
            let refused = fixture.contain(&held, vec![named("a", a), named("x", wrong)]).await;
            assert!(matches!(refused, Err(Error::Absent(Absent::Reference(id))) if id == wrong));
        }
        let refused = fixture.contain(&held, vec![named("x", in_memory)]).await;
        assert!(matches!(refused, Err(Error::Conflict(Conflict::EphemeralPart(id))) if id == in_memory));
        let mut gone = unwritten("p");
        gone.attributes.expiration = Some(NOW);
        let nobodys = [fixture.add(unwritten("q")).await, fixture.add(gone).await];
        for id in nobodys {
            let refused = fixture.contain(&held, vec![named("x", id)]).await;
            assert!(matches!(refused, Err(Error::Absent(Absent::Reference(of))) if of == id), "{refused:?}");
        }
        assert_eq!(fixture.store.container(held.id).await.unwrap(), None);

        fixture.contain(&held, vec![named("b", b), named("a", a)]).await.unwrap();
        let put = |secret| Change::AddContainerSecret { id: held.id, secret, time: LATER };
        fixture.apply(put(named("c", a))).await.unwrap();
        fixture.apply(put(ContainerSecret { name: None, secret: a })).await.unwrap();
        for taken in [named("a", a), ContainerSecret { name: None, secret: a }] {
            assert!(matches!(fixture.apply(put(taken)).await, Err(Error::Conflict(Conflict::Part(_)))));
        }
        assert!(matches!(
            fixture.apply(put(named("d", foreign))).await,
            Err(Error::Absent(Absent::Reference(_)))
        ));
        assert!(matches!(
            fixture.apply(put(named("d", in_memory))).await,
            Err(Error::Conflict(Conflict::EphemeralPart(_)))
        ));
        let take = |secret| Change::RemoveContainerSecret { id: held.id, secret, time: LATER };
        fixture.apply(take(named("c", a))).await.unwrap();
        assert!(matches!(fixture.apply(take(named("c", a))).await, Err(Error::Absent(Absent::Part(_)))));
        assert!(matches!(
            fixture.apply(take(named("c", foreign))).await,
            Err(Error::Absent(Absent::Reference(_)))
        ));

        let fixture = fixture.restart();
        let nameless = ContainerSecret { name: None, secret: a };
        assert_eq!(
            fixture.store.container(held.id).await.unwrap().unwrap(),
            Container { updated: LATER, ..held.clone() }
        );
        let inside = fixture.store.container_secrets(held.id).await.unwrap();
        assert_eq!(inside, [named("b", b), named("a", a), nameless.clone()]);
        fixture.apply(Change::DeleteSecret { id: b, unless_used: false, time: NOW }).await.unwrap();
        assert_eq!(fixture.store.container_secrets(held.id).await.unwrap(), [named("a", a), nameless]);

        fixture.register(Guarded::Container(held.id), &consumer("p", uses_container("lb"))).await.unwrap();
        fixture.apply(Change::DeleteContainer(held.id)).await.unwrap();
        assert!(matches!(fixture.apply(Change::DeleteContainer(held.id)).await, Err(Error::Absent(_))));
        assert!(fixture.store.secret(a).await.unwrap().is_some());
        assert_eq!(fixture.used_by(Guarded::Container(held.id)).await, []);
    }
}

#[tokio::test]
async fn lists_are_of_one_project_in_order_and_counted() {
    for fixture in each_store() {
        for (of, name) in [("p", "one"), ("q", "one"), ("p", "two"), ("p", "Three"), ("p", "One")] {
            fixture.contain(&container(of, name), Vec::new()).await.unwrap();
        }
        let rsa = Container { container_type: ContainerType::Rsa, ..container("p", "four") };
        fixture.contain(&rsa, Vec::new()).await.unwrap();
        let query =
            ContainerQuery { project: project("p"), name: None, container_type: None, offset: 0, limit: 3 };
        let by_name = |name| ContainerQuery { name: Some(Pattern::new(name)), ..query.clone() };
        let by_type =
            |container_type| ContainerQuery { container_type: Some(container_type), ..query.clone() };
        for (query, expect) in [
            (query.clone(), "one two Three of 5"),
            (ContainerQuery { offset: 3, ..query.clone() }, "One four of 5"),
            (ContainerQuery { offset: 9, ..query.clone() }, " of 5"),
            (by_name("ONE"), "one One of 2"),
            (by_name("t%"), "two Three of 2"),
            (by_name("fo%r"), "four of 1"),
            (by_name("_o%r"), " of 0"),
            (by_name("t_o"), " of 0"),
            (by_name(r"t\wo"), " of 0"),
            (by_type(Some(ContainerType::Rsa)), "four of 1"),
            (by_type(None), " of 0"),
            (ContainerQuery { project: project("nobody"), ..query.clone() }, " of 0"),
        ] {
            let found = fixture.store.containers(&query).await.unwrap();
            let names: Vec<_> =
                found.items.iter().map(|found| found.name.as_ref().unwrap().as_str()).collect();
            assert_eq!(format!("{} of {}", names.join(" "), found.total), expect, "{query:?}");
        }
    }
}

#[tokio::test]
async fn an_order_and_its_outcome_are_one_change() {
    for fixture in each_store() {
        let (public, private) = (filled("p"), filled("p"));
        let pair = Container { container_type: ContainerType::Rsa, ..container("p", "pair") };
        let parts = vec![named("public_key", public.id), named("private_key", private.id)];
        let made = vec![(public.clone(), b"1".to_vec()), (private.clone(), b"2".to_vec())];
        let ordered =
            Order { order_type: OrderType::Asymmetric, ..order("p", OrderOutcome::Container(pair.id)) };
        let create = |limit| Change::CreateOrder {
            order: Box::new(ordered.clone()),
            secrets: made.clone(),
            container: Some((Box::new(pair.clone()), parts.clone())),
            limit,
        };
        assert!(matches!(
            fixture.apply(create(Limit(0))).await,
            Err(Error::Conflict(Conflict::Quota(Counted::Orders)))
        ));
        assert_eq!(fixture.store.secret(public.id).await.unwrap(), None);
        fixture.apply(create(Limit(1))).await.unwrap();
        assert!(matches!(
            fixture.apply(create(Limit(1))).await,
            Err(Error::Conflict(Conflict::Quota(Counted::Orders)))
        ));

        let failed = order("p", failed_for("no"));
        fixture.order(&failed, Vec::new()).await.unwrap();
        let log: Vec<_> = fixture
            .store
            .changes(ChangeCursor::START, 10)
            .await
            .unwrap()
            .rows()
            .unwrap()
            .into_iter()
            .map(|row| row.kind)
            .collect();
        assert_eq!(log, [ChangeKind::Created, ChangeKind::ValueChanged].repeat(2));
        let fixture = fixture.restart();
        assert_eq!(fixture.store.order(ordered.id).await.unwrap(), Some(ordered.clone()));
        assert_eq!(fixture.store.container_secrets(pair.id).await.unwrap(), parts);
        assert_eq!(fixture.store.sealed(private.id).await.unwrap().unwrap().payload.unwrap().1, b"2");

        let query = OrderQuery { project: project("p"), meta: None, offset: 0, limit: 10 };
        assert_eq!(fixture.store.orders(&query).await.unwrap().items, [ordered.clone(), failed.clone()]);
        for (meta, total) in
            [("AES", 2), ("rsa", 0), ("a_s", 0), ("a%s", 2), (r"\a", 0), (&*"x".repeat(20_000), 0)]
        {
            let query = OrderQuery { meta: Some(meta.to_owned()), ..query.clone() };
            assert_eq!(fixture.store.orders(&query).await.unwrap().total, total);
        }
        fixture.apply(Change::DeleteOrder(ordered.id)).await.unwrap();
        assert!(matches!(fixture.apply(Change::DeleteOrder(ordered.id)).await, Err(Error::Absent(_))));
        assert!(fixture.store.secret(public.id).await.unwrap().is_some());
        assert_eq!(fixture.store.orders(&query).await.unwrap().total, 1);
    }
}

/// The pattern matches almost all of a long text at every position, and fails at its last character.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_ends_in_time_and_no_change_waits_for_it() {
    for fixture in each_store() {
        for _ in 0..400 {
            let failed = failed_for("");
            let long = Order { meta: "a".repeat(24_000), ..order("p", failed) };
            fixture.order(&long, Vec::new()).await.unwrap();
        }
        let (plain, deleted) = (filled("q"), filled("q"));
        fixture.add(deleted.clone()).await;
        let list = || {
            let meta = Some(format!("{}b", "a".repeat(1_000)));
            let (store, query) =
                (Arc::clone(&fixture.store), OrderQuery { project: project("p"), meta, offset: 0, limit: 9 });
            tokio::spawn(async move { store.orders(&query).await })
        };
        let lists = [list(), list()];
        tokio::time::sleep(std::time::Duration::from_millis(200)).await; // The lists have begun.
        fixture.apply(Change::DeleteSecret { id: deleted.id, unless_used: false, time: NOW }).await.unwrap();
        fixture.add(plain).await;
        assert!(lists.iter().any(|list| !list.is_finished()), "the changes did not wait for them");
        for list in lists {
            assert!(matches!(list.await.unwrap(), Err(Error::Failed(Failure::TookTooLong))));
        }
        let short = OrderQuery { project: project("p"), meta: Some("aaa".to_owned()), offset: 0, limit: 9 };
        assert_eq!(
            fixture.store.orders(&short).await.unwrap().total,
            400,
            "its connection is as good as before"
        );
    }
}

#[tokio::test]
async fn transport_keys_are_kept_and_listed_by_their_back_end() {
    for fixture in each_store() {
        let key = |plugin: &str| TransportKey {
            id: TransportKeyId::random(),
            created: NOW,
            updated: NOW,
            plugin: text(plugin),
            key: "public".to_owned(),
        };
        let (a, b) = (key("a"), key("b"));
        for key in [&a, &b] {
            fixture.apply(Change::AddTransportKey(key.clone())).await.unwrap();
        }
        assert_eq!(fixture.store.transport_key(a.id).await.unwrap(), Some(a.clone()));
        assert_eq!(fixture.store.transport_keys(None, Slice::ALL).await.unwrap().items, [a, b.clone()]);
        assert_eq!(
            fixture.store.transport_keys(Some("b"), Slice::ALL).await.unwrap().items,
            std::slice::from_ref(&b)
        );
        fixture.apply(Change::DeleteTransportKey(b.id)).await.unwrap();
        assert!(matches!(fixture.apply(Change::DeleteTransportKey(b.id)).await, Err(Error::Absent(_))));
    }
}

#[tokio::test]
async fn expired_secrets_and_spent_orders_are_deleted_some_at_a_time() {
    for fixture in each_store() {
        let lasting = fixture.add(filled("p")).await;
        let expiring = |mut secret: Secret, at| {
            secret.attributes.expiration = Some(at);
            secret
        };
        let first = fixture.add(expiring(filled("q"), Timestamp::from_micros(5))).await;
        let in_memory = fixture.add(expiring(unwritten("p"), NOW)).await;
        let later = fixture.add(expiring(filled("p"), LATER)).await;
        let made = filled("p");
        let (kept, spent) =
            (order("p", OrderOutcome::Secret(lasting)), order("p", OrderOutcome::Secret(made.id)));
        fixture.order(&kept, Vec::new()).await.unwrap();
        fixture.order(&spent, vec![(made.clone(), b"x".to_vec())]).await.unwrap();
        let many = limits::REAPED_AT_ONCE + 5;
        for _ in 0..many {
            let failed = order("p", failed_for("no"));
            fixture.order(&failed, Vec::new()).await.unwrap();
        }
        fixture.apply(Change::DeleteSecret { id: made.id, unless_used: false, time: NOW }).await.unwrap();

        let expired = |by| fixture.store.expired(by, 10);
        let (p, q) = (project("p"), project("q"));
        assert_eq!(expired(NOW).await.unwrap(), [(first, q.clone()), (in_memory, p)]);
        assert_eq!(fixture.store.expired(NOW, 0).await.unwrap(), []);
        let reap = |id, by| fixture.apply(Change::ReapSecret { id, by, time: LATER });
        for (id, by) in [(lasting, LATER), (later, NOW), (SecretId::random(), LATER)] {
            assert!(matches!(reap(id, by).await, Err(Error::Absent(_))));
        }
        reap(first, NOW).await.unwrap();
        reap(in_memory, NOW).await.unwrap();
        assert_eq!(expired(NOW).await.unwrap(), []);
        assert!(fixture.store.secret(in_memory).await.unwrap().is_none());
        assert!(fixture.store.secret(first).await.unwrap().is_none());
        let log = fixture.store.changes(ChangeCursor::START, 1000).await.unwrap().rows().unwrap();
        let told: Vec<_> =
            log.iter().filter(|row| row.kind == ChangeKind::Deleted).map(|row| row.secret).collect();
        assert_eq!(told, [made.id, first, in_memory]);

        assert_eq!(fixture.store.spent_orders(NOW).await.unwrap(), 0);
        for expect in [limits::REAPED_AT_ONCE, 6, 0] {
            assert_eq!(fixture.store.spent_orders(LATER).await.unwrap(), expect);
            fixture.apply(Change::ReapOrders { before: LATER }).await.unwrap();
        }
        assert!(fixture.store.order(kept.id).await.unwrap().is_some());
        assert!(fixture.store.order(spent.id).await.unwrap().is_none());
        for there in [lasting, later] {
            assert!(fixture.store.secret(there).await.unwrap().is_some());
        }
    }
}
