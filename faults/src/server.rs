//! donjond, the built program, on a folder of its own.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::Result;
use crate::client::Client;
use crate::control::Control;

/// No start and no end takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EACH: Duration = Duration::from_millis(2);

/// A server that listens.
pub(crate) struct Server {
    child: Child,
    /// What it says on stderr; elsewhere than its data, whose disk may be full.
    told: NamedTempFile,
    pub(crate) url: String,
}

/// What came of a start.
pub(crate) enum Started {
    Listening(Server),
    /// It said why on stderr and ended.
    Refused(String),
}

impl Server {
    /// Starts it on the data in `folder/data`, with the preloaded library if there is one.
    pub(crate) fn start(folder: &Path, control: Option<&Control>, log: Option<&Path>) -> Result<Started> {
        let told = NamedTempFile::new()?;
        let mut command = donjond()?;
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--data-dir"])
            .arg(folder.join("data"))
            .arg("--libvirt-socket")
            .arg(folder.join("libvirt-sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(told.reopen()?);
        if let Some(control) = control {
            command.env("LD_PRELOAD", &control.library).env("FAULTS_CONTROL", &control.path);
            command.env("FAULTS_DIR", folder.join("data"));
        }
        if let Some(log) = log {
            command.env("FAULTS_LOG", log);
        }
        let mut server = Self { child: command.spawn()?, told, url: String::new() };
        let begin = Instant::now();
        loop {
            let ended = server.child.try_wait()?;
            let told = server.told()?;
            if let Some((line, _)) =
                told.split_once("  REST        ").and_then(|(_, rest)| rest.split_once('\n'))
            {
                line.clone_into(&mut server.url);
                return Ok(Started::Listening(server));
            }
            if let Some(status) = ended {
                if told.contains("panicked") || status.signal().is_some() || told.trim().is_empty() {
                    return Err(format!("the start ended with {status}: {told}").into());
                }
                return Ok(Started::Refused(told));
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("no start within {PATIENCE:?}: {told}").into());
            }
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// The same, where nothing stands in the way of a start.
    pub(crate) fn start_well(folder: &Path) -> Result<Self> {
        match Self::start(folder, None, None)? {
            Started::Listening(server) => Ok(server),
            Started::Refused(told) => Err(format!("it does not start: {told}").into()),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// What it has said so far.
    pub(crate) fn told(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.told.path())?).into_owned())
    }

    /// kill -9.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.calm()
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.calm()?;
                return match status.signal() {
                    Some(signal) => Err(format!("it ended by signal {signal}: {}", self.told()?).into()),
                    None => Ok(status),
                };
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("it does not end: {}", self.told()?).into());
            }
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// Whether it runs, and has not panicked.
    pub(crate) fn is_well(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("it ended with {status}: {}", self.told()?).into());
        }
        self.calm()
    }

    fn calm(&self) -> Result<()> {
        let told = self.told()?;
        if told.contains("panicked") { Err(format!("it panicked: {told}").into()) } else { Ok(()) }
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

/// `donjond check`, with these words behind it.
pub(crate) fn check(folder: &Path, more: &[&str]) -> Result<()> {
    let output = donjond()?.arg("check").args(more).arg("--data-dir").arg(folder.join("data")).output()?;
    if output.status.success() {
        return Ok(());
    }
    let told = [output.stdout, output.stderr].concat();
    Err(format!("check {}: {}: {}", more.join(" "), output.status, String::from_utf8_lossy(&told)).into())
}
