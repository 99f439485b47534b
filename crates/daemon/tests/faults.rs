//! Faults of the real Barbican under load, in races and with malformed requests do not happen here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::BTreeMap;

use support::{Client, Server};

/// Runs the same thing on so many connections at once; the answers' statuses, counted.
fn at_once(
    server: &Server,
    connections: usize,
    ask: impl Fn(&mut Client, usize) -> u16 + Sync,
) -> BTreeMap<u16, usize> {
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|n| {
                let (mut client, ask) = (server.connect(), &ask);
                scope.spawn(move || ask(&mut client, n))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut counted = BTreeMap::new();
    for status in statuses {
        *counted.entry(status).or_default() += 1;
    }
    counted
}

#[test]
fn of_puts_at_once_one_is_stored_and_it_is_the_one_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.connect();
    for _ in 0..15 {
        let id = client.create("{}").unwrap().id();
        let path = format!("/v1/secrets/{id}");
        let put = |client: &mut Client, n: usize| {
            client
                .ask("PUT", &path, "Content-Type: text/plain\r\n", format!("v{n}").as_bytes())
                .unwrap()
                .status
        };
        assert_eq!(at_once(&server, 6, put), BTreeMap::from([(204, 1), (409, 5)]));
        let read: Vec<_> = (0..3).map(|_| client.payload(&id).unwrap().text()).collect();
        assert!(read.iter().all(|text| *text == read[0]), "{read:?}");
    }
}

#[test]
fn of_deletes_and_metadata_posts_at_once_one_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.connect();
    for _ in 0..10 {
        let id = client.create("{}").unwrap().id();
        let (secret, metadata) = (format!("/v1/secrets/{id}"), format!("/v1/secrets/{id}/metadata"));
        let post = |client: &mut Client, _| {
            let body = b"{\"key\":\"k\",\"value\":\"v\"}";
            client.ask("POST", &metadata, "Content-Type: application/json\r\n", body).unwrap().status
        };
        assert_eq!(at_once(&server, 6, post), BTreeMap::from([(201, 1), (409, 5)]));
        let delete = |client: &mut Client, _| client.ask("DELETE", &secret, "", b"").unwrap().status;
        assert_eq!(at_once(&server, 6, delete), BTreeMap::from([(204, 1), (404, 5)]));
    }
}

#[test]
fn writers_at_once_are_never_told_that_something_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let write = |client: &mut Client, n: usize| {
        for round in 0..40 {
            let body = format!(
                "{{\"name\":\"{n}-{round}\",\"payload\":\"p{n}\",\"payload_content_type\":\"text/plain\"}}"
            );
            let head = format!(
                "POST /v1/secrets HTTP/1.1\r\nHost: localhost\r\nX-Project-Id: new-{round}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            client.send(head.as_bytes()).unwrap();
            let answer = client.answer().unwrap();
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
        201
    };
    assert_eq!(at_once(&server, 16, write), BTreeMap::from([(201, 16)]));
}

#[test]
fn chunked_bodies_and_pipelined_requests_work() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.connect();
    let request =
        b"POST /v1/secrets HTTP/1.1\r\nHost: localhost\r\nX-Project-Id: p\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n7\r\n{\"name\"\r\n7\r\n: \"n1\"}\r\n0\r\n\r\n";
    client.send(&[&request[..], request, request].concat()).unwrap();
    for _ in 0..3 {
        assert_eq!(client.answer().unwrap().status, 201);
    }
}

#[test]
fn malformed_requests_are_answered_and_harm_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut other = server.connect();
    let id = other.create("{\"payload\":\"x\",\"payload_content_type\":\"text/plain\"}").unwrap().id();
    let long_header = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let malformed: Vec<Vec<u8>> = vec![
        b"garbage\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX\0Y: z\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        long_header.into_bytes(),
        long_path.into_bytes(),
    ];
    for request in malformed {
        let mut client = server.connect();
        let _ = client.send(&request); // The server may answer and close before all is sent.
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]).into_owned();
        let answer = client.answer().unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        assert!((400..500).contains(&answer.status) || answer.status == 505, "{shown:?}: {answer:?}");
        assert_eq!(other.payload(&id).unwrap().text(), "x");
    }
}

/// The status of an answer to bytes on a connection of their own, and the answer.
fn said(server: &Server, sent: &str) -> (u16, String) {
    let mut client = server.connect();
    client.send(sent.as_bytes()).unwrap();
    let answer = client.answer().unwrap();
    (answer.status, answer.text())
}

