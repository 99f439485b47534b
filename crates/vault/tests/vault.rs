//! The vault's promises, on a real store and a real audit file, with parts that fail on purpose.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use model::{
    AclChange, Attributes, Call, ContainerId, ContainerSecret, ContainerType, ContentType, Expect, Facet,
    FacetError, Guarded, OrderFailure, OrderFailureKind, OrderOutcome, OrderQuery, OrderType, Quotas,
    SecretId, Text, UNLIMITED, Uses,
};
use seal::{ChainKey, FileProvider};
use store::{Change, unwitnessed};
use testkit::{FaultyKeys, Fixture, by, call, later};
use vault::generate::{PairBits, PairKind, Passphrase, SymmetricBits};
use vault::{
    Absent, Action, AuditSink, Conflict, Denied, Error, Failure, FileSink, Grace, NewContainer, NewOrder,
    NewPayload, NewSecret, OnLoss, OpenError, OrderedKey, Parts, Payload, Policy, Reaped, StreamSink, Sync,
    TrailError, Vault, check_trail, unlock,
};

fn payload(text: &str) -> NewPayload {
    NewPayload { content_type: ContentType::Text, payload: Payload::new(text.as_bytes().to_vec()) }
}

fn secret(text: Option<&str>) -> NewSecret {
    NewSecret { attributes: Attributes::default(), payload: text.map(payload) }
}

async fn read(fixture: &Fixture, call: &Call, id: SecretId) -> Result<String, Error> {
    let opened = fixture.vault.read_payload(call, id).await?;
    Ok(String::from_utf8(opened.payload.expose().to_vec()).unwrap())
}

/// The action and outcome of each line of the audit trail.
fn trail(fixture: &Fixture) -> Vec<String> {
    let text = std::fs::read_to_string(fixture.folder().join("audit.log")).unwrap();
    let word = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or("-").to_owned();
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {}", word(&line, "action"), word(&line, "outcome"))
        })
        .collect()
}

#[tokio::test]
async fn a_payload_comes_back_after_a_restart() {
    let fixture = Fixture::new().await;
    let id = fixture.vault.create_secret(&call("p"), secret(Some("hunter2"))).await.unwrap();
    assert_eq!(read(&fixture, &call("p"), id).await.unwrap(), "hunter2");
    let fixture = fixture.restart().await;
    assert_eq!(read(&fixture, &call("p"), id).await.unwrap(), "hunter2");
}

#[tokio::test]
async fn a_payload_is_filled_once() {
    let fixture = Fixture::new().await;
    let id = fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    assert!(matches!(read(&fixture, &call("p"), id).await, Err(Error::Absent(Absent::Payload(_)))));
    fixture.vault.fill_payload(&call("p"), id, payload("one")).await.unwrap();
    let twice = fixture.vault.fill_payload(&call("p"), id, payload("two")).await;
    assert!(matches!(twice, Err(Error::Conflict(Conflict::Payload(_)))));
    assert_eq!(read(&fixture, &call("p"), id).await.unwrap(), "one");
}

#[tokio::test]
async fn other_projects_and_other_roles_are_denied_and_written_down() {
    let fixture = Fixture::new().await;
    let id = fixture.vault.create_secret(&call("p"), secret(Some("x"))).await.unwrap();
    assert!(matches!(
        read(&fixture, &call("q"), id).await,
        Err(Error::Denied(Denied::Action(Action::ReadPayload)))
    ));
    let auditor = by("a", &["audit"], call("p"));
    assert!(matches!(read(&fixture, &auditor, id).await, Err(Error::Denied(_))));
    assert!(fixture.vault.secret(&auditor, id).await.is_ok());
    assert!(matches!(fixture.vault.delete_secret(&call("q"), id, false).await, Err(Error::Denied(_))));
    assert!(matches!(
        fixture.vault.refuse(&call("q"), Action::FillPayload, Some(id)).await,
        Err(Error::Denied(_))
    ));
    assert_eq!(
        trail(&fixture),
        [
            "secrets:post ok",
            "secret:decrypt denied",
            "secret:decrypt denied",
            "secret:get ok",
            "secret:delete denied",
            "secret:put denied"
        ]
    );
}

