//! A system in trouble: no more threads, and a clock that is wrong by millennia. A preloaded library simulates both
//! (`support/trouble.c`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Client, DONJOND, Server};

const JSON: &str = "Content-Type: application/json\r\n";

/// A server whose system gets into trouble when files are there: `threads` and `clock`, in its folder.
fn start(folder: &Path) -> Server {
    let library = library(folder);
    let mut command = Command::new(DONJOND);
    command.env("LD_PRELOAD", library);
    command.env("TROUBLE_THREADS", folder.join("threads")).env("TROUBLE_CLOCK", folder.join("clock"));
    Server::start_by(command, folder, &[])
}

fn library(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/trouble.c");
    let library = folder.join("trouble.so");
    let compiled =
        Command::new("gcc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    assert!(compiled.expect("gcc is not installed: run `cargo xtask test`, which installs it").success());
    library
}

fn told(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("stderr.txt")).unwrap()
}

fn order(client: &mut Client, meta: &str) -> u16 {
    client.ask("POST", "/v1/orders", JSON, meta.as_bytes()).unwrap().status
}

#[test]
fn without_another_thread_lists_and_orders_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    std::fs::write(folder.path().join("threads"), "").unwrap();
    // A connection is served on the thread that has the fewest, so these are on all of them.
    let mut clients: Vec<_> = (0..32).map(|_| server.connect()).collect();
    for client in &mut clients {
        for list in ["/v1/containers", "/v1/orders", "/v1/secrets", "/v1/secrets?name=n&sort=name"] {
            assert_eq!(client.ask("GET", list, "", b"").unwrap().status, 200, "{list}");
        }
        let key = r#"{"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}}"#;
        assert_eq!(order(client, key), 202);
    }
    let pair = r#"{"type": "asymmetric", "meta": {"algorithm": "rsa", "bit_length": 1024}}"#;
    assert_eq!(order(&mut clients[0], pair), 202);
    assert!(!told(folder.path()).contains("panic"), "{}", told(folder.path()));
}

#[test]
fn a_clock_beyond_all_dates_is_reported_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let server = start(folder.path());
    let id =
        server.connect().create(r#"{"payload": "x", "payload_content_type": "text/plain"}"#).unwrap().id();
    for second in ["253402300800", "300000000000", "-86400"] {
        let mut before = server.connect();
        assert_eq!(before.payload(&id).unwrap().status, 200);
        std::fs::write(folder.path().join("clock.new"), second).unwrap();
        std::fs::rename(folder.path().join("clock.new"), &clock).unwrap();
        for client in [&mut before, &mut server.connect()] {
            let answer = client.payload(&id).unwrap();
            assert_eq!(answer.status, 503, "{second}: {}", answer.text());
            assert!(answer.text().contains("the clock of this server is before 1970 or after 9999"));
        }
        std::fs::remove_file(&clock).unwrap();
    }
    assert_eq!(server.connect().payload(&id).unwrap().text(), "x");
    drop(server);
    std::fs::write(&clock, "300000000000").unwrap();
    let server = start(folder.path());
    assert_eq!(server.connect().payload(&id).unwrap().status, 503);
    std::fs::remove_file(&clock).unwrap();
    assert_eq!(server.connect().payload(&id).unwrap().text(), "x");
    assert!(!told(folder.path()).contains("panic"), "{}", told(folder.path()));
}
