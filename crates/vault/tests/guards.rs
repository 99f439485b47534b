//! Somebody who can write the database but has no key gains nothing by it. The vault uses the data that decides about
//! access only if it is as it was stored, and reports it otherwise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::sync::Arc;

use model::{
    AclChange, Attributes, Call, ContainerId, ContainerSecret, ContainerType, ContentType, Door, Expect,
    Facet, Facets, Guarded, OrderFailure, OrderFailureKind, OrderOutcome, OrderType, Role, Roles, SecretId,
    Text, Usage, UsageType,
};
use store::Kind;
use testkit::{Fixture, NOW, by, call, later};
use vault::generate::{PairBits, PairKind, SymmetricBits};
use vault::{
    Action, Error, Failure, NewContainer, NewOrder, NewPayload, NewSecret, OrderedKey, Payload, StoreFailure,
};

fn new_secret(text: Option<&str>) -> NewSecret {
    let payload = text.map(|text| NewPayload {
        content_type: ContentType::Text,
        payload: Payload::new(text.as_bytes().to_vec()),
    });
    NewSecret { attributes: Attributes::default(), payload }
}

async fn create(fixture: &Fixture, call: &Call, text: Option<&str>) -> SecretId {
    fixture.vault.create_secret(call, new_secret(text)).await.unwrap()
}

async fn contain(fixture: &Fixture, call: &Call, secrets: Vec<ContainerSecret>) -> ContainerId {
    let new = NewContainer { name: None, container_type: ContainerType::Generic, secrets };
    fixture.vault.create_container(call, new).await.unwrap()
}

async fn read(fixture: &Fixture, call: &Call, id: SecretId) -> Result<String, Error> {
    let opened = fixture.vault.read_payload(call, id).await?;
    Ok(String::from_utf8(opened.payload.expose().to_vec()).unwrap())
}

fn allow(users: &[&str]) -> AclChange {
    let users = users.iter().map(|user| Text::try_from(*user).unwrap()).collect();
    AclChange::Replace { project_access: true, users }
}

/// The same call at the libvirt door.
fn at_libvirt(mut call: Call) -> Call {
    (call.door, call.caller.roles) = (Door::Libvirt, Roles::Fixed(&[Role::ADMIN]));
    call
}

