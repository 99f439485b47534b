//! Hostile requests with Keystone: no attacker is admitted, no 5xx but 503 is answered, and honest callers go on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use support::keystone::Keystone;
use support::{PATIENCE, Server, until};

/// Requests that are sent. Each has a connection of its own.
const REQUESTS: u64 = 600;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A distorted request.
fn request(numbers: &mut Numbers, id: &str) -> Vec<u8> {
    let method =
        numbers.one(&["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "\0", "PRI"]);
    let path = numbers.one(&[
        "/v1/secrets",
        "/v1/secrets/ID",
        "/v1/secrets/ID/payload",
        "/v1/orders",
        "/v1/containers",
        "/",
        "//",
        "/v1/../v1/secrets",
        "/v1/secrets/%00",
        "/v1/secrets?limit=-1&name=%ff",
        "*",
        "http://a/v1/secrets",
        "/v1/project-quotas",
        "/v1/secrets/ID/acl",
    ]);
    let version = numbers.one(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9"]);
    let mut text = format!("{method} {} {version}\r\n", path.replace("ID", id));
    if numbers.below(8) > 0 {
        text += "Host: localhost\r\n";
    }
    for _ in 0..numbers.below(4) {
        let header = numbers.one(&[
            "X-Auth-Token: ",
            "X-Auth-Token: gAAAAABforged",
            "X-Auth-Token: ../../v3/users",
            "X-Auth-Token: a b",
            "X-Auth-Token: \u{fc}",
            "X-Auth-Token: a\tb",
            "X-Service-Token: forged",
            "X-Identity-Status: Confirmed",
            "X-Project-Id: p",
            "X-Roles: admin",
            "X-User-Id: root",
            "X-Is-Admin-Project: True",
            "OpenStack-API-Version: key-manager 99.9",
            "Accept: ;;;",
            "Content-Type: \u{1}",
            "Expect: 100-continue",
            "Transfer-Encoding: chunked",
            "Content-Length: 99999999999999999999",
            "Content-Length: -1",
            "Connection: upgrade",
        ]);
        text += &format!("{header}\r\n");
    }
    if numbers.below(6) == 0 {
        text += &format!("X-Auth-Token: {}\r\n", "t".repeat(numbers.below(70_000)));
    }
    text +=
        numbers.one(&["\r\n", "\r\n", "\r\n{\"payload\": \"x\"}", "\n\n", "\r\nffffffffffffffff\r\n", ""]);
    let mut bytes = text.into_bytes();
    if numbers.below(5) == 0 {
        let at = numbers.below(bytes.len());
        bytes[at] = u8::try_from(numbers.below(256)).unwrap();
    }
    bytes
}

#[test]
fn hostile_requests_admit_nobody_and_honest_callers_go_on() {
    let (keystone, folder) = (Keystone::start(), tempfile::tempdir().unwrap());
    let config = folder.path().join("donjon.toml");
    std::fs::write(
        &config,
        format!(
            "auth = \"keystone\"\npolicy = \"legacy\"\n[keystone]\nauth_url = \"{}\"\nusername = \"{}\"\n\
             user_domain_id = \"default\"\nproject_name = \"service\"\nproject_domain_name = \"Default\"\npassword = \"{}\"\n",
            keystone.url(),
            support::keystone::SERVICE.0,
            support::keystone::SERVICE.1
        ),
    )
    .unwrap();
    let mut server = Server::start_with(folder.path(), &["--config", config.to_str().unwrap()]);
    let token = keystone.token("project_c_creator", "project_c");
    let headers = format!("Content-Type: application/json\r\nX-Auth-Token: {token}\r\n");
    let body = br#"{"payload": "hunter2", "payload_content_type": "text/plain"}"#;
    let made = server.connect().ask("POST", "/v1/secrets", &headers, body).unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.id();

    let mut numbers = Numbers(19);
    for _ in 0..REQUESTS {
        let bytes = request(&mut numbers, &id);
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write); // Nothing more comes, so that no answer is waited for in vain.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let shown = String::from_utf8_lossy(&bytes).chars().take(300).collect::<String>();
        assert!(!text.contains("hunter2") && !text.contains("secret_ref"), "{shown}: {text}");
        for head in text.lines().filter(|line| line.starts_with("HTTP/")) {
            assert!(!head.contains(" 5") || head.contains(" 503"), "{shown}: {text}");
        }
    }
    assert!(server.is_running());
    until("who is somebody is answered", || {
        let answer =
            server.connect().ask("GET", &format!("/v1/secrets/{id}/payload"), &headers, b"").unwrap();
        answer.status == 200 && answer.text() == "hunter2"
    });
    let log = std::fs::read_to_string(folder.path().join("stderr.txt")).unwrap();
    assert!(!log.contains("panic") && !log.contains("hunter2") && !log.contains(&token), "{log}");
}
