//! `donjond` as an operator sees it: exit codes, output and signals of the built binary.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

mod audit;
mod policy;
mod serving;
mod signals;
mod start;
mod systemd;
mod usage;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use expect_test::Expect;
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

/// The same of a server on ports of its own that does not start.
#[track_caller]
fn not_started(folder: &Folder, args: &[&str], expect: Expect) {
    let data = folder.data();
    let serve = ["serve", "--data-dir", &data, "--listen", "127.0.0.1:0", "--metrics-listen", "off"];
    refused(folder.dir(), &[&serve, args].concat(), 1, expect);
}

fn succeeds(args: &[&str]) -> String {
    let output = donjond(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder for one test, and the flags that keep everything in it.
struct Folder(TempDir);

impl Folder {
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
    fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[])
    }

    fn start_with(folder: &Folder, args: &[&str]) -> Self {
        let mut command = Command::new(DONJOND);
        command.args(["serve", "--data-dir", &folder.data(), "--metrics-listen", "127.0.0.1:0"]);
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