#[tokio::test]
async fn an_expired_secret_looks_absent() {
    let fixture = Fixture::new().await;
    let mut new = secret(Some("x"));
    new.attributes.expiration = Some(testkit::NOW.plus_micros(1_000_000));
    let id = fixture.vault.create_secret(&call("p"), new).await.unwrap();
    assert!(fixture.vault.secret(&call("p"), id).await.is_ok());
    let late = later(1, call("p"));
    assert!(matches!(fixture.vault.secret(&late, id).await, Err(Error::Absent(Absent::Secret(_)))));
    assert!(matches!(read(&fixture, &late, id).await, Err(Error::Absent(Absent::Secret(_)))));
    assert!(matches!(fixture.vault.metadata(&late, id).await, Err(Error::Absent(Absent::Secret(_)))));
    assert!(matches!(
        fixture.vault.delete_secret(&late, id, false).await,
        Err(Error::Absent(Absent::Secret(_)))
    ));
}

#[tokio::test]
async fn a_private_secret_opens_for_no_ordinary_client_and_stays_private() {
    let fixture = Fixture::new().await;
    let vault = &fixture.vault;
    let id = vault.create_secret(&call("p"), secret(Some("x"))).await.unwrap();
    let admin = call("p");
    let set = |facet| vault.set_facet(&admin, id, Action::AddMetadatum, facet, Expect::Any);
    set(Facet::Private(true)).await.unwrap();
    assert!(matches!(read(&fixture, &call("p"), id).await, Err(Error::Denied(Denied::Private(_)))));
    assert!(matches!(
        set(Facet::Private(false)).await,
        Err(Error::Conflict(Conflict::Facet(FacetError::StaysPrivate)))
    ));
    let empty = vault.create_secret(&call("p"), secret(None)).await.unwrap();
    vault.replace_metadata(&call("p"), empty, vec![], vec![Facet::Private(true)]).await.unwrap();
    vault.fill_payload(&call("p"), empty, payload("y")).await.unwrap();
    assert!(matches!(read(&fixture, &call("p"), empty).await, Err(Error::Denied(Denied::Private(_)))));
    let metadata = vault.metadata(&call("p"), empty).await.unwrap();
    assert!(metadata.facets.private && metadata.user.is_empty());
}

#[tokio::test]
async fn a_request_without_an_audit_line_is_not_done() {
    let fixture = Fixture::new().await;
    let id = fixture.vault.create_secret(&call("p"), secret(Some("x"))).await.unwrap();
    let empty = fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    fixture.audit_fails.fail_after(0);
    assert!(matches!(read(&fixture, &call("p"), id).await, Err(Error::Failed(Failure::Unwritten))));
    assert!(matches!(fixture.vault.secret(&call("p"), id).await, Err(Error::Failed(Failure::Unwritten))));
    assert!(matches!(
        fixture.vault.create_secret(&call("p"), secret(Some("y"))).await,
        Err(Error::Failed(Failure::Unwritten))
    ));
    assert!(matches!(
        fixture.vault.delete_secret(&call("p"), id, false).await,
        Err(Error::Failed(Failure::Unwritten))
    ));
    let filled = fixture.vault.fill_payload(&call("p"), empty, payload("z")).await;
    assert!(matches!(filled, Err(Error::Failed(Failure::Unwritten))));
    fixture.audit_fails.work();
    assert_eq!(read(&fixture, &call("p"), id).await.unwrap(), "x");
    assert!(matches!(read(&fixture, &call("p"), empty).await, Err(Error::Absent(Absent::Payload(_)))));
}

