//! `donjond backup`: a copy of a busy server has every secret that was acknowledged before, is complete by itself, and is
//! restored by the guide's own commands.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Client, DONJOND, Server, until};

fn backup(data: &Path, to: &Path) -> Output {
    Command::new(DONJOND).args(["backup", "--data-dir"]).arg(data).arg(to).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn text(payload: &str) -> String {
    format!(r#"{{"payload": "{payload}", "payload_content_type": "text/plain"}}"#)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn has_all(client: &mut Client, secrets: &HashMap<String, String>) {
    for (id, payload) in secrets {
        let answer = client.payload(id).unwrap();
        assert_eq!((answer.status, answer.text()), (200, payload.clone()), "{id}");
    }
}

#[test]
fn a_backup_under_load_has_every_secret_and_is_restored_by_the_guide() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = folder.path();
    let server = Server::start(data);
    let stored = Mutex::new(HashMap::new());
    let ended = AtomicBool::new(false);
    let copy = copies.path().join("copy.db");
    let (before, said) = std::thread::scope(|scope| {
        for thread in 0..3 {
            let (server, stored, ended) = (&server, &stored, &ended);
            scope.spawn(move || {
                let mut client = server.connect();
                let mut number = 0;
                while !ended.load(Ordering::Relaxed) {
                    number += 1;
                    let payload = format!("payload {thread} {number}");
                    let id = client.create(&text(&payload)).unwrap().id();
                    if number % 5 == 0 {
                        let path = format!("/v1/secrets/{id}");
                        assert_eq!(client.ask("DELETE", &path, "", b"").unwrap().status, 204);
                    } else {
                        stored.lock().unwrap().insert(id, payload);
                    }
                }
            });
        }
        until("some are stored", || stored.lock().unwrap().len() > 200);
        let before = stored.lock().unwrap().clone();
        let output = backup(data, &copy);
        ended.store(true, Ordering::Relaxed);
        (before, output)
    });
    let said = succeeds(&said);
    for line in [
        "backup      ",
        "integrity   every page",
        "payloads    ",
        "holds       secrets: ",
        "The master key is not in it",
    ] {
        assert!(said.lines().any(|said| said.starts_with(line)), "{line} in {said}");
    }
    assert_eq!(names(copies.path()), ["copy.db"], "nothing is beside it");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!data.join("donjon.db.copy").exists());

    // An existing file stays, with a server and without.
    let bytes = std::fs::read(&copy).unwrap();
    let refused = |output: Output| {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was touched"), "{output:?}");
    };
    refused(backup(data, &copy));
    server.kill();
    refused(backup(data, &copy));
    assert!(std::fs::read(&copy).unwrap() == bytes);

    // A look at it, as the guide says, leaves nothing beside it either.
    let store = format!("sqlite:{}", copy.display());
    let looked = Command::new(DONJOND).args(["check", "--store", &store, "--data-dir"]).arg(data).output();
    succeeds(&looked.unwrap());
    assert_eq!(names(copies.path()), ["copy.db"]);

    // The guide's own commands, with the guide's paths put in the place of the test's.
    restore_by_the_guide(data, &copy);
    let server =
        Server::start_with(data, &["--audit", &copies.path().join("audit.log").display().to_string()]);
    has_all(&mut server.connect(), &before);
}

#[test]
fn a_backup_has_the_served_data_after_the_file_was_deleted_or_replaced() {
    for replaced in [false, true] {
        let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (data, copy) = (folder.path(), copies.path().join("copy.db"));
        let server = Server::start(data);
        let id = server.connect().create(&text("kept")).unwrap().id();
        let database = data.join("donjon.db");
        std::fs::remove_file(&database).unwrap();
        if replaced {
            std::fs::write(&database, "another").unwrap();
        }
        assert_eq!(server.connect().create(&text("refused")).unwrap().status, 503);
        succeeds(&backup(data, &copy));
        server.kill();
        std::fs::copy(&copy, &database).unwrap();
        has_all(&mut Server::start(data).connect(), &HashMap::from([(id, "kept".to_owned())]));
    }
}