fn is_corrupt<T: std::fmt::Debug>(what: &str, result: Result<T, Error>, of: Guarded) {
    match result {
        Err(Error::Failed(Failure::Corrupt { of: found, .. })) => assert_eq!(found, of, "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

/// The id, as SQL writes it.
fn row(id: &str) -> String {
    format!("id = x'{}'", id.replace('-', ""))
}

/// Inspects the whole store: the number of sound rows, the number of others, and their errors.
async fn checked(fixture: &Fixture) -> ((u64, u64), Vec<String>) {
    let (opener, store) = (fixture.vault.opener(), &*fixture.store);
    assert!(opener.has_guards(store).await.unwrap());
    let (mut sound, mut named) = (0, Vec::new());
    for kind in [Kind::Secrets, Kind::Containers] {
        for row in store.regarded(kind, i64::MIN, 100).await.unwrap() {
            match opener.vouches(store, row).await {
                Ok(()) => sound += 1,
                Err(error @ Error::Failed(Failure::Corrupt { .. })) => named.push(error.to_string()),
                Err(other) => panic!("{other}"),
            }
        }
    }
    ((sound, named.len() as u64), named)
}

#[tokio::test]
async fn a_secret_whose_access_data_was_altered_opens_for_nobody() {
    let owner = || by("owner", &["creator"], call("p"));
    let me = || by("me", &["creator"], call("q"));
    for (what, statement) in [
        (
            "a user in the ACL",
            "INSERT INTO secret_acl_users (user, secret) SELECT 'me', seq FROM secrets WHERE ROW",
        ),
        (
            "a user, and an ACL",
            "INSERT INTO secret_acls SELECT seq, 1, 1 FROM secrets WHERE ROW; \
             INSERT INTO secret_acl_users (user, secret) SELECT 'me', seq FROM secrets WHERE ROW",
        ),
        ("the project", "UPDATE secrets SET project = (SELECT id FROM projects WHERE name = 'q') WHERE ROW"),
        ("the creator", "UPDATE secrets SET creator = 'me' WHERE ROW"),
        ("no creator", "UPDATE secrets SET creator = NULL WHERE ROW"),
        ("project access", "UPDATE secrets SET project_access = 0 WHERE ROW"),
        ("private", "UPDATE secrets SET private = 1 WHERE ROW"),
        ("an expiration", "UPDATE secrets SET expiration = 9000000000000000 WHERE ROW"),
        ("no guard", "UPDATE secrets SET guard = NULL WHERE ROW"),
        ("a guard of nothing", "UPDATE secrets SET guard = x'' WHERE ROW"),
        ("another's guard", "UPDATE secrets SET guard = (SELECT guard FROM secrets WHERE NOT ROW) WHERE ROW"),
        (
            "another id",
            "UPDATE secrets SET id = randomblob(16) WHERE NOT ROW; \
                        UPDATE secrets SET guard = (SELECT guard FROM secrets WHERE NOT ROW) WHERE ROW",
        ),
    ] {
        for payload in [Some("hunter2"), None] {
            let fixture = Fixture::new().await;
            create(&fixture, &me(), Some("mine")).await; // Now my project has a key.
            let neighbour = create(&fixture, &owner(), Some("neighbour")).await;
            let id = create(&fixture, &owner(), payload).await;
            let mine = what != "another id";
            let statement = statement.replace("NOT ROW", &row(&neighbour.to_string()));
            let fixture = fixture.restart_after(&statement.replace("ROW", &row(&id.to_string()))).await;
            let of = Guarded::Secret(id);
            for caller in [owner(), me(), at_libvirt(call("p")), at_libvirt(call("q"))] {
                let vault = &fixture.vault;
                let asks_acl = caller.caller.user.as_ref().is_some_and(|user| user.as_str() == "me");
                if what.starts_with("a user") && !asks_acl {
                    continue; // The policy reads the ACL for this user alone.
                }
                is_corrupt(what, read(&fixture, &caller, id).await, of);
                is_corrupt(what, vault.secret(&caller, id).await, of);
                if !what.starts_with("a user") {
                    is_corrupt(what, vault.lookup(&caller, id).await, of);
                    is_corrupt(what, vault.delete_secret(&caller, id, false).await, of);
                    is_corrupt(what, vault.metadata(&caller, id).await, of);
                }
            }
            for (what, done) in [
                ("the ACL is read", fixture.vault.acl(&owner(), of).await.map(drop)),
                ("the ACL is changed", fixture.vault.change_acl(&owner(), of, allow(&["friend"])).await),
                (
                    "a user is kept in the ACL",
                    fixture
                        .vault
                        .change_acl(
                            &owner(),
                            of,
                            AclChange::Amend { project_access: Some(true), users: None },
                        )
                        .await,
                ),
            ] {
                is_corrupt(what, done, of);
            }
            if mine {
                assert_eq!(read(&fixture, &owner(), neighbour).await.unwrap(), "neighbour", "{what}");
            }
            let (found, named) = checked(&fixture).await;
            assert!(found.0 >= 1 && found.1 >= 1, "{what}: {found:?}");
            assert!(named.iter().any(|error| error.contains(&id.to_string())), "{what}: {named:?}");
        }
    }
}

#[tokio::test]
async fn an_acl_that_was_removed_or_altered_in_the_database_is_noticed() {
    let owner = by("owner", &["creator"], call("p"));
    let friend = by("friend", &["observer"], call("q"));
    for (what, statement) in [
        (
            "the row of a user",
            "DELETE FROM secret_acl_users WHERE user = 'foe'; DELETE FROM container_acl_users",
        ),
        (
            "all of it",
            "DELETE FROM secret_acls; DELETE FROM secret_acl_users; \
                       UPDATE containers SET acl_created = NULL, acl_updated = NULL; DELETE FROM container_acl_users",
        ),
        (
            "a user more",
            "INSERT INTO secret_acl_users (user, secret) SELECT 'me', secret FROM secret_acls; \
                         INSERT INTO container_acl_users (user, container) SELECT 'me', seq FROM containers",
        ),
        (
            "another user",
            "UPDATE secret_acl_users SET user = 'fiend' WHERE user = 'foe'; \
                          UPDATE container_acl_users SET user = 'fiend' WHERE user = 'foe'",
        ),
    ] {
        let fixture = Fixture::new().await;
        let id = create(&fixture, &owner, Some("x")).await;
        let container = contain(&fixture, &owner, Vec::new()).await;
        for of in [Guarded::Secret(id), Guarded::Container(container)] {
            fixture.vault.change_acl(&owner, of, allow(&["friend", "foe"])).await.unwrap();
        }
        assert_eq!(read(&fixture, &friend, id).await.unwrap(), "x");
        fixture.vault.container(&friend, container).await.unwrap();
        let fixture = fixture.restart_after(statement).await;
        is_corrupt(what, read(&fixture, &friend, id).await, Guarded::Secret(id));
        is_corrupt(what, fixture.vault.acl(&owner, Guarded::Secret(id)).await, Guarded::Secret(id));
        let of = Guarded::Container(container);
        is_corrupt(what, fixture.vault.container(&friend, container).await, of);
        is_corrupt(what, fixture.vault.change_acl(&owner, of, AclChange::Remove).await, of);
        assert_eq!(checked(&fixture).await.0.1, 2, "{what}");
    }
}

#[tokio::test]
async fn a_container_whose_access_data_was_altered_opens_for_nobody() {
    let owner = || by("owner", &["creator"], call("p"));
    let me = || by("me", &["creator"], call("q"));
    for (what, statement) in [
        (
            "a user in the ACL",
            "INSERT INTO container_acl_users (user, container) SELECT 'me', seq FROM containers WHERE ROW",
        ),
        (
            "the project",
            "UPDATE containers SET project = (SELECT id FROM projects WHERE name = 'q') WHERE ROW",
        ),
        ("the creator", "UPDATE containers SET creator = 'me' WHERE ROW"),
        ("project access", "UPDATE containers SET project_access = 0 WHERE ROW"),
        ("no guard", "UPDATE containers SET guard = NULL WHERE ROW"),
        (
            "another's guard",
            "UPDATE containers SET guard = (SELECT guard FROM containers WHERE NOT ROW) WHERE ROW",
        ),
    ] {
        let fixture = Fixture::new().await;
        create(&fixture, &me(), Some("mine")).await;
        let neighbour = contain(&fixture, &owner(), Vec::new()).await;
        let id = contain(&fixture, &owner(), Vec::new()).await;
        let statement = statement.replace("NOT ROW", &row(&neighbour.to_string()));
        let fixture = fixture.restart_after(&statement.replace("ROW", &row(&id.to_string()))).await;
        let of = Guarded::Container(id);
        is_corrupt(what, fixture.vault.container(&me(), id).await, of);
        if what != "a user in the ACL" {
            is_corrupt(what, fixture.vault.container(&owner(), id).await, of);
            is_corrupt(what, fixture.vault.delete_container(&owner(), id).await, of);
        }
        fixture.vault.container(&owner(), neighbour).await.unwrap();
        let (found, named) = checked(&fixture).await;
        assert_eq!(found, (2, 1), "{what}: {named:?}");
    }
}

#[tokio::test]
async fn every_change_through_the_vault_leaves_a_guard_that_fits() {
    let fixture = Fixture::new().await;
    let (owner, libvirt) = (by("owner", &["creator"], call("p")), at_libvirt(call("p")));
    let vault = &fixture.vault;
    let mut expiring = new_secret(Some("x"));
    expiring.attributes.expiration = Some(NOW.plus_micros(1_000_000));
    let expiring = vault.create_secret(&owner, expiring).await.unwrap();
    let (filled, empty) = (create(&fixture, &owner, Some("x")).await, create(&fixture, &owner, None).await);
    for id in [filled, empty] {
        let of = Guarded::Secret(id);
        vault.change_acl(&owner, of, allow(&["b", "a", "b"])).await.unwrap();
        let facet = Facet::Private(true);
        vault.set_facet(&owner, id, Action::AddMetadatum, facet, Expect::Any).await.unwrap();
        let amend = AclChange::Amend { project_access: Some(false), users: None };
        vault.change_acl(&owner, of, amend).await.unwrap();
        assert_eq!(vault.acl(&owner, of).await.unwrap().unwrap().users.len(), 2);
    }
    vault.change_acl(&owner, Guarded::Secret(filled), AclChange::Remove).await.unwrap();
    vault
        .replace_metadata(&owner, filled, Vec::new(), vec![Facet::Description(Some("d".into()))])
        .await
        .unwrap();
    let part = ContainerSecret { name: None, secret: filled };
    let container = contain(&fixture, &owner, vec![part.clone()]).await;
    vault.change_acl(&owner, Guarded::Container(container), allow(&["a"])).await.unwrap();
    vault.remove_container_secret(&owner, container, part).await.unwrap();
    for key in [
        OrderedKey::Symmetric {
            attributes: Attributes::default(),
            content_type: ContentType::OctetStream,
            bits: SymmetricBits::try_from(256).unwrap(),
        },
        OrderedKey::Pair {
            attributes: Attributes::default(),
            content_type: ContentType::OctetStream,
            kind: PairKind::Rsa,
            bits: PairBits::B1024,
            passphrase: None,
        },
    ] {
        let failure = OrderFailure { kind: OrderFailureKind::Server, reason: "no".into() };
        let new = NewOrder { order_type: OrderType::Key, meta: "{}".into(), key: Some(key), failure };
        let order = vault.create_order(&owner, new).await.unwrap();
        match vault.order(&owner, order).await.unwrap().outcome {
            OrderOutcome::Secret(id) => drop(vault.read_payload(&owner, id).await.unwrap()),
            OrderOutcome::Container(id) => drop(vault.container(&owner, id).await.unwrap()),
            OrderOutcome::Failed(_) => panic!("the order failed"),
        }
    }
    // Into memory and out again; it becomes private between the two.
    let (id, usage) = (SecretId::random(), Usage { usage_type: UsageType::Ceph, id: "client.x".into() });
    let facets = |ephemeral, private| Facets {
        ephemeral,
        private,
        usage_type: Some(usage.usage_type),
        usage_id: Some(usage.id.clone()),
        ..Facets::default()
    };
    for (ephemeral, private) in [(false, false), (true, false), (true, true), (false, true)] {
        vault.define_secret(&libvirt, id, facets(ephemeral, private)).await.unwrap();
        vault.set_value(&libvirt, id, Payload::new(b"v".to_vec())).await.unwrap();
        vault.lookup(&libvirt, id).await.unwrap();
        vault.lookup_usage(&libvirt, &usage).await.unwrap();
    }
    // The id of an expired secret can be defined again.
    let late = later(10, libvirt.clone());
    vault.define_secret(&late, expiring, Facets::default()).await.unwrap();
    vault.lookup(&late, expiring).await.unwrap();
    let (found, named) = checked(&fixture).await;
    assert_eq!(found, (9, 0), "{named:?}");
    let fixture = fixture.restart().await;
    fixture.vault.lookup(&libvirt, id).await.unwrap();
}

#[tokio::test]
async fn an_older_store_gets_its_guards_once_and_continues_after_an_interruption() {
    let owner = by("owner", &["creator"], call("p"));
    let friend = by("friend", &["observer"], call("q"));
    let fixture = Fixture::with_master_key("YSBtYXN0ZXIga2V5IG9mIGV4YWN0bHkgMzIgYnl0ZXM=\n").await;
    let (first, empty) =
        (create(&fixture, &owner, Some("x")).await, create(&fixture, &call("empty"), None).await);
    let container = contain(&fixture, &owner, Vec::new()).await;
    for of in [Guarded::Secret(first), Guarded::Container(container)] {
        fixture.vault.change_acl(&owner, of, allow(&["friend"])).await.unwrap();
    }
    // The store as an older release left it, except one row, which got its guard before the power cut.
    let before = format!(
        "UPDATE secrets SET guard = NULL WHERE {}; UPDATE containers SET guard = NULL; \
         DELETE FROM project_keys WHERE project = (SELECT id FROM projects WHERE name = 'empty'); \
         UPDATE secrets SET guard = NULL WHERE {}; UPDATE store SET id = x'{}', key_check = x'{OLD_CHECK}'",
        row(&first.to_string()),
        row(&empty.to_string()),
        hex(b"the first store."),
    );
    let fixture = fixture.restart_after(&before).await;
    assert_eq!(read(&fixture, &friend, first).await.unwrap(), "x");
    fixture.vault.container(&friend, container).await.unwrap();
    fixture.vault.secret(&call("empty"), empty).await.unwrap();
    assert_eq!(checked(&fixture).await.0, (3, 0));
    // From now on a row without a guard was altered.
    let fixture = fixture.restart_after("UPDATE secrets SET guard = NULL").await;
    is_corrupt("no guard", read(&fixture, &owner, first).await, Guarded::Secret(first));
    let fixture = fixture.restart().await;
    is_corrupt("no guard", read(&fixture, &owner, first).await, Guarded::Secret(first));
}

#[tokio::test]
async fn a_damaged_page_of_an_older_store_is_tried_again_and_the_rest_is_usable() {
    const PAGE_BYTES: usize = 4096;
    let owner = by("owner", &["creator"], call("p"));
    for damaged in [30, 59] {
        let fixture = Fixture::with_master_key("YSBtYXN0ZXIga2V5IG9mIGV4YWN0bHkgMzIgYnl0ZXM=\n").await;
        let mut ids = Vec::new();
        for _ in 0..60 {
            ids.push(create(&fixture, &owner, Some(&"x".repeat(1000))).await);
        }
        let before = format!(
            "PRAGMA secure_delete = 1; UPDATE secrets SET guard = NULL; UPDATE store SET id = x'{}', key_check = x'{OLD_CHECK}'; \
             DELETE FROM changes; PRAGMA wal_checkpoint(TRUNCATE)",
            hex(b"the first store."),
        );
        let (mut place, id) = (0, ids[damaged]);
        let write = |database: &std::path::Path, place: usize, byte: u8| {
            use std::os::unix::fs::FileExt as _;
            let file = std::fs::File::options().write(true).open(database).unwrap();
            file.write_all_at(&[byte], place as u64).unwrap();
        };
        let fixture = fixture
            .restart_changed(|database| {
                testkit::run_sql(database, &before);
                let pages = std::fs::read(database).unwrap();
                let is_of = |page: &[u8]| page[0] == 13 && page.windows(16).any(|at| at == id.as_bytes());
                place = PAGE_BYTES * pages.chunks(PAGE_BYTES).position(is_of).unwrap();
                write(database, place, 0);
            })
            .await;
        let mut unread = 0;
        for id in &ids {
            unread += usize::from(read(&fixture, &owner, *id).await.is_err());
        }
        assert!((1..10).contains(&unread), "only the rows of one page are unreadable: {unread}");
        read(&fixture, &owner, id).await.unwrap_err();
        let fixture = fixture.restart_changed(|database| write(database, place, 13)).await;
        for id in &ids {
            read(&fixture, &owner, *id).await.unwrap();
        }
        assert_eq!(checked(&fixture).await.0, (60, 0));
    }
}

/// The check value of the store with the id "the first store." and its master key, from `seal/src/golden.rs`.
const OLD_CHECK: &str = "017513375af03da42a6214915c8729ea03a460b70d37c8698521d48942733b1591";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_user_in_an_acl_can_read_while_the_acl_changes() {
    let fixture = Arc::new(Fixture::new().await);
    let owner = by("owner", &["creator"], call("p"));
    let id = create(&fixture, &owner, Some("x")).await;
    let of = Guarded::Secret(id);
    fixture.vault.change_acl(&owner, of, allow(&["friend"])).await.unwrap();
    let changing = {
        let (fixture, owner) = (Arc::clone(&fixture), owner.clone());
        tokio::spawn(async move {
            for n in 0..100 {
                let others = format!("other-{n}");
                fixture.vault.change_acl(&owner, of, allow(&["friend", &others])).await.unwrap();
            }
        })
    };
    let friend = by("friend", &["observer"], call("q"));
    while !changing.is_finished() {
        match read(&fixture, &friend, id).await {
            Ok(payload) => assert_eq!(payload, "x"),
            Err(Error::Failed(Failure::Store(StoreFailure::Busy))) => {}
            Err(other) => panic!("{other}"),
        }
    }
    changing.await.unwrap();
}
