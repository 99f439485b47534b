//! The built binary on a folder of its own, and a plain HTTP/1.1 client.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests too"
)]

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub mod keystone;
pub mod process;
pub mod rpc;

/// The program under test.
pub const DONJOND: &str = env!("CARGO_BIN_EXE_donjond");
/// No step of any test takes longer, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Answers of a real server, or the programs that asked for them, in `tests/recorded`.
#[track_caller]
pub fn recorded(name: &str) -> PathBuf {
    let path = root().join("tests/recorded").join(name);
    assert!(path.exists(), "{} is missing: a clone has it; restore it with git", path.display());
    path
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `donjond serve`, killed at the latest when the test ends.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    socket: PathBuf,
}

impl Server {
    /// Starts on the data in a folder and waits for the first answer.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub fn start_with(data: &Path, more: &[&str]) -> Self {
        Self::start_by(Command::new(DONJOND), data, more)
    }

    /// The same, by a command that runs the program.
    pub fn start_by(mut command: Command, data: &Path, more: &[&str]) -> Self {
        let socket = data.join("virtsecretd-sock");
        let told = data.join("stderr.txt");
        let mut stderr = std::fs::File::options().create(true).append(true).open(&told).unwrap();
        let before = usize::try_from(stderr.seek(SeekFrom::End(0)).unwrap()).unwrap();
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(if more.contains(&"--metrics-listen") { &[][..] } else { &["--metrics-listen", "off"] })
            .arg("--libvirt-socket")
            .arg(&socket)
            .args(more)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), socket };
        let begin = Instant::now();
        loop {
            let ended = server.child.try_wait().unwrap();
            let told = String::from_utf8(std::fs::read(&told).unwrap().split_off(before)).unwrap();
            if let Some(address) = rest_address(&told) {
                server.address = address;
                return server;
            }
            if let Some(status) = ended {
                panic!("{status}: {told}");
            }
            assert!(begin.elapsed() < PATIENCE, "the server did not start: {told}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The read-write socket of the libvirt door.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The URI that libvirt's clients find it by.
    pub fn uri(&self) -> String {
        format!("secret:///system?socket={}", self.socket.display())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, which drains.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// How it ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        until("the server ends", || !self.is_running());
        self.child.wait().unwrap()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python that python-barbicanclient was installed for.
pub fn python_with_barbicanclient() -> PathBuf {
    let target = Path::new(DONJOND).ancestors().nth(2).unwrap();
    let named = std::env::var_os("DONJON_TEST_PYTHON").map(PathBuf::from);
    named
        .into_iter()
        .chain([target.join("clients/bin/python"), "python3".into()])
        .find(|python| {
            let imports = Command::new(python).args(["-c", "import barbicanclient"]).output();
            imports.is_ok_and(|output| output.status.success())
        })
        .expect("python-barbicanclient is not installed: run `cargo xtask test`, which installs it")
}

/// Debian's Python, which python3-libvirt is made for.
pub fn python_with_libvirt() -> &'static str {
    let imports = |python: &&str| {
        let output = Command::new(python).args(["-c", "import libvirt"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(imports)
        .expect("python3-libvirt is not installed: run `cargo xtask test`, which installs it")
}

/// Where a server says that its REST door is, which is when all of its doors are open.
fn rest_address(told: &str) -> Option<SocketAddr> {
    let (line, _) = told.split_once("  REST        http://")?.1.split_once('\n')?;
    Some(line.parse().unwrap())
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The id at the end of the reference in the answer to a create.
    pub fn id(&self) -> String {
        self.json()["secret_ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }
}

/// One connection.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> std::io::Result<Answer> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.0.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if head[before..].trim_end().is_empty() {
                break;
            }
        }
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, head, body })
    }

    /// One request of project `p` and its answer.
    pub fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
        self.ask_as(method, path, &format!("X-Project-Id: p\r\n{headers}"), body)
    }

    /// Sends a request with the headers of a caller, and returns the response.
    pub fn ask_as(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat())?;
        self.answer()
    }

    pub fn create(&mut self, json: &str) -> std::io::Result<Answer> {
        self.ask("POST", "/v1/secrets", "Content-Type: application/json\r\n", json.as_bytes())
    }

    pub fn payload(&mut self, id: &str) -> std::io::Result<Answer> {
        self.ask("GET", &format!("/v1/secrets/{id}/payload"), "Accept: application/octet-stream\r\n", b"")
    }
}
