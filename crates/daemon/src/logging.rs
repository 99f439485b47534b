//! The log, on stderr: text for people or JSON for collectors, and a filter that a reload changes.
//!
//! Spans come from the doors and carry request ids; no field of any span or event holds a payload or a key.

use std::io::{IsTerminal, stderr};
use std::panic::PanicHookInfo;

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::config::values::{LogFilter, LogFormat};

/// Changes what is logged while the server runs.
pub(crate) struct Logging(reload::Handle<EnvFilter, Registry>);

impl Logging {
    /// Starts the log. Later calls in the same process change nothing.
    pub(crate) fn start(filter: &LogFilter, format: LogFormat) -> Self {
        let (filter, handle) = reload::Layer::new(filter.filter());
        let lines = match format {
            LogFormat::Text => fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal()).boxed(),
            LogFormat::Json => {
                fmt::layer().with_writer(stderr).json().flatten_event(true).with_span_list(false).boxed()
            }
        };
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        let _ = tracing::subscriber::set_global_default(subscriber);
        std::panic::set_hook(Box::new(log_panic));
        Self(handle)
    }

    /// From now on only what passes this filter is logged.
    pub(crate) fn set(&self, filter: &LogFilter) {
        if let Err(error) = self.0.reload(filter.filter()) {
            tracing::error!(%error, "the log filter could not be changed");
        }
    }
}

/// A panic is a fault of this program and ends one request, not the server. Only the place is logged: a message may quote a value.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "something ended in a panic; please report this");
}
