//! Payload reads with tokens, beside the same program without Keystone and beside the real Barbican 23.
//!
//! ```text
//! Keystone (waitress) ◀── tokens, once each ── donjond, and Barbican (uwsgi, 2 workers) ──▶ MariaDB
//! ```
//!
//! The first round fills the caches of tokens and is not printed, so Keystone itself is not measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::process::Process;
use crate::server::{Server, free_address};
use crate::wrk::Load;
use crate::{Options, Result, median, wrk};

/// The password in `serve.py`.
const PASSWORD: &str = "barbican";
const SERVICE_PASSWORD: &str = "hunter22";
/// A user whose role may read under both policies, and its project.
const USER: (&str, &str) = ("suite_1_admin", "suite_1");
/// Logins of that user.
const TOKENS: usize = 16;
const SECRETS: usize = 1000;
/// Secrets: Barbican makes about 50 a second.
const BARBICANS_SECRETS: usize = 100;
const CONNECTIONS: usize = 64;
/// Connections to Barbican: more would wait for its two workers.
const BARBICANS_CONNECTIONS: usize = 8;
const BARBICANS_WORKERS: &str = "2";
/// The longest start: making Keystone's database takes about 15 s the first time.
const START_MAX: Duration = Duration::from_secs(240);

pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keystone = Keystone::start(folder.path())?;
    let callers = Callers::log_in(&keystone)?;
    let (plain, cloud) = (folder.path().join("plain"), folder.path().join("cloud"));
    std::fs::create_dir(&plain)?;
    let header = format!("X-Project-Id: {}\r\n", callers.project);
    let ids = fill(Server::donjond(&plain, "")?.address, SECRETS, &header)?; // The server ends here, so its data can be copied.
    copy(&plain, &cloud)?;
    let plain = Server::donjond(&plain, "")?;
    let cloud = Server::donjond(&cloud, &keystone.config())?;
    beside_itself(options, &plain, &cloud, &callers, &ids)?;
    drop(plain);
    beside_barbican(options, &cloud, &callers, &ids, &Barbican::start(folder.path(), &keystone)?)
}

fn beside_itself(
    options: &Options,
    plain: &Server,
    cloud: &Server,
    callers: &Callers,
    ids: &[String],
) -> Result<()> {
    println!(
        "\n# payload reads with tokens of Keystone, {SECRETS} secrets, {CONNECTIONS} connections, {TOKENS} tokens"
    );
    warm_up(cloud.address, callers, 1)?;
    let project = [format!("[\"X-Project-Id\"] = \"{}\"", callers.project)];
    let scripts = [script(ids, &project), script(ids, &callers.headers())];
    let ratio = by_turns(options, CONNECTIONS, [("project", plain), ("keystone", cloud)], &scripts)?;
    println!("keystone / project: {ratio:.2} of the requests a second (goal 0.85)");
    Ok(())
}

fn beside_barbican(
    options: &Options,
    cloud: &Server,
    callers: &Callers,
    ids: &[String],
    barbican: &Barbican,
) -> Result<()> {
    println!(
        "\n# the same beside Barbican 23 (uwsgi, {BARBICANS_WORKERS} workers, MariaDB), {BARBICANS_CONNECTIONS} connections"
    );
    let header = callers.tokens.first().map(|token| format!("X-Auth-Token: {token}\r\n")).unwrap_or_default();
    let theirs = fill(barbican.server.address, BARBICANS_SECRETS, &header)?;
    warm_up(barbican.server.address, callers, 4)?;
    let scripts = [script(&theirs, &callers.headers()), script(ids, &callers.headers())];
    let servers = [("barbican", &barbican.server), ("donjond", cloud)];
    let ratio = by_turns(options, BARBICANS_CONNECTIONS, servers, &scripts)?;
    println!("donjond / barbican: {ratio:.0} times the requests a second");
    Ok(())
}