#[tokio::test]
async fn a_store_that_fails_at_any_call_leaves_a_secret_whole_or_absent() {
    let fixture = Fixture::new().await;
    for n in 0..8 {
        let project = format!("p{n}");
        fixture.store_fails.fail_after(n);
        let made = fixture.vault.create_secret(&call(&project), secret(Some("x"))).await;
        fixture.store_fails.work();
        match made {
            Ok(id) => assert_eq!(read(&fixture, &call(&project), id).await.unwrap(), "x"),
            Err(Error::Failed(Failure::Store(_))) => {}
            Err(other) => panic!("{other}"),
        }
        let id = fixture.vault.create_secret(&call(&project), secret(Some("later"))).await.unwrap();
        assert_eq!(read(&fixture, &call(&project), id).await.unwrap(), "later");
    }
    assert!(trail(&fixture).contains(&"secrets:post failed".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_secrets_of_a_project_made_at_once_share_its_key() {
    let fixture = Arc::new(Fixture::new().await);
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                let id = fixture.vault.create_secret(&call("p"), secret(Some(&n.to_string()))).await.unwrap();
                (id, n.to_string())
            })
        })
        .collect();
    let mut made = Vec::new();
    for task in tasks {
        made.push(task.await.unwrap());
    }
    let fixture = Arc::into_inner(fixture).unwrap().restart().await;
    for (id, text) in made {
        assert_eq!(read(&fixture, &call("p"), id).await.unwrap(), text);
    }
}

#[tokio::test]
async fn a_payload_moved_to_another_row_project_or_flag_does_not_open() {
    let fixture = Fixture::new().await;
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let (master, _) = unlock(&*fixture.store, &keys).await.unwrap().unwrap();
    let vault = &fixture.vault;
    let from = vault.create_secret(&call("p"), secret(Some("moved"))).await.unwrap();
    let (_, sealed) = fixture.store.sealed(from).await.unwrap().unwrap().payload.unwrap();
    vault.create_secret(&call("q"), secret(Some("q has a key too"))).await.unwrap();
    for (project, private) in [("p", false), ("q", false), ("p", true)] {
        let to = vault.create_secret(&call(project), secret(None)).await.unwrap();
        if private {
            let facet = Facet::Private(true);
            vault.set_facet(&call(project), to, Action::AddMetadatum, facet, Expect::Any).await.unwrap();
        }
        let (sealed, time) = (sealed.clone(), testkit::NOW);
        let change = Change::FillPayload { id: to, private, content_type: ContentType::Text, sealed, time };
        fixture.store.apply(change, unwitnessed()).await.unwrap();
        let got = read(&fixture, &call(project), to).await;
        if private {
            // Every client is refused before the payload is opened, so the test asks the keys.
            assert!(matches!(got, Err(Error::Denied(Denied::Private(_)))), "{got:?}");
            let found = fixture.store.sealed(to).await.unwrap().unwrap();
            let wrapped = fixture.store.project_key(&found.access.project, None).await.unwrap().unwrap();
            let key =
                master.unwrap_project_key(&found.access.project, wrapped.version, &wrapped.wrapped).unwrap();
            let (_, sealed) = found.payload.unwrap();
            assert!(key.open(&seal::Bound { secret: to, private: true }, &sealed).is_err());
        } else {
            assert!(matches!(got, Err(Error::Failed(Failure::Corrupt { .. }))), "{project}: {got:?}");
        }
    }
}

#[tokio::test]
async fn a_store_opens_with_its_own_master_key_only() {
    let fixture = Fixture::new().await;
    let id = fixture.vault.create_secret(&call("p"), secret(Some("x"))).await.unwrap();
    let open = |keys: Box<dyn seal::KeyProvider>| {
        let store = Arc::clone(&fixture.store);
        async move {
            let audit = |chain| Ok(Arc::new(StreamSink::new(std::io::sink(), chain)?) as Arc<dyn AuditSink>);
            Vault::open(Parts {
                store,
                keys: &*keys,
                audit,
                quotas: Quotas::all(UNLIMITED),
                policy: Policy::legacy(),
                on_loss: OnLoss::Refuse,
            })
            .await
        }
    };
    let path = |name: &str| fixture.folder().join(name);
    assert!(open(Box::new(FileProvider::new(path("master.key")))).await.is_ok());
    let missing = open(Box::new(FileProvider::new(path("elsewhere.key")))).await;
    assert!(matches!(missing, Err(OpenError::Provider(seal::ProviderError::Missing { .. }))));
    assert!(!path("elsewhere.key").exists(), "no new key for an existing store");
    assert!(matches!(open(Box::new(FaultyKeys)).await, Err(OpenError::Provider(_))));
    let other = Fixture::new().await;
    let wrong = open(Box::new(FileProvider::new(other.folder().join("master.key")))).await;
    assert!(matches!(wrong, Err(OpenError::WrongMasterKey { .. })), "{wrong:?}");
    assert_eq!(read(&fixture, &call("p"), id).await.unwrap(), "x");
}

