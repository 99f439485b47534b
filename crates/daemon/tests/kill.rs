//! kill -9 under load, again and again: acknowledged secrets are there and open, and no secret is half there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Client, Server};

/// How often the server is killed.
const KILLS: usize = 50;
/// Clients that create and read meanwhile.
const CLIENTS: usize = 6;

/// Ids and payloads that were acknowledged.
type Acknowledged = Arc<Mutex<HashMap<String, String>>>;

/// Creates, fills, deletes and reads until the server is gone.
fn load(
    address: SocketAddr,
    seed: usize,
    acknowledged: &Acknowledged,
    deleted: &Acknowledged,
    stop: &AtomicBool,
) {
    let Ok(mut client) = Client::connect(address) else { return };
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let payload = format!("{seed}-{n}-{}", "x".repeat(n * 37 % 3000));
        let step = || -> std::io::Result<()> {
            let two_steps = n % 3 == 0;
            let body = if two_steps {
                format!("{{\"name\":\"{seed}-{n}\"}}")
            } else {
                format!("{{\"payload\":\"{payload}\",\"payload_content_type\":\"text/plain\"}}")
            };
            let created = client.create(&body)?;
            assert_eq!(created.status, 201, "{}", created.text());
            let id = created.id();
            if two_steps {
                let path = format!("/v1/secrets/{id}");
                let filled = client.ask("PUT", &path, "Content-Type: text/plain\r\n", payload.as_bytes())?;
                assert_eq!(filled.status, 204, "{}", filled.text());
            }
            acknowledged.lock().unwrap().insert(id.clone(), payload.clone());
            let read = client.payload(&id)?;
            assert_eq!((read.status, read.text()), (200, payload.clone()));
            if n % 5 == 4 {
                acknowledged.lock().unwrap().remove(&id);
                let gone = client.ask("DELETE", &format!("/v1/secrets/{id}"), "", b"")?;
                assert_eq!(gone.status, 204);
                deleted.lock().unwrap().insert(id, payload.clone());
            }
            Ok(())
        };
        if { step }().is_err() {
            return; // Killed in the middle: whatever was not acknowledged may be there or not, but whole.
        }
    }
}

#[test]
fn acknowledged_secrets_survive_fifty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let (acknowledged, deleted) = (Acknowledged::default(), Acknowledged::default());
    for round in 0..KILLS {
        let server = Server::start(folder.path());
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (acknowledged, deleted, stop) =
                    (Arc::clone(&acknowledged), Arc::clone(&deleted), Arc::clone(&stop));
                let (address, seed) = (server.address, round * CLIENTS + client);
                std::thread::spawn(move || load(address, seed, &acknowledged, &deleted, &stop))
            })
            .collect();
        // The server is killed at another moment of the load each time.
        std::thread::sleep(Duration::from_millis(40 + (round as u64 * 53) % 160));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    }

    let server = Server::start(folder.path());
    let mut client = server.connect();
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.len() > KILLS, "only {} creates in all: the load did not run", acknowledged.len());
    for (id, payload) in acknowledged.iter() {
        let read = client.payload(id).unwrap();
        assert_eq!((read.status, &read.text()), (200, payload), "{id} was acknowledged");
    }
    for id in deleted.lock().unwrap().keys() {
        assert_eq!(client.payload(id).unwrap().status, 404, "{id} was deleted");
    }
    // Whatever else is there was not acknowledged, but is whole: it opens, or has no payload and says so.
    let mut offset = 0;
    loop {
        let page =
            client.ask("GET", &format!("/v1/secrets?limit=100&offset={offset}"), "", b"").unwrap().json();
        let secrets = page["secrets"].as_array().unwrap();
        for secret in secrets {
            let id = secret["secret_ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let expected = if secret["content_types"].is_null() { 404 } else { 200 };
            assert_eq!(client.payload(id).unwrap().status, expected, "{secret}");
        }
        offset += secrets.len();
        if secrets.is_empty() {
            assert_eq!(page["total"].as_u64().unwrap(), offset as u64, "the kept total is the true one");
            break;
        }
    }
    eprintln!("{} acknowledged secrets survived {KILLS} kills", acknowledged.len());
    drop(server);
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_donjond"))
        .args(["check", "--audit", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
