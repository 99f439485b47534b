//! `donjond check` opens every payload. The command and a running server name damaged secrets, which answer 500, not 503,
//! with a text for the operator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::Path;
use std::process::Command;

use support::{DONJOND, Server};

/// The exit code, stdout and stderr.
fn check(data: &Path, more: &[&str]) -> (i32, String, String) {
    let output = Command::new(DONJOND).args(["check", "--data-dir"]).arg(data).args(more).output().unwrap();
    let text =
        |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&data.display().to_string(), "DATA");
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Stores some, stops the server, flips one bit in the payload of the second, and says the ids.
fn damaged(data: &Path) -> Vec<String> {
    let mut server = Server::start(data);
    let mut client = server.connect();
    let ids: Vec<_> = (0..3)
        .map(|number| {
            let json = format!(
                r#"{{"name": "n{number}", "payload": "payload {number}", "payload_content_type": "text/plain"}}"#
            );
            client.create(&json).unwrap().id()
        })
        .collect();
    drop(client);
    server.terminate();
    server.wait();
    flip(&data.join("donjon.db"), &ids[1]);
    ids
}

/// Flips the last bit of a secret's envelope, which is in the row that has its id, after its content type.
fn flip(database: &Path, id: &str) {
    let id: Vec<u8> = id
        .bytes()
        .filter(|byte| *byte != b'-')
        .collect::<Vec<_>>()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let mut bytes = std::fs::read(database).unwrap();
    let finds = |from: usize, what: &[u8]| {
        bytes[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
    };
    let mut from = 0;
    loop {
        let row = finds(from, &id).expect("the row is in the file");
        let kind = finds(row, b"text/plain");
        match kind {
            Some(kind) if kind < row + 200 => {
                bytes[kind + b"text/plain".len() + 30] ^= 1;
                break;
            }
            _ => from = row + 1, // In an index.
        }
    }
    std::fs::write(database, bytes).unwrap();
}

fn metric(address: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("\ndonjon_store_log_bytes "), "{text}");
    text.lines().find(|line| line.starts_with("donjon_payloads_unopened_total")).unwrap().to_owned()
}

#[test]
fn a_damaged_payload_is_named_and_answers_500_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let ids = damaged(data);

    let (code, out, err) = check(data, &[]);
    assert_eq!(code, 1, "{out}{err}");
    let line = format!("damaged     {}: its payload does not open", ids[1]);
    assert!(out.contains(&line), "{out}");
    assert!(out.contains("integrity   every page and index is sound\n"), "{out}");
    assert!(out.contains("payloads    2 opened, secrets damaged: 1\n"), "{out}");
    assert!(err.contains("1 secret is damaged") && err.contains("backup"), "{err}");
    assert!(!out.contains(&ids[0]) && !out.contains(&ids[2]), "{out}");

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = Server::start_with(data, &["--metrics-listen", &port]);
    assert_eq!(metric(&port), "donjon_payloads_unopened_total 0");
    let mut client = server.connect();
    let answer = client.payload(&ids[1]).unwrap();
    assert_eq!(answer.status, 500);
    let description = answer.json()["description"].as_str().unwrap().to_owned();
    assert!(description.contains("damaged") && description.contains("donjond check"), "{description}");
    assert!(!description.contains("payload 1"), "{description}");
    assert_eq!(metric(&port), "donjon_payloads_unopened_total 1");
    assert_eq!(client.payload(&ids[0]).unwrap().text(), "payload 0");
    let log = std::fs::read_to_string(data.join("stderr.txt")).unwrap();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains(&ids[1])), "{log}");

    // The server has the database to itself, and looks when it is asked.
    let (code, out, err) = check(data, &[]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains(&format!("server      process {} runs on it", server.pid())), "{out}");
    assert!(out.contains(&line) && out.contains("payloads    2 opened, secrets damaged: 1\n"), "{out}");
    assert_eq!(metric(&port), "donjon_payloads_unopened_total 1", "a check is nobody who asked for one");

    // A backup has all others; it says which is damaged, and is no success.
    let copies = tempfile::tempdir().unwrap();
    let backup = |name: &str| {
        let to = copies.path().join(name);
        let output =
            Command::new(DONJOND).args(["backup", "--data-dir"]).arg(data).arg(&to).output().unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(1), "{out}{err}");
        assert!(out.contains(&line) && err.contains("the copy is at ") && to.exists(), "{out}{err}");
    };
    backup("online.db");
    drop(client);
    server.kill();
    backup("offline.db");
    assert_eq!(std::fs::read_dir(copies.path()).unwrap().count(), 2);
}

/// A project's key that does not unwrap closes all of its secrets, and none of another's.
#[test]
fn a_damaged_project_key_is_reported_for_each_of_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut server = Server::start(data);
    let mut client = server.connect();
    let json = br#"{"payload": "x", "payload_content_type": "text/plain"}"#;
    let mut store = |project: &str| {
        let headers = format!("X-Project-Id: {project}\r\nContent-Type: application/json\r\n");
        client.ask_as("POST", "/v1/secrets", &headers, json).unwrap().id()
    };
    let (ours, theirs) = ([store("p"), store("p")], store("q"));
    drop(client);
    server.terminate();
    server.wait();
    let sql = "UPDATE project_keys SET wrapped = zeroblob(61) WHERE project = (SELECT id FROM projects WHERE name = 'p')";
    let python = format!(
        "import sqlite3; d = sqlite3.connect({:?}); d.execute({sql:?}); d.commit(); d.close()",
        data.join("donjon.db")
    );
    assert!(Command::new("python3").args(["-c", &python]).status().unwrap().success());
    let (code, out, err) = check(data, &[]);
    assert_eq!(code, 1, "{out}{err}");
    for id in &ours {
        assert!(out.contains(&format!("damaged     {id}: the key of its project")), "{out}");
    }
    assert!(!out.contains(&theirs) && out.contains("payloads    1 opened, secrets damaged: 2"), "{out}");
    let server = Server::start(data);
    let answer = server.connect().payload(&ours[0]).unwrap();
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert!(answer.text().contains("donjond check"), "{}", answer.text());
}
