//! Callers with tokens of a real Keystone: admission, revocation, and Keystone's absence.
//!
//! Tests with a counted or lying Keystone are in `barbican/tests/door/keystone.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::keystone::{Keystone, PASSWORD, SERVICE as ACCOUNT};
use support::{Answer, Client, DONJOND, Server, until};

/// By which the service itself is known.
const SERVICE: &str = "username = \"donjond\"\nuser_domain_id = \"default\"\nproject_name = \"service\"\n\
                       project_domain_name = \"Default\"\n";

fn write_config(folder: &Path, url: &str, table: &str) -> PathBuf {
    let path = folder.join("donjon.toml");
    let text = format!("auth = \"keystone\"\npolicy = \"legacy\"\n[keystone]\nauth_url = \"{url}\"\n{table}");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn start(folder: &Path, url: &str, table: &str) -> Server {
    let config = write_config(folder, url, table);
    Server::start_with(folder, &["--config", config.to_str().unwrap()])
}

/// With the usual credentials, and more in the table.
fn start_as_service(folder: &Path, url: &str, more: &str) -> Server {
    start(folder, url, &format!("{SERVICE}password = \"{}\"\n{more}", ACCOUNT.1))
}

fn log_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("stderr.txt")).unwrap()
}

fn list(client: &mut Client, token: &str) -> Answer {
    client.ask("GET", "/v1/secrets", &format!("X-Auth-Token: {token}\r\n"), b"").unwrap()
}

fn status(server: &Server, token: &str) -> u16 {
    list(&mut server.connect(), token).status
}

/// A token, by a body of one's own.
fn token_by(keystone: &Keystone, auth: &Value) -> String {
    let answer = keystone.ask("POST", "/auth/tokens", None, Some(&json!({ "auth": auth })));
    let header = |line: &str| line.strip_prefix("X-Subject-Token: ").map(|token| token.trim().to_owned());
    answer.head.lines().find_map(header).unwrap_or_else(|| panic!("{}", answer.text()))
}

fn admin_in(keystone: &Keystone, scope: &Value) -> String {
    let user = json!({ "name": "admin", "domain": { "id": "default" }, "password": PASSWORD });
    let identity = json!({ "methods": ["password"], "password": { "user": user } });
    token_by(keystone, &json!({ "identity": identity, "scope": scope }))
}

fn revoke(keystone: &Keystone, token: &str) {
    let head = format!(
        "DELETE /v3/auth/tokens HTTP/1.1\r\nHost: k\r\nX-Auth-Token: {token}\r\nX-Subject-Token: {token}"
    );
    let mut client = Client::connect(keystone.address).unwrap();
    client.send(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap().status, 204);
}

