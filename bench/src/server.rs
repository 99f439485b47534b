//! Servers to be measured, each a process of its own, ended when dropped.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::client::Client;

/// A process that serves HTTP.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From exec to the first answer.
    pub(crate) started_in: Duration,
}

impl Server {
    /// `donjond serve` on this data, with this configuration file.
    pub(crate) fn donjond(data: &Path, config: &str) -> Result<Self> {
        let address = free_address()?;
        let file = data.join("bench.toml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(sibling("donjond")?);
        command.arg("serve").arg("--config").arg(file).arg("--data-dir").arg(data);
        command.args(["--listen", &address.to_string(), "--metrics-listen", &free_address()?.to_string()]);
        Self::start(command, address, "/healthcheck")
    }

    /// The bare axum server.
    pub(crate) fn axum() -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("peer").env("PEER_LISTEN", address.to_string());
        Self::start(command, address, "/")
    }

    fn start(mut command: Command, address: SocketAddr, path: &str) -> Result<Self> {
        let begin = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Self { child, address, started_in: Duration::ZERO };
        loop {
            if let Ok(mut client) = Client::connect(address)
                && client.ask("GET", path, "p", None).is_ok()
            {
                server.started_in = begin.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{command:?} ended: {status}").into());
            }
            if begin.elapsed() > Duration::from_secs(30) {
                return Err(format!("{command:?} did not answer within 30 s").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10)) // Clock ticks are 10 ms on every Linux we know.
    }

    /// A line of /proc/PID/status, in MiB.
    pub(crate) fn mebibytes(&self, line: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let found = status.lines().find_map(|found| found.strip_prefix(line)).ok_or("no such line")?;
        Ok(found.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The daemon drains and folds its log in on SIGTERM; std can only kill, so ask the shell's own tool.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A program built beside this one.
fn sibling(name: &str) -> Result<std::path::PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