/// A trail of some lines, its key, and the anchor in the store.
async fn some_trail() -> (Vec<String>, ChainKey, Option<(u64, [u8; 32])>) {
    let fixture = Fixture::new().await;
    let odd = by("\"quoted\",\"n\":1}\n", &["admin"], call("p\\\",\"link\":\""));
    for _ in 0..6 {
        fixture.vault.create_secret(&odd, secret(Some("x"))).await.unwrap();
    }
    let fixture = fixture.restart().await;
    for _ in 0..6 {
        fixture.vault.create_secret(&call("p"), secret(Some("x"))).await.unwrap();
    }
    fixture.vault.anchor_audit().await.unwrap();
    let text = std::fs::read_to_string(fixture.folder().join("audit.log")).unwrap();
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let (master, anchor) = unlock(&*fixture.store, &keys).await.unwrap().unwrap();
    (
        text.lines().map(str::to_owned).collect(),
        master.chain_key(),
        anchor.map(|anchor| (anchor.number, anchor.hash)),
    )
}

#[tokio::test]
async fn a_missing_altered_moved_or_added_line_is_found() {
    let (lines, key, known) = some_trail().await;
    assert_eq!((lines.len(), known.unwrap().0), (12, 12));
    let check = |lines: &[String]| {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        check_trail(&key, BufReader::new(text.as_bytes()), known)
    };
    assert_eq!(check(&lines).unwrap().lines, 12);
    for n in 0..12 {
        let mut cut = lines.clone();
        cut.remove(n);
        let error = check(&cut).unwrap_err();
        match n {
            11 => assert!(matches!(error, TrailError::CutOff { last: 11, known: 12 }), "{error}"),
            _ => assert!(matches!(error, TrailError::Gap { .. }), "{error}"),
        }
        let mut altered = lines.clone();
        altered[n] = altered[n].replace("secrets:post", "secrets:get");
        assert!(matches!(check(&altered).unwrap_err(), TrailError::Altered { .. }));
        altered[(n + 6) % 12] = altered[(n + 6) % 12].replace("\"ok\"", "\"denied\"");
        let TrailError::Several(faults) = check(&altered).unwrap_err() else {
            panic!("one fault hides the other")
        };
        assert_eq!(faults.len(), 2);
        let mut doubled = lines.clone();
        doubled.insert(n, lines[n].clone());
        assert!(check(&doubled).is_err());
    }
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    assert!(check(&swapped).is_err());
    let mut foreign = lines.clone();
    foreign.push("hello".into());
    assert!(matches!(check(&foreign).unwrap_err(), TrailError::Foreign { line: 13 }));
    let (_, other_key, _) = some_trail().await;
    let text = lines.join("\n") + "\n";
    assert!(check_trail(&other_key, text.as_bytes(), None).is_err());
    assert!(
        check_trail(&key, (text + "{\"torn").as_bytes(), known).is_ok(),
        "a line being written is no fault"
    );
}

#[tokio::test]
async fn a_line_with_too_large_a_number_is_refused() {
    let (lines, key, known) = some_trail().await;
    for number in [u64::MAX, i64::MAX as u64] {
        let forged = lines[0].replace("\"n\":1,", &format!("\"n\":{number},"));
        let text = format!("{forged}\n{}\n{}\n", lines[0], lines[1]);
        assert!(matches!(check_trail(&key, text.as_bytes(), known), Err(TrailError::Several(_))));
    }
}