/// Measures two servers by turns. Returns the median ratio of the second to the first.
fn by_turns(
    options: &Options,
    connections: usize,
    servers: [(&str, &Server); 2],
    scripts: &[String; 2],
) -> Result<f64> {
    let mut ratios = Vec::new();
    for round in 0..=options.rounds {
        let mut rates = Vec::new();
        for ((name, server), script) in servers.iter().zip(scripts) {
            let seconds = options.seconds.unwrap_or(wrk::SECONDS_DEFAULT);
            let Load { per_second, failed, p50_us, p99_us, .. } =
                wrk::run(server.address, connections, seconds, script)?;
            if failed > 0.0 {
                return Err(format!("{name}: {failed} requests failed").into());
            }
            if round > 0 {
                println!("{name:8} {per_second:8.0} requests/s   p50 {p50_us:7.0} µs   p99 {p99_us:7.0} µs");
            }
            rates.push(per_second);
        }
        if let ([first, second], true) = (rates.as_slice(), round > 0) {
            ratios.push(second / first);
        } // The first round fills caches and is not printed.
    }
    Ok(median(ratios).unwrap_or(0.0))
}

/// Sends every token once, or several times to a server whose workers each have a cache, so that Keystone is not asked
/// during the measurement.
fn warm_up(address: SocketAddr, callers: &Callers, times: usize) -> Result<()> {
    for token in callers.tokens.iter().cycle().take(callers.tokens.len() * times) {
        let header = format!("X-Auth-Token: {token}\r\n");
        let (status, _) = Client::connect(address)?.ask_as("GET", "/v1/secrets?limit=1", &header, None)?;
        if status != 200 {
            return Err(format!("a token was answered {status}").into());
        }
    }
    Ok(())
}

/// A script with random ids and random headers.
fn script(ids: &[String], headers: &[String]) -> String {
    let ids = ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(", ");
    let headers = headers
        .iter()
        .map(|header| format!("{{ {header}, [\"Accept\"] = \"text/plain\" }}"))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        r#"
local ids = {{ {ids} }}
local headers = {{ {headers} }}
init = function(args) math.randomseed(os.time() + tonumber(tostring({{}}):sub(8))) end
request = function()
  return wrk.format("GET", "/v1/secrets/" .. ids[math.random(#ids)] .. "/payload", headers[math.random(#headers)])
end
"#
    )
}

/// Creates secrets of 32 bytes.
fn fill(address: SocketAddr, secrets: usize, header: &str) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for n in 0..secrets {
        let body = json!({ "name": format!("s-{n}"), "payload": format!("{n:032}"), "payload_content_type": "text/plain" });
        let mut client = Client::connect(address)?; // One connection each: not every server keeps them alive.
        let (status, answer) = client.ask_as("POST", "/v1/secrets", header, Some(&body.to_string()))?;
        let text = String::from_utf8_lossy(&answer);
        let id = text.trim_end_matches(['"', '}']).rsplit('/').next().unwrap_or_default();
        if status != 201 || id.len() != 36 {
            return Err(format!("a create was answered {status} {text}").into());
        }
        ids.push(id.to_owned());
    }
    Ok(ids)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Tokens of one user.
struct Callers {
    project: String,
    tokens: Vec<String>,
}

impl Callers {
    fn log_in(keystone: &Keystone) -> Result<Self> {
        let mut callers = Self { project: String::new(), tokens: Vec::new() };
        for _ in 0..TOKENS {
            let (token, body) = keystone.token(USER)?;
            callers.project =
                body.pointer("/token/project/id").and_then(Value::as_str).ok_or("no project")?.to_owned();
            callers.tokens.push(token);
        }
        Ok(callers)
    }

    /// The headers as Lua tables.
    fn headers(&self) -> Vec<String> {
        self.tokens.iter().map(|token| format!("[\"X-Auth-Token\"] = \"{token}\"")).collect()
    }
}

/// A real Keystone, as in the tests.
struct Keystone {
    _process: Process,
    address: SocketAddr,
}

impl Keystone {
    fn start(folder: &Path) -> Result<Self> {
        let (address, target) = (free_address()?, crate::target()?);
        let mut command = python("clients-keystone", "keystone/serve.py")?;
        command
            .arg(target.join("keystone-template"))
            .arg(folder.join("keystone"))
            .arg(address.port().to_string());
        let process = Process::start(command.stderr(Stdio::null()), START_MAX, || answers(address))?;
        Ok(Self { _process: process, address })
    }

    fn url(&self) -> String {
        format!("http://{}/v3", self.address)
    }

    /// The configuration of donjond for this Keystone.
    fn config(&self) -> String {
        format!(
            "auth = \"keystone\"\n[keystone]\nauth_url = \"{}\"\nusername = \"donjond\"\npassword = \"{SERVICE_PASSWORD}\"\n\
             user_domain_name = \"Default\"\nproject_name = \"service\"\nproject_domain_name = \"Default\"\n",
            self.url()
        )
    }

    /// A new token, with Keystone's description of it.
    fn token(&self, (user, project): (&str, &str)) -> Result<(String, Value)> {
        let domain = json!({ "id": "default" });
        let user = json!({ "name": user, "domain": domain, "password": PASSWORD });
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } },
            "scope": { "project": { "name": project, "domain": domain } },
        } })
        .to_string();
        let mut stream = TcpStream::connect(self.address)?;
        write!(
            stream,
            "POST /v3/auth/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
        let token = head.lines().find_map(|line| line.strip_prefix("X-Subject-Token: "));
        Ok((token.ok_or_else(|| answer.clone())?.to_owned(), serde_json::from_str(body)?))
    }
}

