//! What has expired, and orders with nothing to show, are taken away while the server runs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use model::Timestamp;
use std::time::{Duration, SystemTime};
use store::SqliteStore;
use store::sqlite::{BATCH_DEFAULT, Purpose};
use support::{Server, until};

const JSON: &str = "Content-Type: application/json\r\n";

fn secrets_on_disk(data: &std::path::Path) -> u64 {
    let store = SqliteStore::open_with(&data.join("donjon.db"), Purpose::Inspect, BATCH_DEFAULT).unwrap();
    store.totals().unwrap().0
}

#[test]
fn what_is_spent_is_gone_from_the_database_without_anybody_asking() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("donjon.toml");
    let text =
        "[upkeep]\nevery_seconds = 1\nexpired_seconds = 0\norders_seconds = 0\n[quotas]\nsecrets = 3\n";
    std::fs::write(&settings, text).unwrap();
    let server = Server::start_with(folder.path(), &["--config", settings.to_str().unwrap()]);
    let mut client = server.connect();
    let soon = Timestamp::from(SystemTime::now() + Duration::from_secs(2));
    let expiring = format!(r#"{{"name": "short", "expiration": "{soon}"}}"#);
    assert_eq!(client.create(&expiring).unwrap().status, 201);
    let lasting = client.create("{}").unwrap().id();
    let failing = r#"{"type": "key", "meta": {"algorithm": "foo", "bit_length": 256}}"#;
    let failed = client.ask("POST", "/v1/orders", JSON, failing.as_bytes()).unwrap().text();
    let failed = format!("/v1/orders/{}", failed.rsplit('/').next().unwrap().trim_end_matches("\"}"));
    until("the order and the secret are gone", || {
        client.ask("GET", &failed, "", b"").unwrap().status == 404 && secrets_on_disk(folder.path()) == 1
    });
    assert_eq!(client.ask("GET", &format!("/v1/secrets/{lasting}"), "", b"").unwrap().status, 200);
    // The default quota holds, and what has gone makes room.
    let statuses: Vec<_> = (0..3).map(|_| client.create("{}").unwrap().status).collect();
    assert_eq!(statuses, [201, 201, 403]);
}
