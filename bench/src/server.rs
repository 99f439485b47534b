//! HTTP servers under measurement, each a process that ends when dropped.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::client::Client;
use crate::process::Process;

pub(crate) const START_MAX: Duration = Duration::from_secs(30);

/// A process that serves HTTP.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `donjond serve` on this data with this configuration.
    pub(crate) fn donjond(data: &Path, config: &str) -> Result<Self> {
        let address = free_address()?;
        Self::start(donjond(data, config, address)?, address, "/healthcheck")
    }

    /// Starts the bare axum server.
    pub(crate) fn axum() -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("peer").env("PEER_LISTEN", address.to_string());
        Self::start(command, address, "/")
    }

    fn start(mut command: Command, address: SocketAddr, path: &str) -> Result<Self> {
        let answers = || {
            Ok(Client::connect(address).is_ok_and(|mut client| client.ask("GET", path, "p", None).is_ok()))
        };
        let process = Process::start(command.stderr(Stdio::null()), START_MAX, answers)?;
        Ok(Self { process, address })
    }
}

/// The command to serve this data at that address.
pub(crate) fn donjond(data: &Path, config: &str, address: SocketAddr) -> Result<Command> {
    let file = data.join("bench.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(std::env::current_exe()?.with_file_name("donjond"));
    command.arg("serve").arg("--config").arg(file).arg("--data-dir").arg(data);
    command.args(["--listen", &address.to_string(), "--metrics-listen", &free_address()?.to_string()]);
    Ok(command)
}

pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
