//! The counts of questions to Keystone:
//!
//! | metric | labels | |
//! |---|---|---|
//! | `donjon_keystone_cache_hits_total` | | tokens with a remembered answer |
//! | `donjon_keystone_validations_total` | `outcome`: `valid`, `invalid`, `failed` | tokens that Keystone was asked about |
//! | `donjon_keystone_validation_seconds` | | how long that took, a histogram |
//! | `donjon_keystone_turned_away_total` | | requests answered 503 at once, as Keystone does not answer or too many wait |
//! | `donjon_keystone_authentications_total` | `outcome`: `done`, `failed` | times this service got a token of its own |

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::Registered;

/// The upper bounds of the histogram, in seconds: a token of Fernet's takes Keystone some ten milliseconds.
const SECONDS: [f64; 9] = [0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

type Count = Counter<u64, AtomicU64>;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The counts.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) hits: Count,
    pub(super) turned_away: Count,
    validations: Family<OutcomeLabel, Count>,
    authentications: Family<OutcomeLabel, Count>,
    seconds: Histogram,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let seconds = Histogram::new(SECONDS);
        let help = "Time until Keystone had said what a token is";
        registry.register_with_unit("donjon_keystone_validation", help, Unit::Seconds, seconds.clone());
        let mut counts = Registered { registry, prefix: "donjon_keystone" };
        Self {
            hits: counts.new_metric("cache_hits", "Tokens about which Keystone need not be asked"),
            validations: counts.new_metric("validations", "Tokens about which Keystone was asked"),
            turned_away: counts.new_metric("turned_away", "Requests answered 503 without asking Keystone"),
            authentications: counts
                .new_metric("authentications", "Times this service got a token of its own"),
            seconds,
        }
    }

    pub(super) fn validated(&self, outcome: &'static str, took: Duration) {
        self.validations.get_or_create(&OutcomeLabel { outcome }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(super) fn authenticated(&self, outcome: &'static str) {
        self.authentications.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
