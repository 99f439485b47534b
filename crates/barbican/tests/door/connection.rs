//! Connections through the door. Their own rules are tested in `transport/tests/connection.rs`.

use std::sync::Arc;
use std::time::Duration;

use crate::rig::{HERE, Rig};
use barbican::DoorConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::Limits;

const LAST: &str = "GET /healthcheck HTTP/1.1\r\nconnection: close\r\n\r\n";

/// Everything that is answered until the server ends the connection.
async fn answers(limits: Limits, sent: &str) -> String {
    let rig = Rig::new(DoorConfig { limits, ..DoorConfig::default() }).await;
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(sent.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let served = Arc::clone(&rig.door).serve_connection(server, HERE, std::future::pending());
    let both = async { tokio::join!(served, client.read_to_end(&mut received)) };
    let ((), read) = tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
    read.unwrap();
    String::from_utf8(received).unwrap()
}

fn statuses(answers: &str) -> String {
    let found: Vec<_> = answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    found.join(" ")
}

#[tokio::test]
async fn a_request_is_for_one_host() {
    let get = |hosts: &str| format!("GET /v1 HTTP/1.1\r\n{hosts}x-project-id: p\r\n\r\n{LAST}");
    for (hosts, expect) in [
        ("host: h\r\n", "200 200"),
        ("host: 127.0.0.1:9311\r\n", "200 200"),
        ("", "400 200"),
        ("host:\r\n", "400 200"),
        ("host: h\r\nhost: h\r\n", "400 200"),
        ("host: evil.example/x?y=\r\n", "400 200"),
        ("host: a\"b\r\n", "400 200"),
        ("host: a b\r\n", "400 200"),
        ("host: a@h\r\n", "400 200"),
        ("host: h:99999\r\n", "400 200"),
        ("host: other.example\r\n", "403 200"),
    ] {
        assert_eq!(statuses(&answers(Limits::default(), &get(hosts)).await), expect, "{hosts:?}");
    }
    let probe = "GET /healthcheck HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n";
    assert_eq!(statuses(&answers(Limits::default(), probe).await), "400");
}

#[tokio::test]
async fn references_begin_with_the_target_of_the_request() {
    for (target, version, hosts, expect) in [
        ("/v1", "1.0", "", "http://127.0.0.1:8311/v1/"),
        ("/v1", "1.0", "host:\r\n", "http://127.0.0.1:8311/v1/"),
        ("/v1", "1.0", "host: h:80\r\n", "http://h:80/v1/"),
        ("http://h:81/v1", "1.1", "host: 10.0.0.5\r\n", "http://h:81/v1/"),
        ("https://h/v1", "1.1", "host: h:9311\r\n", "https://h/v1/"),
        ("https://h/v1", "1.1", "host: h\r\nx-forwarded-proto: http\r\n", "http://h/v1/"),
    ] {
        let sent =
            format!("GET {target} HTTP/{version}\r\n{hosts}x-project-id: p\r\nconnection: close\r\n\r\n");
        let text = answers(Limits::default(), &sent).await;
        assert!(text.contains(&format!("\"href\": \"{expect}\"")), "{sent:?}: {text}");
    }
}

/// A request that is answered before its body is looked at.
fn early(request: &str, more: &str, body: &str) -> String {
    format!(
        "{request} HTTP/1.1\r\nhost: h\r\nx-project-id: p\r\n{more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn an_early_answer_says_truly_whether_the_connection_stays_open() {
    let limits = Limits {
        discarded_bytes_max: 100_000,
        body_time_max: Duration::from_millis(300),
        ..Limits::default()
    };
    for (request, more, status) in [
        ("POST /v1/nosuch", "", "404"),
        ("POST /nosuch", "", "404"),
        ("PATCH /v1/secrets", "", "405"),
        ("POST /v1/secrets/abc", "", "404"),
        ("POST /v1/secrets", "accept: text/html\r\n", "406"),
        ("POST /v1/secrets?a=%ff", "", "400"),
        ("POST /v1%2Fsecrets", "", "400"),
        ("POST /v1/secrets", "x-roles: a\r\nx-roles: b\r\n", "400"),
        ("POST /v1/secrets", "openstack-api-version: key-manager 9.9\r\n", "406"),
        ("POST /v1/secrets", "origin: http://attacker.example\r\n", "403"),
        ("GET /v1/secrets", "", "200"),
        ("HEAD /v1/secrets", "", "405"),
        ("OPTIONS /v1/secrets", "", "200"),
        ("POST /healthcheck", "", "200"),
    ] {
        let check = async |body: &str, expect: &str, closes: bool| {
            let more_requests = if closes { "" } else { LAST };
            let text = answers(limits, &format!("{}{more_requests}", early(request, more, body))).await;
            assert_eq!(statuses(&text), expect, "{request} {more} {}", body.len());
            let first = text.split("\r\n\r\n").next().unwrap();
            assert_eq!(first.contains("connection: close"), closes, "{first}");
        };
        check("{}", &format!("{status} 200"), false).await;
        check(&" ".repeat(90_000), &format!("{status} 200"), false).await;
        check(&" ".repeat(200_000), status, true).await;
    }
}
