//! What a started server tells the person who started it: where everything is, and two commands to try.

use std::net::SocketAddr;

use crate::config::Config;
use crate::config::values::{KeySource, LogFormat};
use crate::console;

/// Where the server listens.
pub(crate) struct Addresses {
    pub(crate) rest: Vec<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
}

/// Tells it on stderr; where the log is JSON, as an event, so that every line there stays JSON.
pub(crate) fn tell(config: &Config, addresses: &Addresses) {
    match config.log_format {
        LogFormat::Text => console::tell(text(config, addresses)),
        LogFormat::Json => tracing::info!(
            data = %config.data_dir.display(),
            master_key = %config.master_key,
            database = %config.store.path().display(),
            audit = %config.audit,
            rest = ?addresses.rest,
            metrics = ?addresses.metrics,
            "donjond {} is ready",
            env!("CARGO_PKG_VERSION")
        ),
    }
}

fn text(config: &Config, addresses: &Addresses) -> String {
    let urls: Vec<_> = addresses.rest.iter().map(|address| format!("http://{address}")).collect();
    let metrics = addresses.metrics.map_or("off".to_owned(), |address| format!("http://{address}/metrics"));
    let keep = match config.master_key {
        KeySource::File(_) => " (keep a copy elsewhere: without it nothing here opens)",
        KeySource::Credential(_) => "",
    };
    format!(
        "donjond {version} is ready\n\
         \x20 data        {data}\n\
         \x20 master key  {key}{keep}\n\
         \x20 database    {database}\n\
         \x20 audit trail {audit}\n\
         \x20 REST        {rest}\n\
         \x20 metrics     {metrics}\n\
         {commands}",
        version = env!("CARGO_PKG_VERSION"),
        data = config.data_dir.display(),
        key = config.master_key,
        database = config.store.path().display(),
        audit = config.audit,
        rest = urls.join(", "),
        commands = urls.first().map(|url| commands(url)).unwrap_or_default(),
    )
}

/// They work by copy and paste, one after the other, in any POSIX shell.
fn commands(url: &str) -> String {
    format!(
        "Store a secret, then read it:\n\
         \x20 id=$(curl -sS {url}/v1/secrets -H 'X-Project-Id: demo' -H 'Content-Type: application/json' \
         -d '{{\"name\": \"first\", \"payload\": \"hello\", \"payload_content_type\": \"text/plain\"}}' \
         | grep -Eo '[0-9a-f-]{{36}}')\n\
         \x20 curl -sS {url}/v1/secrets/$id/payload -H 'X-Project-Id: demo' -H 'Accept: text/plain'"
    )
}
