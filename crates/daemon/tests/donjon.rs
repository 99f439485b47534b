//! `donjon` against `donjond`, both as built: secrets of one door are there at the other.
//!
//! `donjon` is another package's program, so cargo does not build it for this test; `cargo build --workspace` does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Client, Server};
use tempfile::TempDir;

/// The project that [`Client`] names in its headers.
const PROJECT: &str = "p";

/// A server with both doors, and the program that knocks at one of them.
struct Place {
    server: Server,
    folder: TempDir,
}

/// The outcome of a run.
#[derive(Debug)]
struct Done {
    code: i32,
    out: Vec<u8>,
    err: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_with(folder.path(), &["--libvirt-project", PROJECT]);
        Self { server, folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(donjon());
        command.args(arguments).env("DONJON_URI", self.server.socket());
        command
    }

    fn run_with(&self, input: &[u8], arguments: &[&str]) -> Done {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input); // It may end without reading.
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        Done { code: output.status.code().unwrap(), out: output.stdout, err }
    }

    /// Its output, if it succeeds.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let done = self.run_with(b"", arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
        String::from_utf8(done.out).unwrap().trim_end().to_owned()
    }

    /// Its exit code and its message, if it fails.
    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        let done = self.run_with(b"", arguments);
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
        assert!(done.err.contains(says) && done.out.is_empty(), "{arguments:?}: {done:?}");
    }

    fn rest(&self) -> Client {
        self.server.connect()
    }
}

fn donjon() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_donjond")).with_file_name("donjon");
    assert!(program.exists(), "{} is not built: run cargo build --workspace first", program.display());
    program
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("virtsecretd-sock")
}

#[test]
fn a_secret_lives_from_define_to_undefine() {
    let place = Place::new();
    let uuid = place.run(&["define", "--usage", "ceph:client.x", "--description", "a <key> & more"]);
    place.fails(&["get-value", "ceph:client.x"], 1, "has no value yet");
    for value in [&b"hunter2\n\0\xff"[..], &[b'z'; 65_536]] {
        assert_eq!(place.run_with(value, &["set-value", "ceph:client.x"]).code, 0);
        assert_eq!(place.run_with(b"", &["get-value", &uuid]).out, value);
    }
    let shown = place.run(&["show", &uuid]);
    assert!(shown.contains("ceph:client.x") && shown.contains("a <key> & more"), "{shown}");
    let again = place
        .run_with(place.run(&["show", &uuid, "--xml"]).as_bytes(), &["define", "--xml", "-", "--validate"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(place.run(&["list"]).contains(&uuid));
    assert_eq!(place.run(&["undefine", "ceph:client.x"]), uuid);
    place.fails(&["show", &uuid], 3, "there is no secret");
    place.fails(&["get-value", "ceph:client.x"], 3, "there is no secret");
    assert_eq!(place.run(&["list", "--json"]), "[]");
}

#[test]
fn private_and_ephemeral_are_seen_and_kept() {
    let place = Place::new();
    let uuid = place.run(&["define", "--usage", "volume:/dev/a", "--private", "--ephemeral"]);
    assert_eq!(place.run_with(b"hunter2", &["set-value", &uuid]).code, 0);
    place.fails(&["get-value", &uuid], 1, "is private");
    let listed: serde_json::Value =
        serde_json::from_str(&place.run(&["list", "--private", "--json"])).unwrap();
    assert_eq!((&listed[0]["private"], &listed[0]["ephemeral"]), (&true.into(), &true.into()), "{listed}");
    assert_eq!(place.run(&["list", "--no-private", "--json"]), "[]");
    assert_eq!(place.run(&["list", "--no-ephemeral", "--json"]), "[]");
}

#[test]
fn secrets_of_one_door_are_there_at_the_other() {
    let place = Place::new();
    let uuid = place.run(&["define", "--usage", "ceph:client.x"]);
    assert_eq!(place.run_with(b"hunter2", &["set-value", &uuid]).code, 0);
    assert_eq!(place.rest().payload(&uuid).unwrap().body, b"hunter2");

    let json = r#"{"name": "n", "payload": "swordfish", "payload_content_type": "text/plain"}"#;
    let created = place.rest().create(json).unwrap().id();
    assert_eq!(place.run(&["get-value", &created]), "swordfish");
    assert!(place.run(&["list"]).contains(&created));
    assert_eq!(place.run(&["undefine", &created]), created);
    assert_eq!(place.rest().payload(&created).unwrap().status, 404);
}

#[test]
fn events_are_printed_as_they_happen() {
    let place = Place::new();
    let mut watching = place
        .command(&["events", "--json", "--count", "3", "--timeout", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut listening = String::new();
    BufReader::new(watching.stderr.take().unwrap()).read_line(&mut listening).unwrap();
    assert!(listening.contains("listening"), "{listening}");
    let uuid = place.run(&["define", "--usage", "tls:a"]);
    assert_eq!(place.run_with(b"hunter2", &["set-value", &uuid]).code, 0);
    place.run(&["undefine", &uuid]);
    let output = watching.wait_with_output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    let events: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["defined", "value-changed", "undefined"]);
    assert!(events.iter().all(|event| event["uuid"] == uuid && event["usage"]["id"] == "a"), "{told}");
}

#[test]
fn several_are_undefined_although_one_is_not_there() {
    let place = Place::new();
    let (first, last) = (place.run(&["define"]), place.run(&["define"]));
    let done = place.run_with(b"", &["undefine", &first, "tls:nothing", &last]);
    assert_eq!(done.code, 3, "{done:?}");
    assert_eq!(String::from_utf8(done.out).unwrap(), format!("{first}\n{last}\n"));
    assert_eq!(place.run(&["list", "--json"]), "[]");
}

#[test]
fn a_daemon_that_is_gone_is_reported() {
    let place = Place::new();
    place.run(&["list"]);
    let Place { server, folder } = place;
    server.kill();
    let output =
        Command::new(donjon()).args(["list", "--connect"]).arg(socket(folder.path())).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("donjond serve"), "{said}");
}

#[test]
fn a_ceph_key_is_stored_as_bytes_and_base64_of_one_not_in_silence() {
    const KEY: &[u8] = b"AQBjVWJnAAAAABAAq83vASNFZ4mrze8BI0VniQ==\n";
    let place = Place::new();
    let uuid = place.run(&["define", "--usage", "ceph:client.x"]);
    let done = place.run_with(KEY, &["set-value", &uuid]);
    assert!(done.code == 0 && done.err.contains("warning") && done.err.contains("--base64"), "{done:?}");
    assert!(!done.err.contains("AQBjVWJn"), "a value is never told: {done:?}");
    let done = place.run_with(KEY, &["set-value", "ceph:client.x", "--base64"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(place.run_with(b"", &["get-value", &uuid]).out.len(), 28);
    place.run(&["define", "--usage", "volume:/dev/a"]);
    let done = place.run_with(KEY.trim_ascii(), &["set-value", "volume:/dev/a"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "for a volume it may be a passphrase");
    let help = place.run(&["--help"]);
    assert!(help.contains("ceph auth get-key client.x | donjon set-value ceph:client.x --base64"), "{help}");
}
