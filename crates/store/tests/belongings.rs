//! What every store promises of what belongs to secrets and to projects: ACLs, consumers, containers, orders, quotas,
//! transport keys, and that what is spent is taken away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::path::Path;
use std::sync::Arc;

use model::{
    AclChange, Attributes, ChangeCursor, ChangeKind, Consumer, ConsumerId, Container, ContainerId,
    ContainerQuery, ContainerSecret, ContainerType, ContentType, Counted, Facets, Guarded, Order, OrderId,
    OrderOutcome, OrderQuery, OrderType, Pattern, ProjectId, ProjectQuotas, Secret, SecretId, Status, Text,
    Timestamp, TransportKey, TransportKeyId, UserId, Uses,
};
use store::limits::REAPED_AT_ONCE;
use store::sqlite::Purpose;
use store::{Change, Error, Guarding, Limit, Slice, SqliteStore, Store, unwitnessed};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const LATER: Timestamp = Timestamp::from_micros(2_000_000);

fn open(folder: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&folder.join("donjon.db"), Purpose::Serve).unwrap())
}

/// A store in a folder of its own.
struct Fixture {
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
}

fn project(name: &str) -> ProjectId {
    ProjectId::try_from(name).unwrap()
}

fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

fn secret(of: &str) -> Secret {
    Secret {
        id: SecretId::random(),
        project: project(of),
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

fn ephemeral(of: &str) -> Secret {
    Secret { content_type: None, facets: Facets { ephemeral: true, ..Facets::default() }, ..secret(of) }
}

fn container(of: &str, name: &str) -> Container {
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

fn consumer(of: &str, who: Uses) -> Consumer {
    Consumer { id: ConsumerId::random(), project: project(of), created: NOW, updated: NOW, who }
}

fn uses_secret(resource: &str) -> Uses {
    Uses::Secret { service: text("volume"), resource_type: text("volumes"), resource_id: text(resource) }
}

fn uses_container(name: &str) -> Uses {
    Uses::Container { name: text(name), url: text("http://lb.example") }
}

fn named(name: &str, secret: SecretId) -> ContainerSecret {
    ContainerSecret { name: Some(text(name)), secret }
}

fn order(of: &str, outcome: OrderOutcome) -> Order {
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
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: open(folder.path()), folder }
    }

    fn restart(self) -> Self {
        let Self { store, folder } = self;
        drop(store);
        Self { store: open(folder.path()), folder }
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        self.store.apply(change, unwitnessed()).await
    }

    async fn add(&self, secret: Secret) -> SecretId {
        let (id, sealed) = (secret.id, secret.content_type.map(|_| b"sealed".to_vec()));
        let secret = Box::new(secret);
        self.apply(Change::CreateSecret { secret, sealed, limit: Limit::NONE }).await.unwrap();
        id
    }

    async fn contain(&self, container: &Container, secrets: Vec<ContainerSecret>) -> Result<(), Error> {
        let container = Box::new(container.clone());
        self.apply(Change::CreateContainer { container, secrets, limit: Limit::NONE }).await
    }

    async fn register(&self, of: Guarded, consumer: &Consumer) -> Result<(), Error> {
        self.apply(Change::AddConsumer { of, consumer: consumer.clone(), limit: Limit::NONE }).await
    }

    async fn order(&self, order: &Order, secrets: Vec<(Secret, Vec<u8>)>) -> Result<(), Error> {
        let order = Box::new(order.clone());
        self.apply(Change::CreateOrder { order, secrets, container: None, limit: Limit::NONE }).await
    }

    async fn used_by(&self, of: Guarded) -> Vec<Consumer> {
        self.store.consumers(of, Slice::ALL).await.unwrap().items
    }

    async fn acl_line(&self, of: Guarded) -> String {
        let found = self.store.acl(of).await.unwrap();
        found.and_then(|found| found.acl).map_or("none".to_owned(), |acl| {
            let users: Vec<_> = acl.users.iter().map(Text::as_str).collect();
            let times = (acl.created.micros() / 1_000_000, acl.updated.micros() / 1_000_000);
            format!("{} {} {}-{}", acl.project_access, users.join("+"), times.0, times.1)
        })
    }
}

#[tokio::test]
async fn an_acl_says_what_the_last_change_made_of_it() {
    let fixture = Fixture::new();
    let held = container("p", "c");
    fixture.contain(&held, Vec::new()).await.unwrap();
    let (stored, in_memory) = (fixture.add(secret("p")).await, fixture.add(ephemeral("p")).await);
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
    assert!(matches!(fixture.apply(nobody).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_consumer_is_registered_once_and_a_used_secret_stays_if_asked() {
    let fixture = Fixture::new();
    let held = container("p", "c");
    fixture.contain(&held, Vec::new()).await.unwrap();
    let (stored, in_memory) = (fixture.add(secret("p")).await, fixture.add(ephemeral("p")).await);
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
        assert!(matches!(fixture.apply(remove(None)).await, Err(Error::NotFound)));
        assert_eq!(fixture.used_by(of).await, [second]);
    }
    for id in [stored, in_memory] {
        let delete = |unless_used| Change::DeleteSecret { id, unless_used, time: NOW };
        assert!(matches!(fixture.apply(delete(true)).await, Err(Error::HasConsumers)));
        fixture.apply(delete(false)).await.unwrap();
        assert_eq!(fixture.used_by(Guarded::Secret(id)).await, []);
    }
}

#[tokio::test]
async fn what_belongs_to_a_secret_goes_where_it_goes() {
    let fixture = Fixture::new();
    let plain = Secret { content_type: None, ..secret("p") };
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

#[tokio::test]
async fn what_is_named_on_disk_does_not_become_ephemeral() {
    let fixture = Fixture::new();
    let (held, made) = (secret("p"), secret("p"));
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
        assert!(matches!(refused, Err(Error::NamedOnDisk(id)) if id == secret.id), "{refused:?}");
    }
    assert_eq!(fixture.store.container_secrets(contents.id).await.unwrap(), [named("a", held.id)]);
    fixture.apply(Change::DeleteContainer(contents.id)).await.unwrap();
    fixture.apply(Change::DeleteOrder(ordered.id)).await.unwrap();
    for secret in [held, made] {
        let refused = fixture.apply(define(&secret)).await;
        assert!(!matches!(refused, Err(Error::NamedOnDisk(_))), "nothing names it any more: {refused:?}");
    }
}

#[tokio::test]
async fn containers_hold_secrets_of_their_project_and_lose_those_that_are_deleted() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.add(secret("p")).await, fixture.add(secret("p")).await);
    let (foreign, in_memory) = (fixture.add(secret("q")).await, fixture.add(ephemeral("p")).await);
    let mut gone = secret("p");
    gone.attributes.expiration = Some(NOW);
    let expired = fixture.add(gone).await;
    let held = container("p", "c");
    for wrong in [foreign, expired, SecretId::random()] {
        let refused = fixture.contain(&held, vec![named("a", a), named("x", wrong)]).await;
        assert!(matches!(refused, Err(Error::NoSuchReference(id)) if id == wrong));
    }
    let refused = fixture.contain(&held, vec![named("x", in_memory)]).await;
    assert!(matches!(refused, Err(Error::EphemeralReference(id)) if id == in_memory));
    let mut gone = ephemeral("p");
    gone.attributes.expiration = Some(NOW);
    let nobodys = [fixture.add(ephemeral("q")).await, fixture.add(gone).await];
    for id in nobodys {
        let refused = fixture.contain(&held, vec![named("x", id)]).await;
        assert!(matches!(refused, Err(Error::NoSuchReference(of)) if of == id), "{refused:?}");
    }
    assert_eq!(fixture.store.container(held.id).await.unwrap(), None);

    fixture.contain(&held, vec![named("b", b), named("a", a)]).await.unwrap();
    let put = |secret| Change::AddContainerSecret { id: held.id, secret, time: LATER };
    fixture.apply(put(named("c", a))).await.unwrap();
    fixture.apply(put(ContainerSecret { name: None, secret: a })).await.unwrap();
    for taken in [named("a", a), ContainerSecret { name: None, secret: a }] {
        assert!(matches!(fixture.apply(put(taken)).await, Err(Error::ReferenceTaken(_))));
    }
    assert!(matches!(fixture.apply(put(named("d", foreign))).await, Err(Error::NoSuchReference(_))));
    assert!(matches!(fixture.apply(put(named("d", in_memory))).await, Err(Error::EphemeralReference(_))));
    let take = |secret| Change::RemoveContainerSecret { id: held.id, secret, time: LATER };
    fixture.apply(take(named("c", a))).await.unwrap();
    assert!(matches!(fixture.apply(take(named("c", a))).await, Err(Error::NotInContainer(_))));
    assert!(matches!(fixture.apply(take(named("c", foreign))).await, Err(Error::NoSuchReference(_))));

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
    assert!(matches!(fixture.apply(Change::DeleteContainer(held.id)).await, Err(Error::NotFound)));
    assert!(fixture.store.secret(a).await.unwrap().is_some());
    assert_eq!(fixture.used_by(Guarded::Container(held.id)).await, []);
}

#[tokio::test]
async fn lists_are_of_one_project_in_order_and_counted() {
    let fixture = Fixture::new();
    for (of, name) in [("p", "one"), ("q", "one"), ("p", "two"), ("p", "Three"), ("p", "One")] {
        fixture.contain(&container(of, name), Vec::new()).await.unwrap();
    }
    let rsa = Container { container_type: ContainerType::Rsa, ..container("p", "four") };
    fixture.contain(&rsa, Vec::new()).await.unwrap();
    let query =
        ContainerQuery { project: project("p"), name: None, container_type: None, offset: 0, limit: 3 };
    let by_name = |name| ContainerQuery { name: Some(Pattern::new(name)), ..query.clone() };
    let by_type = |container_type| ContainerQuery { container_type: Some(container_type), ..query.clone() };
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
        let names: Vec<_> = found.items.iter().map(|found| found.name.as_ref().unwrap().as_str()).collect();
        assert_eq!(format!("{} of {}", names.join(" "), found.total), expect, "{query:?}");
    }
}

