//! Requests of web pages, and proxies that name the caller.

use barbican::DoorConfig;

use crate::rig::{Answer, Rig};

const TEXT: &str = r#"{"name": "n", "payload": "hunter2", "payload_content_type": "text/plain"}"#;

async fn rig() -> Rig {
    let allowed_origins = vec!["https://ui.example".parse().unwrap()];
    Rig::new(DoorConfig {
        host_href: Some("https://kms.example:9311".to_owned()),
        hosts: vec!["keys.example".parse().unwrap()],
        allowed_origins,
        ..DoorConfig::default()
    })
    .await
}

/// Asks for a host, with other headers.
async fn ask(rig: &Rig, method: &str, path: &str, host: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = http::Request::builder().method(method).uri(path).header("host", host);
    request = request.header("x-project-id", "p");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    rig.answer(request, "").await
}

#[tokio::test]
async fn a_page_whose_name_was_made_to_lead_here_gets_no_payload() {
    let rig = rig().await;
    let secret = rig.json("POST /v1/secrets", TEXT).await;
    let path = secret.header("location").trim_start_matches("https://kms.example:9311").to_owned();
    let payload = format!("{path}/payload");
    let host = "attacker.example:9311";
    for headers in [&[][..], &[("origin", "http://attacker.example:9311"), ("sec-fetch-site", "same-origin")]]
    {
        let answer = ask(&rig, "GET", &payload, host, headers).await;
        let text = answer.text();
        assert_eq!(answer.head.status, 403, "{text}");
        assert!(text.contains("setting hosts") && !text.contains("hunter2"), "{text}");
    }
    for (method, path) in [("GET", "/"), ("GET", "/v1"), ("OPTIONS", "/v1/secrets"), ("GET", "/nosuch")] {
        assert_eq!(ask(&rig, method, path, host, &[]).await.head.status, 403, "{method} {path}");
    }
    assert_eq!(ask(&rig, "GET", "/healthcheck", host, &[("origin", "http://x")]).await.head.status, 200);
    for host in ["127.0.0.1:9311", "[::1]:9311", "localhost", "KEYS.example", "kms.example", "10.0.0.5:1"] {
        assert_eq!(ask(&rig, "GET", &payload, host, &[]).await.text(), "200 hunter2", "{host}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let rig = rig().await;
    for headers in [
        &[("origin", "http://attacker.example")][..],
        &[("origin", "null")],
        &[("origin", "http://localhost:8000")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "https://ui.example"), ("origin", "http://attacker.example")],
    ] {
        let answer = ask(&rig, "GET", "/v1/secrets", "127.0.0.1:9311", headers).await;
        assert_eq!(answer.head.status, 403, "{headers:?}");
        assert!(answer.text().contains("allowed_origins of [cors]"), "{}", answer.text());
    }
    for headers in [
        &[("origin", "http://127.0.0.1:9311"), ("sec-fetch-site", "same-origin")][..],
        &[("origin", "https://keys.example")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://ui.example"), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = ask(&rig, "GET", "/v1/secrets", "127.0.0.1:9311", headers).await;
        assert_eq!(answer.head.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn a_listed_page_may_read_what_it_gets() {
    let rig = rig().await;
    let origin = [("origin", "https://ui.example")];
    for (method, path, status) in [
        ("GET", "/v1/secrets", 200),
        ("GET", "/v1/nosuch", 404),
        ("GET", "/", 300),
        ("PUT", "/v1/secrets", 405),
    ] {
        let answer = ask(&rig, method, path, "localhost", &origin).await;
        assert_eq!(answer.head.status, status, "{}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), "https://ui.example");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("vary"), "openstack-api-version,Origin");
        assert!(answer.header("access-control-expose-headers").contains("X-Openstack-Request-Id"));
    }
    let ahead = [
        ("origin", "https://ui.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-project-id,content-type"),
    ];
    let answer = ask(&rig, "OPTIONS", "/v1/secrets", "localhost", &ahead).await;
    assert_eq!((answer.text().as_str(), answer.header("vary")), ("200", "Origin"));
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    assert_eq!(answer.header("access-control-allow-headers"), "x-project-id,content-type");
    assert_eq!(answer.header("access-control-max-age"), "3600");
    let answer = ask(&rig, "GET", "/v1/secrets", "localhost", &[]).await;
    assert_eq!(
        (answer.header("access-control-allow-origin"), answer.header("vary")),
        ("-", "openstack-api-version")
    );
    let answer = ask(&rig, "GET", "/healthcheck", "localhost", &origin).await;
    assert_eq!(answer.header("access-control-allow-origin"), "-");
}

#[tokio::test]
async fn a_proxy_that_appends_lets_nobody_say_who_they_are() {
    let rig = rig().await;
    for name in ["X-Project-Id", "X-User-Id", "X-Roles"] {
        let more = [("x-user-id", "u"), ("x-roles", "reader"), (name, "admin")];
        let answer = ask(&rig, "GET", "/v1/secrets", "localhost", &more).await;
        assert_eq!(answer.head.status, 400);
        assert!(answer.text().contains(&format!("{} is there more than once", name.to_lowercase())));
    }
}

#[tokio::test]
async fn a_container_takes_references_by_every_name_of_this_server() {
    let rig =
        Rig::new(DoorConfig { hosts: vec!["keys.internal".parse().unwrap()], ..DoorConfig::default() }).await;
    let path = rig.secret(TEXT).await;
    for (begin, status) in [
        ("http://h", 201),
        ("https://keys.internal:9311", 201),
        ("http://KEYS.internal", 201),
        ("http://elsewhere.example", 400),
    ] {
        let refs = format!(r#"[{{"name": "s", "secret_ref": "{begin}{path}"}}]"#);
        let body = format!(r#"{{"type": "generic", "secret_refs": {refs}}}"#);
        let answer = rig.json("POST /v1/containers", &body).await;
        assert_eq!(answer.head.status, status, "{begin}: {}", answer.text());
    }
}
