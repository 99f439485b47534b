//! A Keystone that knows a few tokens, counts questions, and gives wrong answers about some tokens.
//!
//! It lives as long as the process of the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

/// The questions so far.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) validations: AtomicUsize,
    /// Connections at the moment, and the most there were.
    pub(crate) connections: AtomicUsize,
    pub(crate) connections_max: AtomicUsize,
}

pub(crate) struct Liar {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
}

impl Liar {
    /// Tokens that begin so are valid, each in the project beside it.
    pub(crate) fn start(known: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, counts) = (listener.local_addr().unwrap(), Arc::new(Counts::default()));
        let shared = Arc::clone(&counts);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, counts) = (stream.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let now = counts.connections.fetch_add(1, Ordering::SeqCst) + 1;
                    counts.connections_max.fetch_max(now, Ordering::SeqCst);
                    let _ = serve(stream, known, &counts);
                    counts.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, counts }
    }
}

fn serve(stream: TcpStream, known: &[(&str, &str)], counts: &Counts) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut subject, mut length) = (String::new(), String::new(), 0);
        if stream.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = Vec::new();
            stream.read_until(b'\n', &mut line)?;
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "x-subject-token" => value.trim().clone_into(&mut subject),
                "content-length" => length = value.trim().parse().unwrap(),
                _ => {}
            }
        }
        stream.read_exact(&mut vec![0; length])?;
        let (status, header, body) = if first.starts_with("POST") {
            (201, "X-Subject-Token: own\r\n".to_owned(), valid("service").into_bytes())
        } else {
            counts.validations.fetch_add(1, Ordering::SeqCst);
            answer_about(&subject, known)
        };
        let head = format!("HTTP/1.1 {status} It\r\n{header}Content-Length: {}\r\n\r\n", body.len());
        stream.get_mut().write_all(&[head.as_bytes(), &body].concat())?;
    }
}

/// The last letter of a token that begins with `lie` chooses the wrong answer.
fn answer_about(subject: &str, known: &[(&str, &str)]) -> (u16, String, Vec<u8>) {
    if let Some((_, project)) = known.iter().find(|(token, _)| subject == *token) {
        return (200, String::new(), valid(project).into_bytes());
    }
    if !subject.starts_with("lie") {
        return (404, String::new(), b"{}".to_vec());
    }
    match subject.bytes().last().unwrap_or(0) % 10 {
        0 => (200, String::new(), b"<html>it works</html>".to_vec()),
        1 => (200, String::new(), b"{\"token\": {}}".to_vec()),
        2 => (200, String::new(), vec![b'['; 100_000]),
        3 => (200, String::new(), vec![b' '; 2 * 1024 * 1024]),
        4 => (500, String::new(), valid("victim").into_bytes()),
        5 => (302, "Location: http://127.0.0.1:1/\r\n".to_owned(), Vec::new()),
        6 => (204, String::new(), Vec::new()),
        7 => (429, "Retry-After: 99999999999999999999\r\n".to_owned(), Vec::new()),
        8 => (200, String::new(), valid("victim").replace("2099", "99999999").into_bytes()),
        _ => (200, "X-Subject-Token: \u{1}\r\n".to_owned(), b"\xff\xfe\x00".to_vec()),
    }
}

fn valid(project: &str) -> String {
    let roles = json!([{ "id": "x", "name": "creator" }, { "id": "y", "name": "service" }, { "id": "z", "name": "admin" }]);
    json!({ "token": {
        "user": { "id": "u" }, "project": { "id": project, "name": "n" }, "roles": roles,
        "expires_at": "2099-01-01T00:00:00.000000Z",
    } })
    .to_string()
}
