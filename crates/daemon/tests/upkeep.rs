//! Expired secrets and spent orders are removed while the server runs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use model::Timestamp;
use std::time::{Duration, SystemTime};
use store::SqliteStore;
use store::sqlite::Purpose;
use support::{Server, until};

const JSON: &str = "Content-Type: application/json\r\n";

fn secrets_on_disk(data: &std::path::Path) -> u64 {
    let store = SqliteStore::open(&data.join("donjon.db"), Purpose::Inspect).unwrap();
    store.totals().unwrap().0
}

#[test]
fn expired_secrets_and_spent_orders_leave_the_database_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("donjon.toml");
    let text =
        "[upkeep]\nevery_seconds = 1\nexpired_seconds = 0\norders_seconds = 0\n[quotas]\nsecrets = 3\n";
    std::fs::write(&settings, text).unwrap();
    let server = Server::start_with(folder.path(), &["--config", settings.to_str().unwrap()]);
    let mut client = server.connect();
    let soon = Timestamp::from(SystemTime::now() + Duration::from_secs(2));
    let expiring = format!(r#"{{"name": "short", "expiration": "{soon}"}}"#);
    let short = client.create(&expiring).unwrap().id();
    let lasting = client.create("{}").unwrap().id();
    let failing = r#"{"type": "key", "meta": {"algorithm": "foo", "bit_length": 256}}"#;
    let failed = client.ask("POST", "/v1/orders", JSON, failing.as_bytes()).unwrap().text();
    let failed = format!("/v1/orders/{}", failed.rsplit('/').next().unwrap().trim_end_matches("\"}"));
    until("the order is gone", || client.ask("GET", &failed, "", b"").unwrap().status == 404);
    assert_eq!(client.ask("GET", &format!("/v1/secrets/{lasting}"), "", b"").unwrap().status, 200);
    until("the secret is gone", || {
        std::fs::read_to_string(folder.path().join("audit.log")).unwrap().contains(r#""door":"upkeep""#)
    });
    let audit = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
    let of_upkeep: Vec<_> = audit.lines().filter(|line| line.contains(r#""door":"upkeep""#)).collect();
    assert!(matches!(of_upkeep[..], [line] if line.contains(&short)), "{of_upkeep:?}");
    until("the log says how much it was", || {
        let log = std::fs::read_to_string(folder.path().join("stderr.txt")).unwrap();
        log.lines().any(|line| {
            line.contains("expired secrets and spent orders were deleted") && line.contains("secrets=1")
        })
    });
    // The default quota holds, and removed secrets make room.
    let statuses: Vec<_> = (0..3).map(|_| client.create("{}").unwrap().status).collect();
    assert_eq!(statuses, [201, 201, 403]);
    drop(client);
    server.kill();
    assert_eq!(secrets_on_disk(folder.path()), 3);
}

/// A clock may be set only after the start.
#[test]
fn nothing_is_taken_away_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("donjon.toml");
    std::fs::write(&settings, "[upkeep]\nevery_seconds = 3600\nexpired_seconds = 0\n").unwrap();
    let start = || Server::start_with(folder.path(), &["--config", settings.to_str().unwrap()]);
    let server = start();
    let soon = Timestamp::from(SystemTime::now() + Duration::from_secs(1));
    let id = server.connect().create(&format!(r#"{{"expiration": "{soon}"}}"#)).unwrap().id();
    let path = format!("/v1/secrets/{id}");
    until("it expires", || server.connect().ask("GET", &path, "", b"").unwrap().status == 404);
    server.kill();
    let server = start();
    std::thread::sleep(Duration::from_millis(500)); // The first look would be over long before.
    server.kill();
    assert_eq!(secrets_on_disk(folder.path()), 1);
}
