//! The door's answers, over a vault with all its parts.

use barbican::DoorConfig;
use model::{Guarded, Text, Uses};

use crate::rig::Rig;

const TEXT: &str = r#"{"name": "n", "payload": "hunter2", "payload_content_type": "text/plain"}"#;

async fn rig() -> Rig {
    Rig::new(DoorConfig::default()).await
}

fn problem(code: u16, title: &str, description: &str) -> String {
    format!(r#"{code} {{"code": {code}, "title": "{title}", "description": "{description}"}}"#)
}

#[tokio::test]
async fn a_payload_comes_back_as_it_was_put() {
    let rig = rig().await;
    let path = rig.secret(TEXT).await;
    let answer = rig.ask(&format!("GET {path}/payload"), &[("accept", "text/plain")], "").await;
    assert_eq!(
        (answer.text().as_str(), answer.header("content-type")),
        ("200 hunter2", "text/plain; charset=UTF-8")
    );
    let path = rig.secret("{}").await;
    let put = [("content-type", "application/octet-stream"), ("content-encoding", "base64")];
    assert_eq!(rig.ask(&format!("PUT {path}"), &put, "YmVl\ncg==").await.text(), "204");
    assert_eq!(rig.ask(&format!("GET {path}/payload"), &[], "").await.text(), "200 beer");
    let again = rig.ask(&format!("PUT {path}"), &put, "eA==").await;
    assert_eq!(again.text(), problem(409, "Conflict", "Secret already has data, cannot modify it."));
}

#[tokio::test]
async fn a_text_keeps_its_ends_however_it_comes() {
    let rig = rig().await;
    for text in ["pass word ", "\tx\r\n", "-----END OPENSSH PRIVATE KEY-----\n", "\u{2003}密\u{1c}"] {
        for kind in ["text/plain", "text/plain;charset=utf-8", "text/plain; charset=utf-8"] {
            let body = serde_json::json!({ "name": text, "payload": text, "payload_content_type": kind });
            let posted = rig.secret(&body.to_string()).await;
            let put = rig.secret("{}").await;
            assert_eq!(rig.ask(&format!("PUT {put}"), &[("content-type", kind)], text).await.text(), "204");
            for path in [&posted, &put] {
                let read = rig.ask(&format!("GET {path}/payload"), &[("accept", "text/plain")], "").await;
                assert_eq!(read.body, text.as_bytes());
            }
            let described = rig.ask(&format!("GET {posted}"), &[], "").await.body;
            let described: serde_json::Value = serde_json::from_slice(&described).unwrap();
            assert_eq!(described["name"], text.trim().trim_end_matches('\u{1c}'));
        }
    }
    let bytes = serde_json::json!({ "payload": "\n IGJlZXIK \n", "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64" });
    let path = rig.secret(&bytes.to_string()).await;
    assert_eq!(rig.ask(&format!("GET {path}/payload"), &[], "").await.body, " beer\n");
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_malformed_json() {
    let rig = rig().await;
    let path = rig.secret(TEXT).await;
    let json = [("content-type", "application/json")];
    for what in [
        "POST /v1/secrets".to_owned(),
        "POST /v1/orders".to_owned(),
        "POST /v1/containers".to_owned(),
        format!("PUT {path}/metadata"),
        format!("PUT {path}/acl"),
    ] {
        let answer = rig.ask_bytes(&what, &json, b"{\"name\": \"\xff\"}").await;
        assert_eq!(answer.text(), problem(400, "Bad Request", "Malformed JSON"), "{what}");
    }
}

#[tokio::test]
async fn a_request_without_a_caller_counts_as_its_operation() {
    let rig = rig().await;
    for (what, header) in [
        ("GET /v1/secrets", ("x-project-id", "")),
        ("GET /v1/secrets/00000000-0000-4000-8000-000000000000/payload", ("x-project-id", "")),
        (
            "PUT /v1/secrets/00000000-0000-4000-8000-000000000000",
            ("openstack-api-version", "key-manager 9.9"),
        ),
        ("DELETE /v1/secrets/nosuch", ("x-project-id", "")),
    ] {
        assert!(rig.ask(what, &[header], "").await.head.status.is_client_error(), "{what}");
    }
    let metrics = rig.metrics();
    for line in [
        r#"donjon_http_requests_total{operation="GET /v1/secrets",status="4xx"} 1"#,
        r#"donjon_http_requests_total{operation="GET /v1/secrets/{id}/payload",status="4xx"} 1"#,
        r#"donjon_http_requests_total{operation="PUT /v1/secrets/{id}",status="4xx"} 1"#,
        r#"donjon_http_requests_total{operation="DELETE elsewhere",status="4xx"} 1"#,
        "donjon_http_unidentified_total 3",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn an_underscore_in_a_filter_is_itself() {
    let rig = rig().await;
    for name in ["other_example.com", "otherXexample.com", "other_example_com"] {
        rig.secret(&format!(r#"{{"name": "{name}", "algorithm": "{name}", "mode": "{name}"}}"#)).await;
        rig.json("POST /v1/containers", &format!(r#"{{"type": "generic", "name": "{name}"}}"#)).await;
        let meta = format!(r#"{{"name": "{name}", "algorithm": "aes", "bit_length": 256}}"#);
        rig.json("POST /v1/orders", &format!(r#"{{"type": "key", "meta": {meta}}}"#)).await;
    }
    for (query, total) in [
        ("secrets?name=other_example.com", 1 + 1), // One that an order made, too.
        ("secrets?name=other_%25", 2 + 2),
        ("secrets?name=%25_example.com", 1 + 1),
        ("secrets?alg=other_example.com", 1),
        ("secrets?alg=other_example%25", 2),
        ("secrets?mode=other_example_c%25", 1),
        ("secrets?mode=______example.com", 0),
        ("containers?name=other_example.com", 1),
        ("containers?name=other_exam%25", 2),
        ("orders?meta=other_example.com", 1),
        ("orders?meta=other%25example", 3),
    ] {
        let found = rig.ask(&format!("GET /v1/{query}"), &[], "").await;
        let found: serde_json::Value = serde_json::from_slice(&found.body).unwrap();
        assert_eq!(found["total"], total, "{query}");
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_a_version() {
    let rig = rig().await;
    for (what, version) in [
        ("GET /v1/secrets", "key-manager 1.0"),
        ("GET /v1/secrets/abc", "key-manager 1.0"),
        ("PATCH /v1/secrets", "key-manager 1.0"),
        ("GET /nosuch", "key-manager 1.0"),
        ("GET /v1/%ff", "-"),
    ] {
        let answer = rig.ask(what, &[], "").await;
        assert!(answer.header("x-openstack-request-id").starts_with("req-"), "{what}");
        assert_eq!(answer.header("openstack-api-version"), version, "{what}");
    }
    for what in ["OPTIONS /v1/secrets", "GET /healthcheck"] {
        assert_eq!(rig.ask(what, &[], "").await.header("x-openstack-request-id"), "-", "{what}");
    }
}

#[tokio::test]
async fn an_absent_secret_comes_before_every_other_mistake() {
    let rig = rig().await;
    let path = rig.secret(TEXT).await;
    assert_eq!(rig.ask(&format!("DELETE {path}"), &[], "").await.text(), "204");
    let gone = problem(404, "Not Found", "Secret not found.");
    for (what, headers) in [
        (format!("GET {path}"), ("accept", "application/x-unknown")),
        (format!("POST {path}"), ("accept", "*/*")),
        (format!("PUT {path}"), ("content-type", "text/html")),
        (format!("PUT {path}/payload"), ("accept", "*/*")),
        (format!("GET {path}/nosuch"), ("accept", "*/*")),
        (format!("GET {path}/acl"), ("accept", "*/*")),
        (format!("PUT {path}/metadata"), ("content-type", "text/html")),
        (format!("GET {path}/consumers/abc"), ("accept", "*/*")),
        (format!("GET {path}?a=%ff"), ("accept", "*/*")),
    ] {
        assert_eq!(rig.ask(&what, &[headers], "").await.text(), gone, "{what}");
    }
}

#[tokio::test]
async fn another_project_is_denied() {
    let rig = rig().await;
    let path = rig.secret(TEXT).await;
    for (what, operation) in [
        (format!("GET {path}"), "Secret retrieval"),
        (format!("GET {path}/payload"), "Secret payload retrieval"),
        (format!("POST {path}/payload"), "Secret payload retrieval"),
        (format!("PUT {path}"), "Secret update"),
        (format!("DELETE {path}"), "Secret deletion"),
        (format!("GET {path}/metadata"), "Secret metadata retrieval"),
        (format!("PUT {path}/metadata/k"), "Secret metadatum update"),
        (format!("GET {path}/acl"), "SecretACL(s) retrieval"),
    ] {
        let answer = rig.ask(&what, &[("x-project-id", "q")], "").await;
        let denied = format!("{operation} attempt not allowed - please review your user/project privileges");
        assert_eq!(answer.text(), problem(403, "Forbidden", &denied), "{what}");
    }
}

#[tokio::test]
async fn libvirts_keys_are_part_of_the_metadata() {
    let rig = rig().await;
    let path = format!("{}/metadata", rig.secret(TEXT).await);
    let all = format!("GET {path}");
    let put = format!("PUT {path}");
    rig.json(
        &put,
        r#"{"metadata": {"Note": "x", "libvirt_usage_type": "ceph", "libvirt_usage_id": "client.a"}}"#,
    )
    .await;
    assert_eq!(
        rig.ask(&all, &[], "").await.text(),
        r#"200 {"metadata": {"note": "x", "libvirt_usage_type": "ceph", "libvirt_usage_id": "client.a"}}"#
    );
    // A client that knows nothing of libvirt replaces its own keys only.
    rig.json(&put, r#"{"metadata": {"other": "y"}}"#).await;
    assert_eq!(
        rig.ask(&all, &[], "").await.text(),
        r#"200 {"metadata": {"other": "y", "libvirt_usage_type": "ceph", "libvirt_usage_id": "client.a"}}"#
    );
    rig.json(&put, r#"{"metadata": {"libvirt_usage_type": "", "libvirt_encoding": "hex"}}"#).await;
    assert_eq!(
        rig.ask(&all, &[], "").await.text(),
        r#"200 {"metadata": {"libvirt_usage_id": "client.a", "libvirt_encoding": "hex"}}"#
    );
}

#[tokio::test]
async fn libvirts_keys_can_be_set_one_by_one() {
    let rig = rig().await;
    let path = format!("{}/metadata", rig.secret(TEXT).await);
    let pair = |key: &str, value: &str| format!(r#"{{"key": "{key}", "value": "{value}"}}"#);
    let one = format!("{path}/libvirt_description");
    let missing = problem(404, "Not Found", "Secret metadata not found.");
    assert_eq!(rig.json(&format!("PUT {one}"), &pair("libvirt_description", "d")).await.text(), missing);
    let added = rig.json(&format!("POST {path}"), &pair("libvirt_description", "d")).await;
    assert_eq!(added.text(), format!("201 {}", pair("libvirt_description", "d")));
    assert_eq!(added.header("location"), format!("http://h{one}"));
    let twice = rig.json(&format!("POST {path}"), &pair("libvirt_description", "e")).await;
    assert_eq!(
        twice.text(),
        problem(409, "Conflict", "Conflict. Key in request is already in the secret metadata")
    );
    assert_eq!(rig.json(&format!("PUT {one}"), &pair("libvirt_description", "e")).await.head.status, 200);
    assert_eq!(
        rig.ask(&format!("GET {one}"), &[], "").await.text(),
        format!("200 {}", pair("libvirt_description", "e"))
    );
    assert_eq!(rig.ask(&format!("DELETE {one}"), &[], "").await.text(), "204");
    assert_eq!(rig.ask(&format!("GET {one}"), &[], "").await.text(), missing);
    for (key, value, expect) in [
        (
            "libvirt_description",
            r"a\u0001b",
            "'libvirt_description' must be text that XML can hold: not U+0001.",
        ),
        ("libvirt_color", "red", "Invalid Key."),
        ("libvirt_private", "true", "Invalid Metadata. 'libvirt_private' must be one of: yes, no."),
        (
            "libvirt_ephemeral",
            "yes",
            "whether a secret is ephemeral is chosen at the libvirt door, where it is defined",
        ),
    ] {
        let answer = rig.json(&format!("POST {path}"), &pair(key, value)).await;
        assert!(answer.head.status.is_client_error() && answer.text().contains(expect), "{}", answer.text());
    }
}

#[tokio::test]
async fn text_that_a_definition_cannot_hold_is_refused() {
    let rig = rig().await;
    let path = format!("{}/metadata", rig.secret(TEXT).await);
    for key in ["libvirt_description", "libvirt_usage_id"] {
        let pair = |value: &str| format!(r#"{{"key": "{key}", "value": "{value}"}}"#);
        for bad in ["\\u0000", "a\\u0001", "a\\u000bb", "a\\u001fb", "\\ufffe", "\u{ffff}"] {
            for (what, body) in [
                (format!("POST {path}"), pair(bad)),
                (format!("PUT {path}/{key}"), pair(bad)),
                (format!("PUT {path}"), format!(r#"{{"metadata": {{"{key}": "{bad}"}}}}"#)),
                (format!("PUT {path}"), format!(r#"{{"metadata": {{"{}": "{bad}"}}}}"#, key.to_uppercase())),
            ] {
                let answer = rig.json(&what, &body).await;
                assert_eq!(answer.head.status, 400, "{what} {body}");
                assert!(answer.text().contains("must be text that XML can hold"), "{}", answer.text());
            }
        }
        let good = pair("\\t\\n\\u007f\\u0085\\ufffd\u{1f511} <&>");
        assert_eq!(rig.json(&format!("POST {path}"), &good).await.head.status, 201);
    }
    assert_eq!(
        rig.json(&format!("POST {path}"), r#"{"key": "own", "value": "\u0001"}"#).await.head.status,
        201
    );
}

#[tokio::test]
async fn a_private_secret_shows_everything_but_its_value() {
    let rig = rig().await;
    let path = rig.secret(TEXT).await;
    let private = r#"{"metadata": {"libvirt_private": "yes"}}"#;
    assert_eq!(rig.json(&format!("PUT {path}/metadata"), private).await.head.status, 201);
    let answer = rig.ask(&format!("GET {path}/payload"), &[], "").await;
    assert!(answer.text().starts_with(r#"403 {"code": 403, "title": "Forbidden""#), "{}", answer.text());
    assert_eq!(rig.ask(&format!("GET {path}"), &[], "").await.head.status, 200);
    let open = rig.json(&format!("PUT {path}/metadata"), r#"{"metadata": {"libvirt_private": "no"}}"#).await;
    assert_eq!(
        open.text(),
        problem(409, "Conflict", "Secret metadata creation issue seen - a private secret stays private.")
    );
}

/// The last step of a reference in an answer.
fn referred(text: &str) -> String {
    text.rsplit('/').next().unwrap().trim_end_matches("\"}").to_owned()
}

#[tokio::test]
async fn an_order_is_done_at_the_first_look_and_keeps_no_passphrase() {
    for name in ["passphrase", "pass_phrase"] {
        order_with_passphrase(name).await;
    }
}

async fn order_with_passphrase(name: &str) {
    let rig = rig().await;
    let meta = format!(r#"{{"name": "pair", "algorithm": "rsa", "bit_length": 1024, "{name}": "hunter2"}}"#);
    let given = rig.json("POST /v1/orders", &format!(r#"{{"type": "asymmetric", "meta": {meta}}}"#)).await;
    assert_eq!(given.head.status, 202);
    let order = format!("/v1/orders/{}", referred(&given.text()));
    let seen = rig.ask(&format!("GET {order}"), &[], "").await.text();
    assert!(seen.contains(r#""status": "ACTIVE""#) && !seen.contains("hunter2"), "{seen}");
    let container: serde_json::Value = serde_json::from_str(seen.split_once(' ').unwrap().1).unwrap();
    let container = referred(container["container_ref"].as_str().unwrap());
    let held = rig.ask(&format!("GET /v1/containers/{container}"), &[], "").await.text();
    let held: serde_json::Value = serde_json::from_str(held.split_once(' ').unwrap().1).unwrap();
    let mut payloads = Vec::new();
    for part in held["secret_refs"].as_array().unwrap() {
        let id = referred(part["secret_ref"].as_str().unwrap());
        let payload = rig.ask(&format!("GET /v1/secrets/{id}/payload"), &[], "").await;
        payloads.push((part["name"].as_str().unwrap().to_owned(), payload.text()));
    }
    let of = |name: &str| &payloads.iter().find(|(known, _)| known == name).unwrap().1;
    assert!(of("private_key").starts_with("200 -----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert!(of("public_key").starts_with("200 -----BEGIN PUBLIC KEY-----"));
    assert_eq!(of("private_key_passphrase"), "200 hunter2");
    assert_eq!(rig.ask(&format!("DELETE {order}"), &[], "").await.text(), "204");
    assert_eq!(rig.ask(&format!("GET /v1/containers/{container}"), &[], "").await.head.status, 200);
}

#[tokio::test]
async fn a_failure_is_answered_in_the_words_of_its_resource() {
    let rig = rig().await;
    let container = rig.json("POST /v1/containers", r#"{"type": "generic", "name": "c"}"#).await.text();
    let container = format!("/v1/containers/{}", referred(&container));
    let consumer = r#"{"name": "n", "URL": "u"}"#;
    rig.fixture.store_fails.fail_after(0);
    for (what, body) in [
        ("GET /v1/containers".to_owned(), ""),
        ("POST /v1/containers".to_owned(), r#"{"type": "generic"}"#),
        (format!("GET {container}"), ""),
        (format!("GET {container}/acl"), ""),
        (format!("POST {container}/consumers"), consumer),
        ("POST /v1/orders".to_owned(), r#"{"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}}"#),
        ("GET /v1/quotas".to_owned(), ""),
        ("GET /v1/transport_keys".to_owned(), ""),
    ] {
        let answer = rig.json(&what, body).await;
        assert_eq!((answer.head.status.as_u16(), answer.header("retry-after")), (503, "5"), "{what}");
    }
    rig.fixture.store_fails.work();
    rig.fixture.audit_fails.fail_after(0);
    let answer = rig.json(&format!("POST {container}/consumers"), consumer).await;
    assert_eq!(answer.head.status, 503);
    rig.fixture.audit_fails.work();
    let consumers = rig.ask(&format!("GET {container}/consumers"), &[], "").await;
    assert_eq!(consumers.text(), r#"200 {"consumers": [], "total": 0}"#);
}

#[tokio::test]
async fn a_broken_part_is_an_answer_too() {
    let rig = rig().await;
    let path = rig.secret(TEXT).await;
    rig.fixture.audit_fails.fail_after(0);
    let answer = rig.ask(&format!("GET {path}/payload"), &[], "").await;
    assert_eq!((answer.head.status.as_u16(), answer.header("retry-after")), (503, "5"));
    assert!(!answer.text().contains("hunter2"));
    rig.fixture.audit_fails.work();
    rig.fixture.store_fails.fail_after(0);
    let answer = rig.json("POST /v1/secrets", TEXT).await;
    assert_eq!(
        answer.text(),
        problem(
            503,
            "Service Unavailable",
            "Secret creation failure seen - please contact site administrator."
        )
    );
}

/// As many consumers as there may be, with names as long as they may be.
async fn use_much(rig: &Rig, path: &str) {
    let id = path.rsplit('/').next().unwrap();
    let long = Text::try_from(&*"\u{1f511}".repeat(255)).unwrap();
    let own = |n: u32| Text::try_from(&*n.to_string()).unwrap();
    let (of, uses): (_, Vec<_>) = if path.contains("/secrets/") {
        let uses =
            |n| Uses::Secret { service: long.clone(), resource_type: long.clone(), resource_id: own(n) };
        (Guarded::Secret(id.parse().unwrap()), (0..1000).map(uses).collect())
    } else {
        let uses = |n| Uses::Container { name: own(n), url: long.clone() };
        (Guarded::Container(id.parse().unwrap()), (0..1000).map(uses).collect())
    };
    rig.fixture.register("p", of, uses).await;
}

#[tokio::test]
async fn a_page_of_secrets_with_many_consumers_ends_early_and_says_where_the_next_begins() {
    let rig = rig().await;
    for (list, count) in [("/v1/secrets", 4), ("/v1/containers", 6)] {
        let mut all = Vec::new();
        for n in 0..count {
            let body = format!(r#"{{"type": "generic", "name": "{n}", "secret_refs": []}}"#);
            let answer = match list {
                "/v1/secrets" => rig.secret(&format!(r#"{{"name": "{n}"}}"#)).await,
                _ => rig.json("POST /v1/containers", &body).await.header("location").to_owned(),
            };
            let path = answer.trim_start_matches("http://h").to_owned();
            use_much(&rig, &path).await;
            all.push(path);
        }
        let (mut next, mut found, mut pages) = (format!("{list}?limit=100"), Vec::new(), 0);
        while !next.is_empty() {
            let version = [("openstack-api-version", "key-manager 1.2")];
            let answer = rig.ask(&format!("GET {next}"), &version, "").await;
            assert!(answer.body.len() < 24 << 20, "{}", answer.body.len());
            let page: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(page["total"], count);
            for item in page[list.trim_start_matches("/v1/")].as_array().unwrap() {
                assert_eq!(item["consumers"].as_array().unwrap().len(), 1000);
                let reference = item["secret_ref"].as_str().or(item["container_ref"].as_str()).unwrap();
                found.push(reference.trim_start_matches("http://h").to_owned());
            }
            next = page["next"].as_str().unwrap_or_default().trim_start_matches("http://h").to_owned();
            pages += 1;
        }
        assert_eq!(found, all);
        assert!(pages > 1, "{list}");
    }
}