fn change(keystone: &Keystone, plural: &str, name: &str, body: &Value) {
    let path = format!("/{plural}/{}", keystone.id(plural, name));
    let answer = keystone.ask("PATCH", &path, Some(&keystone.admin()), Some(body));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_token_of_a_project_is_let_in_and_no_other() {
    let (keystone, folder) = (Keystone::start(), tempfile::tempdir().unwrap());
    let server = start_as_service(folder.path(), &keystone.url(), "");
    let admin_role = keystone.id("roles", "admin");
    let path = format!("/domains/default/users/{}/roles/{admin_role}", keystone.id("users", "admin"));
    assert_eq!(keystone.ask("PUT", &path, Some(&keystone.admin()), None).status, 204);

    // Every request of this client has an X-Project-Id of its own, which counts for nothing.
    let mut client = server.connect();
    let creator = keystone.token("project_c_creator", "project_c");
    let json = "Content-Type: application/json\r\nX-Roles: admin\r\nX-User-Id: evil\r\nX-Identity-Status: Confirmed\r\n";
    let body = br#"{"name": "n", "payload": "hunter2", "payload_content_type": "text/plain"}"#;
    let made =
        client.ask("POST", "/v1/secrets", &format!("{json}X-Auth-Token: {creator}\r\n"), body).unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = format!("/v1/secrets/{}", made.id());
    let shown = client.ask("GET", &secret, &format!("X-Auth-Token: {creator}\r\n"), b"").unwrap();
    assert_eq!(shown.json()["creator_id"], keystone.id("users", "project_c_creator"));

    let project_d = keystone.id("projects", "project_d");
    let other = keystone.token("project_c_creator", "project_c");
    let as_d = format!("X-Auth-Token: {other}\r\nX-Project-Id: {project_d}\r\nX-Tenant-Id: {project_d}\r\n");
    assert_eq!(client.ask("GET", &secret, &as_d, b"").unwrap().status, 200, "it is who the token says");
    let stranger =
        format!("X-Auth-Token: {}\r\nX-Roles: admin\r\n", keystone.token("project_d_admin", "project_d"));
    let payload = format!("{secret}/payload");
    assert_eq!(client.ask("GET", &payload, &stranger, b"").unwrap().status, 403);
    let norole =
        format!("X-Auth-Token: {}\r\nX-Roles: admin\r\n", keystone.token("project_c_norole", "project_c"));
    assert_eq!(client.ask("GET", &payload, &norole, b"").unwrap().status, 403);

    let for_no_project = [
        admin_in(&keystone, &json!({ "system": { "all": true } })),
        admin_in(&keystone, &json!({ "domain": { "id": "default" } })),
        admin_in(&keystone, &json!("unscoped")),
    ];
    for token in for_no_project {
        let answer = list(&mut client, &token);
        assert_eq!(answer.status, 401);
        assert!(
            answer.text().starts_with("401 Unauthorized\n\nThis server could not verify"),
            "{}",
            answer.text()
        );
    }
    let long = "t".repeat(20_000);
    for token in
        ["", "garbage", "gAAAAABBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", "schlüssel", &long, &creator[1..]]
    {
        let answer = list(&mut client, token);
        let challenge = format!("www-authenticate: Keystone uri=\"{}\"", keystone.url());
        assert!(answer.head.contains(&challenge), "{}", answer.head);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"]["message"], "The request you have made requires authentication.");
    }
    for (path, expect) in [("/", 300), ("/healthcheck", 200), ("/v1", 401), ("/v1/nosuch", 401)] {
        assert_eq!(client.ask("GET", path, "", b"").unwrap().status, expect, "{path}");
    }
    for file in ["stderr.txt", "audit.log", "donjon.db", "donjon.db-wal"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap();
        for hidden in [creator.as_bytes(), ACCOUNT.1.as_bytes()] {
            assert_eq!(support::process::count_in(&bytes, hidden), 0, "a token or password is in {file}");
        }
    }
}

#[test]
fn a_revoked_token_is_refused_by_every_thread() {
    let (keystone, folder) = (Keystone::start(), tempfile::tempdir().unwrap());
    let server = start_as_service(folder.path(), &keystone.url(), "token_cache_time = 1\n");
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut clients: Vec<Client> = (0..threads * 2).map(|_| server.connect()).collect();
    let mut refused_everywhere = |what: &str, token: &str, take_back: &dyn Fn()| {
        for client in &mut clients {
            assert_eq!(list(client, token).status, 200, "{what}");
        }
        take_back();
        until(what, || list(&mut clients[0], token).status == 401);
        for client in &mut clients {
            assert_eq!(list(client, token).status, 401, "{what}");
        }
    };
    let token = keystone.token("project_c_admin", "project_c");
    refused_everywhere("the token is revoked", &token, &|| revoke(&keystone, &token));
    let token = keystone.token("project_c_creator", "project_c");
    let disabled = |kind: &str| json!({ kind: { "enabled": false } });
    refused_everywhere("the user is disabled", &token, &|| {
        change(&keystone, "users", "project_c_creator", &disabled("user"));
    });
    let token = keystone.token("project_d_creator", "project_d");
    refused_everywhere("the project is disabled", &token, &|| {
        change(&keystone, "projects", "project_d", &disabled("project"));
    });
}

#[test]
fn an_expired_token_needs_a_service_beside_it() {
    let keystone = Keystone::start_with("[token]\nexpiration = 4\n");
    let folder = tempfile::tempdir().unwrap();
    let server = start_as_service(folder.path(), &keystone.url(), "");
    let mut client = server.connect();
    let token = keystone.token("project_c_admin", "project_c");
    until("the token has ended", || list(&mut client, &token).status == 401);
    let mut with = |service: &str| {
        let headers = format!("X-Auth-Token: {token}\r\nX-Service-Token: {service}\r\n");
        client.ask("GET", "/v1/secrets", &headers, b"").unwrap().status
    };
    // Each try with a new one, which has a few seconds to get there.
    until("a service vouches for it", || with(&keystone.token("donjond", "service")) == 200);
    assert_eq!(with(&keystone.token("project_c_admin", "project_c")), 401, "no service");
    assert_eq!(with("garbage"), 401);
    assert_eq!(with(""), 401);
}

#[test]
fn a_wrong_password_is_reported_and_a_corrected_one_works_without_a_restart() {
    let (keystone, folder) = (Keystone::start(), tempfile::tempdir().unwrap());
    let password = folder.path().join("password");
    std::fs::write(&password, "wrong\n").unwrap();
    let table = format!("{SERVICE}password_file = \"{}\"\n", password.display());
    let server = start(folder.path(), &keystone.url(), &table);
    let token = keystone.token("project_c_admin", "project_c");
    let answer = list(&mut server.connect(), &token);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("The Keystone service is temporarily unavailable."));
    assert_eq!(list(&mut server.connect(), "").status, 401);
    until("the log says what to do", || {
        let log = log_of(folder.path());
        log.contains("it refuses the credentials of this service (401 Unauthorized)")
            && log.contains("look at username, password, project and domains of [keystone]")
    });
    std::fs::write(&password, format!("{}\n", ACCOUNT.1)).unwrap();
    until("the right one is used", || status(&server, &token) == 200);
    let log = log_of(folder.path());
    assert!(
        log.contains("everybody on this machine can read the secret of [keystone]")
            && !log.contains(ACCOUNT.1)
    );
}