#[tokio::test]
async fn an_order_and_what_came_of_it_are_one_change() {
    let fixture = Fixture::new();
    let (public, private) = (secret("p"), secret("p"));
    let pair = Container { container_type: ContainerType::Rsa, ..container("p", "pair") };
    let parts = vec![named("public_key", public.id), named("private_key", private.id)];
    let made = vec![(public.clone(), b"1".to_vec()), (private.clone(), b"2".to_vec())];
    let ordered = Order { order_type: OrderType::Asymmetric, ..order("p", OrderOutcome::Container(pair.id)) };
    let create = |limit| Change::CreateOrder {
        order: Box::new(ordered.clone()),
        secrets: made.clone(),
        container: Some((Box::new(pair.clone()), parts.clone())),
        limit,
    };
    assert!(matches!(fixture.apply(create(Limit(0))).await, Err(Error::QuotaReached(Counted::Orders))));
    assert_eq!(fixture.store.secret(public.id).await.unwrap(), None);
    fixture.apply(create(Limit(1))).await.unwrap();
    assert!(matches!(fixture.apply(create(Limit(1))).await, Err(Error::QuotaReached(Counted::Orders))));

    let failed = order("p", OrderOutcome::Failed { code: 400, reason: "no".to_owned() });
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
    assert!(matches!(fixture.apply(Change::DeleteOrder(ordered.id)).await, Err(Error::NotFound)));
    assert!(fixture.store.secret(public.id).await.unwrap().is_some());
    assert_eq!(fixture.store.orders(&query).await.unwrap().total, 1);
}

