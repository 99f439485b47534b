//! The counts of requests to one interface, in Prometheus' terms.
//!
//! | metric, behind the interface's prefix | labels | |
//! |---|---|---|
//! | `_requests_total` | `operation`, `status` | requests answered; `status` is `2xx` and so on |
//! | `_request_seconds` | `operation` | from the head of a request to its answer, a histogram |
//! | `_unidentified_total` | | requests among them whose caller is not known: no token, a bad one, Keystone gone |
//! | `_requests_in_flight` | | requests being answered |
//! | `_connections` | | connections being served |
//!
//! The interface numbers its operations: nobody can make up new ones. Only operations that were asked for appear.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// The upper bounds of the histogram, in seconds: a payload read takes some tens of microseconds, a durable write some
/// milliseconds.
const SECONDS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 10.0];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OperationLabel {
    operation: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AnswerLabels {
    operation: String,
    status: &'static str,
}

/// The operation that a request asked for, as its interface counts it.
pub trait Operation {
    /// How many operations the interface has.
    const COUNT: usize;

    /// The number of this one, less than [`Self::COUNT`].
    fn index(&self) -> usize;

    /// Its label, asked for once.
    fn label(&self) -> String;
}

type Seconds = Family<OperationLabel, Histogram, fn() -> Histogram>;

/// The counts. Clones count together.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<AnswerLabels, Counter<u64, AtomicU64>>,
    seconds: Seconds,
    unidentified: Counter<u64, AtomicU64>,
    in_flight: Gauge,
    connections: Gauge,
    /// The counts of each operation once it was asked for, so that no label is looked up twice.
    operations: Box<[OnceLock<OperationCounts>]>,
}

#[derive(Debug)]
struct OperationCounts {
    answers: [Counter<u64, AtomicU64>; 5],
    seconds: Histogram,
}

impl Metrics {
    /// Counts that the registry shows under names with a prefix. A registry takes them once.
    pub fn register<O: Operation>(registry: &mut Registry, prefix: &str) -> Self {
        let seconds = Seconds::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "Time from the head of a request to its answer";
        registry.register_with_unit(format!("{prefix}_request"), help, Unit::Seconds, seconds.clone());
        let mut counts = Registered { registry, prefix };
        Self {
            requests: counts.new_metric("requests", "Requests answered"),
            seconds,
            unidentified: counts.new_metric("unidentified", "Requests whose caller is not known"),
            in_flight: counts.new_metric("requests_in_flight", "Requests being answered"),
            connections: counts.new_metric("connections", "Connections being served"),
            operations: (0..O::COUNT).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Counts a request as being answered until the guard is dropped.
    pub fn in_flight(&self) -> impl Drop + use<> {
        GaugeGuard::new(&self.in_flight)
    }

    /// Counts a connection as being served until the guard is dropped.
    pub fn connection(&self) -> impl Drop + use<> {
        GaugeGuard::new(&self.connections)
    }

    /// Counts a request whose caller is not known; its answer is counted as well.
    pub fn unidentified(&self) {
        self.unidentified.inc();
    }

    /// Counts an answer.
    pub fn answered(&self, asked: &impl Operation, status: StatusCode, took: Duration) {
        let Some(slot) = self.operations.get(asked.index()) else { return };
        let operation = slot.get_or_init(|| self.operation(&asked.label()));
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = operation.answers.get(class) {
            counter.inc();
        }
        operation.seconds.observe(took.as_secs_f64());
    }

    fn operation(&self, name: &str) -> OperationCounts {
        let answers = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|status| {
            self.requests.get_or_create_owned(&AnswerLabels { operation: name.to_owned(), status })
        });
        let seconds = self.seconds.get_or_create_owned(&OperationLabel { operation: name.to_owned() });
        OperationCounts { answers, seconds }
    }
}

/// A registry that shows new metrics under names with a prefix.
pub(crate) struct Registered<'r> {
    pub(crate) registry: &'r mut Registry,
    pub(crate) prefix: &'r str,
}

impl Registered<'_> {
    /// A metric at its beginning, which the registry shows.
    pub(crate) fn new_metric<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.registry.register(format!("{}_{name}", self.prefix), help, metric.clone());
        metric
    }
}

struct GaugeGuard(Gauge);

impl GaugeGuard {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `None` is a request that names no operation.
    struct Asked(Option<&'static str>);

    impl Operation for Asked {
        const COUNT: usize = 2;

        fn index(&self) -> usize {
            usize::from(self.0.is_some())
        }

        fn label(&self) -> String {
            self.0.unwrap_or("elsewhere").to_owned()
        }
    }

    #[test]
    fn counts_are_shown_by_operation() {
        let mut registry = Registry::default();
        let metrics = Metrics::register::<Asked>(&mut registry, "donjon_http");
        let asked = Asked(Some("GET /v1/secrets"));
        let busy = metrics.in_flight();
        metrics.answered(&asked, StatusCode::OK, Duration::from_micros(70));
        metrics.answered(&asked, StatusCode::NOT_FOUND, Duration::from_micros(70));
        metrics.answered(&Asked(None), StatusCode::METHOD_NOT_ALLOWED, Duration::from_secs(20));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "donjon_http_requests_total{operation=\"GET /v1/secrets\",status=\"2xx\"} 1",
            "donjon_http_requests_total{operation=\"GET /v1/secrets\",status=\"4xx\"} 1",
            "donjon_http_requests_total{operation=\"elsewhere\",status=\"4xx\"} 1",
            "donjon_http_request_seconds_bucket{le=\"0.0001\",operation=\"GET /v1/secrets\"} 2",
            "donjon_http_requests_in_flight 1",
            "donjon_http_connections 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        drop(busy);
        assert_eq!(metrics.in_flight.get(), 0);
    }
}
