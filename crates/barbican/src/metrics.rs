//! What the door counts, in Prometheus' terms.
//!
//! | metric | labels | |
//! |---|---|---|
//! | `donjon_http_requests_total` | `operation`, `status` | requests answered; `status` is `2xx` and so on |
//! | `donjon_http_request_seconds` | `operation` | from the head of a request to its answer, a histogram |
//! | `donjon_http_unidentified_total` | | requests among them whose caller is not known: no token, a bad one, Keystone gone |
//! | `donjon_http_requests_in_flight` | | requests being answered |
//! | `donjon_http_connections` | | connections being served |
//!
//! An operation is a method and the shape of a path, such as `GET /v1/secrets/{id}/payload`. Only operations that were
//! asked for appear, and only those of the table: nobody can make up new ones. A request counts as the operation that it
//! asked for also where it is refused before anything is done, for a bad token or version; what names no operation is
//! `GET elsewhere` and the like.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::routes::{PLACES, Place, Verb, resource_at};

/// The upper bounds of the histogram, in seconds: a payload read takes some tens of microseconds, a durable write some
/// milliseconds.
const SECONDS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 10.0];

/// Methods that are told apart: those of [`Verb`], and all others together.
const VERBS: usize = 6;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OperationLabel {
    operation: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AnswerLabels {
    operation: String,
    status: &'static str,
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
    operations: Box<[OnceLock<Operation>]>,
}

#[derive(Debug)]
struct Operation {
    answers: [Counter<u64, AtomicU64>; 5],
    seconds: Histogram,
}

impl Metrics {
    /// Counts that the registry shows. A registry takes them once.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            unidentified: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            operations: (0..(PLACES + 1) * VERBS).map(|_| OnceLock::new()).collect(),
        };
        registry.register("donjon_http_requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "donjon_http_request",
            "Time from the head of a request to its answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "donjon_http_unidentified",
            "Requests whose caller is not known",
            metrics.unidentified.clone(),
        );
        registry.register(
            "donjon_http_requests_in_flight",
            "Requests being answered",
            metrics.in_flight.clone(),
        );
        registry.register("donjon_http_connections", "Connections being served", metrics.connections.clone());
        metrics
    }

    /// Counts a request as being answered until the guard is dropped.
    pub(crate) fn in_flight(&self) -> impl Drop {
        Counted::new(&self.in_flight)
    }

    /// Counts a connection as being served until the guard is dropped.
    pub(crate) fn connection(&self) -> impl Drop {
        Counted::new(&self.connections)
    }

    /// Counts a request whose caller is not known; its answer is counted as well.
    pub(crate) fn unidentified(&self) {
        self.unidentified.inc();
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, what: Asked, status: StatusCode, took: Duration) {
        let Some(slot) = self.operations.get(what.index()) else { return };
        let operation = slot.get_or_init(|| self.operation(&what.name()));
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = operation.answers.get(class) {
            counter.inc();
        }
        operation.seconds.observe(took.as_secs_f64());
    }

    fn operation(&self, name: &str) -> Operation {
        let answers = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|status| {
            self.requests.get_or_create_owned(&AnswerLabels { operation: name.to_owned(), status })
        });
        let seconds = self.seconds.get_or_create_owned(&OperationLabel { operation: name.to_owned() });
        Operation { answers, seconds }
    }
}

struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What was asked for, as far as it is told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    place: Option<(usize, &'static str)>,
    verb: Option<Verb>,
}

impl Asked {
    /// A method at a place.
    pub(crate) fn of(place: &Place<'_>, verb: Option<Verb>) -> Self {
        Self { place: Some((place.number(), resource_at(place).template)), verb }
    }

    /// A method somewhere else.
    pub(crate) const fn elsewhere(verb: Option<Verb>) -> Self {
        Self { place: None, verb }
    }

    fn index(self) -> usize {
        let verb = match self.verb {
            Some(Verb::Delete) => 0,
            Some(Verb::Get) => 1,
            Some(Verb::Patch) => 2,
            Some(Verb::Post) => 3,
            Some(Verb::Put) => 4,
            None => 5,
        };
        self.place.map_or(PLACES, |(number, _)| number) * VERBS + verb
    }

    fn name(self) -> String {
        let verb = self.verb.map_or("other", Verb::as_str);
        format!("{verb} {}", self.place.map_or("elsewhere", |(_, template)| template))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shown_by_operation() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let asked = Asked::of(&Place::Secrets, Some(Verb::Get));
        let busy = metrics.in_flight();
        metrics.answered(asked, StatusCode::OK, Duration::from_micros(70));
        metrics.answered(asked, StatusCode::NOT_FOUND, Duration::from_micros(70));
        metrics.answered(Asked::elsewhere(None), StatusCode::METHOD_NOT_ALLOWED, Duration::from_secs(20));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "donjon_http_requests_total{operation=\"GET /v1/secrets\",status=\"2xx\"} 1",
            "donjon_http_requests_total{operation=\"GET /v1/secrets\",status=\"4xx\"} 1",
            "donjon_http_requests_total{operation=\"other elsewhere\",status=\"4xx\"} 1",
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
