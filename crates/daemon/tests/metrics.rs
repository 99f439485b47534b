//! The metrics listener answers, however many idle clients there are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use support::{PATIENCE, Server};

const ASK: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn idle_clients_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let _server = Server::start_with(folder.path(), &["--metrics-listen", &port]);
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(&port).unwrap()).collect();
    let deaf: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(&port).unwrap();
            stream.set_nonblocking(true).unwrap();
            while stream.write(&ASK.repeat(1000)).is_ok() {} // Until nothing more goes in.
            stream
        })
        .collect();
    let half: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(&port).unwrap();
            stream.write_all(&ASK[..20]).unwrap();
            stream
        })
        .collect();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&port).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(ASK).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("# EOF\n"), "{answer}");
    }
    drop((silent, deaf, half));
}