#[tokio::test]
async fn of_many_creations_at_once_no_more_are_done_than_the_quota_has_room_for() {
    let fixture = Fixture::new();
    let quotas = ProjectQuotas::default().with(Counted::Secrets, Some(10)).with(Counted::Consumers, Some(3));
    fixture.apply(Change::SetProjectQuotas { project: project("p"), quotas }).await.unwrap();
    let shared = Guarded::Secret(fixture.add(secret("other")).await);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200_u32 {
        let store = Arc::clone(&fixture.store);
        // One in three is kept in memory, and counts as much.
        let new = if n.is_multiple_of(3) { ephemeral("p") } else { secret("p") };
        let sealed = new.content_type.map(|_| b"x".to_vec());
        let create = Change::CreateSecret { secret: Box::new(new), sealed, limit: Limit::NONE };
        let who = consumer("p", uses_secret(&n.to_string()));
        let register = Change::AddConsumer { of: shared, consumer: who, limit: Limit::NONE };
        tasks.spawn(async move {
            let created = store.apply(create, unwitnessed()).await;
            (created, store.apply(register, unwitnessed()).await)
        });
    }
    let (mut created, mut registered) = (0, 0);
    for (create, register) in tasks.join_all().await {
        assert!(matches!(create, Ok(()) | Err(Error::QuotaReached(Counted::Secrets))));
        assert!(matches!(register, Ok(()) | Err(Error::QuotaReached(Counted::Consumers))));
        created += u32::from(create.is_ok());
        registered += u32::from(register.is_ok());
    }
    assert_eq!((created, registered), (10, 3));
    // What has expired counts no more, nor does what was removed.
    let mut late = secret("p");
    late.created = LATER;
    let create = |secret: &Secret| Change::CreateSecret {
        secret: Box::new(secret.clone()),
        sealed: Some(b"x".to_vec()),
        limit: Limit::NONE,
    };
    assert!(matches!(fixture.apply(create(&late)).await, Err(Error::QuotaReached(_))));
    let who = fixture.used_by(shared).await[0].who.clone();
    fixture.apply(Change::RemoveConsumer { of: shared, who, only_of: None }).await.unwrap();
    fixture.register(shared, &consumer("p", uses_secret("again"))).await.unwrap();
}