/// A real Barbican with its database.
struct Barbican {
    server: Server,
    _database: Process,
}

impl Barbican {
    fn start(folder: &Path, keystone: &Keystone) -> Result<Self> {
        let data = folder.join("mariadb");
        let socket = folder.join("mariadb.sock");
        let database = Self::database(&data, &socket)?;
        let address = free_address()?;
        let mut command = python("clients-suites", "suites/real_barbican.py")?;
        command
            .arg(folder.join("barbican"))
            .arg(address.port().to_string())
            .arg(keystone.url())
            .arg("--database");
        command.arg(format!("mysql+pymysql://root@localhost/barbican?unix_socket={}", socket.display()));
        command.args(["--uwsgi", BARBICANS_WORKERS]).stderr(Stdio::null());
        let process = Process::start(&mut command, START_MAX, || answers(address))?;
        Ok(Self { server: Server { process, address }, _database: database })
    }

    /// MariaDB with an empty database, without the machine's settings.
    fn database(data: &Path, socket: &Path) -> Result<Process> {
        let init = data.with_extension("sql");
        std::fs::write(&init, "CREATE DATABASE barbican;\n")?;
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal"]);
        let status = install.arg(option("datadir", data)).stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("mariadb-install-db: {status}").into());
        }
        let mut command = Command::new("mariadbd");
        command.args(["--no-defaults", "--user=root", "--skip-networking"]).stderr(Stdio::null());
        command.args([option("datadir", data), option("socket", socket), option("init-file", &init)]);
        Process::start(
            &mut command,
            START_MAX,
            || Ok(std::os::unix::net::UnixStream::connect(socket).is_ok()),
        )
    }
}

/// A script of the tests, run by the Python environment that `cargo xtask bench` made for it.
fn python(environment: &str, script: &str) -> Result<Command> {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/daemon/tests");
    let mut command = Command::new(crate::target()?.join(environment).join("bin/python"));
    command.arg(tests.join(script));
    Ok(command)
}

fn answers(address: SocketAddr) -> Result<bool> {
    Ok(Client::connect(address).is_ok_and(|mut client| client.ask("GET", "/", "p", None).is_ok()))
}
