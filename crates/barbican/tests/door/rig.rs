//! A door over a vault in a temporary folder, asked without a socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use barbican::{Body, Door, DoorConfig};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use prometheus_client::registry::Registry;
use testkit::Fixture;

/// Where connections come in.
pub(crate) const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8311);

/// A door, and the vault behind it.
pub(crate) struct Rig {
    pub(crate) door: Arc<Door>,
    pub(crate) fixture: Fixture,
    metrics: Registry,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    pub(crate) body: Bytes,
}

impl Rig {
    /// The requests of [`Self::ask`] are for the host `h`, so that is one of its names.
    pub(crate) async fn new(config: DoorConfig) -> Self {
        let mut config = config;
        config.hosts.push("h".parse().unwrap());
        let fixture = Fixture::new().await;
        let mut metrics = Registry::default();
        let counted = Door::register_metrics(&mut metrics);
        let door = Arc::new(Door::new(Arc::clone(&fixture.vault), config, counted));
        Self { door, fixture, metrics }
    }

    /// The counters, as Prometheus reads them.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        text
    }

    /// Asks in project `p`. `what` is a method and a path; then headers, one a line.
    pub(crate) async fn ask(&self, what: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.ask_bytes(what, headers, body.as_bytes()).await
    }

    /// The same, with a body that need not be text.
    pub(crate) async fn ask_bytes(&self, what: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (method, path) = what.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "h");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-project-id")) {
            request = request.header("x-project-id", "p");
        }
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes()); // Not all of them ASCII.
        }
        self.answer(request, body).await
    }

    /// Asks by a request of any kind.
    pub(crate) async fn answer(&self, request: http::request::Builder, body: impl AsRef<[u8]>) -> Answer {
        let body = Full::new(Bytes::copy_from_slice(body.as_ref()));
        Answer::read(self.door.answer(request.body(body).unwrap(), HERE).await).await
    }

    /// Asks with a JSON body.
    pub(crate) async fn json(&self, what: &str, body: &str) -> Answer {
        self.ask(what, &[("content-type", "application/json")], body).await
    }

    /// Creates a secret, and gives the path of it.
    pub(crate) async fn secret(&self, body: &str) -> String {
        let answer = self.json("POST /v1/secrets", body).await;
        assert_eq!(answer.head.status, 201, "{}", answer.text());
        let location = answer.header("location").to_owned();
        location.strip_prefix("http://h").unwrap().to_owned()
    }
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        Self { head, body: body.collect().await.unwrap().to_bytes() }
    }

    /// Status and body, in a line.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.head.status.as_u16(), String::from_utf8_lossy(&self.body)).trim_end().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("-", |value| value.to_str().unwrap())
    }
}