#[tokio::test]
async fn the_digits_of_a_link_have_one_spelling() {
    let (lines, key, known) = some_trail().await;
    let (line, link) = lines[3].rsplit_once(",\"link\":").unwrap();
    let shouted = format!("{line},\"link\":{}", link.to_uppercase());
    assert_ne!(shouted, lines[3]);
    let text = lines.iter().map(|line| if *line == lines[3] { &shouted } else { line });
    let text: String = text.flat_map(|line| [line.as_str(), "\n"]).collect();
    let error = check_trail(&key, text.as_bytes(), known).unwrap_err().to_string();
    assert!(error.contains("line 4 of the input is not a line of an audit trail"), "{error}");
}

#[tokio::test]
async fn lines_name_the_committed_changes_and_no_later_line_names_fewer() {
    let fixture = Fixture::new().await;
    let id = fixture.vault.create_secret(&call("p"), secret(Some("x"))).await.unwrap();
    read(&fixture, &call("p"), id).await.unwrap();
    fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    fixture.vault.tell_committed(call("p").time).unwrap();
    fixture.vault.tell_committed(call("p").time).unwrap(); // The last line says it already.
    let text = std::fs::read_to_string(fixture.folder().join("audit.log")).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> =
        lines.iter().map(|line| (line["change"].as_u64(), line["committed"].as_u64().unwrap())).collect();
    assert_eq!(said, [(Some(1), 0), (None, 1), (Some(2), 1), (None, 2)]);
    assert_eq!(lines[3]["action"], "service:committed");
    // A line that names fewer changes than an earlier one. Nobody can write it without the key, but a service on an older
    // copy of the store would.
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let (master, _) = unlock(&*fixture.store, &keys).await.unwrap().unwrap();
    let path = fixture.folder().join("other.log");
    std::fs::write(&path, &text).unwrap();
    let chain = vault::Chain::new(master.chain_key(), 0, [0; 32], Arc::default());
    let sink = FileSink::open(&path, Sync::Batch, chain).unwrap();
    assert_eq!((sink.found().committed, sink.found().given), (2, 2));
    let call = call("p");
    let entry = vault::Entry {
        call: &call,
        action: Action::ListSecrets,
        of: None,
        outcome: vault::Outcome::Done,
        change: None,
    };
    sink.record(&entry).unwrap();
    let error = check_trail(&master.chain_key(), &std::fs::read(&path).unwrap()[..], None).unwrap_err();
    assert!(matches!(error, TrailError::WentBack { line: 5, known: 2, found: 0 }), "{error}");
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_the_chain_continues() {
    let fixture = Fixture::new().await;
    fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    let path = fixture.folder().join("audit.log");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"time\":\"2026"].concat()).unwrap();
    let fixture = fixture.restart().await;
    fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let (master, _) = unlock(&*fixture.store, &keys).await.unwrap().unwrap();
    let trail = std::fs::read(fixture.folder().join("audit.log")).unwrap();
    assert_eq!(check_trail(&master.chain_key(), &trail[..], None).unwrap().lines, 2);
}

#[tokio::test]
async fn a_trail_that_was_cut_between_two_starts_shows_a_gap() {
    let fixture = Fixture::new().await;
    for _ in 0..3 {
        fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    }
    fixture.vault.anchor_audit().await.unwrap();
    let path = fixture.folder().join("audit.log");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.lines().next().unwrap().to_owned() + "\n").unwrap();
    let fixture = fixture.restart().await;
    fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let (master, _) = unlock(&*fixture.store, &keys).await.unwrap().unwrap();
    let trail = std::fs::read(&path).unwrap();
    let error = check_trail(&master.chain_key(), &trail[..], None).unwrap_err();
    assert!(matches!(error, TrailError::Gap { line: 2, expected: 2, found: 4 }), "{error}");
}

#[tokio::test]
async fn the_trail_continues_in_a_new_file_after_rotation() {
    let fixture = Fixture::new().await;
    let path = fixture.folder().join("audit.log");
    fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    let old = fixture.folder().join("audit.log.1");
    std::fs::rename(&path, &old).unwrap();
    fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    fixture.vault.reopen_audit(call("p").time).unwrap();
    fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    let both = [std::fs::read(&old).unwrap(), std::fs::read(&path).unwrap()];
    assert_eq!(both[1].iter().filter(|byte| **byte == b'\n').count(), 2);
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let (master, _) = unlock(&*fixture.store, &keys).await.unwrap().unwrap();
    assert_eq!(check_trail(&master.chain_key(), &both.concat()[..], None).unwrap().lines, 4);
}