#[tokio::test]
async fn a_quota_counts_what_has_not_expired_however_much_has() {
    for limit in [1, 2, 6, 20] {
        let fixture = Fixture::new();
        for n in 0..12 {
            let mut gone = if n % 4 == 0 { ephemeral("p") } else { secret("p") };
            gone.attributes.expiration = Some(NOW);
            fixture.add(gone).await;
        }
        let mut lasting = 0;
        for n in 0..limit + 3 {
            let mut new = if n % 3 == 0 { ephemeral("p") } else { secret("p") };
            new.created = LATER;
            new.attributes.expiration = (n % 2 == 0).then_some(Timestamp::from_micros(9_000_000));
            let sealed = new.content_type.map(|_| b"x".to_vec());
            let create = Change::CreateSecret { secret: Box::new(new), sealed, limit: Limit(limit) };
            match fixture.apply(create).await {
                Ok(()) => lasting += 1,
                refused => assert!(matches!(refused, Err(Error::QuotaReached(Counted::Secrets)))),
            }
        }
        assert_eq!(lasting, limit);
    }
}

/// A pattern that matches as much as possible of what is as long as possible, and then nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_ends_in_time_and_nobody_waits_for_it() {
    let fixture = Fixture::new();
    for _ in 0..400 {
        let failed = OrderOutcome::Failed { code: 400, reason: String::new() };
        let long = Order { meta: "a".repeat(24_000), ..order("p", failed) };
        fixture.order(&long, Vec::new()).await.unwrap();
    }
    let (plain, deleted) = (secret("q"), secret("q"));
    fixture.add(deleted.clone()).await;
    let list = || {
        let meta = Some(format!("{}b", "a".repeat(1_000)));
        let (store, query) =
            (Arc::clone(&fixture.store), OrderQuery { project: project("p"), meta, offset: 0, limit: 9 });
        tokio::spawn(async move { store.orders(&query).await })
    };
    let lists = [list(), list()];
    tokio::time::sleep(std::time::Duration::from_millis(200)).await; // They have begun.
    fixture.apply(Change::DeleteSecret { id: deleted.id, unless_used: false, time: NOW }).await.unwrap();
    fixture.add(plain).await;
    assert!(lists.iter().any(|list| !list.is_finished()), "the changes did not wait for them");
    for list in lists {
        assert!(matches!(list.await.unwrap(), Err(Error::TookTooLong)));
    }
    let short = OrderQuery { project: project("p"), meta: Some("aaa".to_owned()), offset: 0, limit: 9 };
    assert_eq!(fixture.store.orders(&short).await.unwrap().total, 400, "its connection is as good as before");
}