/// Runs the lines of the guide's section "Backup" that restore one.
fn restore_by_the_guide(data: &Path, copy: &Path) {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators-guide.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let section = guide.split_once("\n## Backup\n").unwrap().1.split("\n## ").next().unwrap();
    let block = section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .find(|block| block.contains("install"))
        .expect("the guide restores");
    let user = |flag: &str| {
        let output = Command::new("id").arg(flag).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let mut script = "set -e\n".to_owned();
    for line in block.lines().filter(|line| !line.contains("systemctl")) {
        let line = line
            .replace("sudo ", "")
            .replace("/var/lib/donjon/", &format!("{}/", data.display()))
            .replace("-o donjon -g donjon", &format!("-o {} -g {}", user("-u"), user("-g")));
        let line: Vec<_> = line
            .split(' ')
            .map(
                |word| {
                    if word.starts_with("/backup/") { copy.display().to_string() } else { word.to_owned() }
                },
            )
            .collect();
        script += &(line.join(" ") + "\n");
    }
    assert!(script.contains("install ") && script.contains("rm "), "{script}");
    let ran = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(ran.status.success(), "{script}: {ran:?}");
}

#[test]
fn a_backup_where_no_server_runs_is_the_same() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(folder.path());
    let id = server.connect().create(&text("kept")).unwrap().id();
    server.kill(); // The log is not folded in.
    let copy = copies.path().join("copy.db");
    let said = succeeds(&backup(folder.path(), &copy));
    assert!(said.contains("payloads    1 opened, none is damaged"), "{said}");
    assert_eq!(names(copies.path()), ["copy.db"]);
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(&copy, other.path().join("donjon.db")).unwrap();
    std::fs::copy(folder.path().join("master.key"), other.path().join("master.key")).unwrap();
    assert_eq!(Server::start(other.path()).connect().payload(&id).unwrap().text(), "kept");
}

#[test]
fn nothing_is_left_of_a_backup_that_fails() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(folder.path());
    server.connect().create(&text("kept")).unwrap();
    let copy = copies.path().join("copy.db");
    // Another is being made.
    let partial = PathBuf::from(format!("{}.partial", copy.display()));
    std::fs::write(&partial, "another's").unwrap();
    let refused = backup(folder.path(), &copy);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&partial).unwrap(), "another's");
    std::fs::remove_file(&partial).unwrap();
    // There is no such folder.
    let nowhere = copies.path().join("no/such/copy.db");
    assert_eq!(backup(folder.path(), &nowhere).status.code(), Some(1));
    // The wrong key.
    server.kill();
    std::fs::remove_file(folder.path().join("master.key")).unwrap();
    assert_eq!(backup(folder.path(), &copy).status.code(), Some(1));
    assert_eq!(names(copies.path()), Vec::<String>::new());
}

/// Ctrl-C, and a server that ends, at whatever moment it comes.
#[test]
fn nothing_is_left_of_a_backup_that_is_stopped() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = folder.path();
    let server = Server::start(data);
    let payload = "x".repeat(15_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (server, payload) = (&server, &payload);
            scope.spawn(move || {
                let mut client = server.connect();
                for _ in 0..250 {
                    assert_eq!(client.create(&text(payload)).unwrap().status, 201);
                }
            });
        }
    });
    let begin = |number: usize| {
        Command::new(DONJOND)
            .args(["backup", "--data-dir"])
            .arg(data)
            .arg(copies.path().join(format!("{number}.db")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut stopped = 0;
    for number in 0..8 {
        let mut child = begin(number);
        // The backup is stopped at another moment each time.
        std::thread::sleep(std::time::Duration::from_millis(30 * number as u64));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        stopped += usize::from(!child.wait().unwrap().success());
        let left = names(copies.path());
        assert!(left.iter().all(|name| !name.contains("partial")), "{left:?}");
    }
    assert!(stopped > 0, "none was stopped in time");
    // The server removes its own files for them, too.
    until("nothing is left beside the database", || !data.join("donjon.db.copy").exists());
    server.kill();
    std::fs::write(data.join("donjon.db.copy"), "of a server that was killed").unwrap();
    let _server = Server::start(data);
    assert!(!data.join("donjon.db.copy").exists());
}
