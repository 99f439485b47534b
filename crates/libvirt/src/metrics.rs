//! The metrics of the door, for Prometheus.
//!
//! | metric | labels | |
//! |---|---|---|
//! | `donjon_libvirt_calls_total` | `procedure`, `outcome` | calls answered; `outcome` is `ok` or `error` |
//! | `donjon_libvirt_events_total` | | event messages sent |
//! | `donjon_libvirt_connections` | | connections being served |
//! | `donjon_libvirt_connections_cut_total` | `reason` | connections that the door cut off |
//! | `donjon_libvirt_log_lines_left_out_total` | | log lines about such connections that were left out |
//!
//! A procedure is a row of the table, or `other`: clients cannot make up labels.

use std::sync::atomic::AtomicU64;

use libvirt_rpc::procedures::Procedure;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabels {
    procedure: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CutLabel {
    reason: &'static str,
}

type Count = Counter<u64, AtomicU64>;

/// The counts. Clones count together.
#[derive(Debug)]
pub struct Metrics {
    calls: Family<CallLabels, Count>,
    events: Count,
    connections: Gauge,
    cut: Family<CutLabel, Count>,
    left_out: Count,
    /// The two counters of each procedure, and of all others, so that a call looks up no label.
    by_procedure: Vec<(Option<Procedure>, [Count; 2])>,
}

impl Metrics {
    /// Metrics that the registry shows. Register them once.
    pub fn register(registry: &mut Registry) -> Self {
        let calls = Family::<CallLabels, Count>::default();
        let counts = |procedure: Option<Procedure>| {
            let name = procedure.map_or("other", Procedure::name);
            ["ok", "error"]
                .map(|outcome| calls.get_or_create(&CallLabels { procedure: name, outcome }).clone())
        };
        let known = Procedure::ALL.iter().copied().map(Some).chain([None]);
        let by_procedure = known.map(|procedure| (procedure, counts(procedure))).collect();
        let metrics = Self {
            events: Count::default(),
            connections: Gauge::default(),
            cut: Family::default(),
            left_out: Count::default(),
            calls,
            by_procedure,
        };
        registry.register("donjon_libvirt_calls", "Calls of libvirt's RPC answered", metrics.calls.clone());
        registry.register(
            "donjon_libvirt_events",
            "Events told to libvirt's clients",
            metrics.events.clone(),
        );
        registry.register(
            "donjon_libvirt_connections",
            "Connections of libvirt's clients",
            metrics.connections.clone(),
        );
        registry.register(
            "donjon_libvirt_connections_cut",
            "Connections ended for what they did",
            metrics.cut.clone(),
        );
        registry.register(
            "donjon_libvirt_log_lines_left_out",
            "Lines about such connections that the log was spared",
            metrics.left_out.clone(),
        );
        metrics
    }

    pub(crate) fn count_call(&self, procedure: Option<Procedure>, is_ok: bool) {
        let known = self.by_procedure.binary_search_by_key(&order(procedure), |(known, _)| order(*known));
        if let Some((_, counts)) = known.ok().and_then(|at| self.by_procedure.get(at)) {
            let [ok, error] = counts;
            if is_ok {
                ok.inc()
            } else {
                error.inc()
            };
        }
    }

    pub(crate) fn count_event(&self) {
        self.events.inc();
    }

    pub(crate) fn count_cut(&self, reason: &'static str) {
        self.cut.get_or_create(&CutLabel { reason }).inc();
    }

    pub(crate) fn count_unlogged(&self) {
        self.left_out.inc();
    }

    /// Counts a connection while the result lives.
    pub(crate) fn count_connection(&self) -> CountedConnection {
        self.connections.inc();
        CountedConnection(self.connections.clone())
    }
}

/// Sorts procedures by number, and all others last.
fn order(procedure: Option<Procedure>) -> i32 {
    procedure.map_or(i32::MAX, |procedure| procedure as i32)
}

/// One connection, counted.
pub(crate) struct CountedConnection(Gauge);

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_procedure_is_counted_under_its_own_name() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        for procedure in Procedure::ALL {
            metrics.count_call(Some(*procedure), true);
        }
        metrics.count_call(None, false);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for procedure in Procedure::ALL {
            let line =
                format!("donjon_libvirt_calls_total{{procedure=\"{}\",outcome=\"ok\"}} 1", procedure.name());
            assert!(text.contains(&line), "{line}\n{text}");
        }
        assert!(text.contains("donjon_libvirt_calls_total{procedure=\"other\",outcome=\"error\"} 1"));
    }
}
