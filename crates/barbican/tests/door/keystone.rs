//! Callers by their tokens, and a Keystone that is counted, changed and broken at will. The real one is in
//! `daemon/tests/keystone_tokens.rs`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use barbican::DoorConfig;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::Role;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use transport::keystone::{Credentials, KeystoneConfig, Named, ServiceSecret};
use transport::{Authenticator, Keystone};
use zeroize::Zeroizing;

use crate::rig::{Answer, Rig};

const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(3600);

/// A Keystone that each test sets up.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Bodies of the tokens that are valid.
    tokens: HashMap<String, Value>,
    /// Bodies of expired tokens, which a request with `allow_expired` gets.
    expired: HashMap<String, Value>,
    /// All requests as query and token, without those for the service's own token.
    asked: Vec<String>,
    /// The number of tokens that the service has got.
    own: u32,
    /// The answer to the next requests instead of the usual one.
    instead: Option<Instead>,
    connections: u32,
}

#[derive(Clone)]
enum Instead {
    Nothing,
    Answer(u16, &'static str, Vec<u8>),
}

fn token(project: Option<&str>, roles: &[&str], expires_at: &str) -> Value {
    let roles: Vec<_> = roles.iter().map(|name| json!({"id": "x", "name": name})).collect();
    let mut token = json!({"user": {"id": "u"}, "expires_at": expires_at, "roles": roles});
    if let Some(project) = project {
        token["project"] = json!({"id": project, "name": "n"});
    }
    json!({"token": token})
}

const FUTURE: &str = "2099-01-01T00:00:00.000000Z";
const PAST: &str = "2001-01-01T00:00:00.000000Z";

impl Fake {
    async fn start() -> (Self, SocketAddr) {
        let fake = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = fake.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.state().connections += 1;
                let fake = shared.clone();
                let service = service_fn(move |request| {
                    let fake = fake.clone();
                    async move { Ok::<_, Infallible>(fake.answer(&request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (fake, address)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let instead = self.state().instead.clone();
        match instead {
            Some(Instead::Nothing) => std::future::pending().await,
            Some(Instead::Answer(status, location, body)) => {
                let answer = Response::builder().status(status).header("location", location);
                return answer.body(Full::from(body)).unwrap();
            }
            None => {}
        }
        if request.method() == "POST" {
            let mut state = self.state();
            state.own += 1;
            let own = format!("own-{}", state.own);
            let body = token(Some("service"), &["service"], FUTURE).to_string();
            return Response::builder()
                .status(201)
                .header("x-subject-token", own)
                .body(Full::from(body))
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // Others come meanwhile.
        let mut state = self.state();
        let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
        state.asked.push(format!("{} {}", request.uri().query().unwrap(), header("x-subject-token")));
        if header("x-auth-token") != format!("own-{}", state.own) {
            return Response::builder().status(401).body(Full::default()).unwrap();
        }
        let subject = header("x-subject-token");
        let allowed = request.uri().query().unwrap().contains("allow_expired=1");
        let found = state.tokens.get(&subject).or_else(|| state.expired.get(&subject).filter(|_| allowed));
        match found {
            Some(token) => Response::new(Full::from(token.to_string())),
            None => Response::builder().status(404).body(Full::default()).unwrap(),
        }
    }
}

fn config(address: SocketAddr) -> KeystoneConfig {
    KeystoneConfig {
        auth_url: format!("http://{address}").parse().unwrap(),
        www_authenticate_uri: Some("https://keystone.example/v3".to_owned()),
        credentials: Credentials::Password {
            user: Named::Id("barbican".to_owned()),
            project: Named::Id("service".to_owned()),
            password: ServiceSecret::Given(Zeroizing::new("hunter2".to_owned())),
        },
        cafile: None,
        insecure: false,
        connect_time_max: PATIENCE,
        request_time_max: PATIENCE,
        cache_time: LONG,
        service_roles: vec![Role::from("service")],
        service_roles_required: true,
    }
}

async fn rig_of(config: &KeystoneConfig) -> Rig {
    let keystone = Keystone::new(config, Handle::current(), &mut Registry::default()).unwrap();
    Rig::new(DoorConfig { auth: Authenticator::Keystone(keystone), ..DoorConfig::default() }).await
}

async fn rig() -> (Rig, Fake) {
    let (fake, address) = Fake::start().await;
    fake.state().tokens.insert("member".into(), token(Some("p1"), &["admin", "member", "creator"], FUTURE));
    (rig_of(&config(address)).await, fake)
}

impl Rig {
    async fn list(&self, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET /v1/secrets", headers, "").await
    }

    async fn status(&self, token: &str) -> u16 {
        self.list(&[("x-auth-token", token)]).await.head.status.as_u16()
    }
}

const UNAUTHENTICATED: &str = "401 {\"error\": {\"code\": 401, \"title\": \"Unauthorized\", \"message\": \"The request \
                               you have made requires authentication.\"}}";

#[tokio::test]
async fn simultaneous_requests_with_one_token_ask_keystone_once() {
    let (rig, fake) = rig().await;
    let rig = Arc::new(rig);
    let fifty = |token: &str| std::iter::repeat_n(token.to_owned(), 50);
    assert_eq!(statuses_at_once(&rig, fifty("member")).await, vec![200; 50]);
    assert_eq!(rig.status("member").await, 200);
    assert_eq!(fake.state().asked, ["nocatalog member"]);
    assert_eq!(statuses_at_once(&rig, fifty("garbage")).await, vec![401; 50]);
    assert_eq!(fake.state().asked, ["nocatalog member", "nocatalog garbage"]);
    assert_eq!(fake.state().own, 1);
    let metrics = rig.metrics();
    for line in [
        r#"donjon_http_requests_total{operation="GET /v1/secrets",status="2xx"} 51"#,
        r#"donjon_http_requests_total{operation="GET /v1/secrets",status="4xx"} 50"#,
        "donjon_http_unidentified_total 50",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

/// The statuses of requests with these tokens, all at once.
async fn statuses_at_once(rig: &Arc<Rig>, tokens: impl Iterator<Item = String>) -> Vec<u16> {
    let ask = |token: String| {
        let rig = Arc::clone(rig);
        async move { rig.status(&token).await }
    };
    tokens.map(ask).collect::<JoinSet<_>>().join_all().await
}

#[tokio::test]
async fn keystone_is_not_asked_without_a_usable_token() {
    let (rig, fake) = rig().await;
    for headers in [
        &[][..],
        &[("x-auth-token", "")],
        &[("x-auth-token", " ")],
        &[("authorization", "Bearer member")],
        &[
            ("x-project-id", "p"),
            ("x-roles", "admin"),
            ("x-user-id", "u"),
            ("x-identity-status", "Confirmed"),
        ],
        &[("x-auth-token", "schlüssel")],
        &[("x-auth-token", "two words")],
        &[("x-auth-token", "member"), ("x-auth-token", "member")],
        &[("x-auth-token", "member"), ("x-service-token", "ü")],
    ] {
        let answer = rig.list(headers).await;
        assert_eq!(answer.text(), UNAUTHENTICATED, "{headers:?}");
        assert_eq!(answer.header("www-authenticate"), "Keystone uri=\"https://keystone.example/v3\"");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_ne!(answer.header("x-openstack-request-id"), "-");
    }
    assert_eq!(rig.status(&"t".repeat(2049)).await, 401);
    assert_eq!(fake.state().asked, [""; 0]);
    assert_eq!(rig.status(&"t".repeat(2048)).await, 401);
    assert_eq!(fake.state().asked.len(), 1);
    for (path, status) in [("/", 300), ("/healthcheck", 200), ("/v1", 401), ("/v1/nosuch", 401)] {
        assert_eq!(rig.ask(&format!("GET {path}"), &[], "").await.head.status, status, "{path}");
    }
}

#[tokio::test]
async fn keystone_names_the_caller_and_headers_do_not() {
    let (rig, fake) = rig().await;
    let body = r#"{"name": "n"}"#;
    let spoofed = [
        ("x-auth-token", "member"),
        ("content-type", "application/json"),
        ("x-project-id", "p2"),
        ("x-user-id", "evil"),
        ("x-roles", "admin"),
        ("x-service-roles", "service"),
        ("x-service-identity-status", "Invalid"),
        ("x-identity-status", "Invalid"),
    ];
    let made = rig.ask("POST /v1/secrets", &spoofed, body).await;
    assert_eq!(made.head.status, 201, "{}", made.text());
    let path = made.header("location").strip_prefix("http://h").unwrap().to_owned();
    let shown = rig.ask(&format!("GET {path}"), &[("x-auth-token", "member")], "").await;
    assert!(shown.text().contains(r#""creator_id": "u""#), "{}", shown.text());
    fake.state().tokens.insert("norole".into(), token(Some("p1"), &["norole"], FUTURE));
    let refused = rig.ask("GET /v1/secrets", &[("x-auth-token", "norole"), ("x-roles", "admin")], "").await;
    assert_eq!(refused.head.status, 403, "{}", refused.text());
    fake.state().tokens.insert("other".into(), token(Some("p2"), &["admin", "member", "creator"], FUTURE));
    let other = rig
        .ask(&format!("GET {path}/payload"), &[("x-auth-token", "other"), ("x-project-id", "p1")], "")
        .await;
    assert_eq!(other.head.status, 403, "{}", other.text());
}

#[tokio::test]
async fn with_a_token_any_host_is_served_and_a_listed_page_may_read_even_a_401() {
    let (fake, address) = Fake::start().await;
    fake.state().tokens.insert("member".into(), token(Some("p"), &["admin"], FUTURE));
    let keystone = Keystone::new(&config(address), Handle::current(), &mut Registry::default()).unwrap();
    let allowed_origins = vec!["https://ui.example".parse().unwrap()];
    let auth = Authenticator::Keystone(keystone);
    let rig = Rig::new(DoorConfig { auth, allowed_origins, ..DoorConfig::default() }).await;
    let ask = async |method: &str, origin: &str, token: &str| {
        let request = Request::builder().method(method).uri("/v1/secrets").header("host", "any.example");
        let request = request.header("origin", origin).header("x-auth-token", token);
        let request =
            request.header("access-control-request-method", "GET").header("sec-fetch-site", "cross-site");
        let answer = rig.answer(request, "").await;
        (answer.head.status.as_u16(), answer.header("access-control-allow-origin").to_owned())
    };
    let (page, other) = ("https://ui.example", "https://other.example");
    assert_eq!(ask("GET", page, "member").await, (200, page.into()));
    assert_eq!(ask("GET", page, "garbage").await, (401, page.into()));
    assert_eq!(ask("OPTIONS", page, "").await, (200, page.into()));
    assert_eq!(ask("GET", other, "member").await, (200, "-".into()));
    assert_eq!(ask("OPTIONS", other, "").await, (200, "-".into()));
}

#[tokio::test]
async fn a_token_without_a_project_identifies_nobody() {
    let (rig, fake) = rig().await;
    fake.state().tokens.insert("unscoped".into(), token(None, &[], FUTURE));
    fake.state().tokens.insert("system".into(), token(None, &["admin"], FUTURE));
    for token in ["unscoped", "system"] {
        let answer = rig.list(&[("x-auth-token", token)]).await;
        assert!(
            answer.text().starts_with("401 401 Unauthorized\n\nThis server could not verify"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.header("www-authenticate"), "Keystone uri=\"https://keystone.example/v3\"");
        assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    }
}

#[tokio::test]
async fn an_answer_of_keystone_is_remembered_for_the_cache_time() {
    let (fake, address) = Fake::start().await;
    fake.state().tokens.insert("t".into(), token(Some("p"), &["admin"], FUTURE));
    let rig = rig_of(&KeystoneConfig { cache_time: Duration::from_millis(50), ..config(address) }).await;
    assert_eq!(rig.status("t").await, 200);
    fake.state().tokens.clear();
    let begin = Instant::now();
    while rig.status("t").await != 401 {
        assert!(begin.elapsed() < PATIENCE, "it was revoked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rig = rig_of(&KeystoneConfig { cache_time: Duration::ZERO, ..config(address) }).await;
    let asked = fake.state().asked.len();
    assert_eq!((rig.status("t").await, rig.status("t").await), (401, 401));
    assert_eq!(fake.state().asked.len(), asked + 2, "nothing is remembered");
}

/// A second and a half from now, as Keystone writes it.
fn in_a_moment() -> String {
    let soon = std::time::SystemTime::now() + Duration::from_millis(1500);
    let micros = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    format!("{}Z", model::Timestamp::from_micros(i64::try_from(micros).unwrap()))
}

/// The paused clock is the one that stands still while a machine sleeps.
#[tokio::test]
async fn a_token_that_expires_while_the_machine_sleeps_is_refused() {
    let (rig, fake) = rig().await;
    fake.state().tokens.insert("soon".into(), token(Some("p"), &["admin"], &in_a_moment()));
    assert_eq!(rig.status("soon").await, 200);
    fake.state().tokens.remove("soon");
    tokio::time::pause();
    std::thread::sleep(Duration::from_secs(2));
    let asked = fake.state().asked.len();
    assert_eq!(rig.status("soon").await, 401);
    assert_eq!(fake.state().asked.len(), asked + 1);
}

#[tokio::test]
async fn a_remembered_token_is_refused_once_it_expires() {
    let (rig, fake) = rig().await;
    fake.state().tokens.insert("late".into(), token(Some("p"), &["admin"], PAST));
    assert_eq!(rig.status("late").await, 401);
    let expires = in_a_moment();
    fake.state().tokens.insert("soon".into(), token(Some("p"), &["admin"], &expires));
    assert_eq!(rig.status("soon").await, 200);
    fake.state().tokens.remove("soon");
    let begin = Instant::now();
    while rig.status("soon").await != 401 {
        assert!(begin.elapsed() < PATIENCE, "it has ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_service_token_allows_an_expired_token() {
    let (rig, fake) = rig().await;
    {
        let mut state = fake.state();
        state.expired.insert("stale".into(), token(Some("p"), &["admin"], PAST));
        state.tokens.insert("nova".into(), token(Some("service"), &["Service"], FUTURE));
        state.tokens.insert("user".into(), token(Some("p"), &["admin"], FUTURE));
    }
    let with = async |token: &str, service: &str| {
        rig.list(&[("x-auth-token", token), ("x-service-token", service)]).await.head.status.as_u16()
    };
    assert_eq!(rig.status("stale").await, 401);
    assert_eq!(with("stale", "nova").await, 200);
    assert_eq!(with("stale", "nova").await, 200);
    assert_eq!(rig.status("stale").await, 401, "only a service may");
    assert_eq!(
        fake.state().asked,
        ["nocatalog stale", "nocatalog nova", "nocatalog&allow_expired=1 stale"],
        "each is asked once"
    );
    assert_eq!(with("stale", "user").await, 401, "no service");
    assert_eq!(with("member", "user").await, 401);
    assert_eq!(with("member", "garbage").await, 401);
    assert_eq!(with("member", "").await, 200, "an empty header counts as no header");
    assert_eq!(with("garbage", "nova").await, 401);
    assert_eq!(with("", "nova").await, 401);
    assert_eq!(with("member", "nova").await, 200);
    assert_eq!(with("member", "stale").await, 401, "a service's own may not have expired");
}

#[tokio::test]
async fn any_service_token_will_do_where_no_role_is_required() {
    let (fake, address) = Fake::start().await;
    fake.state().expired.insert("stale".into(), token(Some("p"), &["admin"], PAST));
    fake.state().tokens.insert("user".into(), token(Some("p"), &["admin"], FUTURE));
    let rig = rig_of(&KeystoneConfig { service_roles_required: false, ..config(address) }).await;
    let with = async |token: &str| {
        rig.list(&[("x-auth-token", token), ("x-service-token", "user")]).await.head.status.as_u16()
    };
    assert_eq!((with("user").await, with("stale").await), (200, 401));
}

#[tokio::test]
async fn a_service_whose_own_token_has_ended_gets_another() {
    let (rig, fake) = rig().await;
    assert_eq!(rig.status("garbage").await, 401);
    fake.state().own += 1; // The one it has is the one before now.
    let before = fake.state().own;
    assert_eq!(rig.status("member").await, 200);
    assert_eq!(fake.state().own, before + 1);
}

#[tokio::test]
async fn a_broken_keystone_identifies_nobody() {
    let (rig, fake) = rig().await;
    assert_eq!(rig.status("garbage").await, 401); // The service has its own token.
    let huge = vec![b' '; 1024 * 1024];
    let good = token(Some("p"), &["admin"], FUTURE).to_string().into_bytes();
    for (n, (status, body)) in [
        (200, b"<html>it works</html>".to_vec()),
        (200, b"{\"token\": {}}".to_vec()),
        (200, vec![]),
        (200, huge),
        (500, good.clone()),
        (302, good.clone()),
        (204, vec![]),
        (403, good.clone()),
        (429, good),
    ]
    .into_iter()
    .enumerate()
    {
        fake.state().instead = Some(Instead::Answer(status, "http://127.0.0.1:1/", body));
        let answer = rig.list(&[("x-auth-token", &format!("t{n}"))]).await;
        assert_eq!(
            answer.text(),
            "503 503 Service Unavailable\n\nThe server is currently unavailable. Please try again at a later time.\n\n The \
             Keystone service is temporarily unavailable.",
            "{status}"
        );
        assert_eq!((answer.header("retry-after"), answer.header("www-authenticate")), ("1", "-"));
        fake.state().instead = None;
    }
}

#[tokio::test]
async fn a_keystone_that_refuses_this_service_for_a_moment_is_asked_again() {
    let (rig, fake) = rig().await;
    assert_eq!(rig.status("garbage").await, 401); // The service has its own token.
    fake.state().tokens.insert("member".into(), token(Some("p"), &["admin"], FUTURE));
    fake.state().instead = Some(Instead::Answer(403, "http://127.0.0.1:1/", Vec::new()));
    let soon = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fake.state().instead = None;
    };
    let (status, ()) = tokio::join!(rig.status("member"), soon);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn requests_wait_for_a_hanging_keystone_for_a_while_and_then_not_at_all() {
    let (fake, address) = Fake::start().await;
    fake.state().tokens.insert("member".into(), token(Some("p"), &["admin"], FUTURE));
    fake.state().tokens.insert("later".into(), token(Some("p"), &["admin"], FUTURE));
    let short = Duration::from_millis(300);
    let rig = rig_of(&KeystoneConfig { request_time_max: short, ..config(address) }).await;
    let begin = Instant::now();
    while rig.status("member").await != 200 {
        assert!(begin.elapsed() < PATIENCE);
    }
    fake.state().instead = Some(Instead::Nothing);
    let (rig, asked) = (Arc::new(rig), Instant::now());
    let statuses = statuses_at_once(&rig, (0..1000).map(|n| format!("t{n}"))).await;
    assert_eq!(statuses, vec![503; 1000], "those that waited, and those that could not");
    assert!(asked.elapsed() >= short && asked.elapsed() < PATIENCE);
    let connections = fake.state().connections;
    assert!(connections <= 64, "{connections} connections");
    assert_eq!(rig.status("member").await, 200, "who is known goes on");
    assert_eq!(rig.list(&[]).await.head.status, 401);
    fake.state().instead = None;
    let begin = Instant::now();
    while rig.status("later").await != 200 {
        assert!(begin.elapsed() < PATIENCE, "it answers again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_refused_service_stops_asking() {
    let (fake, address) = Fake::start().await;
    fake.state().instead = Some(Instead::Answer(401, "", vec![]));
    let rig = rig_of(&config(address)).await;
    for n in 0..20 {
        assert_eq!(rig.status(&format!("t{n}")).await, 503);
    }
    assert!(fake.state().connections <= 3);
}

#[tokio::test]
async fn a_client_that_leaves_takes_no_answer_from_others() {
    let (rig, fake) = rig().await;
    let gone = tokio::time::timeout(Duration::from_millis(1), rig.status("member"));
    let (_, status) = tokio::join!(gone, rig.status("member"));
    assert_eq!(status, 200);
    assert_eq!(fake.state().asked, ["nocatalog member"]);
}
