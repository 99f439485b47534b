//! The vault's promises to hypervisors, on a real store and a real audit file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::time::Duration;

use model::{
    Attributes, Call, ChangeCursor, ChangeKind, ContentType, Door, Encoding, Expect, Facet, FacetError,
    Facets, SecretId, Usage, UsageType, Which,
};
use testkit::{Fixture, by};
use vault::{Absent, Action, ChangeFeed, Conflict, Denied, Error, Failure, NewPayload, NewSecret, Payload};

/// A call at the libvirt door.
fn call(project: &str) -> Call {
    at(Door::Libvirt, testkit::call(project))
}

/// The same call at another door.
fn at(door: Door, mut call: Call) -> Call {
    call.door = door;
    call
}

fn facets(usage: &str) -> Facets {
    let (usage_type, usage_id) = usage.split_once(' ').unzip();
    Facets {
        usage_type: usage_type.and_then(UsageType::parse),
        usage_id: usage_id.map(str::to_owned),
        ..Facets::default()
    }
}

fn private(usage: &str) -> Facets {
    Facets { private: true, ..facets(usage) }
}

async fn value(fixture: &Fixture, call: &Call, id: SecretId) -> Result<String, Error> {
    let value = fixture.vault.read_value(call, id).await?;
    Ok(String::from_utf8(value.expose().to_vec()).unwrap())
}

async fn set(fixture: &Fixture, id: SecretId, value: &str) {
    fixture.vault.set_value(&call("p"), id, Payload::new(value.as_bytes().to_vec())).await.unwrap();
}

#[tokio::test]
async fn a_definition_is_found_gets_values_and_is_followed() {
    let fixture = Fixture::new().await;
    let (vault, admin, id) = (&fixture.vault, call("p"), SecretId::random());
    vault.define_secret(&admin, id, facets("ceph c")).await.unwrap();
    assert!(matches!(value(&fixture, &admin, id).await, Err(Error::Absent(Absent::Payload(_)))));
    for text in ["one", "another", "another"] {
        set(&fixture, id, text).await;
        assert_eq!(value(&fixture, &admin, id).await.unwrap(), text);
    }
    let usage = Usage { usage_type: UsageType::Ceph, id: "c".into() };
    let listed = vault.lookup_usage(&admin, &usage).await.unwrap();
    assert_eq!((listed.id, listed.usage.as_ref()), (id, Some(&usage)));
    assert_eq!(vault.lookup(&admin, id).await.unwrap(), listed);
    assert_eq!(vault.all_secrets(&admin, Which::default(), 10).await.unwrap(), [listed]);
    assert_eq!(vault.count_secrets(&admin, Which { private: Some(true), ephemeral: None }).await.unwrap(), 0);
    let opened = vault.read_payload(&admin, id).await.unwrap();
    assert_eq!(opened.content_type, ContentType::OctetStream);
    vault.follow(&admin).await.unwrap();
    assert_eq!(next_changes(&mut vault.changes(&admin, ChangeCursor::START).unwrap()).await.len(), 4);
}

async fn next_changes(feed: &mut ChangeFeed) -> Vec<(SecretId, ChangeKind)> {
    let rows = feed.next().await.unwrap().unwrap().rows().unwrap();
    rows.into_iter().map(|row| (row.secret, row.kind)).collect()
}

#[tokio::test]
async fn a_feed_has_the_changes_of_one_project_alone() {
    let fixture = Fixture::new().await;
    let (vault, ours, theirs) = (&fixture.vault, SecretId::random(), SecretId::random());
    let mut feed = vault.changes(&call("p"), ChangeCursor::START).unwrap();
    vault.define_secret(&call("q"), theirs, facets("ceph c")).await.unwrap();
    for _ in 0..300 {
        vault.set_value(&call("q"), theirs, Payload::new(b"x".to_vec())).await.unwrap();
    }
    vault.define_secret(&call("p"), ours, facets("ceph c")).await.unwrap();
    assert_eq!(next_changes(&mut feed).await, [(ours, ChangeKind::Created)]);
    let waiting = tokio::time::timeout(Duration::from_millis(50), feed.next());
    vault.set_value(&call("q"), theirs, Payload::new(b"y".to_vec())).await.unwrap();
    assert!(waiting.await.is_err(), "the change belongs to another project");
    set(&fixture, ours, "one").await;
    assert_eq!(next_changes(&mut feed).await, [(ours, ChangeKind::ValueChanged)]);
    let auditor = by("a", &["audit"], at(Door::Rest, call("p")));
    assert!(matches!(vault.changes(&auditor, ChangeCursor::START), Err(Error::Denied(_))));
}