/// Passes connections on to a Keystone until it is dropped.
struct Way {
    address: SocketAddr,
    open: Arc<AtomicBool>,
}

impl Way {
    fn open(address: SocketAddr, keystone: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let open = Arc::new(AtomicBool::new(true));
        let is_open = Arc::clone(&open);
        std::thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                if !is_open.load(Ordering::SeqCst) {
                    return;
                }
                let server = TcpStream::connect(keystone).unwrap();
                for (mut from, mut to) in
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Self { address, open }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.open.store(false, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // Wakes it.
        until("nothing listens there", || TcpStream::connect(self.address).is_err());
    }
}

#[test]
fn known_callers_go_on_while_keystone_is_gone_or_hangs() {
    let (keystone, folder) = (Keystone::start(), tempfile::tempdir().unwrap());
    // Nobody else listens at this address of the loopback, so its port stays free until it is needed.
    let address = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    let server =
        start_as_service(folder.path(), &format!("http://{address}/v3"), "http_request_timeout = 2\n");
    let [known, late, last] = ["admin", "creator", "observer"]
        .map(|role| keystone.token(&format!("project_c_{role}"), "project_c"));
    assert_eq!(status(&server, &known), 503, "nobody is let in unseen");
    assert_eq!(status(&server, ""), 401);
    until("the log says so", || log_of(folder.path()).contains("Keystone does not know this service yet"));

    let way = Way::open(address, keystone.address);
    until("Keystone has come", || status(&server, &known) == 200);
    drop(way);
    keystone.hang(); // The connections that are kept go nowhere either.
    assert_eq!(status(&server, &late), 503);
    assert_eq!(status(&server, &known), 200);

    let way = Way::open(address, keystone.address);
    for n in 0..20 {
        assert_eq!(status(&server, &format!("unknown-{n}")), 503, "it hangs");
    }
    assert_eq!((status(&server, &late), status(&server, &known)), (503, 200));
    assert!(log_of(folder.path()).contains("Keystone cannot be asked"));
    keystone.go_on();
    until("it answers again", || status(&server, &late) == 200);
    assert_eq!(status(&server, &last), 200);
    drop(way);
}

#[test]
fn an_application_credential_will_do() {
    let (keystone, folder) = (Keystone::start(), tempfile::tempdir().unwrap());
    let token = keystone.token("donjond", "service");
    let user = keystone.id("users", "donjond");
    let path = format!("/users/{user}/application_credentials");
    let made = keystone.ask(
        "POST",
        &path,
        Some(&token),
        Some(&json!({ "application_credential": { "name": "for-donjon", "secret": "a-secret" } })),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["application_credential"]["id"].as_str().unwrap().to_owned();
    let caller = keystone.token("project_c_admin", "project_c");
    for table in [
        format!("application_credential_id = \"{id}\"\n"),
        "application_credential_name = \"for-donjon\"\nusername = \"donjond\"\nuser_domain_name = \"Default\"\n".to_owned(),
    ] {
        let table = format!("{table}application_credential_secret = \"a-secret\"\n");
        let server = start(folder.path(), &keystone.url(), &table);
        assert_eq!(status(&server, &caller), 200, "{}", log_of(folder.path()));
    }

    // A caller may have one too, but not one whose use is narrowed down to certain requests: those are not known here.
    let token = keystone.token("project_c_admin", "project_c");
    let path = format!("/users/{}/application_credentials", keystone.id("users", "project_c_admin"));
    let server = start_as_service(folder.path(), &keystone.url(), "");
    for (name, rules, expect) in [
        ("wide", json!(null), 200),
        ("narrow", json!([{ "service": "key-manager", "method": "GET", "path": "/v1/secrets" }]), 401),
    ] {
        let mut wanted = json!({ "name": name, "secret": "s" });
        if !rules.is_null() {
            wanted["access_rules"] = rules;
        }
        let made =
            keystone.ask("POST", &path, Some(&token), Some(&json!({ "application_credential": wanted })));
        let id = &made.json()["application_credential"]["id"];
        let identity = json!({ "methods": ["application_credential"],
            "application_credential": { "id": id, "secret": "s" } });
        assert_eq!(status(&server, &token_by(&keystone, &json!({ "identity": identity }))), expect, "{name}");
    }
}

/// TLS in front of a Keystone.
struct Tls(Child);

impl Tls {
    fn start(folder: &Path, name: &str, keystone: SocketAddr) -> (Self, SocketAddr) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keystone/tls.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args([folder.join(format!("{name}.pem")), folder.join(format!("{name}.key"))])
            .arg(keystone.port().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let address = SocketAddr::new(keystone.ip(), port.trim().parse().unwrap());
        (Self(child), address)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate for a name, signed by an authority, or an authority.
fn certify(folder: &Path, name: &str, names: Option<&str>, by: Option<&str>) {
    let mut command = Command::new("openssl");
    command
        .current_dir(folder)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ]);
    if let Some(names) = names {
        command.args([
            "-addext",
            &format!("subjectAltName={names}"),
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
    }
    if let Some(by) = by {
        command.args(["-CA", &format!("{by}.pem"), "-CAkey", &format!("{by}.key")]);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn keystone_has_to_show_a_certificate_of_the_authority_for_its_name() {
    let (keystone, folder) = (Keystone::start(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    certify(folder, "authority", None, None);
    certify(folder, "stranger", None, None);
    certify(folder, "right", Some("DNS:localhost,IP:127.0.0.1"), Some("authority"));
    certify(folder, "elsewhere", Some("DNS:elsewhere.example"), Some("authority"));
    let token = keystone.token("project_c_admin", "project_c");
    let cafile = |name: &str| format!("cafile = \"{}/{name}.pem\"\n", folder.display());
    for (certificate, table, expect, says) in [
        ("right", cafile("authority"), 200, "Keystone knows this service"),
        ("right", cafile("stranger"), 503, "invalid peer certificate: UnknownIssuer"),
        ("right", String::new(), 503, "invalid peer certificate: UnknownIssuer"),
        ("elsewhere", cafile("authority"), 503, "invalid peer certificate: certificate not valid for name"),
        ("elsewhere", "insecure = true\n".to_owned(), 200, "keystone.insecure"),
    ] {
        let _ = std::fs::remove_file(folder.join("stderr.txt"));
        let (_tls, address) = Tls::start(folder, certificate, keystone.address);
        let server = start_as_service(folder, &format!("https://{address}"), &table);
        assert_eq!(status(&server, &token), expect, "{certificate} {table}: {}", log_of(folder));
        until(says, || log_of(folder).contains(says));
    }
}

#[test]
fn settings_are_looked_at_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &str, table: &str| {
        let config = write_config(folder.path(), "https://127.0.0.1:1", table);
        let mut donjond = Command::new(DONJOND);
        donjond.arg(command).arg("--config").arg(config).arg("--data-dir").arg(folder.path().join("data"));
        if command == "serve" {
            donjond.args(["--listen", "127.0.0.1:0", "--metrics-listen", "off", "--libvirt-socket", "off"]);
        }
        let output = donjond.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let whole = format!("{SERVICE}password = \"hunter2\"\n");
    assert_eq!(run("init", &whole).0, Some(0));
    let (code, said) = run("check", &whole);
    assert!(
        code == Some(0) && said.contains("keystone    https://127.0.0.1:1/v3: settings are whole"),
        "{said}"
    );
    for (table, says) in [
        (SERVICE.to_owned(), "needs password_file or password"),
        (format!("{SERVICE}password_file = \"/nowhere\"\n"), "cannot be read from /nowhere"),
        (format!("{whole}cafile = \"/nowhere\"\n"), "the certificates in /nowhere cannot be used"),
        (format!("{whole}cafile = \"/proc/self/cmdline\"\n"), "there is no certificate (PEM) in it"),
    ] {
        for command in ["check", "serve"] {
            let (code, said) = run(command, &table);
            assert!(code == Some(2) && said.contains(says) && !said.contains("hunter2"), "{command}: {said}");
        }
    }
}
