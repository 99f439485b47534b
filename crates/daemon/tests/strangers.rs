//! Callers of another project can do nothing with a secret and learn no more than from Barbican. Many creates at once do not
//! exceed a quota.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::BTreeMap;

use support::{Answer, Client, Server};

const JSON: &str = "Content-Type: application/json\r\n";

fn as_caller(project: &str, roles: &str) -> String {
    format!("X-Project-Id: {project}\r\nX-User-Id: {project}-user\r\nX-Roles: {roles}\r\n")
}

fn ask(client: &mut Client, method: &str, path: &str, caller: &str, body: &str) -> Answer {
    client.ask_as(method, path, &format!("{caller}{JSON}"), body.as_bytes()).unwrap()
}

/// The last step of a reference.
fn made(client: &mut Client, path: &str, caller: &str, body: &str) -> String {
    let answer = ask(client, "POST", path, caller, body);
    let text = answer.text();
    let reference = text.rsplit('/').next().unwrap();
    assert!(matches!(answer.status, 201 | 202), "{path}: {text}");
    reference.trim_end_matches("\"}").to_owned()
}

/// Everything there is of a project, as it is seen by its owner.
fn state(client: &mut Client, owner: &str, paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| ask(client, "GET", path, owner, "").text()).collect()
}

#[test]
fn another_projects_ids_are_of_no_use_on_any_resource_by_any_method() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.connect();
    let owner = as_caller("victim", "admin");
    let secret = r#"{"name": "s", "payload": "hunter2", "payload_content_type": "text/plain"}"#;
    let secret = format!("/v1/secrets/{}", made(&mut client, "/v1/secrets", &owner, secret));
    let empty = format!("/v1/secrets/{}", made(&mut client, "/v1/secrets", &owner, "{}"));
    let container = format!(
        r#"{{"type": "generic", "secret_refs": [{{"name": "s", "secret_ref": "http://localhost{secret}"}}]}}"#
    );
    let container = format!("/v1/containers/{}", made(&mut client, "/v1/containers", &owner, &container));
    let key = r#"{"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}}"#;
    let order = format!("/v1/orders/{}", made(&mut client, "/v1/orders", &owner, key));
    ask(&mut client, "PUT", &format!("{secret}/metadata"), &owner, r#"{"metadata": {"k": "v"}}"#);
    let used = r#"{"service": "s", "resource_type": "t", "resource_id": "i"}"#;
    ask(&mut client, "POST", &format!("{secret}/consumers"), &owner, used);
    let consumer = r#"{"name": "n", "URL": "u"}"#;
    ask(&mut client, "POST", &format!("{container}/consumers"), &owner, consumer);

    let everything = [
        secret.clone(),
        format!("{secret}/payload"),
        format!("{secret}/metadata"),
        format!("{secret}/metadata/k"),
        format!("{secret}/acl"),
        format!("{secret}/consumers"),
        empty.clone(),
        container.clone(),
        format!("{container}/acl"),
        format!("{container}/consumers"),
        order.clone(),
    ];
    let before = state(&mut client, &owner, &everything);
    let bodies = [
        "".to_owned(),
        "{}".to_owned(),
        r#"{"payload": "stolen", "payload_content_type": "text/plain"}"#.to_owned(),
        r#"{"read": {"users": ["thief-user"]}}"#.to_owned(),
        r#"{"metadata": {"k": "stolen"}}"#.to_owned(),
        r#"{"key": "k", "value": "stolen"}"#.to_owned(),
        used.to_owned(),
        consumer.to_owned(),
        format!(r#"{{"name": "x", "secret_ref": "http://localhost{secret}"}}"#),
    ];
    for roles in ["admin", "creator", "observer", "audit", "key-manager:service-admin", "member", "nothing"] {
        let thief = as_caller("thief", roles);
        for path in everything.iter().chain([&format!("{container}/secrets")]) {
            for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
                for body in &bodies {
                    let answer = ask(&mut client, method, path, &thief, body);
                    let text = answer.text();
                    assert!((400..500).contains(&answer.status), "{roles}: {method} {path} {body}: {text}");
                    assert!(!text.contains("hunter2"), "{roles}: {method} {path}: {text}");
                }
            }
        }
        for list in ["secrets", "containers", "orders"] {
            let answer = ask(&mut client, "GET", &format!("/v1/{list}"), &thief, "");
            assert!(answer.status == 403 || answer.json()["total"] == 0, "{roles}: {}", answer.text());
        }
        // A secret of another project cannot be put into a container of one's own either.
        let own = format!(
            r#"{{"type": "generic", "secret_refs": [{{"name": "s", "secret_ref": "http://localhost{secret}"}}]}}"#
        );
        let answer = ask(&mut client, "POST", "/v1/containers", &thief, &own);
        assert!(matches!(answer.status, 403 | 404), "{roles}: {}", answer.text());
    }
    assert_eq!(state(&mut client, &owner, &everything), before);
}

#[test]
fn of_two_hundred_creations_at_once_against_a_quota_of_ten_exactly_ten_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.connect();
    let service_admin = as_caller("any", "key-manager:service-admin");
    let quotas = r#"{"project_quotas": {"secrets": 10, "orders": 10, "containers": 10, "consumers": 10}}"#;
    assert_eq!(ask(&mut client, "PUT", "/v1/project-quotas/q", &service_admin, quotas).status, 204);
    let of_q = as_caller("q", "admin");
    let shared = made(&mut client, "/v1/secrets", &as_caller("other", "admin"), "{}");
    let acl = r#"{"read": {"users": ["q-user"]}}"#;
    let other = as_caller("other", "admin");
    assert_eq!(ask(&mut client, "PUT", &format!("/v1/secrets/{shared}/acl"), &other, acl).status, 200);
    for (path, body) in [
        ("/v1/secrets".to_owned(), r#"{"name": "N", "payload": "x", "payload_content_type": "text/plain"}"#),
        ("/v1/containers".to_owned(), r#"{"type": "generic", "name": "N"}"#),
        (
            "/v1/orders".to_owned(),
            r#"{"type": "key", "meta": {"name": "N", "algorithm": "aes", "bit_length": 128}}"#,
        ),
        (
            format!("/v1/secrets/{shared}/consumers"),
            r#"{"service": "s", "resource_type": "t", "resource_id": "N"}"#,
        ),
    ] {
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..20)
                .map(|thread| {
                    let (mut client, path, of_q) = (server.connect(), &path, &of_q);
                    scope.spawn(move || {
                        let each = |n| {
                            let body = body.replace('N', &format!("{thread}-{n}"));
                            ask(&mut client, "POST", path, of_q, &body).status
                        };
                        (0..10).map(each).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let mut counted: BTreeMap<u16, usize> = BTreeMap::new();
        for status in statuses {
            *counted.entry(status).or_default() += 1;
        }
        let done: usize = counted.iter().filter(|(status, _)| **status < 300).map(|(_, count)| count).sum();
        assert_eq!((done, counted.get(&403)), (10, Some(&190)), "{path}: {counted:?}");
    }
}
