//! The admin socket: its users, its answers to malformed requests, its beginning and its end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{DONJOND, PATIENCE, Server, until};

struct Asking(BufReader<UnixStream>);

impl Asking {
    fn connect(data: &Path) -> Self {
        let stream = UnixStream::connect(data.join("admin-sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn greeted(data: &Path) -> Self {
        let mut asking = Self::connect(data);
        assert_eq!(asking.line()["donjon_admin"], 1);
        asking
    }

    fn say(&mut self, text: &[u8]) {
        self.0.get_mut().write_all(text).unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Whether nothing more comes.
    fn has_ended(&mut self) -> bool {
        matches!(self.0.read_line(&mut String::new()), Ok(0) | Err(_))
    }
}

#[test]
fn it_answers_several_requests_at_once_and_names_the_error_of_malformed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.connect().create(r#"{"payload": "x", "payload_content_type": "text/plain"}"#).unwrap();
    let mut asking = Asking::greeted(folder.path());
    asking.say(b"{\"id\":1,\"ask\":\"check\"}\n{\"id\":2,\"ask\":\"status\"}\n{\"id\":3,\"ask\":\"dance\"}\nhello\n{\"ask\":\"check\"}\n");
    let mut said: Vec<Value> = Vec::new();
    let has =
        |said: &[Value], id: u64| said.iter().any(|line| line["id"] == id && line.get("done").is_some());
    while !has(&said, 1)
        || !has(&said, 2)
        || said.iter().filter(|line| line.get("error").is_some()).count() < 3
    {
        said.push(asking.line());
    }
    let about = |id: Value, what: &str| {
        said.iter().find(|line| line["id"] == id && line.get(what).is_some()).unwrap()[what].clone()
    };
    let check = about(json!(1), "done");
    assert_eq!(check, json!({"secrets": 1, "projects": 1, "opened": 1, "damaged": 0, "complaints": []}));
    let status = about(json!(2), "done");
    assert_eq!(status["pid"], server.pid());
    assert_eq!(status["database"], folder.path().join("donjon.db").display().to_string());
    assert_eq!(about(json!(3), "error")["kind"], "unknown");
    assert_eq!(about(Value::Null, "error")["kind"], "not_a_request");
    assert!(!said.iter().any(|line| line.to_string().contains("master")), "{said:?}");
}

#[test]
fn a_line_without_end_is_cut_off_and_so_is_a_client_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path());
    let mut asking = Asking::greeted(folder.path());
    asking.say(&vec![b'x'; 64 * 1024]);
    assert_eq!(asking.line()["error"]["kind"], "not_a_request");
    assert!(asking.has_ended());
    let _clients: Vec<_> = (0..16).map(|_| Asking::greeted(folder.path())).collect();
    let mut one_more = Asking::connect(folder.path());
    assert_eq!(one_more.line()["error"]["kind"], "busy");
    assert!(one_more.has_ended());
}

#[test]
fn the_socket_is_for_its_user_alone_and_goes_at_the_end_and_a_stale_one_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin-sock");
    let server = Server::start(folder.path());
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    server.kill();
    assert!(socket.exists(), "kill -9 leaves it");
    let mut server = Server::start(folder.path());
    Asking::greeted(folder.path());
    server.terminate();
    server.wait();
    assert!(!socket.exists());

    let mut server = Server::start_with(folder.path(), &["--admin-socket", "off"]);
    assert!(!socket.exists());
    server.terminate();
    server.wait();
    let other = folder.path().join("elsewhere");
    let moved = ["--admin-socket", other.to_str().unwrap()];
    let _server = Server::start_with(folder.path(), &moved);
    assert!(!socket.exists() && other.exists());
    let check = |more: &[&str]| {
        Command::new(DONJOND).args(["check", "--data-dir"]).arg(folder.path()).args(more).output().unwrap()
    };
    let looked = check(&moved);
    assert!(
        looked.status.success() && String::from_utf8_lossy(&looked.stdout).contains("server "),
        "{looked:?}"
    );
}

/// A Python that every user may run.
fn python_for_all() -> &'static str {
    if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" }
}

/// The mode of the socket keeps other users out; if it is widened, their identity does. Needs root, to become another user.
#[test]
fn another_user_is_refused_and_the_log_says_so() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: only root becomes another user");
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let _server = Server::start(data);
    for (path, mode) in [(data.to_owned(), 0o755), (data.join("admin-sock"), 0o666)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let python = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                  s.settimeout(20); print(s.makefile().read())";
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", python_for_all(), "-c", python])
        .arg(data.join("admin-sock"))
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(said["error"]["kind"], "denied", "{said}");
    assert!(said.get("donjon_admin").is_none());
    let logged = || std::fs::read_to_string(data.join("stderr.txt")).unwrap();
    until("the log says so", || {
        logged().lines().any(|line| line.contains("refused at the admin socket") && line.contains("65534"))
    });
    Asking::greeted(data); // Root still may.
}

/// A client that asks for much and reads nothing is cut off, and others are answered meanwhile.
#[test]
fn a_client_that_reads_nothing_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path());
    let mut deaf = Asking::connect(folder.path());
    let nonsense = b"{\"id\":1,\"ask\":\"x\"}\n".repeat(1000);
    deaf.0.get_mut().set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    while deaf.0.get_mut().write_all(&nonsense).is_ok() {}
    let mut asking = Asking::greeted(folder.path());
    asking.say(b"{\"id\":9,\"ask\":\"status\"}\n");
    assert!(asking.line().get("done").is_some());
}
