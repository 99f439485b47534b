//! ACLs and consumers of secrets and of containers.

use crate::support::*;

pub(crate) fn filled(of: &str) -> Secret {
    Secret { content_type: Some(ContentType::OctetStream), ..record(of) }
}

pub(crate) fn unwritten(of: &str) -> Secret {
    Secret { facets: Facets { ephemeral: true, ..Facets::default() }, ..record(of) }
}

pub(crate) fn container(of: &str, name: &str) -> Container {
    Container {
        id: ContainerId::random(),
        project: project(of),
        creator: UserId::try_from("someone").ok(),
        created: NOW,
        updated: NOW,
        name: Some(text(name)),
        container_type: ContainerType::Generic,
        project_access: true,
        guard: None,
    }
}

pub(crate) fn consumer(of: &str, who: Uses) -> Consumer {
    Consumer { id: ConsumerId::random(), project: project(of), created: NOW, updated: NOW, who }
}

pub(crate) fn uses_secret(resource: &str) -> Uses {
    Uses::Secret { service: text("volume"), resource_type: text("volumes"), resource_id: text(resource) }
}

pub(crate) fn uses_container(name: &str) -> Uses {
    Uses::Container { name: text(name), url: text("http://lb.example") }
}

pub(crate) fn named(name: &str, secret: SecretId) -> ContainerSecret {
    ContainerSecret { name: Some(text(name)), secret }
}

/// A failure of a kind that this version does not know; it is shown as it is stored.
pub(crate) fn failed_for(reason: &str) -> OrderOutcome {
    OrderOutcome::Failed(OrderFailure { kind: OrderFailureKind::Unknown(418), reason: reason.to_owned() })
}

pub(crate) fn order(of: &str, outcome: OrderOutcome) -> Order {
    Order {
        id: OrderId::random(),
        project: project(of),
        creator: None,
        created: NOW,
        updated: NOW,
        order_type: OrderType::Key,
        meta: r#"{"algorithm": "aes"}"#.to_owned(),
        outcome,
    }
}

impl Fixture {
    pub(crate) async fn add(&self, secret: Secret) -> SecretId {
        let (id, sealed) = (secret.id, secret.content_type.map(|_| b"sealed".to_vec()));
        let secret = Box::new(secret);
        self.apply(Change::CreateSecret { secret, sealed, limit: Limit::NONE }).await.unwrap();
        id
    }

    pub(crate) async fn contain(
        &self,
        container: &Container,
        secrets: Vec<ContainerSecret>,
    ) -> Result<(), Error> {
        let container = Box::new(container.clone());
        self.apply(Change::CreateContainer { container, secrets, limit: Limit::NONE }).await
    }

    pub(crate) async fn register(&self, of: Guarded, consumer: &Consumer) -> Result<(), Error> {
        self.apply(Change::AddConsumer { of, consumer: consumer.clone(), limit: Limit::NONE }).await
    }

    pub(crate) async fn order(&self, order: &Order, secrets: Vec<(Secret, Vec<u8>)>) -> Result<(), Error> {
        let order = Box::new(order.clone());
        self.apply(Change::CreateOrder { order, secrets, container: None, limit: Limit::NONE }).await
    }

    pub(crate) async fn used_by(&self, of: Guarded) -> Vec<Consumer> {
        self.store.consumers(of, Slice::ALL).await.unwrap().items
    }

    pub(crate) async fn acl_line(&self, of: Guarded) -> String {
        let found = self.store.acl(of).await.unwrap();
        found.and_then(|found| found.acl).map_or("none".to_owned(), |acl| {
            let users: Vec<_> = acl.users.iter().map(Text::as_str).collect();
            let times = (acl.created.micros() / 1_000_000, acl.updated.micros() / 1_000_000);
            format!("{} {} {}-{}", acl.project_access, users.join("+"), times.0, times.1)
        })
    }
}

#[tokio::test]
async fn an_acl_is_as_the_last_change_left_it() {
    for fixture in each_store() {
        let held = container("p", "c");
        fixture.contain(&held, Vec::new()).await.unwrap();
        let (stored, in_memory) = (fixture.add(filled("p")).await, fixture.add(unwritten("p")).await);
        for of in [Guarded::Secret(stored), Guarded::Secret(in_memory), Guarded::Container(held.id)] {
            let users = |names: &[&str]| names.iter().map(|name| text(name)).collect::<Vec<_>>();
            for (time, change, expect) in [
                (NOW, AclChange::Amend { project_access: None, users: None }, "none"),
                (NOW, AclChange::Remove, "none"),
                (NOW, AclChange::Amend { project_access: None, users: Some(users(&["b"])) }, "true b 1-1"),
                (LATER, AclChange::Amend { project_access: Some(false), users: None }, "false b 1-2"),
                (
                    LATER,
                    AclChange::Amend { project_access: None, users: Some(users(&["c", "a", "c"])) },
                    "false a+c 1-2",
                ),
                (LATER, AclChange::Replace { project_access: true, users: users(&[""]) }, "true  1-2"),
                (LATER, AclChange::Remove, "none"),
                (LATER, AclChange::Replace { project_access: false, users: users(&[]) }, "false  2-2"),
            ] {
                let guarding = Guarding::none();
                fixture.apply(Change::SetAcl { of, change: change.clone(), guarding, time }).await.unwrap();
                assert_eq!(fixture.acl_line(of).await, expect, "{of:?} {change:?}");
            }
        }
        assert!(!fixture.store.secret(in_memory).await.unwrap().unwrap().project_access);
        assert!(!fixture.store.sealed(stored).await.unwrap().unwrap().access.project_access);
        assert!(!fixture.store.container(held.id).await.unwrap().unwrap().project_access);
        let nobody = Change::SetAcl {
            of: Guarded::Secret(SecretId::random()),
            change: AclChange::Remove,
            guarding: Guarding::none(),
            time: NOW,
        };
        assert!(matches!(fixture.apply(nobody).await, Err(Error::Absent(_))));
    }
}

