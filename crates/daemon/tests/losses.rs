//! Lost changes are noticed, an operator can declare them, and the traces of a crash are told from those of a hand. The audit
//! trail does not cut, follow or wait for planted files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;
use support::{Client, DONJOND, Server, until};
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn data(&self) -> &Path {
        self.0.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    fn trail(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("audit.log")).unwrap()).into_owned()
    }

    /// The lines that are JSON.
    fn lines(&self) -> Vec<Value> {
        self.trail().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn donjond(&self, args: &[&str]) -> Output {
        let (command, more) = args.split_first().unwrap();
        Command::new(DONJOND).arg(command).arg("--data-dir").arg(self.data()).args(more).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.donjond(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The output of a command that changes nothing.
    #[track_caller]
    fn refused(&self, args: &[&str]) -> String {
        let before = self.contents();
        let args: Vec<_> = match args.first() {
            Some(&"serve") => {
                [args, &["--listen", "127.0.0.1:0", "--metrics-listen", "off", "--libvirt-socket", "off"]]
                    .concat()
            }
            _ => args.to_vec(),
        };
        let output = self.donjond(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        // Exit code 2 tells systemd not to try again: an operator has to decide.
        let code = if said.contains("changes are lost") { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert_eq!(self.contents(), before, "{args:?} changed something: {said}");
        said
    }

    /// Of each file, but those that SQLite makes to read.
    fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = support::process::files(self.data());
        files.retain(|(name, _)| !["-wal", "-shm", ".lock"].iter().any(|end| name.ends_with(end)));
        files.sort();
        files
    }

    /// The database as it is, for a copy of it that is put back later.
    fn keep(&self) -> Vec<u8> {
        fs::read(self.path("donjon.db")).unwrap()
    }

    fn put_back(&self, database: &[u8]) {
        let _ = fs::remove_file(self.path("donjon.db-wal"));
        let _ = fs::remove_file(self.path("donjon.db-shm"));
        fs::write(self.path("donjon.db"), database).unwrap();
    }
}

/// Creates some secrets and returns their ids.
fn create(client: &mut Client, many: usize) -> Vec<String> {
    let body = r#"{"payload":"x","payload_content_type":"text/plain"}"#;
    (0..many)
        .map(|_| {
            let created = client.create(body).unwrap();
            assert_eq!(created.status, 201, "{}", created.text());
            created.id()
        })
        .collect()
}

/// Starts, creates, and ends in order.
fn serve_and_create(place: &Place, more: &[&str], many: usize) -> Vec<String> {
    let mut server = Server::start_with(place.data(), more);
    let ids = create(&mut server.connect(), many);
    server.terminate();
    assert!(server.wait().success());
    ids
}

/// The server's status at its admin socket.
fn status(place: &Place) -> Value {
    let mut socket = UnixStream::connect(place.path("admin-sock")).unwrap();
    socket.write_all(b"{\"id\":1,\"ask\":\"status\"}\n").unwrap();
    let lines = BufReader::new(socket).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    let mut done = lines.map(|line: Value| line["done"].clone()).filter(|done| !done.is_null());
    done.next().unwrap()
}

fn changes(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter_map(|line| line["change"].as_u64()).collect()
}

#[test]
fn an_older_database_put_back_is_refused_until_the_operator_declares_it() {
    let place = Place::new();
    serve_and_create(&place, &[], 3);
    let older = place.keep();
    let lost = serve_and_create(&place, &[], 7);
    assert_eq!(changes(&place.lines()), (1..=10).collect::<Vec<_>>());
    place.succeeds(&["check"]);
    place.succeeds(&["check", "--audit"]);

    place.put_back(&older);
    for args in [&["serve"][..], &["check"], &["check", "--audit"]] {
        let said = place.refused(args);
        assert!(said.contains("change 10 was committed") && said.contains("is 3"), "{args:?}: {said}");
        assert!(said.contains("7 changes are missing") && said.contains("2 more"), "{args:?}: {said}");
        assert!(said.contains("change 4 at ") && said.contains("req-"), "{args:?}: {said}");
        assert!(said.contains(&lost[0]) && said.contains("--accept-rollback"), "{args:?}: {said}");
    }

    let named = format!("sqlite:{}", place.path("donjon.db").display());
    let said = place.succeeds(&["check", "--store", &named]);
    assert!(said.contains("up to 3 are here; the audit trail says up to 10 were committed"), "{said}");

    serve_and_create(&place, &["--accept-rollback"], 2);
    let lines = place.lines();
    assert_eq!(changes(&lines), (1..=12).collect::<Vec<_>>(), "no number means two changes");
    let declared = lines.iter().find(|line| line["action"] == "service:accept-rollback").unwrap();
    assert_eq!((&declared["lost_after"], &declared["lost_through"]), (&3.into(), &10.into()));
    assert_eq!((&declared["door"], &declared["project"]), (&"service".into(), &Value::Null));
    place.succeeds(&["check"]);
    let said = place.succeeds(&["check", "--audit"]);
    assert!(said.contains("accepted that changes 4 to 10 are not in the database"), "{said}");

    serve_and_create(&place, &[], 1); // Declared once, and not missed again.
    place.put_back(&older);
    let said = place.refused(&["serve"]);
    assert!(said.contains("change 13 was committed") && said.contains("3 changes are missing"), "{said}");
}

#[test]
fn an_accepted_loss_is_declared_before_anything_else_happens() {
    let place = Place::new();
    serve_and_create(&place, &[], 1);
    let older = place.keep();
    serve_and_create(&place, &[], 1);
    place.put_back(&older);
    Server::start_with(place.data(), &["--accept-rollback"]).kill();
    serve_and_create(&place, &[], 1);
    assert_eq!(changes(&place.lines()), [1, 2, 3]);
    place.succeeds(&["check", "--audit"]);
}

#[test]
fn a_flipped_bit_in_the_log_after_a_crash_is_noticed() {
    let place = Place::new();
    let mut created = 0;
    let log = loop {
        let server = Server::start(place.data());
        created += create(&mut server.connect(), 20).len();
        server.kill();
        let log = fs::File::options().read(true).write(true).open(place.path("donjon.db-wal")).unwrap();
        if log.metadata().unwrap().len() > 100_000 {
            break log; // Else it was folded in meanwhile, and cannot be damaged any more.
        }
    };
    let at = log.metadata().unwrap().len() / 2;
    let mut byte = [0];
    log.read_exact_at(&mut byte, at).unwrap();
    log.write_all_at(&[byte[0] ^ 1], at).unwrap();
    drop(log);
    let output = place.donjond(&["serve", "--listen", "127.0.0.1:0", "--libvirt-socket", "off"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("changes are lost") && said.contains(&format!("change {} was committed", created - 1)),
        "{said}"
    );
}

#[test]
fn no_new_database_is_made_beside_a_trail_but_by_init() {
    let place = Place::new();
    serve_and_create(&place, &[], 2);
    let database = place.keep();
    for empty in [false, true] {
        let _ = fs::remove_file(place.path("donjon.db"));
        if empty {
            fs::write(place.path("donjon.db"), "").unwrap();
        }
        let said = place.refused(&["serve"]);
        assert!(said.contains("there is no database at") && said.contains("donjond init"), "{said}");
    }
    let key = fs::read(place.path("master.key")).unwrap();
    fs::remove_file(place.path("donjon.db")).unwrap();
    fs::remove_file(place.path("master.key")).unwrap();
    let said = place.refused(&["init"]);
    assert!(said.contains("was not written under the master key"), "{said}");
    let other = Place::new();
    serve_and_create(&other, &[], 1);
    fs::copy(other.path("master.key"), place.path("master.key")).unwrap();
    let said = place.refused(&["init"]);
    assert!(said.contains("Move it away"), "{said}");

    fs::write(place.path("master.key"), key).unwrap();
    fs::write(place.path("donjon.db"), "").unwrap(); // As an init leaves it that has no room.
    place.succeeds(&["init"]);
    serve_and_create(&place, &[], 1);
    assert_eq!(changes(&place.lines()), [1, 2, 3]);
    let said = place.succeeds(&["check", "--audit"]);
    assert!(said.contains("accepted that changes 1 to 2"), "{said}");
    place.put_back(&database);
    assert!(place.refused(&["serve"]).contains("change 3 was committed"));
}

#[test]
fn a_missing_trail_is_reported_and_the_server_starts() {
    let place = Place::new();
    serve_and_create(&place, &[], 2);
    fs::remove_file(place.path("audit.log")).unwrap();
    let said = place.succeeds(&["check"]);
    assert!(said.contains("warning     there is no audit trail"), "{said}");
    serve_and_create(&place, &[], 1);
    assert_eq!(changes(&place.lines()), [3]);
    let said = fs::read_to_string(place.path("stderr.txt")).unwrap();
    assert!(said.contains("lines are missing at the end of the audit trail"), "{said}");
}

#[test]
fn a_line_torn_by_a_crash_is_told_from_a_hand() {
    let place = Place::new();
    let server = Server::start(place.data());
    create(&mut server.connect(), 3);
    server.kill();
    let mut trail = fs::File::options().append(true).open(place.path("audit.log")).unwrap();
    let at = trail.metadata().unwrap().len();
    trail.write_all(b"{\"time\":\"2026-11-30T23").unwrap();
    serve_and_create(&place, &[], 1);
    let lines = place.lines();
    let start = lines.iter().rfind(|line| line["action"] == "service:start").unwrap();
    assert_eq!((&start["cut_at"], &start["cut_bytes"]), (&at.into(), &22.into()));
    assert_eq!(lines.last().unwrap()["action"], "service:stop");
    let said = place.succeeds(&["check", "--audit"]);
    assert!(said.contains("cut by a crash before line 5"), "{said}");
}

#[test]
fn lines_broken_by_a_power_cut_are_told_from_a_hand() {
    let place = Place::new();
    let server = Server::start(place.data());
    until("the store knows of the start's line", || !status(&place)["audit"].is_null());
    create(&mut server.connect(), 30);
    server.kill();
    // Pages come to disk in any order: the length and the end are there, and two pages before are not.
    let trail = fs::File::options().write(true).open(place.path("audit.log")).unwrap();
    let length = trail.metadata().unwrap().len();
    let hole = (length / 2) & !4095;
    trail.write_all_at(&[0; 4096], hole).unwrap();
    serve_and_create(&place, &[], 1);
    let said = place.succeeds(&["check", "--audit"]);
    assert!(said.contains("damaged by a crash before line "), "{said}");
    assert_eq!(changes(&place.lines()).last(), Some(&31));

    // The same damage in synced lines comes from a hand.
    trail.write_all_at(&[0; 64], hole / 2).unwrap();
    serve_and_create(&place, &[], 1);
    let said = place.refused(&["check", "--audit"]);
    assert!(said.contains("was altered") && said.contains("find out who"), "{said}");
}

#[test]
fn rotation_keeps_the_known_changes() {
    let place = Place::new();
    serve_and_create(&place, &[], 0);
    let older = place.keep();
    let server = Server::start(place.data());
    create(&mut server.connect(), 2);
    fs::rename(place.path("audit.log"), place.path("audit.log.1")).unwrap();
    server.kill(); // Before anything was written in a new file.
    fs::write(place.path("audit.log"), "").unwrap();
    let server = Server::start(place.data());
    assert_eq!(
        place.lines()[0]["n"].as_u64(),
        Some(6),
        "the chain goes on after the file that was moved away"
    );
    fs::rename(place.path("audit.log"), place.path("audit.log.2")).unwrap();
    fs::rename(place.path("audit.log.1"), place.path("audit.log.3")).unwrap();
    fs::rename(place.path("audit.log.2"), place.path("audit.log.1")).unwrap();
    fs::rename(place.path("audit.log.3"), place.path("audit.log.2")).unwrap();
    Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
    until("a new file", || fs::metadata(place.path("audit.log")).is_ok_and(|file| file.len() > 0));
    let first = place.lines().remove(0);
    assert_eq!((&first["action"], &first["committed"]), (&"service:reopen".into(), &2.into()));
    server.kill();
    place.put_back(&older);
    assert!(place.refused(&["check"]).contains("change 2 was committed"));
}

#[test]
fn a_kill_under_load_is_no_loss() {
    let place = Place::new();
    for _ in 0..8 {
        let server = Server::start(place.data());
        let begin = place.trail().len();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let mut client = server.connect();
                std::thread::spawn(move || {
                    let body = r#"{"payload":"x","payload_content_type":"text/plain"}"#;
                    while client.create(body).is_ok_and(|created| created.status == 201) {}
                })
            })
            .collect();
        until("the load is under way", || place.trail().len() > begin + 16_384);
        server.kill();
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
    place.succeeds(&["check"]);
    place.succeeds(&["check", "--audit"]);
    let numbers = changes(&place.lines());
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len(), "no number means two changes");
}

#[test]
fn only_an_audit_trail_of_our_own_is_written() {
    let place = Place::new();
    serve_and_create(&place, &[], 1);
    let notes = place.path("notes.txt");
    fs::write(&notes, "some notes\nwithout an end").unwrap();
    let short = place.path("short.txt");
    fs::write(&short, "no line at all").unwrap();
    std::os::unix::fs::symlink(&notes, place.path("link")).unwrap();
    std::os::unix::fs::symlink(place.path("nowhere"), place.path("dangling")).unwrap();
    fs::write(place.path("two"), "").unwrap();
    fs::hard_link(place.path("two"), place.path("names")).unwrap();
    assert!(Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    for (file, why) in [
        ("notes.txt", "no line of an audit trail"),
        ("short.txt", "no line of an audit trail"),
        ("link", "symbolic link"),
        ("dangling", "symbolic link"),
        ("two", "hard links"),
        ("pipe", "no regular file"),
    ] {
        let path = place.path(file).display().to_string();
        let said = place.refused(&["serve", "--audit", &path]);
        assert!(said.contains(why) && said.contains("nothing was changed"), "{file}: {said}");
    }
    assert!(!place.path("nowhere").exists());
    if rustix::process::geteuid().is_root() {
        fs::write(place.path("theirs"), "").unwrap();
        std::os::unix::fs::chown(place.path("theirs"), Some(65534), None).unwrap();
        let theirs = place.path("theirs").display().to_string();
        let said = place.refused(&["serve", "--audit", &theirs]);
        assert!(said.contains("it belongs to user 65534"), "{said}");
    }
}

#[test]
fn names_of_callers_break_no_line_of_trail_or_log() {
    let place = Place::new();
    let server = Server::start_with(place.data(), &["--log", "debug"]);
    let odd = "a\u{2028}b\u{2029}c\u{85}d\u{9b}31me\u{202e}f";
    let headers = format!("X-Project-Id: p\r\nX-User-Id: {odd}\r\nX-Roles: admin\r\n");
    let listed = server.connect().ask_as("GET", "/v1/secrets", &headers, b"").unwrap();
    assert_eq!(listed.status, 200, "{}", listed.text());
    assert_eq!(place.lines().last().unwrap()["user"], odd, "it is written down as it was");
    let log = fs::read_to_string(place.path("stderr.txt")).unwrap();
    for (what, text) in [("trail", place.trail()), ("log", log)] {
        let found: Vec<_> = text.chars().filter(|found| odd.contains(*found) && !found.is_ascii()).collect();
        assert!(found.is_empty(), "{what}: {found:?}");
    }
}

#[test]
fn a_reader_of_standard_output_that_stands_still_holds_up_nobody_for_long() {
    let place = Place::new();
    let pipe = place.path("out");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Open to read and write, so that neither side waits for the other.
    let mut reader = fs::File::options().read(true).write(true).custom_flags(nonblock()).open(&pipe).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" >\"$OUT\"", DONJOND]).env("OUT", &pipe);
    let mut server = Server::start_by(command, place.data(), &["--audit", "stdout"]);
    let mut client = server.connect();
    let begin = Instant::now();
    let refused = (0..5000).find(|_| {
        let listed = client.ask("GET", "/v1/secrets", "", b"").unwrap();
        assert!([200, 503].contains(&listed.status), "{}", listed.text());
        listed.status == 503
    });
    assert!(refused.is_some(), "a pipe holds no more than that");
    assert_eq!(client.create(r#"{"payload":"x","payload_content_type":"text/plain"}"#).unwrap().status, 503);
    let health = server.connect().ask_as("GET", "/healthcheck", "", b"").unwrap();
    assert_eq!(health.status, 200);
    assert!(begin.elapsed() < support::PATIENCE);

    // The reader comes back, and all is well.
    let mut taken = Vec::new();
    until("requests are served again", || {
        let mut some = [0; 65536];
        if let Ok(many) = reader.read(&mut some) {
            taken.extend_from_slice(&some[..many]);
        }
        client.ask("GET", "/v1/secrets", "", b"").unwrap().status == 200
    });
    assert!(taken.starts_with(b"{\"time\":\""), "the start has its line");

    // And it ends, though nobody reads again.
    while client.ask("GET", "/v1/secrets", "", b"").unwrap().status == 200 {}
    server.terminate();
    assert!(server.wait().success());
}

/// `O_NONBLOCK`, as Linux has it.
fn nonblock() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap()
}
