//! `donjond` as an operator sees it: exit codes, output and signals of the built binary.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const DONJOND: &str = env!("CARGO_BIN_EXE_donjond");
/// No step of any test takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn donjond<A: AsRef<OsStr>>(args: &[A]) -> Output {
    Command::new(DONJOND).args(args).output().expect("donjond starts")
}

/// The stderr and the exit code, with DIR for the folder of the test.
#[track_caller]
fn refused(dir: &Path, args: &[&str], code: i32, expect: Expect) {
    let output = donjond(args);
    let said = String::from_utf8(output.stderr).unwrap().replace(&dir.display().to_string(), "DIR");
    expect.assert_eq(&said);
    assert_eq!(output.status.code(), Some(code));
}

fn succeeds(args: &[&str]) -> String {
    let output = donjond(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder for one test, and the flags that keep everything in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn data(&self) -> String {
        self.path("data").display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }
}

/// A running server, ended at the latest when the test is.
struct Server {
    child: Child,
    said: Receiver<String>,
    rest: String,
    metrics: String,
    /// The output until it was ready.
    banner: Vec<String>,
}

impl Server {
    fn start(place: &Place) -> Self {
        Self::start_with(place, &[])
    }

    fn start_with(place: &Place, args: &[&str]) -> Self {
        let mut command = Command::new(DONJOND);
        command.args(["serve", "--data-dir", &place.data(), "--metrics-listen", "127.0.0.1:0"]);
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(args);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("donjond starts");
        let (say, said) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).all(|line| say.send(line).is_ok()));
        let mut server =
            Self { child, said, rest: String::new(), metrics: String::new(), banner: Vec::new() };
        while !server.banner.iter().any(|line| line.contains("/payload")) {
            let line = server.line();
            server.banner.push(line);
        }
        server.rest = server.told("REST");
        server.metrics = server.told("metrics");
        server
    }

    /// The next line it says.
    #[track_caller]
    fn line(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("it says more")
    }

    /// The first line from here on that has this in it.
    #[track_caller]
    fn line_with(&self, text: &str) -> String {
        std::iter::repeat_with(|| self.line()).find(|line| line.contains(text)).unwrap()
    }

    /// The authority of a URL in the banner.
    fn told(&self, what: &str) -> String {
        let line = self.banner.iter().find(|line| line.trim_start().starts_with(what));
        let url = line.and_then(|line| line.split_once("http://")).map_or("", |(_, url)| url);
        url.split('/').next().unwrap_or_default().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    #[track_caller]
    fn exit_code(&mut self) -> Option<i32> {
        until(|| self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }

    fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.exit_code(), Some(0));
    }

    /// Stores a secret and returns its id.
    fn store(&self, payload: &str) -> String {
        let body = format!(r#"{{"payload": "{payload}", "payload_content_type": "text/plain"}}"#);
        let answer = http(&self.rest, &post(&body));
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let reference = answer.split_once("/v1/secrets/").expect("a reference").1;
        reference[..36].to_owned()
    }

    /// Waits until the metrics have a line.
    #[track_caller]
    fn until_metric(&self, line: &str) {
        until(|| http(&self.metrics, &get("/metrics")).lines().any(|found| found == line));
    }

    fn read(&self, id: &str) -> String {
        http(&self.rest, &get(&format!("/v1/secrets/{id}/payload")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Project-Id: p\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
    )
}

fn delete(path: &str) -> String {
    format!("DELETE {path} HTTP/1.1\r\nHost: localhost\r\nX-Project-Id: p\r\nConnection: close\r\n\r\n")
}

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/secrets HTTP/1.1\r\nHost: localhost\r\nX-Project-Id: p\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn http(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it takes too long");
        thread::sleep(Duration::from_millis(5));
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

// Usage and configuration: exit code 2.

#[test]
fn help_and_version_succeed() {
    assert_eq!(succeeds(&["--version"]), format!("donjond {}\n", env!("CARGO_PKG_VERSION")));
    for command in ["serve", "init", "check"] {
        assert!(succeeds(&[command, "--help"]).contains("\n  donjond "), "{command} has an example");
    }
}

#[test]
fn wrong_usage_is_2() {
    for args in
        [&[][..], &["sevre"], &["serve", "--lissten", "x"], &["serve", "now"], &["init", "--auth", "x"]]
    {
        assert_eq!(donjond(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_wrong_flag_is_told_the_allowed_values() {
    let place = Place::new();
    refused(
        place.dir(),
        &["serve", "--store", "mysql://db/donjon"],
        2,
        expect![[r#"
        error: invalid value 'mysql://db/donjon' for '--store <URL>': mysql is not in this build; allowed: sqlite:PATH

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn every_wrong_line_of_the_file_is_reported() {
    let place = Place::new();
    let file = place.write("donjon.toml", "lissten = \"127.0.0.1:9311\"\n\n[limits]\nconnections = 0\n");
    let keys = "allowed: admin_socket, audit, audit_sync, auth, cors, data_dir, host_href, hosts, insecure_listen, keystone, libvirt_auth, \
                libvirt_project, libvirt_socket, libvirt_socket_group, libvirt_socket_mode, libvirt_socket_ro_mode, \
                libvirt_token, limits, listen, log, log_format, master_key, metrics_listen, policy, policy_file, quotas, \
                store, upkeep";
    for command in ["serve", "init", "check"] {
        let output = donjond(&[command, "--config", &file]);
        let expected = format!(
            "donjond: {file}:1:1: unknown key \"lissten\": did you mean \"listen\"?; {keys}\n\
             {file}:4:15: limits.connections = 0: allowed: a whole number of connections from 1 to 1000000\n"
        );
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn a_missing_file_is_reported() {
    let place = Place::new();
    let file = place.path("absent.toml").display().to_string();
    refused(
        place.dir(),
        &["serve", "--config", &file],
        2,
        expect![[r#"
        donjond: cannot read the configuration file DIR/absent.toml: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn everybodys_network_needs_a_word() {
    let place = Place::new();
    let args = ["serve", "--data-dir", &place.data(), "--listen", "0.0.0.0:0"];
    refused(
        place.dir(),
        &args,
        2,
        expect![[r#"
        donjond: 0.0.0.0:0 is not a loopback address, and with auth project-header whoever reaches it reads and writes the secrets of every project
        Choose auth keystone, listen on 127.0.0.1 behind a proxy that authenticates, or give --insecure-listen if this network is trusted.
    "#]],
    );
    assert!(!place.path("data").exists(), "nothing is made before the configuration is right");
}

#[test]
fn refused_addresses_matter_only_to_commands_that_listen() {
    let place = Place::new();
    let file = place.write("donjon.toml", "listen = \"0.0.0.0:9311\"\n");
    for command in ["init", "check"] {
        succeeds(&[command, "--config", &file, "--data-dir", &place.data()]);
    }
    assert_eq!(
        donjond(&["serve", "--config", &file, "--data-dir", &place.data()]).status.code(),
        Some(2),
        "the same file"
    );
}

#[test]
fn a_database_in_memory_is_refused() {
    let place = Place::new();
    for store in ["sqlite::memory:", "sqlite:"] {
        let output = donjond(&["serve", "--data-dir", &place.data(), "--store", store]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("allowed: sqlite:PATH, where PATH is not empty"), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(!place.path("data").exists());
}

// Making a store, and refusing to start: exit code 1.

#[test]
fn init_makes_everything_private_and_only_once() {
    let place = Place::new();
    let said = succeeds(&["init", "--data-dir", &place.data()]).replace(&place.data(), "DATA");
    expect![[r#"
        data        DATA
        master key  DATA/master.key
        database    DATA/donjon.db
        audit trail DATA/audit.log

        Copy the master key to a safe place now: without it nothing in the database opens.
    "#]]
    .assert_eq(&said);
    assert_eq!(mode(&place.path("data")), 0o700);
    for name in ["master.key", "donjon.db", "audit.log"] {
        assert_eq!(mode(&place.path("data").join(name)), 0o600, "{name}");
    }
    let key = fs::read(place.path("data/master.key")).unwrap();
    refused(
        place.dir(),
        &["init", "--data-dir", &place.data()],
        1,
        expect![[r#"
        donjond: there is a store at DIR/data/donjon.db already; nothing was touched
        Start it with donjond serve, look at it with donjond check, or name another --data-dir.
    "#]],
    );
    assert_eq!(fs::read(place.path("data/master.key")).unwrap(), key);
}

#[test]
fn a_missing_master_key_is_never_made_anew() {
    let place = Place::new();
    succeeds(&["init", "--data-dir", &place.data()]);
    fs::remove_file(place.path("data/master.key")).unwrap();
    let args = ["serve", "--data-dir", &place.data(), "--listen", "127.0.0.1:0", "--metrics-listen", "off"];
    refused(
        place.dir(),
        &args,
        1,
        expect![[r#"
        donjond: master key DIR/data/master.key is missing and the store was made with it: restore the file, or name another
    "#]],
    );
    refused(
        place.dir(),
        &["check", "--data-dir", &place.data()],
        1,
        expect![[r#"
        donjond: master key DIR/data/master.key is missing and the store was made with it: restore the file, or name another
    "#]],
    );
    assert!(!place.path("data/master.key").exists());
}

#[test]
fn another_stores_master_key_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    for place in [&place, &other] {
        succeeds(&["init", "--data-dir", &place.data()]);
    }
    fs::copy(other.path("data/master.key"), place.path("data/master.key")).unwrap();
    let args = ["serve", "--data-dir", &place.data(), "--listen", "127.0.0.1:0", "--metrics-listen", "off"];
    refused(
        place.dir(),
        &args,
        1,
        expect![[r#"
        donjond: the master key (file DIR/data/master.key) is not the one that the store DIR/data/donjon.db was made with
        Restore the right key, or name it with --master-key. A new key would open nothing, so none is made.
    "#]],
    );
    refused(
        place.dir(),
        &["check", "--data-dir", &place.data()],
        1,
        expect![[r#"
        donjond: the master key (file DIR/data/master.key) is not the one that the store DIR/data/donjon.db was made with
        Restore the right key, or name it with --master-key. A new key would open nothing, so none is made.
    "#]],
    );
}

#[test]
fn a_schema_of_another_version_is_refused() {
    let place = Place::new();
    succeeds(&["init", "--data-dir", &place.data()]);
    let path = place.path("data/donjon.db");
    let mut database = fs::read(&path).unwrap();
    database[60..64].copy_from_slice(&99_u32.to_be_bytes()); // user_version in SQLite's file header.
    fs::write(&path, database).unwrap();
    let args = ["serve", "--data-dir", &place.data(), "--listen", "127.0.0.1:0", "--metrics-listen", "off"];
    refused(
        place.dir(),
        &args,
        1,
        expect![[r#"
            donjond: DIR/data/donjon.db has schema 99; this program knows schema 5
            A later donjond wrote it: start that version or a later one; nothing was changed.
        "#]],
    );
}

#[test]
fn a_file_that_is_not_a_database_is_refused() {
    let place = Place::new();
    let file = place.write("letter.txt", &"Dear operator, this is no database. ".repeat(100));
    let store = format!("sqlite:{file}");
    let data = place.data();
    let args = [
        "serve",
        "--data-dir",
        &data,
        "--store",
        &store,
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "off",
    ];
    refused(
        place.dir(),
        &args,
        1,
        expect![[r#"
        donjond: DIR/letter.txt is not a Donjon database
        Name Donjon's own database with --store sqlite:PATH; nothing was changed.
    "#]],
    );
}

#[test]
fn a_read_only_database_is_not_served() {
    let place = Place::new();
    let data = place.data();
    fs::create_dir(place.path("folder")).unwrap(); // Not to be written by root either, whom no mode keeps out.
    let store = format!("sqlite:{}", place.path("folder").display());
    refused(
        place.dir(),
        &[
            "serve",
            "--data-dir",
            &data,
            "--store",
            &store,
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "off",
        ],
        1,
        expect![[r#"
            donjond: DIR/folder: Is a directory (os error 21)
            Let the user that runs donjond read and write there, or name another place.
        "#]],
    );
    assert!(!place.path("folder.lock").exists(), "nothing is made beside it");
}

#[test]
fn check_of_nothing_makes_nothing() {
    let place = Place::new();
    refused(
        place.dir(),
        &["check", "--data-dir", &place.data()],
        1,
        expect![[r#"
        donjond: there is no database at DIR/data/donjon.db
        Make a store with donjond init or donjond serve, or name one with --data-dir or --store.
    "#]],
    );
    assert!(!place.path("data").exists());
}

#[test]
fn an_address_in_use_is_reported() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = donjond(&["serve", "--data-dir", &place.data(), "--listen", &address]);
    let said = String::from_utf8(output.stderr).unwrap().replace(&address, "ADDR");
    expect![[r#"
        donjond: cannot listen on ADDR: Address already in use (os error 98)
        See who does with: ss -ltnp. Choose another address with --listen.
    "#]]
    .assert_eq(&said);
    assert_eq!(output.status.code(), Some(1));
    assert!(!place.path("data").exists(), "nothing is made");
}

// Serving.

#[test]
fn the_printed_commands_work_by_copy_and_paste() {
    let place = Place::new();
    let server = Server::start(&place);
    let commands: Vec<_> = server.banner.iter().filter(|line| line.contains("curl")).collect();
    assert_eq!(commands.len(), 2, "{:?}", server.banner);
    let script = format!("set -e\n{}\n{}\n", commands[0], commands[1]);
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello", "{output:?}");
}

#[test]
fn stored_secrets_are_there_after_a_restart() {
    let place = Place::new();
    let server = Server::start(&place);
    let id = server.store("kept");
    server.stop();
    let server = Server::start(&place);
    assert!(server.read(&id).ends_with("\r\n\r\nkept"));
    assert!(http(&server.rest, &get("/healthcheck")).starts_with("HTTP/1.1 200"));
}

#[test]
fn one_server_serves_a_store() {
    let place = Place::new();
    let _server = Server::start(&place);
    let args = ["serve", "--data-dir", &place.data(), "--listen", "127.0.0.1:0", "--metrics-listen", "off"];
    refused(
        place.dir(),
        &args,
        1,
        expect![[r#"
        donjond: DIR/data/donjon.db is in use by another process
        One server serves a store, and nobody else reads it meanwhile: stop the other donjond (or sqlite3), or name another --data-dir.
    "#]],
    );
}

#[test]
fn check_looks_beside_a_running_server() {
    let place = Place::new();
    let server = Server::start(&place);
    server.store("one");
    server.store("two");
    let said = succeeds(&["check", "--data-dir", &place.data()])
        .replace(&place.data(), "DATA")
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
    let place = Place::new();
    let server = Server::start(&place);
    let start = Instant::now();
    let (checks, changes) = thread::scope(|scope| {
        let checking = scope.spawn(|| {
            let check = || succeeds(&["check", "--data-dir", &place.data()]);
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
    let place = Place::new();
    let server = Server::start(&place);
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
    let place = Place::new();
    let data = place.data();
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

// Signals.

#[test]
fn a_request_in_flight_is_answered_before_it_ends() {
    let place = Place::new();
    let mut server = Server::start(&place);
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
    let place = Place::new();
    let mut server = Server::start(&place);
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
    let place = Place::new();
    let file = place.write("donjon.toml", "[limits]\ndrain_seconds = 1\n");
    let mut server = Server::start_with(&place, &["--config", &file]);
    let mut stream = TcpStream::connect(&server.rest).unwrap();
    let request = post("{}");
    stream.write_all(&request.as_bytes()[..request.len() - 1]).unwrap();
    server.until_metric("donjon_http_requests_in_flight 1");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_hangup_opens_the_audit_trail_anew() {
    let place = Place::new();
    let server = Server::start(&place);
    let id = server.store("one");
    let (old, new) = (place.path("data/audit.log.1"), place.path("data/audit.log"));
    fs::rename(&new, &old).unwrap();
    server.signal(Signal::HUP);
    server.line_with("audit");
    server.read(&id);
    server.stop();
    assert!(!fs::read_to_string(&new).unwrap().is_empty());
    let (old, new) = (old.display().to_string(), new.display().to_string());
    succeeds(&["check", "--data-dir", &place.data(), "--audit", &old, &new]);
}

#[test]
fn a_hangup_reads_the_log_filter_and_names_settings_that_need_a_restart() {
    let place = Place::new();
    let file = place.write("donjon.toml", "log = \"info\"\n");
    let server = Server::start_with(&place, &["--config", &file]);
    place.write("donjon.toml", "log = \"debug\"\naudit_sync = \"entry\"\n");
    server.signal(Signal::HUP);
    assert!(server.line_with("restart").contains("audit_sync"));
    place.write("donjon.toml", "log = \"loud\"\n");
    server.signal(Signal::HUP);
    assert!(server.line_with("donjon.toml:1:7").contains("ERROR"));
    server.stop();
}

// The policy.

#[test]
fn a_wrong_policy_file_is_reported_line_by_line_and_no_file_is_made() {
    let place = Place::new();
    let file =
        place.write("policy.yaml", "# ours\n\"secret:delte\": \"role:a\"\n\"secret:get\": \"role:a or\"\n");
    refused(
        place.dir(),
        &["serve", "--data-dir", &place.data(), "--policy-file", &file],
        2,
        expect![[r#"
            donjond: DIR/policy.yaml:3: "secret:get": it ends where a check should follow; write one, or take the last word away
            See the rules there are, and what they say, with: donjond policy
        "#]],
    );
    let wrong =
        place.write("wrong.yaml", "# ours\n\"secret:delte\": \"role:a\"\n\"secret:get\": \"rule:membr\"\n");
    let told = "\
donjond: DIR/wrong.yaml:2: \"secret:delte\" is no rule of Barbican's, and nothing refers to it; did you mean \"secret:delete\"?
DIR/wrong.yaml:3: \"secret:get\" refers to the rule \"membr\", which is not defined; the operator's guide says where all names are
See the rules there are, and what they say, with: donjond policy
";
    for command in ["serve", "check"] {
        let output = donjond(&[command, "--data-dir", &place.data(), "--policy-file", &wrong]);
        let said =
            String::from_utf8(output.stderr).unwrap().replace(&place.dir().display().to_string(), "DIR");
        assert_eq!((said.as_str(), output.status.code()), (told, Some(2)), "{command}");
    }
    refused(
        place.dir(),
        &["policy", "--policy-file", &place.path("none.yaml").display().to_string()],
        2,
        expect![[r#"
            donjond: cannot read the policy file DIR/none.yaml: No such file or directory (os error 2)
            Let the user that runs donjond read it, or name another with --policy-file.
        "#]],
    );
    assert!(!place.path("data").exists());
}

#[test]
fn the_printed_policy_is_a_policy_file() {
    let place = Place::new();
    let file = place.write("policy.yaml", "\"secrets:get\": \"role:auditor\"\nversion:get: '@'\n");
    let printed = succeeds(&["policy", "--policy", "secure-rbac", "--policy-file", &file]);
    assert!(printed.contains("policy.yaml:1\n\"secrets:get\": \"role:auditor\"\n"), "{printed}");
    let again = place.write("again.yaml", &printed);
    let again = succeeds(&["policy", "--policy-file", &again]);
    let rules =
        |text: &str| text.lines().filter(|line| line.starts_with('"')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rules(&again), rules(&printed));
    assert!(rules(&printed).len() > 80);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/policy-project-admin.yaml");
    assert!(
        succeeds(&["policy", "--policy", "secure-rbac", "--policy-file", shipped])
            .contains("project-admin.yaml:")
    );
}

#[test]
fn a_hangup_reads_the_policy_and_a_wrong_one_changes_nothing() {
    let place = Place::new();
    let file = place.write("policy.yaml", "secret:decrypt: rule:secret_project_admin\n");
    let server = Server::start_with(&place, &["--policy-file", &file]);
    let id = server.store("one");
    let may = |expect: &str| assert!(server.read(&id).starts_with(expect), "{}", server.read(&id));
    may("HTTP/1.1 200");
    place.write("policy.yaml", "secret:decrypt: '!'\n");
    server.signal(Signal::HUP);
    server.line_with("configuration was read again");
    may("HTTP/1.1 403");
    place.write("policy.yaml", "secret:decrypt: admin\n");
    server.signal(Signal::HUP);
    assert!(server.line_with("the policy stays as it was").contains("ERROR"));
    server.line_with("configuration was read again");
    may("HTTP/1.1 403");
    place.write("policy.yaml", "# as it is\n");
    server.signal(Signal::HUP);
    server.line_with("configuration was read again");
    may("HTTP/1.1 200");
    server.stop();
}

#[test]
fn the_set_of_barbican_23_wants_its_roles() {
    let place = Place::new();
    let server = Server::start_with(&place, &["--policy", "secure-rbac"]);
    let as_roles = |roles: &str, request: &str| {
        http(&server.rest, &request.replacen("\r\n", &format!("\r\nX-Roles: {roles}\r\n"), 1))
    };
    let body = r#"{"payload": "one", "payload_content_type": "text/plain"}"#;
    assert!(as_roles("creator", &post(body)).starts_with("HTTP/1.1 403"));
    assert!(as_roles("admin", &post(body)).starts_with("HTTP/1.1 403"), "alone it is no member");
    assert!(as_roles("reader,member", &post(body)).starts_with("HTTP/1.1 201"));
    server.stop();
}

// The audit trail.

#[test]
fn an_altered_or_missing_line_of_the_audit_trail_is_found() {
    let place = Place::new();
    let server = Server::start(&place);
    for payload in ["one", "two", "three", "four"] {
        server.store(payload);
    }
    server.stop();
    let check = ["check", "--data-dir", &place.data(), "--audit"];
    expect![[r#"
        audit trail DATA/audit.log
        verified    6 lines, none missing or altered
        changes     none is missing; the audit trail says up to 4 were committed
    "#]]
    .assert_eq(&succeeds(&check).replace(&place.data(), "DATA"));

    let trail = fs::read_to_string(place.path("data/audit.log")).unwrap();
    assert!(!["one", "two", "three", "four"].iter().any(|payload| trail.contains(&format!("\"{payload}\""))));
    let lines: Vec<_> = trail.lines().collect();
    let altered: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(i, line)| if i == 1 { line.replace("rest", "rust") } else { (*line).to_owned() })
        .collect();
    place.write("data/audit.log", &(altered.join("\n") + "\n"));
    refused(
        place.dir(),
        &check,
        1,
        expect![[r#"
        donjond: the audit trail does not hold (DIR/data/audit.log): line 2 of the input, number 2, or the one before it was altered
        Keep these files as they are, and find out who could write them.
    "#]],
    );
    place.write("data/audit.log", &([lines[0], lines[2], lines[3], lines[4], lines[5]].join("\n") + "\n"));
    refused(
        place.dir(),
        &check,
        1,
        expect![[r#"
        donjond: the audit trail does not hold (DIR/data/audit.log): line 2 of the input has number 3, not 2: lines were removed, moved or added
        Keep these files as they are, and find out who could write them.
    "#]],
    );
    place.write("data/audit.log", &(lines[..lines.len() - 1].join("\n") + "\n"));
    refused(
        place.dir(),
        &check,
        1,
        expect![[r#"
        donjond: the audit trail does not hold (DIR/data/audit.log): the trail ends at number 5, but the store knows that number 6 was written: lines were cut off
        Keep these files as they are, and find out who could write them.
    "#]],
    );
}

// systemd.

#[test]
fn a_passed_socket_is_served() {
    let place = Place::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh", DONJOND, "serve"])
        .args(["--data-dir", &place.data(), "--metrics-listen", "127.0.0.1:0"])
        .stdin(OwnedFd::from(socket));
    let server = Server::spawn(command);
    assert_eq!(server.rest, address);
    assert!(http(&address, &get("/healthcheck")).starts_with("HTTP/1.1 200"));
    server.stop();
}

#[test]
fn a_passed_socket_is_no_way_around_the_refusal() {
    let place = Place::new();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let output = Command::new("sh")
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh", DONJOND, "serve"])
        .args(["--data-dir", &place.data(), "--metrics-listen", "127.0.0.1:0"])
        .stdin(OwnedFd::from(socket))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_service_manager_learns_when_it_is_ready_and_when_it_stops() {
    let place = Place::new();
    let path = place.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut message = [0; 1024];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut command = Command::new(DONJOND);
    command
        .args([
            "serve",
            "--data-dir",
            &place.data(),
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ])
        .env("NOTIFY_SOCKET", &path);
    let server = Server::spawn(command);
    assert!(told().contains("READY=1"));
    server.signal(Signal::HUP);
    assert!(told().contains("RELOADING=1\nMONOTONIC_USEC="));
    assert!(told().contains("READY=1"));
    server.signal(Signal::TERM);
    assert!(told().contains("STOPPING=1"));
}
