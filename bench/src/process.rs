//! Processes under measurement. Each ends when dropped.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// The pause between two checks whether a process answers.
const TRY_EACH: Duration = Duration::from_millis(1);
/// How long a process may take to end after SIGTERM.
const END_MAX: Duration = Duration::from_secs(20);

/// A process that answers.
pub(crate) struct Process {
    child: Child,
    /// From exec to the first answer.
    pub(crate) started_in: Duration,
}

impl Process {
    /// Runs a command and waits for its first answer. Its output is dropped, unless `command` redirects it.
    pub(crate) fn start(
        command: &mut Command,
        patience: Duration,
        mut answers: impl FnMut() -> Result<bool>,
    ) -> Result<Self> {
        let begin = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut process = Self { child, started_in: Duration::ZERO };
        while !answers()? {
            if let Some(status) = process.child.try_wait()? {
                return Err(format!("{command:?} ended: {status}").into());
            }
            if begin.elapsed() > patience {
                return Err(format!("{command:?} did not answer within {patience:?}").into());
            }
            std::thread::sleep(TRY_EACH);
        }
        process.started_in = begin.elapsed();
        Ok(process)
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10)) // A clock tick is 10 ms on Linux.
    }

    /// A line of /proc/PID/status, in MiB.
    pub(crate) fn mebibytes(&self, line: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let found = status.lines().find_map(|found| found.strip_prefix(line)).ok_or("no such line")?;
        Ok(found.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // On SIGTERM the daemon drains and folds its log in. std can only send SIGKILL.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let end = Instant::now() + END_MAX;
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