#[tokio::test]
async fn a_private_value_opens_for_the_system_alone() {
    for ephemeral in [false, true] {
        let fixture = Fixture::new().await;
        let id = SecretId::random();
        let definition = Facets { ephemeral, ..facets("volume /v") };
        fixture.vault.define_secret(&call("p"), id, definition.clone()).await.unwrap();
        set(&fixture, id, "hunter2").await;
        let definition = Facets { private: true, ..definition };
        fixture.vault.define_secret(&call("p"), id, definition.clone()).await.unwrap();
        for door in [Door::Rest, Door::Libvirt] {
            let refused = value(&fixture, &at(door, call("p")), id).await;
            assert!(matches!(refused, Err(Error::Denied(Denied::Private(_)))), "{refused:?}");
        }
        let system = at(Door::LibvirtSystem, call("p"));
        assert_eq!(value(&fixture, &system, id).await.unwrap(), "hunter2");
        set(&fixture, id, "hunter3").await;
        assert_eq!(value(&fixture, &system, id).await.unwrap(), "hunter3");
        let public = Facets { private: false, ..definition };
        let refused = fixture.vault.define_secret(&call("p"), id, public).await;
        assert!(matches!(refused, Err(Error::Conflict(Conflict::Facet(FacetError::StaysPrivate)))));
        assert!(matches!(
            value(&fixture, &at(Door::LibvirtSystem, call("q")), id).await,
            Err(Error::Denied(_))
        ));
    }
}

#[tokio::test]
async fn the_existence_of_a_private_value_is_private_too() {
    let fixture = Fixture::new().await;
    let id = SecretId::random();
    fixture.vault.define_secret(&call("p"), id, private("ceph c")).await.unwrap();
    assert!(matches!(
        value(&fixture, &at(Door::Libvirt, call("p")), id).await,
        Err(Error::Denied(Denied::Private(_)))
    ));
    assert!(matches!(
        value(&fixture, &at(Door::LibvirtSystem, call("p")), id).await,
        Err(Error::Absent(Absent::Payload(_)))
    ));
}

#[tokio::test]
async fn other_projects_can_neither_define_nor_find_nor_set() {
    let fixture = Fixture::new().await;
    let (vault, id) = (&fixture.vault, SecretId::random());
    vault.define_secret(&call("p"), id, facets("ceph c")).await.unwrap();
    let stranger = call("q");
    let denied = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Denied(_))), "{result:?}");
    let taken = vault.define_secret(&stranger, id, facets("ceph c")).await;
    assert!(matches!(taken, Err(Error::Conflict(Conflict::Id(_)))), "{taken:?}");
    denied(vault.lookup(&stranger, id).await.map(drop));
    denied(vault.set_value(&stranger, id, Payload::new(b"x".to_vec())).await);
    denied(vault.read_value(&stranger, id).await.map(drop));
    let usage = Usage { usage_type: UsageType::Ceph, id: "c".into() };
    assert!(matches!(
        vault.lookup_usage(&stranger, &usage).await,
        Err(Error::Absent(Absent::Secret(SecretId::NIL)))
    ));
    assert!(vault.all_secrets(&stranger, Which::default(), 10).await.unwrap().is_empty());
    let auditor = by("a", &["audit"], at(Door::Rest, call("p")));
    denied(vault.all_secrets(&auditor, Which::default(), 10).await.map(drop));
    denied(vault.follow(&auditor).await);
}