#[test]
fn references_without_a_host_header_name_the_listening_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (status, text) = said(&server, "GET /v1 HTTP/1.0\r\nX-Project-Id: p\r\n\r\n");
    assert!(status == 200 && text.contains(&format!("\"{}/v1/\"", server.url())), "{text}");
    let (status, text) = said(&server, "GET / HTTP/1.0\r\n\r\n");
    assert!(status == 300 && text.contains(&format!("\"{}/v1/\"", server.url())), "{text}");
    assert_eq!(said(&server, "GET /v1 HTTP/1.1\r\nX-Project-Id: p\r\n\r\n").0, 400);
}

#[test]
fn a_page_that_has_its_name_lead_here_is_kept_out_until_the_name_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |host: &str, more: &str| {
        format!("GET /v1/secrets HTTP/1.1\r\nHost: {host}\r\n{more}X-Project-Id: p\r\n\r\n")
    };
    let named = ask("keys.example:9311", "");
    let server = Server::start(folder.path());
    let (status, text) = said(&server, &named);
    assert!(status == 403 && text.contains("setting hosts"), "{text}");
    assert_eq!(said(&server, &ask("localhost", "Origin: http://keys.example:9311\r\n")).0, 403);
    assert_eq!(said(&server, "GET /healthcheck HTTP/1.1\r\nHost: keys.example\r\n\r\n").0, 200);
    drop(server);
    let server = Server::start_with(folder.path(), &["--hosts", "keys.internal,Keys.example"]);
    assert_eq!(said(&server, &named).0, 200);
    assert_eq!(said(&server, &ask("localhost", "Origin: http://keys.example:9311\r\n")).0, 200);
    drop(server);
    let config = folder.path().join("donjon.toml");
    std::fs::write(&config, "[cors]\nallowed_origins = [\"https://ui.example\"]\n").unwrap();
    let server = Server::start_with(folder.path(), &["--config", config.to_str().unwrap()]);
    let mut client = server.connect();
    client.send(ask("localhost", "Origin: https://ui.example\r\n").as_bytes()).unwrap();
    let answer = client.answer().unwrap();
    assert!(answer.status == 200 && answer.head.contains("access-control-allow-origin: https://ui.example"));
    assert_eq!(said(&server, &named).0, 403);
}

#[test]
fn odd_but_legal_requests_get_an_answer_below_500() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.connect();
    let json = "Content-Type: application/json\r\n";
    let post =
        |client: &mut Client, body: &[u8]| client.ask("POST", "/v1/secrets", json, body).unwrap().status;
    for body in [
        &b"{\"name\":\"\\ud800\"}"[..],
        b"{\"inst\":1}",
        b"{\"external_project_id\":\"x\"}",
        b"\xff\xfe",
        b"{\"bit_length\":1e999}",
        b"[[[[[[[[[[",
    ] {
        let status = post(&mut client, body);
        assert!(status < 500, "{}: {status}", String::from_utf8_lossy(body));
    }
    for path in [
        "/v1/secrets?limit=1&limit=2",
        "/v1/secrets?name=a&name=b",
        "/v1/secrets?sort=name&sort=mode",
        "/v1/secrets?inst=1",
        "/v1/secrets?name=%ff",
        "/v1/secrets/%ff",
        "/v1/secrets/%00",
        "/v1/transport_keys/%ff?inst=1",
    ] {
        let answer = client.ask("GET", path, "", b"").unwrap();
        assert!(answer.status < 500 || answer.status == 501, "{path}: {answer:?}");
    }
    assert_eq!(post(&mut client, &[b'['; 24_000]), 400);
    assert_eq!(post(&mut client, &vec![b' '; 3_000_000]), 400);
}

#[test]
fn expect_100_continue_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.connect();
    client
        .send(
            b"POST /v1/secrets HTTP/1.1\r\nHost: localhost\r\nX-Project-Id: p\r\nContent-Type: application/json\r\n\
            Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        )
        .unwrap();
    assert_eq!(client.answer().unwrap().status, 100);
    client.send(b"{}").unwrap();
    assert_eq!(client.answer().unwrap().status, 201);
}

#[test]
fn a_client_that_stops_half_way_is_cut_off_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("donjon.toml");
    std::fs::write(&config, "[limits]\nheader_seconds = 1\nbody_seconds = 1\n").unwrap();
    let server = Server::start_with(folder.path(), &["--config", config.to_str().unwrap()]);
    let mut half_head = server.connect();
    half_head.send(b"GET /v1/secrets HTTP/1.1\r\nHost:").unwrap();
    let mut half_body = server.connect();
    half_body
        .send(
            b"POST /v1/secrets HTTP/1.1\r\nHost: localhost\r\nX-Project-Id: p\r\nContent-Type: application/json\r\n\
            Content-Length: 100\r\n\r\n{\"name\"",
        )
        .unwrap();
    assert_eq!(server.connect().create("{}").unwrap().status, 201);
    assert_eq!(half_body.answer().unwrap().status, 408);
    assert_eq!(half_head.answer().unwrap().status, 408);
}
