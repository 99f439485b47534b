//! `GET /metrics`: every number of a registry, in OpenMetrics text.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use prometheus_client::registry::Registry;

use crate::connection::Service;

/// The content type that OpenMetrics 1.0.0 prescribes.
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The scrapes of a registry, one a connection.
#[derive(Debug)]
pub struct Scrapes(Arc<Registry>);

impl Scrapes {
    /// Scrapes of this registry.
    pub fn of_registry(registry: Arc<Registry>) -> Self {
        Self(registry)
    }
}

impl Service for Scrapes {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, _here: SocketAddr) -> Response<Full<Bytes>> {
        let mut answer = answer(request.method(), request.uri().path(), &self.0);
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    }
}

fn answer(method: &Method, path: &str, registry: &Registry) -> Response<Full<Bytes>> {
    match (method, path) {
        (&Method::GET, "/metrics") => scrape(registry),
        (_, "/metrics") => {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            refusal
        }
        _ => plain(StatusCode::NOT_FOUND, "only /metrics is here\n"),
    }
}

fn scrape(registry: &Registry) -> Response<Full<Bytes>> {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, registry).is_err() {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n");
    }
    let mut answer = Response::new(Full::from(text));
    answer.headers_mut().insert(CONTENT_TYPE, OPENMETRICS);
    answer
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_scrape_is_open_metrics_text() {
        let mut registry = Registry::default();
        registry.register("things", "Things", prometheus_client::metrics::gauge::Gauge::<i64>::default());
        let answer = answer(&Method::GET, "/metrics", &registry);
        assert_eq!(answer.headers()[CONTENT_TYPE], OPENMETRICS);
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(text.ends_with(b"\nthings 0\n# EOF\n"), "{text:?}");
    }

    #[test]
    fn nothing_else_is_answered() {
        let status = |method, path| answer(&method, path, &Registry::default()).status();
        assert_eq!(status(Method::GET, "/"), StatusCode::NOT_FOUND);
        assert_eq!(status(Method::GET, "/metrics/"), StatusCode::NOT_FOUND);
        assert_eq!(status(Method::POST, "/metrics"), StatusCode::METHOD_NOT_ALLOWED);
    }
}