#[tokio::test]
async fn a_full_disk_under_the_trail_refuses_requests_and_leaves_no_partial_line() {
    // /dev/full answers every write with ENOSPC.
    let fixture = Fixture::new().await;
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let parts = Parts {
        store: Arc::clone(&fixture.store),
        keys: &keys,
        audit: |chain| {
            let full = std::fs::File::options().write(true).open("/dev/full")?;
            Ok(Arc::new(StreamSink::new(full, chain)?) as Arc<dyn AuditSink>)
        },
        quotas: Quotas::all(UNLIMITED),
        policy: Policy::legacy(),
        on_loss: OnLoss::Refuse,
    };
    let vault = Vault::open(parts).await.unwrap();
    assert!(matches!(
        vault.create_secret(&call("p"), secret(Some("x"))).await,
        Err(Error::Failed(Failure::Unwritten))
    ));
    let listed = fixture.vault.list_secrets(&call("p"), &everything("p")).await.unwrap();
    assert_eq!(listed.total, 0);
}

fn everything(project: &str) -> model::ListQuery {
    model::ListQuery {
        scope: model::Scope::Project(model::ProjectId::try_from(project).unwrap()),
        filters: model::Filters::default(),
        sort: vec![],
        offset: 0,
        limit: 10,
    }
}

