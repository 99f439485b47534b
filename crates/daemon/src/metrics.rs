//! `GET /metrics`: the metrics of all parts, in OpenMetrics text, on a listener of its own.
//!
//! The listener is separate from the doors, so it needs no credentials. It is on loopback unless the operator chooses another
//! address. No metric names a secret or its content.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
use transport::{Limits, Scrapes, serve_connection};
use vault::Vault;

/// Scrapers connected at once. A further one replaces the oldest, so that a scraper is answered although others ask or read
/// nothing.
const SCRAPERS_MAX: usize = 64;
/// Time for one scrape, from its connection to the end of the answer.
const SCRAPE_TIME_MAX: Duration = Duration::from_secs(10);

/// A registry with the metrics of the process itself.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("donjon_build", "The program that runs", Info::new(version));
    registry.register_collector(Box::new(ProcessMetrics { started: SystemTime::now() }));
    registry
}

/// Answers one scrape for each connection, until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, registry: Arc<Registry>) {
    let mut scrapers: VecDeque<AbortHandle> = VecDeque::with_capacity(SCRAPERS_MAX);
    let scrapes = Arc::new(Scrapes::of_registry(registry));
    loop {
        let stream = crate::listen::accept(&listener).await;
        scrapers.retain(|scraper| !scraper.is_finished());
        if scrapers.len() >= SCRAPERS_MAX
            && let Some(oldest) = scrapers.pop_front()
        {
            oldest.abort();
            // The task closes its socket before the next scraper needs a descriptor.
            tokio::task::yield_now().await;
        }
        let scrapes = Arc::clone(&scrapes);
        let scraper = tokio::spawn(async move {
            match tokio::time::timeout(SCRAPE_TIME_MAX, serve_scraper(stream, scrapes)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a metrics connection ended early"),
                Err(_) => tracing::debug!("a metrics connection was cut off: it took too long"),
            }
        });
        scrapers.push_back(scraper.abort_handle());
    }
}

async fn serve_scraper(stream: std::net::TcpStream, scrapes: Arc<Scrapes>) -> io::Result<()> {
    let stream = TcpStream::from_std(stream)?;
    let here = stream.local_addr()?;
    serve_connection(scrapes, &Limits::default(), stream, here, std::future::pending()).await;
    Ok(())
}

/// Adds the metrics of the store.
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

/// Adds the metrics of the vault.
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

/// The process metrics that every Prometheus client library has, read at each scrape.
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
    use super::*;

    #[test]
    fn a_scrape_has_the_metrics_of_the_process() {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry()).unwrap();
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
}
