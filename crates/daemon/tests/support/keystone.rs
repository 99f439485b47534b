//! A real Keystone with an account for every role. It ends with the test.
//!
//! `cargo xtask test` installs it and sets DONJON_TEST_KEYSTONE. `tests/keystone/serve.py` makes
//! its database once, below the target folder, and lists the accounts.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Answer, Client, DONJOND};

/// Everybody's, the one in `serve.py`.
pub const PASSWORD: &str = "barbican";
/// The service's own, likewise.
pub const SERVICE: (&str, &str) = ("donjond", "hunter22");
/// Making the database takes a quarter of a minute where nothing else runs.
const START_MAX: Duration = Duration::from_secs(240);

pub struct Keystone {
    child: Child,
    pub address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Keystone {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With more in its configuration file.
    pub fn start_with(more: &str) -> Self {
        let target = Path::new(DONJOND).ancestors().nth(2).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("more.conf"), more).unwrap();
        let said = folder.path().join("stderr.txt");
        let child = Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keystone/serve.py"))
            .arg(target.join("keystone-template"))
            .arg(folder.path())
            .arg("0")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let mut keystone = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), folder };
        let begin = Instant::now();
        loop {
            if let Ok(port) = std::fs::read_to_string(keystone.folder.path().join("port")) {
                keystone.address.set_port(port.parse().unwrap());
                return keystone;
            }
            let ended = keystone.child.try_wait().unwrap();
            let late = (begin.elapsed() > START_MAX).then_some("not in time");
            if let Some(why) = ended.map(|status| status.to_string()).or(late.map(str::to_owned)) {
                panic!("Keystone did not start: {why}\n{}", std::fs::read_to_string(said).unwrap());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where version 3 of its API is.
    pub fn url(&self) -> String {
        format!("http://{}/v3", self.address)
    }

    /// The newest of its log, for the message of a test that fails.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("keystone.log")).unwrap_or_default()
    }

    /// A token of a user in a project.
    #[track_caller]
    pub fn token(&self, user: &str, project: &str) -> String {
        let password = if user == SERVICE.0 { SERVICE.1 } else { PASSWORD };
        self.log_in(user, password, project).unwrap_or_else(|refused| panic!("{user}: {}", refused.text()))
    }

    /// A token of the admin that may do everything in Keystone.
    #[track_caller]
    pub fn admin(&self) -> String {
        self.token("admin", "admin")
    }

    /// A token, or the answer that refuses it.
    pub fn log_in(&self, user: &str, password: &str, project: &str) -> Result<String, Answer> {
        let domain = json!({ "id": "default" });
        let user = json!({ "name": user, "domain": domain, "password": password });
        let answer = self.ask(
            "POST",
            "/auth/tokens",
            None,
            Some(&json!({ "auth": {
                "identity": { "methods": ["password"], "password": { "user": user } },
                "scope": { "project": { "name": project, "domain": domain } },
            } })),
        );
        let header = |line: &str| line.strip_prefix("X-Subject-Token: ").map(|token| token.trim().to_owned());
        answer.head.lines().find_map(header).ok_or(answer)
    }

    /// One request below `/v3`, and its answer.
    pub fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let token = token.map(|token| format!("X-Auth-Token: {token}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} /v3{path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        let mut client = Client::connect(self.address).unwrap();
        client.send(format!("{head}{token}Connection: close\r\n\r\n{body}").as_bytes()).unwrap();
        client.answer().unwrap()
    }

    /// The id of a user, project, role or service by its name.
    #[track_caller]
    pub fn id(&self, plural: &str, name: &str) -> String {
        let found = self.ask("GET", &format!("/{plural}?name={name}"), Some(&self.admin()), None).json();
        found[plural][0]["id"].as_str().unwrap_or_else(|| panic!("none of the {plural} is {name}")).to_owned()
    }

    /// Names a server as the one that keeps secrets, in the catalog that every token comes with.
    pub fn register(&self, url: &str) {
        let (admin, service) = (self.admin(), self.id("services", "barbican"));
        for interface in ["public", "internal", "admin"] {
            let endpoint = json!({ "endpoint": {
                "service_id": service, "interface": interface, "region_id": "RegionOne", "url": url,
            } });
            let answer = self.ask("POST", "/endpoints", Some(&admin), Some(&endpoint));
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
    }

    /// Writes a configuration file for a donjond that asks this Keystone, with more lines before its tables.
    pub fn configure(&self, folder: &Path, more: &str) -> PathBuf {
        let config = folder.join("donjon.toml");
        let text = format!(
            r#"
auth = "keystone"
{more}
[keystone]
auth_url = "{}"
username = "{}"
password = "{}"
user_domain_name = "Default"
project_name = "service"
project_domain_name = "Default"
"#,
            self.url(),
            SERVICE.0,
            SERVICE.1
        );
        std::fs::write(&config, text).unwrap();
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
        config
    }

    /// Stops it for a while, as if it hung: it takes connections and answers nothing.
    pub fn hang(&self) {
        signal(&self.child, rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        signal(&self.child, rustix::process::Signal::CONT);
    }
}

impl Drop for Keystone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// The Python that Keystone was installed for.
fn python() -> PathBuf {
    let target = Path::new(DONJOND).ancestors().nth(2).unwrap();
    let folder = std::env::var_os("DONJON_TEST_KEYSTONE")
        .map_or_else(|| target.join("clients-keystone"), PathBuf::from);
    assert!(folder.exists(), "Keystone is not installed: run `cargo xtask test`, which installs it");
    folder.join("bin/python")
}
