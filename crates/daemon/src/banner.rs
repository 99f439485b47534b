//! The message of a started server: its paths and addresses, and two commands to try.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::config::values::{KeySource, LogFormat};
use crate::config::{AuthBy, Config};
use crate::console;

/// The addresses of the server.
pub(crate) struct Addresses {
    pub(crate) rest: Vec<SocketAddr>,
    /// The read-write socket of the libvirt door.
    pub(crate) libvirt: Option<PathBuf>,
    pub(crate) metrics: Option<SocketAddr>,
}

/// Prints the message on stderr. With a log in JSON it is an event, so that every line stays JSON.
pub(crate) fn print(config: &Config, policy: &str, addresses: &Addresses) {
    match config.general.log_format {
        LogFormat::Text => console::print_note(text(config, policy, addresses)),
        LogFormat::Json => tracing::info!(
            data = %config.general.data_dir.display(),
            master_key = %config.general.master_key,
            database = %config.general.store.path().display(),
            audit = %config.general.audit,
            policy,
            rest = ?addresses.rest,
            libvirt = ?addresses.libvirt,
            metrics = ?addresses.metrics,
            "donjond {} is ready",
            env!("CARGO_PKG_VERSION")
        ),
    }
}

fn text(config: &Config, policy: &str, addresses: &Addresses) -> String {
    let urls: Vec<_> = addresses.rest.iter().map(|address| format!("http://{address}")).collect();
    let libvirt = addresses.libvirt.as_ref().map_or("off".to_owned(), |path| path.display().to_string());
    let metrics = addresses.metrics.map_or("off".to_owned(), |address| format!("http://{address}/metrics"));
    let keep = match config.general.master_key {
        KeySource::File(_) => " (keep a copy elsewhere: without it nothing here opens)",
        KeySource::Credential(_) => "",
    };
    format!(
        "donjond {version} is ready\n\
         \x20 data        {data}\n\
         \x20 master key  {key}{keep}\n\
         \x20 database    {database}\n\
         \x20 audit trail {audit}\n\
         \x20 policy      {policy}\n\
         \x20 REST        {rest}\n\
         \x20 libvirt     {libvirt}\n\
         \x20 metrics     {metrics}\n\
         {commands}",
        version = env!("CARGO_PKG_VERSION"),
        data = config.general.data_dir.display(),
        key = config.general.master_key,
        database = config.general.store.path().display(),
        audit = config.general.audit,
        rest = if urls.is_empty() { "off".to_owned() } else { urls.join(", ") },
        commands = match (urls.first(), &addresses.libvirt) {
            (Some(url), _) => commands(url, &config.derived.auth),
            (None, Some(socket)) => libvirt_commands(socket),
            (None, None) => String::new(),
        },
    )
}

/// The commands for a server without the REST API.
fn libvirt_commands(socket: &Path) -> String {
    let socket = socket.display();
    format!(
        "Store a secret, then read it:\n\
         \x20 donjon --connect {socket} define --usage ceph=demo; echo -n hello | donjon --connect {socket} set-value ceph:demo\n\
         \x20 donjon --connect {socket} get-value ceph:demo"
    )
}

/// Both can be pasted into any POSIX shell.
fn commands(url: &str, auth: &AuthBy) -> String {
    let (first, who) = match auth {
        AuthBy::ProjectHeader => ("", "X-Project-Id: demo"),
        AuthBy::Keystone(_) => {
            ("\x20 OS_TOKEN=$(openstack token issue -f value -c id)\n", "X-Auth-Token: '$OS_TOKEN'")
        }
    };
    format!(
        "Store a secret, then read it:\n\
         {first}\x20 id=$(curl -sS {url}/v1/secrets -H '{who}' -H 'Content-Type: application/json' \
         -d '{{\"name\": \"first\", \"payload\": \"hello\", \"payload_content_type\": \"text/plain\"}}' \
         | grep -Eo '[0-9a-f-]{{36}}')\n\
         \x20 curl -sS {url}/v1/secrets/$id/payload -H '{who}' -H 'Accept: text/plain'"
    )
}