#[tokio::test]
async fn quotas_are_merged_listed_and_forgotten() {
    let fixture = Fixture::new();
    let set = |of: &str, quotas| Change::SetProjectQuotas { project: project(of), quotas };
    let first = ProjectQuotas::default().with(Counted::Secrets, Some(2)).with(Counted::Cas, Some(-5));
    fixture.apply(set("p", first)).await.unwrap();
    fixture.apply(set("p", ProjectQuotas::default().with(Counted::Orders, Some(0)))).await.unwrap();
    fixture.apply(set("q", ProjectQuotas::default())).await.unwrap();
    let fixture = fixture.restart();
    let merged = first.with(Counted::Orders, Some(0));
    assert_eq!(fixture.store.project_quotas(&project("p")).await.unwrap(), Some(merged));
    let all = fixture.store.all_project_quotas(Slice { offset: 0, limit: 1 }).await.unwrap();
    assert_eq!((all.items, all.total), (vec![(project("p"), merged)], 2));
    let refused = fixture
        .order(&order("p", OrderOutcome::Failed { code: 400, reason: String::new() }), Vec::new())
        .await;
    assert!(matches!(refused, Err(Error::QuotaReached(Counted::Orders))));
    fixture.apply(Change::DeleteProjectQuotas(project("p"))).await.unwrap();
    assert_eq!(fixture.store.project_quotas(&project("p")).await.unwrap(), None);
    let again = fixture.apply(Change::DeleteProjectQuotas(project("p"))).await;
    assert!(matches!(again, Err(Error::NotFound)));
}

#[tokio::test]
async fn transport_keys_are_kept_and_listed_by_their_back_end() {
    let fixture = Fixture::new();
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
    assert!(matches!(fixture.apply(Change::DeleteTransportKey(b.id)).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn what_is_spent_is_taken_away_some_at_a_time() {
    let fixture = Fixture::new();
    let lasting = fixture.add(secret("p")).await;
    let expiring = |mut secret: Secret, at| {
        secret.attributes.expiration = Some(at);
        secret
    };
    let first = fixture.add(expiring(secret("q"), Timestamp::from_micros(5))).await;
    let in_memory = fixture.add(expiring(ephemeral("p"), NOW)).await;
    let later = fixture.add(expiring(secret("p"), LATER)).await;
    let made = secret("p");
    let (kept, spent) =
        (order("p", OrderOutcome::Secret(lasting)), order("p", OrderOutcome::Secret(made.id)));
    fixture.order(&kept, Vec::new()).await.unwrap();
    fixture.order(&spent, vec![(made.clone(), b"x".to_vec())]).await.unwrap();
    let many = REAPED_AT_ONCE + 5;
    for _ in 0..many {
        let failed = order("p", OrderOutcome::Failed { code: 500, reason: "no".to_owned() });
        fixture.order(&failed, Vec::new()).await.unwrap();
    }
    fixture.apply(Change::DeleteSecret { id: made.id, unless_used: false, time: NOW }).await.unwrap();

    let expired = |by| fixture.store.expired(by, 10);
    let (p, q) = (project("p"), project("q"));
    assert_eq!(expired(NOW).await.unwrap(), [(first, q.clone()), (in_memory, p)]);
    assert_eq!(fixture.store.expired(NOW, 0).await.unwrap(), []);
    let reap = |id, by| fixture.apply(Change::ReapSecret { id, by, time: LATER });
    for (id, by) in [(lasting, LATER), (later, NOW), (SecretId::random(), LATER)] {
        assert!(matches!(reap(id, by).await, Err(Error::NotFound)));
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
    for expect in [REAPED_AT_ONCE, 6, 0] {
        assert_eq!(fixture.store.spent_orders(LATER).await.unwrap(), expect);
        fixture.apply(Change::ReapOrders { before: LATER }).await.unwrap();
    }
    assert!(fixture.store.order(kept.id).await.unwrap().is_some());
    assert!(fixture.store.order(spent.id).await.unwrap().is_none());
    for there in [lasting, later] {
        assert!(fixture.store.secret(there).await.unwrap().is_some());
    }
}
