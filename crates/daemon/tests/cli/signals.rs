//! Signals: the end with requests in flight, and what a hangup reads again.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::{Folder, Server, post, succeeds, until};

#[test]
fn a_request_in_flight_is_answered_before_it_ends() {
    let folder = Folder::new();
    let mut server = Server::start(&folder);
    let request = post(r#"{"payload": "late", "payload_content_type": "text/plain"}"#);
    let (first, rest) = request.split_at(request.len() - 10);
    let mut stream = TcpStream::connect(&server.rest).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    let mut idle = TcpStream::connect(&server.rest).unwrap();
    server.until_metric("donjon_http_connections 2");
    server.until_metric("donjon_http_requests_in_flight 1");
    server.signal(Signal::TERM);
    server.line_with("draining");
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "what is idle is closed");
    until(|| TcpStream::connect(&server.rest).is_err()); // Nothing new is accepted.
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    let mut server = Server::start(&folder);
    let mut stream = TcpStream::connect(&server.rest).unwrap();
    let request = post("{}");
    stream.write_all(&request.as_bytes()[..request.len() - 1]).unwrap();
    server.until_metric("donjon_http_requests_in_flight 1");
    server.signal(Signal::TERM);
    server.line_with("draining");
    server.signal(Signal::INT);
    assert_eq!(server.exit_code(), Some(1));
}

#[test]
fn unfinished_requests_are_cut_off_when_the_time_is_over() {
    let folder = Folder::new();
    let file = folder.write("donjon.toml", "[limits]\ndrain_seconds = 1\n");
    let mut server = Server::start_with(&folder, &["--config", &file]);
    let mut stream = TcpStream::connect(&server.rest).unwrap();
    let request = post("{}");
    stream.write_all(&request.as_bytes()[..request.len() - 1]).unwrap();
    server.until_metric("donjon_http_requests_in_flight 1");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_hangup_opens_the_audit_trail_anew() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let id = server.store("one");
    let (old, new) = (folder.path("data/audit.log.1"), folder.path("data/audit.log"));
    fs::rename(&new, &old).unwrap();
    server.signal(Signal::HUP);
    server.line_with("audit");
    server.read(&id);
    server.stop();
    assert!(!fs::read_to_string(&new).unwrap().is_empty());
    let (old, new) = (old.display().to_string(), new.display().to_string());
    succeeds(&["check", "--data-dir", &folder.data(), "--audit", &old, &new]);
}

#[test]
fn a_hangup_reads_the_log_filter_and_names_settings_that_need_a_restart() {
    let folder = Folder::new();
    let file = folder.write("donjon.toml", "log = \"info\"\n");
    let server = Server::start_with(&folder, &["--config", &file]);
    folder.write("donjon.toml", "log = \"debug\"\naudit_sync = \"entry\"\n");
    server.signal(Signal::HUP);
    assert!(server.line_with("restart").contains("audit_sync"));
    folder.write("donjon.toml", "log = \"loud\"\n");
    server.signal(Signal::HUP);
    assert!(server.line_with("donjon.toml:1:7").contains("ERROR"));
    server.stop();
}