#[test]
fn entries_forced_to_disk_one_by_one_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let key = || seal::MasterKey::random().unwrap().chain_key();
    let sink =
        FileSink::open(&path, Sync::Entry, vault::Chain::new(key(), 0, [0; 32], Arc::default())).unwrap();
    let call = call("p");
    let entry = vault::Entry {
        call: &call,
        action: Action::ListSecrets,
        of: None,
        outcome: vault::Outcome::Done,
        change: None,
    };
    sink.record(&entry).unwrap();
    assert_eq!(sink.synced_head().unwrap().0, 1);
    let text = std::fs::read_to_string(&path).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!((line["n"].as_u64(), line["time"].as_str()), (Some(1), Some("2026-09-21T14:13:20")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_once_share_writes_and_each_has_its_line() {
    let fixture = Arc::new(Fixture::new().await);
    let id = fixture.vault.create_secret(&call("p"), secret(Some("x"))).await.unwrap();
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                for _ in 0..50 {
                    match n % 4 {
                        0 => drop(fixture.vault.create_secret(&call("p"), secret(Some("y"))).await.unwrap()),
                        1 => assert!(read(&fixture, &call("q"), id).await.is_err()),
                        _ => assert_eq!(read(&fixture, &call("p"), id).await.unwrap(), "x"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let (master, _) = unlock(&*fixture.store, &keys).await.unwrap().unwrap();
    let trail = std::fs::read(fixture.folder().join("audit.log")).unwrap();
    assert_eq!(check_trail(&master.chain_key(), &trail[..], None).unwrap().lines, 32 * 50 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payload_filled_while_its_secret_becomes_private_opens_with_the_flag_it_has() {
    let fixture = Arc::new(Fixture::new().await);
    let keys = FileProvider::new(fixture.folder().join("master.key"));
    let (master, _) = unlock(&*fixture.store, &keys).await.unwrap().unwrap();
    let mut private_last = 0;
    for n in 0..200 {
        let id = fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
        let (filler, setter) = (Arc::clone(&fixture), Arc::clone(&fixture));
        let fill = tokio::spawn(async move { filler.vault.fill_payload(&call("p"), id, payload("x")).await });
        let set = tokio::spawn(async move {
            let facet = Facet::Private(true);
            setter.vault.set_facet(&call("p"), id, Action::AddMetadatum, facet, Expect::Any).await
        });
        fill.await.unwrap().unwrap();
        set.await.unwrap().unwrap();
        let found = fixture.store.sealed(id).await.unwrap().unwrap();
        let (_, sealed) = found.payload.unwrap();
        let wrapped = fixture.store.project_key(&found.access.project, None).await.unwrap().unwrap();
        let key =
            master.unwrap_project_key(&found.access.project, wrapped.version, &wrapped.wrapped).unwrap();
        let opened = key.open(&seal::Bound { secret: id, private: true }, &sealed).unwrap();
        assert_eq!(opened.expose(), b"x", "round {n}");
        private_last += usize::from(found.access.private);
    }
    assert_eq!(private_last, 200);
}

/// The action, object and outcome of each line of the audit trail.
fn trail_of_things(fixture: &Fixture) -> Vec<String> {
    let text = std::fs::read_to_string(fixture.folder().join("audit.log")).unwrap();
    let of = |line: &serde_json::Value| {
        let keys = ["secret", "container", "order", "transport_key", "quotas_of"];
        keys.into_iter().find(|key| line[*key].is_string()).unwrap_or("-")
    };
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            format!(
                "{} {} {}",
                line["action"].as_str().unwrap(),
                of(&line),
                line["outcome"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test]
async fn requests_about_belongings_are_authorised_and_written_down() {
    let fixture = Fixture::new().await;
    let (vault, owner, thief) = (&fixture.vault, call("p"), call("q"));
    let id = vault.create_secret(&owner, secret(Some("x"))).await.unwrap();
    let of = Guarded::Secret(id);
    let container = NewContainer {
        name: None,
        container_type: ContainerType::Generic,
        secrets: vec![ContainerSecret { name: None, secret: id }],
    };
    let refused = vault.create_container(&thief, container.clone()).await;
    assert!(matches!(refused, Err(Error::Absent(Absent::Reference(reference))) if reference == id));
    let held = vault.create_container(&owner, container).await.unwrap();
    assert!(matches!(vault.container(&thief, held).await, Err(Error::Denied(_))));
    assert_eq!(vault.container(&owner, held).await.unwrap().secrets.len(), 1);
    let who = || Uses::Secret {
        service: Text::try_from("volume").unwrap(),
        resource_type: Text::try_from("volumes").unwrap(),
        resource_id: Text::try_from("1").unwrap(),
    };
    assert!(matches!(vault.add_consumer(&thief, of, who()).await, Err(Error::Denied(_))));
    vault.add_consumer(&owner, of, who()).await.unwrap();
    assert!(matches!(
        vault.delete_secret(&owner, id, true).await,
        Err(Error::Conflict(Conflict::Consumers(_)))
    ));
    assert!(matches!(vault.change_acl(&thief, of, AclChange::Remove).await, Err(Error::Denied(_))));
    let absent = vault.container(&owner, ContainerId::random()).await;
    assert!(matches!(absent, Err(Error::Absent(Absent::Container))));
    let lines = trail_of_things(&fixture);
    expect![[r#"
        secrets:post secret ok
        containers:post container absent
        containers:post container ok
        container:get container denied
        container:get container ok
        secret_consumers:post secret denied
        secret_consumers:post secret ok
        secret:delete secret conflict
        secret_acls:delete secret denied
        container:get container absent"#]]
    .assert_eq(&lines.join("\n"));
}

fn order(bits: u32) -> NewOrder {
    let bits = SymmetricBits::try_from(bits).unwrap();
    let attributes = Attributes { name: Text::try_from("k").ok(), ..Attributes::default() };
    NewOrder {
        order_type: OrderType::Key,
        meta: "{}".to_owned(),
        key: Some(OrderedKey::Symmetric { attributes, content_type: ContentType::OctetStream, bits }),
        failure: OrderFailure { kind: OrderFailureKind::Server, reason: "failed".to_owned() },
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_stored_or_written_down_leaves_nothing() {
    let fixture = Fixture::new().await;
    let owner = call("p");
    let id = fixture.vault.create_order(&owner, order(256)).await.unwrap();
    let OrderOutcome::Secret(made) = fixture.vault.order(&owner, id).await.unwrap().outcome else { panic!() };
    assert_eq!(fixture.vault.read_payload(&owner, made).await.unwrap().payload.expose().len(), 32);
    assert!(matches!(fixture.vault.order(&call("q"), id).await, Err(Error::Absent(Absent::Order))));
    // No failing step leaves a secret that no order names.
    for n in 0..8 {
        fixture.store_fails.fail_after(n);
        let _ = fixture.vault.create_order(&owner, order(256)).await;
        fixture.store_fails.work();
    }
    fixture.audit_fails.fail_after(0);
    assert!(matches!(
        fixture.vault.create_order(&owner, order(256)).await,
        Err(Error::Failed(Failure::Unwritten))
    ));
    fixture.audit_fails.work();
    let query = OrderQuery { project: owner.caller.project.clone(), meta: None, offset: 0, limit: 100 };
    let orders = fixture.vault.list_orders(&owner, &query).await.unwrap().total;
    let secrets = fixture.vault.list_secrets(&owner, &everything("p")).await.unwrap().total;
    assert_eq!(orders, secrets);
}

#[tokio::test]
async fn pairs_that_are_ordered_at_once_are_all_made() {
    let fixture = Fixture::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let vault = Arc::clone(&fixture.vault);
        tasks.spawn(async move {
            let key = OrderedKey::Pair {
                attributes: Attributes::default(),
                content_type: ContentType::OctetStream,
                kind: PairKind::Rsa,
                bits: PairBits::B1024,
                passphrase: Some(Passphrase::try_from(Payload::new(b"pw".to_vec())).unwrap()),
            };
            let new = NewOrder { order_type: OrderType::Asymmetric, key: Some(key), ..order(64) };
            let id = vault.create_order(&call("p"), new).await.unwrap();
            let OrderOutcome::Container(held) = vault.order(&call("p"), id).await.unwrap().outcome else {
                panic!()
            };
            vault.container(&call("p"), held).await.unwrap().secrets.len()
        });
    }
    assert_eq!(tasks.join_all().await, [3; 6]);
}

#[tokio::test]
async fn an_expired_secret_is_written_down_before_it_is_deleted() {
    let fixture = Fixture::new().await;
    let grace = Grace { expired: Duration::from_secs(60), orders: Duration::from_secs(60) };
    let lasting = fixture.vault.create_secret(&call("p"), secret(None)).await.unwrap();
    let mut expiring = Vec::new();
    for project in ["p", "q"].repeat(10) {
        let mut new = secret(Some("hunter2"));
        new.attributes.expiration = Some(later(1, call("p")).time);
        expiring.push(fixture.vault.create_secret(&call(project), new).await.unwrap());
    }
    let at = |seconds| later(seconds, call("p")).time;
    assert!(fixture.vault.reap(at(60), grace).await.unwrap().is_nothing());
    fixture.audit_fails.fail_after(0);
    assert!(matches!(fixture.vault.reap(at(61), grace).await, Err(Error::Failed(Failure::Unwritten))));
    for id in &expiring {
        assert!(fixture.store.secret(*id).await.unwrap().is_some());
    }
    fixture.audit_fails.work();
    assert_eq!(fixture.vault.reap(at(61), grace).await.unwrap(), Reaped { secrets: 20, orders: 0 });
    assert!(fixture.vault.reap(at(61), grace).await.unwrap().is_nothing());
    assert!(fixture.store.secret(lasting).await.unwrap().is_some());
    let text = std::fs::read_to_string(fixture.folder().join("audit.log")).unwrap();
    for (id, project) in expiring.iter().zip(["p", "q"].repeat(10)) {
        let id = id.to_string();
        assert!(fixture.store.secret(id.parse().unwrap()).await.unwrap().is_none());
        let of = |line: &&str| line.contains(&id) && line.contains(r#""door":"upkeep""#);
        let [line] = text.lines().filter(of).collect::<Vec<_>>()[..] else { panic!("{text}") };
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((line["project"].as_str(), line["outcome"].as_str()), (Some(project), Some("ok")));
        assert_eq!((line["action"].as_str(), line["user"].as_str()), (Some("secret:delete"), None));
    }
}