#[tokio::test]
async fn a_barbican_key_is_rendered_by_its_encoding() {
    let fixture = Fixture::new().await;
    let vault = &fixture.vault;
    let payload =
        NewPayload { content_type: ContentType::OctetStream, payload: Payload::new(vec![0x00, 0xab, 0xff]) };
    let new = NewSecret { attributes: Attributes::default(), payload: Some(payload) };
    let id = vault.create_secret(&call("p"), new).await.unwrap();
    let encode = |encoding| {
        let facet = Facet::Encoding(encoding);
        async move { vault.set_facet(&call("p"), id, Action::ReplaceMetadata, facet, Expect::Any).await.unwrap() }
    };
    encode(Encoding::Hex).await;
    assert_eq!(value(&fixture, &call("p"), id).await.unwrap(), "00abff");
    encode(Encoding::Base64).await;
    assert_eq!(value(&fixture, &call("p"), id).await.unwrap(), "AKv/");
    encode(Encoding::Hex).await;
    set(&fixture, id, "0102").await;
    assert_eq!(vault.read_payload(&call("p"), id).await.unwrap().payload.expose(), [1, 2]);
    assert_eq!(value(&fixture, &call("p"), id).await.unwrap(), "0102");
    set(&fixture, id, "no hex").await;
    assert_eq!(value(&fixture, &call("p"), id).await.unwrap(), "no hex");
    assert_eq!(vault.secret(&call("p"), id).await.unwrap().facets.encoding, Encoding::Raw);
    vault.define_secret(&call("p"), id, facets("")).await.unwrap();
}

#[tokio::test]
async fn a_request_without_an_audit_line_is_not_done() {
    let fixture = Fixture::new().await;
    let (vault, id) = (&fixture.vault, SecretId::random());
    vault.define_secret(&call("p"), id, facets("ceph c")).await.unwrap();
    set(&fixture, id, "one").await;
    fixture.audit_fails.fail_after(0);
    for ephemeral in [false, true] {
        let definition = Facets { ephemeral, description: Some("d".into()), ..facets("ceph c") };
        assert!(matches!(
            vault.define_secret(&call("p"), id, definition).await,
            Err(Error::Failed(Failure::Unwritten))
        ));
    }
    let refused = vault.set_value(&call("p"), id, Payload::new(b"two".to_vec())).await;
    assert!(matches!(refused, Err(Error::Failed(Failure::Unwritten))));
    assert!(matches!(vault.read_value(&call("p"), id).await, Err(Error::Failed(Failure::Unwritten))));
    assert!(matches!(vault.lookup(&call("p"), id).await, Err(Error::Failed(Failure::Unwritten))));
    assert!(matches!(
        vault.all_secrets(&call("p"), Which::default(), 9).await,
        Err(Error::Failed(Failure::Unwritten))
    ));
    assert!(matches!(vault.follow(&call("p")).await, Err(Error::Failed(Failure::Unwritten))));
    fixture.audit_fails.work();
    assert_eq!(value(&fixture, &call("p"), id).await.unwrap(), "one");
    let secret = vault.secret(&call("p"), id).await.unwrap();
    assert_eq!((secret.facets.description, secret.facets.ephemeral), (None, false));
}

#[tokio::test]
async fn definitions_and_values_at_once_leave_a_value_that_opens() {
    let fixture = Fixture::new().await;
    let id = SecretId::random();
    fixture.vault.define_secret(&call("p"), id, facets("ceph c")).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let vault = std::sync::Arc::clone(&fixture.vault);
            tokio::spawn(async move {
                match n {
                    7 => vault.define_secret(&call("p"), id, private("ceph c")).await,
                    _ => vault.set_value(&call("p"), id, Payload::new(format!("v{n}").into_bytes())).await,
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let text = value(&fixture, &at(Door::LibvirtSystem, call("p")), id).await.unwrap();
    assert!(text.starts_with('v'), "{text}");
}
