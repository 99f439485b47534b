//! Load by wrk, a real client with the same cost for every server.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use crate::Result;

/// The length of a measurement.
pub(crate) const SECONDS_DEFAULT: u64 = 8;

/// Checks that wrk is installed.
pub(crate) fn check() -> Result<()> {
    match Command::new("wrk").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("wrk cannot be run ({error}): apt-get install wrk").into()),
    }
}

/// The load that wrk measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) requests: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) failed: f64,
}

/// Runs wrk with a Lua script, in two threads, or in one for one connection.
pub(crate) fn run(address: SocketAddr, connections: usize, seconds: u64, script: &str) -> Result<Load> {
    const REPORT: &str = r#"
done = function(summary, latency, requests)
  io.write(string.format("RESULT %f %f %f %f %d\n", summary.requests / (summary.duration / 1e6), summary.requests,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"#;
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(script.as_bytes())?;
    file.write_all(REPORT.as_bytes())?;
    let threads = connections.min(2).to_string();
    let output = Command::new("wrk")
        .args(["-t", &threads, "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "-s"])
        .arg(file.path())
        .arg(format!("http://{address}"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT ")).ok_or_else(|| text.to_string())?;
    let mut numbers = line.split(' ').map(str::parse::<f64>);
    let mut next = || numbers.next().ok_or("a number is missing")?.map_err(|error| error.to_string());
    Ok(Load { per_second: next()?, requests: next()?, p50_us: next()?, p99_us: next()?, failed: next()? })
}
