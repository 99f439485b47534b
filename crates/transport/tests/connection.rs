//! How connections begin, go on and end, without a socket: the promises of `serve_connection`, on a service of three
//! answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use transport::{Arriving, BodyError, Limits, Service, serve_connection};

const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8311);

/// 200 to GET, 201 to POST once its body is there, 404 to POST of another path before.
struct Things(Limits);

impl Things {
    async fn status(&self, request: &Request<()>, body: &mut Arriving<'_, Incoming>) -> StatusCode {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/v1/secrets") => match body.receive(&self.0).await {
                Ok(body) if body.cut => StatusCode::BAD_REQUEST,
                Ok(_) => StatusCode::CREATED,
                Err(BodyError::TimedOut) => StatusCode::REQUEST_TIMEOUT,
                Err(BodyError::Broken) => StatusCode::BAD_REQUEST,
            },
            (&Method::POST, _) => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        }
    }
}

impl Service for Things {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, here: SocketAddr) -> Response<Full<Bytes>> {
        assert_eq!(here, HERE);
        let (head, body) = request.into_parts();
        let (request, body) = (Request::from_parts(head, ()), pin!(body));
        let mut body = Arriving::new(body);
        let mut answer = Response::new(Full::from(vec![b'x'; 300]));
        *answer.status_mut() = self.status(&request, &mut body).await;
        if !body.finish(request.headers().contains_key(header::EXPECT), &self.0).await {
            answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        answer
    }
}

/// A client's end of a served connection, the word to drain, and the server's task.
async fn connect(limits: Limits) -> (DuplexStream, oneshot::Sender<()>, JoinHandle<()>) {
    let (client, server) = tokio::io::duplex(1 << 20);
    let (drain, draining) = oneshot::channel::<()>();
    let served = tokio::spawn(async move {
        let draining = async { draining.await.unwrap_or(()) };
        serve_connection(Arc::new(Things(limits)), &limits, server, HERE, draining).await;
    });
    (client, drain, served)
}

/// Sends something, and gives the status of every answer up to the end of the connection.
async fn statuses(limits: Limits, sent: &[u8]) -> String {
    let (mut client, _drain, _served) = connect(limits).await;
    client.write_all(sent).await.unwrap();
    read_statuses(&mut client).await
}

/// Everything that is answered up to the end of the connection.
async fn read_answers(client: &mut DuplexStream) -> String {
    let mut received = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut received)).await.unwrap().unwrap();
    String::from_utf8(received).unwrap()
}

async fn read_statuses(client: &mut DuplexStream) -> String {
    let text = read_answers(client).await;
    let found: Vec<_> = text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    found.join(" ")
}

const HEAD: &str = "host: h\r\n";
const POST: &str = "POST /v1/secrets HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n";
const LAST: &str = "GET /healthcheck HTTP/1.1\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn bytes_that_are_not_http_are_answered() {
    for (sent, expect) in [
        ("hello\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        (format!("{POST}content-length: -1\r\n\r\n{{}}"), "400"),
        (format!("{POST}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"), "400"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)), "414"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200)), "431"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "505"),
    ] {
        assert_eq!(statuses(Limits::default(), sent.as_bytes()).await, expect, "{:.60}", sent);
    }
}

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
async fn a_long_body_is_answered_before_the_connection_ends() {
    let limits = Limits { discarded_bytes_max: 200_000, ..Limits::default() };
    let body = |length| format!("{POST}content-length: {length}\r\n\r\n{}", " ".repeat(length));
    assert_eq!(statuses(limits, format!("{}{LAST}", body(100_000)).as_bytes()).await, "400 200");
    assert_eq!(statuses(limits, body(300_000).as_bytes()).await, "400");
}

