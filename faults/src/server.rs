//! The built donjond on a folder of its own.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::Result;
use crate::client::Client;
use crate::control::Control;

/// The longest time of a start and of an end.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EACH: Duration = Duration::from_millis(2);

/// A server that listens.
pub(crate) struct Server {
    child: Child,
    /// Its stderr. It is not beside the data, whose disk may be full.
    stderr: NamedTempFile,
    pub(crate) url: String,
}

/// The outcome of a start.
pub(crate) enum Started {
    Listening(Server),
    /// It ended with a reason on stderr.
    Refused(String),
}

impl Server {
    /// Starts it on `folder/data`, with the preloaded library if `control` is given.
    pub(crate) fn start(folder: &Path, control: Option<&Control>, log: Option<&Path>) -> Result<Started> {
        let stderr = NamedTempFile::new()?;
        let mut command = donjond()?;
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--data-dir"])
            .arg(folder.join("data"))
            .arg("--libvirt-socket")
            .arg(folder.join("libvirt-sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr.reopen()?);
        if let Some(control) = control {
            command.env("LD_PRELOAD", &control.library).env("FAULTS_CONTROL", &control.path);
            command.env("FAULTS_DIR", folder.join("data"));
        }
        if let Some(log) = log {
            command.env("FAULTS_LOG", log);
        }
        let mut server = Self { child: command.spawn()?, stderr, url: String::new() };
        let begin = Instant::now();
        loop {
            let ended = server.child.try_wait()?;
            let stderr = server.stderr()?;
            if let Some((line, _)) =
                stderr.split_once("  REST        ").and_then(|(_, rest)| rest.split_once('\n'))
            {
                line.clone_into(&mut server.url);
                return Ok(Started::Listening(server));
            }
            if let Some(status) = ended {
                if stderr.contains("panicked") || status.signal().is_some() || stderr.trim().is_empty() {
                    return Err(format!("the start ended with {status}: {stderr}").into());
                }
                return Ok(Started::Refused(stderr));
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("no start within {PATIENCE:?}: {stderr}").into());
            }
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// The same without faults: the start must succeed.
    pub(crate) fn start_well(folder: &Path) -> Result<Self> {
        match Self::start(folder, None, None)? {
            Started::Listening(server) => Ok(server),
            Started::Refused(stderr) => Err(format!("it does not start: {stderr}").into()),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Its stderr so far.
    pub(crate) fn stderr(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.stderr.path())?).into_owned())
    }

    /// kill -9.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.check_no_panic()
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.check_no_panic()?;
                return match status.signal() {
                    Some(signal) => Err(format!("it ended by signal {signal}: {}", self.stderr()?).into()),
                    None => Ok(status),
                };
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("it does not end: {}", self.stderr()?).into());
            }
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// Checks that it runs and has not panicked.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("it ended with {status}: {}", self.stderr()?).into());
        }
        self.check_no_panic()
    }

    fn check_no_panic(&self) -> Result<()> {
        let stderr = self.stderr()?;
        if stderr.contains("panicked") { Err(format!("it panicked: {stderr}").into()) } else { Ok(()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, which lies beside this one.
fn donjond() -> Result<Command> {
    Ok(Command::new(std::env::current_exe()?.with_file_name("donjond")))
}

/// Runs `donjond check` with more arguments.
pub(crate) fn check(folder: &Path, more: &[&str]) -> Result<()> {
    let output = donjond()?.arg("check").args(more).arg("--data-dir").arg(folder.join("data")).output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = [output.stdout, output.stderr].concat();
    Err(format!("check {}: {}: {}", more.join(" "), output.status, String::from_utf8_lossy(&stderr)).into())
}