#[tokio::test]
async fn a_consumer_is_registered_once_and_a_used_secret_can_be_kept() {
    for fixture in each_store() {
        let held = container("p", "c");
        fixture.contain(&held, Vec::new()).await.unwrap();
        let (stored, in_memory) = (fixture.add(filled("p")).await, fixture.add(unwritten("p")).await);
        for (of, uses) in [
            (Guarded::Secret(stored), uses_secret as fn(&str) -> Uses),
            (Guarded::Secret(in_memory), uses_secret),
            (Guarded::Container(held.id), uses_container),
        ] {
            let (first, second) = (consumer("p", uses("1")), consumer("q", uses("2")));
            fixture.register(of, &first).await.unwrap();
            fixture.register(of, &second).await.unwrap();
            fixture.register(of, &consumer("p", uses("1"))).await.unwrap();
            assert_eq!(fixture.used_by(of).await, [first.clone(), second.clone()]);
            assert_eq!(fixture.store.consumer(of, second.id).await.unwrap(), Some(second.clone()));
            let page = fixture.store.consumers(of, Slice { offset: 1, limit: 5 }).await.unwrap();
            assert_eq!((page.items, page.total), (vec![second.clone()], 2));
            let remove = |only_of: Option<&str>| {
                let only_of = only_of.map(project);
                Change::RemoveConsumer { of, who: first.who.clone(), only_of }
            };
            for other in ["q", "nobody"] {
                assert!(matches!(fixture.apply(remove(Some(other))).await, Err(Error::OthersConsumer)));
            }
            fixture.apply(remove(Some("p"))).await.unwrap();
            assert!(matches!(fixture.apply(remove(None)).await, Err(Error::Absent(_))));
            assert_eq!(fixture.used_by(of).await, [second]);
        }
        for id in [stored, in_memory] {
            let delete = |unless_used| Change::DeleteSecret { id, unless_used, time: NOW };
            assert!(matches!(
                fixture.apply(delete(true)).await,
                Err(Error::Conflict(Conflict::Consumers(_)))
            ));
            fixture.apply(delete(false)).await.unwrap();
            assert_eq!(fixture.used_by(Guarded::Secret(id)).await, []);
        }
    }
}

#[tokio::test]
async fn acls_and_consumers_move_with_their_secret() {
    for fixture in each_store() {
        let plain = record("p");
        let of = Guarded::Secret(fixture.add(plain.clone()).await);
        fixture.register(of, &consumer("q", uses_secret("1"))).await.unwrap();
        let change = AclChange::Replace { project_access: false, users: vec![text("friend")] };
        fixture.apply(Change::SetAcl { of, change, guarding: Guarding::none(), time: NOW }).await.unwrap();
        for ephemeral in [true, false] {
            let facets = Facets { ephemeral, ..Facets::default() };
            let secret = Box::new(Secret { facets, ..plain.clone() });
            fixture.apply(Change::DefineSecret { secret, reseal: None, limit: Limit(1) }).await.unwrap();
            assert_eq!(fixture.acl_line(of).await, "false friend 1-1");
            assert_eq!(fixture.used_by(of).await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_secret_in_a_container_or_of_an_order_does_not_become_ephemeral() {
    for fixture in each_store() {
        let (held, made) = (filled("p"), filled("p"));
        fixture.add(held.clone()).await;
        let contents = container("p", "c");
        fixture.contain(&contents, vec![named("a", held.id)]).await.unwrap();
        let ordered = order("p", OrderOutcome::Secret(made.id));
        fixture.order(&ordered, vec![(made.clone(), b"x".to_vec())]).await.unwrap();
        let define = |secret: &Secret| {
            let facets = Facets { ephemeral: true, ..Facets::default() };
            let secret = Secret { facets, content_type: None, ..secret.clone() };
            Change::DefineSecret { secret: Box::new(secret), reseal: None, limit: Limit::NONE }
        };
        for secret in [&held, &made] {
            let refused = fixture.apply(define(secret)).await;
            assert!(
                matches!(refused, Err(Error::Conflict(Conflict::NamedOnDisk(id))) if id == secret.id),
                "{refused:?}"
            );
        }
        assert_eq!(fixture.store.container_secrets(contents.id).await.unwrap(), [named("a", held.id)]);
        fixture.apply(Change::DeleteContainer(contents.id)).await.unwrap();
        fixture.apply(Change::DeleteOrder(ordered.id)).await.unwrap();
        for secret in [held, made] {
            let refused = fixture.apply(define(&secret)).await;
            assert!(
                !matches!(refused, Err(Error::Conflict(Conflict::NamedOnDisk(_)))),
                "nothing names it any more: {refused:?}"
            );
        }
    }
}
