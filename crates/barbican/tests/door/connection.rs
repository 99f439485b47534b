//! How connections begin, go on and end, without a socket.

use std::sync::Arc;
use std::time::Duration;

use crate::rig::{HERE, Rig};
use barbican::DoorConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use transport::Limits;

/// A client's end of a served connection, the word to drain, and the server's task.
async fn connect(limits: Limits) -> (DuplexStream, oneshot::Sender<()>, JoinHandle<()>) {
    let rig = Rig::new(DoorConfig { limits, ..DoorConfig::default() }).await;
    let (client, server) = tokio::io::duplex(1 << 20);
    let (drain, draining) = oneshot::channel::<()>();
    let door = Arc::clone(&rig.door);
    let served = tokio::spawn(async move {
        door.serve_connection(server, HERE, async { draining.await.unwrap_or(()) }).await;
        drop(rig);
    });
    (client, drain, served)
}

/// Sends something, and gives the status of every answer up to the end of the connection.
async fn statuses(limits: Limits, sent: &[u8]) -> String {
    let (mut client, _drain, _served) = connect(limits).await;
    client.write_all(sent).await.unwrap();
    read_statuses(&mut client).await
}

async fn read_statuses(client: &mut DuplexStream) -> String {
    let mut received = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut received)).await;
    let text = String::from_utf8_lossy(&received);
    let found: Vec<_> = text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    format!("{}{}", found.join(" "), if ended.is_ok() { "" } else { " open" })
}

const HEAD: &str = "host: h\r\nx-project-id: p\r\n";
const POST: &str =
    "POST /v1/secrets HTTP/1.1\r\nhost: h\r\nx-project-id: p\r\ncontent-type: application/json\r\n";
const LAST: &str = "GET /healthcheck HTTP/1.1\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn requests_follow_each_other() {
    let get = format!("GET /v1/secrets HTTP/1.1\r\n{HEAD}\r\n");
    let chunked = format!("{POST}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n");
    let sized = format!("{POST}content-length: 2\r\n\r\n{{}}");
    let expecting = format!("{POST}content-length: 2\r\nexpect: 100-continue\r\n\r\n{{}}");
    let unasked = format!("GET /v1 HTTP/1.1\r\n{HEAD}content-length: 5\r\n\r\nhello");
    let sent = format!("{get}{chunked}{sized}{expecting}{unasked}{LAST}");
    assert_eq!(statuses(Limits::default(), sent.as_bytes()).await, "200 201 201 100 201 200 200");
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
        assert_eq!(statuses(Limits::default(), get(hosts).as_bytes()).await, expect, "{hosts:?}");
    }
    let probe = "GET /healthcheck HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n";
    assert_eq!(statuses(Limits::default(), probe.as_bytes()).await, "400");
}

/// All that is answered up to the end of the connection.
async fn answers(limits: Limits, sent: &[u8]) -> String {
    let (mut client, _drain, _served) = connect(limits).await;
    client.write_all(sent).await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut received)).await.unwrap().unwrap();
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn references_begin_with_what_was_asked() {
    for (target, version, hosts, expect) in [
        ("/v1", "1.0", "", "http://127.0.0.1:8311/v1/"),
        ("/v1", "1.0", "host:\r\n", "http://127.0.0.1:8311/v1/"),
        ("/v1", "1.0", "host: h:80\r\n", "http://h:80/v1/"),
        ("http://h:81/v1", "1.1", "host: 10.0.0.5\r\n", "http://h:81/v1/"),
        ("https://h/v1", "1.1", "host: h:9311\r\n", "https://h/v1/"),
        ("https://h/v1", "1.1", "host: h\r\nx-forwarded-proto: http\r\n", "http://h/v1/"),
    ] {
        let sent = format!("GET {target} HTTP/{version}\r\n{hosts}x-project-id: p\r\n\r\n");
        let said = answers(Limits::default(), sent.as_bytes()).await;
        assert!(said.contains(&format!("\"href\": \"{expect}\"")), "{sent:?}: {said}");
    }
}

/// A request that is answered before its body is looked at.
fn early(request: &str, more: &str, body: &str) -> String {
    format!("{request} HTTP/1.1\r\n{HEAD}{more}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn an_early_answer_says_truly_whether_the_connection_goes_on() {
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
            let (mut client, _drain, _served) = connect(limits).await;
            client.write_all(early(request, more, body).as_bytes()).await.unwrap();
            if !closes {
                client.write_all(LAST.as_bytes()).await.unwrap();
            }
            let mut received = Vec::new();
            let _ = client.read_to_end(&mut received).await;
            let text = String::from_utf8_lossy(&received);
            let found: Vec<_> =
                text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
            assert_eq!(found.join(" "), expect, "{request} {more} {}", body.len());
            let first = text.split("\r\n\r\n").next().unwrap();
            assert_eq!(first.contains("connection: close"), closes, "{first}");
        };
        check("{}", &format!("{status} 200"), false).await;
        check(&" ".repeat(90_000), &format!("{status} 200"), false).await;
        check(&" ".repeat(200_000), status, true).await;
    }
}