#[tokio::test]
async fn a_slow_client_is_told_so() {
    let soon = Duration::from_millis(100);
    let limits = Limits { head_time_max: soon, body_time_max: soon, ..Limits::default() };
    assert_eq!(statuses(limits, b"GET / HT").await, "408");
    assert_eq!(statuses(limits, format!("{POST}content-length: 9\r\n\r\n{{").as_bytes()).await, "408");
    assert_eq!(statuses(limits, b"").await, ""); // A client that sends nothing gets nothing.
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_is_answered() {
    let (mut client, _drain, _served) = connect(Limits::default()).await;
    client.write_all(format!("GET / HTTP/1.1\r\n{HEAD}\r\n").as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_statuses(&mut client).await, "200");
}

#[tokio::test]
async fn draining_finishes_the_requests_that_have_begun() {
    let (mut idle, drain, served) = connect(Limits::default()).await;
    drain.send(()).unwrap();
    assert_eq!(read_statuses(&mut idle).await, "");
    served.await.unwrap();

    let (mut busy, drain, served) = connect(Limits::default()).await;
    busy.write_all(format!("{POST}content-length: 2\r\n\r\n{{").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drain.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    busy.write_all(b"}").await.unwrap();
    assert_eq!(read_statuses(&mut busy).await, "201");
    served.await.unwrap();

    let limits = Limits { drain_time_max: Duration::from_millis(50), ..Limits::default() };
    let (mut stuck, drain, served) = connect(limits).await;
    stuck.write_all(format!("{POST}content-length: 2\r\n\r\n{{").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drain.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let limits = Limits { write_time_max: Duration::from_millis(100), ..Limits::default() };
    let (mut client, server) = tokio::io::duplex(256); // Less than one answer.
    let served = tokio::spawn(async move {
        serve_connection(Arc::new(Things(limits)), &limits, server, HERE, std::future::pending()).await;
    });
    let asking = async {
        let ask = format!("GET / HTTP/1.1\r\n{HEAD}\r\n");
        while client.write_all(ask.as_bytes()).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(5), asking).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), served).await.unwrap().unwrap();
}

#[tokio::test]
async fn heads_that_can_be_read_in_two_ways_are_refused() {
    let get = format!("GET /v1/secrets HTTP/1.1\r\n{HEAD}\r\n");
    for (sent, expect) in [
        (get.replace("\r\n", "\n"), "400"),
        (get.replacen("\r\n", "\n", 1), "400"),
        (get.replace("h\r\n", "h\n"), "400"),
        (get.replace("h\r\n", "h\r\n\n"), "400"),
        (get.replace("h\r\n", "h\r\n folded\r\n"), "400"),
        (get.replace("host: h", "host : h"), "400"),
        (format!("{get}{}", get.replacen("\r\n", "\n", 1)), "200 400"),
        (format!("{POST}transfer-encoding: gzip, chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"), "400"),
        (format!("{POST}transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), "400"),
        (format!("{POST}transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n"), "400"),
        (format!("{POST}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), "400"),
        (format!("{POST}content-length: 2\r\ncontent-length: 2\r\n\r\n{{}}"), "400"),
        (format!("{POST}content-length: 2, 2\r\n\r\n{{}}"), "400"),
        (format!("{POST}content-length: +2\r\n\r\n{{}}"), "400"),
        (format!("{POST}content-length: 2\r\n\r\n{{}}{}", get.replace("h\r\n", "h\n")), "201 400"),
    ] {
        assert_eq!(statuses(Limits::default(), sent.as_bytes()).await, expect, "{sent:?}");
    }
}

#[tokio::test]
async fn line_ends_in_a_body_are_not_checked() {
    let json = "{\n\n\"name\":\n\"n\"\n}\n";
    let sized = format!("{POST}content-length: {}\r\n\r\n{json}", json.len());
    let chunked = format!("{POST}transfer-encoding: chunked\r\n\r\n{:x}\r\n{json}\r\n0\r\n\r\n", json.len());
    let sent = format!("{sized}{chunked}\r\n{sized}{LAST}");
    assert_eq!(statuses(Limits::default(), sent.as_bytes()).await, "201 201 201 200");
}

#[tokio::test]
async fn the_wait_for_a_refused_body_is_limited() {
    let limits = Limits { body_time_max: Duration::from_millis(100), ..Limits::default() };
    let head = |more: &str| format!("POST /v1/nosuch HTTP/1.1\r\n{HEAD}{more}content-length: 9\r\n\r\n");
    for (sent, status) in [
        (head(""), "404"),
        (head("expect: 100-continue\r\n"), "404"),
        (format!("{POST}content-length: 9\r\n\r\n{{"), "408"),
    ] {
        let (mut client, _drain, _served) = connect(limits).await;
        client.write_all(sent.as_bytes()).await.unwrap();
        let answer = read_answers(&mut client).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}
