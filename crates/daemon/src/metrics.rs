//! `GET /metrics`: every number the parts keep, in OpenMetrics text, on a listener of its own.
//!
//! It is apart from the doors so that it needs no credentials and is never reachable where secrets are: on loopback
//! unless the operator says otherwise. Nothing here tells which secrets exist or what they hold.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use store::SqliteStore;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use vault::Vault;

/// Scrapers connected at once. One more takes the place of the one that has been there for longest, so that whoever asks is
/// answered, however many others ask nothing or read nothing.
const SCRAPERS_MAX: usize = 64;
/// Time for one scrape, from connecting to the end of the answer.
const SCRAPE_TIME_MAX: Duration = Duration::from_secs(10);

/// What OpenMetrics 1.0.0 prescribes.
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// A registry that has the numbers of the process itself.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("donjon_build", "The program that runs", Info::new(version));
    registry.register_collector(Box::new(ProcessMetrics { started: SystemTime::now() }));
    registry
}

/// Answers scrapes until the task is dropped: one a connection.
pub(crate) async fn serve(listener: TcpListener, registry: Arc<Registry>) {
    let mut scrapers: VecDeque<AbortHandle> = VecDeque::with_capacity(SCRAPERS_MAX);
    loop {
        let stream = crate::listen::accept(&listener).await;
        scrapers.retain(|scraper| !scraper.is_finished());
        if scrapers.len() >= SCRAPERS_MAX
            && let Some(oldest) = scrapers.pop_front()
        {
            oldest.abort();
            // Its socket is closed when the task is, which is before the next one needs a descriptor.
            tokio::task::yield_now().await;
        }
        let registry = Arc::clone(&registry);
        let scraper = tokio::spawn(async move {
            let served = async { serve_scraper(TcpStream::from_std(stream)?, &registry).await };
            match tokio::time::timeout(SCRAPE_TIME_MAX, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a metrics connection ended early"),
                Err(_) => tracing::debug!("a metrics connection was cut off: it took too long"),
            }
        });
        scrapers.push_back(scraper.abort_handle());
    }
}

async fn serve_scraper(stream: TcpStream, registry: &Registry) -> io::Result<()> {
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(answer(request.method(), request.uri().path(), registry))
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    match barbican::while_datable(connection).await {
        Some(ended) => ended.map_err(io::Error::other),
        None => Err(io::Error::other("the clock is before 1970 or after 9999")),
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

/// What the store says of itself.
pub(crate) fn register_store(registry: &mut Registry, store: Arc<SqliteStore>) {
    registry.register_collector(Box::new(StoreMetrics(store)));
}

#[derive(Debug)]
struct StoreMetrics(Arc<SqliteStore>);

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Write-ahead log that is not folded into the database, as of the last change";
        let metric =
            encoder.encode_descriptor("donjon_store_log", help, Some(&Unit::Bytes), MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(self.0.log_bytes()).unwrap_or(i64::MAX)).encode(metric)
    }
}

/// What the vault has counted.
pub(crate) fn register_vault(registry: &mut Registry, vault: Arc<Vault>) {
    registry.register_collector(Box::new(VaultMetrics(vault)));
}

#[derive(Debug)]
struct VaultMetrics(Arc<Vault>);

impl Collector for VaultMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Stored payloads that were asked for and did not open: see which with donjond check";
        let metric =
            encoder.encode_descriptor("donjon_payloads_unopened", help, None, MetricType::Counter)?;
        ConstCounter::new(self.0.unopened()).encode(metric)
    }
}

/// The numbers that every Prometheus client library gives of its process, read when asked.
#[derive(Debug)]
struct ProcessMetrics {
    started: SystemTime,
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut gauge = |name, help, unit: Option<&Unit>, value: f64| {
            let metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        gauge("process_start_time", "When it started, since 1970", Some(&Unit::Seconds), started)?;
        if let Some(bytes) = resident_bytes() {
            gauge("process_resident_memory", "Memory it occupies", Some(&Unit::Bytes), bytes)?;
        }
        if let Some(count) = open_files() {
            gauge("process_open_fds", "Files and sockets it has open", None, count)?;
        }
        if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            gauge("process_max_fds", "Files and sockets it may have open", None, limit as f64)?;
        }
        Ok(())
    }
}

/// `VmRSS` of `/proc/self/status`, which is in units of 1024 bytes (proc(5)).
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_files() -> Option<f64> {
    let listed = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some(listed.saturating_sub(1) as f64) // One is the listing itself.
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn body(answer: Response<Full<Bytes>>) -> String {
        let collected = answer.into_body().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        String::from_utf8(runtime.block_on(collected).unwrap().to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_scrape_tells_of_the_process() {
        let answer = answer(&Method::GET, "/metrics", &registry());
        assert_eq!(answer.headers()[CONTENT_TYPE], OPENMETRICS);
        let text = body(answer);
        let samples = [
            "donjon_build_info{version=\"",
            "\nprocess_start_time_seconds ",
            "\nprocess_resident_memory_bytes ",
            "\nprocess_open_fds ",
            "\nprocess_max_fds ",
            "\n# EOF\n",
        ];
        for sample in samples {
            assert!(text.contains(sample), "{sample} in {text}");
        }
    }

    #[test]
    fn nothing_else_is_answered() {
        let status = |method, path| answer(&method, path, &registry()).status();
        assert_eq!(status(Method::GET, "/"), StatusCode::NOT_FOUND);
        assert_eq!(status(Method::GET, "/metrics/"), StatusCode::NOT_FOUND);
        assert_eq!(status(Method::POST, "/metrics"), StatusCode::METHOD_NOT_ALLOWED);
    }
}
