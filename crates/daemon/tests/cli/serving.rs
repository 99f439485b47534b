//! A running server: its output, its data, its metrics, and `check` beside it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use expect_test::expect;
use rustix::process::{Pid, Signal, kill_process};

use crate::{DONJOND, Folder, Server, delete, get, http, not_started, succeeds};

#[test]
fn the_printed_commands_work_by_copy_and_paste() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let commands: Vec<_> = server.banner.iter().filter(|line| line.contains("curl")).collect();
    assert_eq!(commands.len(), 2, "{:?}", server.banner);
    let script = format!("set -e\n{}\n{}\n", commands[0], commands[1]);
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello", "{output:?}");
}

#[test]
fn stored_secrets_are_there_after_a_restart() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let id = server.store("kept");
    server.stop();
    let server = Server::start(&folder);
    assert!(server.read(&id).ends_with("\r\n\r\nkept"));
    assert!(http(&server.rest, &get("/healthcheck")).starts_with("HTTP/1.1 200"));
}

#[test]
fn one_server_serves_a_store() {
    let folder = Folder::new();
    let _server = Server::start(&folder);
    not_started(
        &folder,
        &[],
        expect![[r#"
        donjond: DIR/data/donjon.db is in use by another process
        One server serves a store, and nobody else reads it meanwhile: stop the other donjond (or sqlite3), or name another --data-dir.
    "#]],
    );
}

#[test]
fn check_looks_beside_a_running_server() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    server.store("one");
    server.store("two");
    let said = succeeds(&["check", "--data-dir", &folder.data()])
        .replace(&folder.data(), "DATA")
        .replace(&format!("process {} ", server.child.id()), "process PID ");
    expect![[r#"
        policy      legacy
        server      process PID runs on it, and looks
        database    DATA/donjon.db: schema known
        master key  DATA/master.key: fits
        integrity   every page and index is sound
        payloads    2 opened, none is damaged
        holds       secrets: 2, projects: 1
        changes     none is missing; the audit trail says up to 1 were committed
    "#]]
    .assert_eq(&said.replace("up to 2", "up to 1")); // A minute's line may have told of the second.
}

#[test]
fn checks_beside_a_server_disturb_no_request() {
    const TIME: Duration = Duration::from_secs(3);
    let folder = Folder::new();
    let server = Server::start(&folder);
    let start = Instant::now();
    let (checks, changes) = thread::scope(|scope| {
        let checking = scope.spawn(|| {
            let check = || succeeds(&["check", "--data-dir", &folder.data()]);
            std::iter::repeat_with(check).take_while(|_| start.elapsed() < TIME).count()
        });
        let mut changes = 0;
        while !checking.is_finished() {
            let id = server.store("fleeting"); // It asserts 201.
            let answer = http(&server.rest, &delete(&format!("/v1/secrets/{id}")));
            assert!(answer.starts_with("HTTP/1.1 204"), "after {changes} changes: {answer}");
            changes += 2;
        }
        (checking.join().unwrap(), changes)
    });
    assert!(checks > 1 && changes > 1, "{checks} checks, {changes} changes");
    server.stop();
}

#[test]
fn metrics_are_on_their_own_listener() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let id = server.store("counted");
    server.read(&id);
    let scraped = http(&server.metrics, &get("/metrics"));
    assert!(scraped.starts_with("HTTP/1.1 200"), "{scraped}");
    for sample in
        ["donjon_build_info{", "process_resident_memory_bytes ", "donjon_http_connections_accepted_total 2\n"]
    {
        assert!(scraped.contains(sample), "{sample} in {scraped}");
    }
    assert!(scraped.ends_with("# EOF\n"));
    assert!(http(&server.metrics, &get("/v1/secrets")).starts_with("HTTP/1.1 404"));
    assert!(!http(&server.rest, &get("/metrics")).contains("process_"), "the REST door has none");
}

#[test]
fn the_json_log_is_json_in_every_line() {
    let folder = Folder::new();
    let data = folder.data();
    let mut child = Command::new(DONJOND)
        .args(["serve", "--data-dir", &data, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .args(["--log-format", "json"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::from_iter(lines.find(|line| line.contains("ready")));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    said.extend(lines);
    assert!(child.wait().unwrap().success());
    for line in said {
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    }
}
