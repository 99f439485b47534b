//! Load by libvirt's own client library: `load.c` is compiled here and is the same for every daemon.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Result;
use crate::process::Process;

/// The compiled client.
pub(crate) struct LoadClient {
    program: PathBuf,
    /// The first folder of the dynamic linker.
    libraries: Option<PathBuf>,
}

/// The measured load of one daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    /// CPU time of the daemon for each call.
    pub(crate) cpu_us: f64,
    /// CPU time of the client for each call.
    pub(crate) client_cpu_us: f64,
}

impl LoadClient {
    /// Compiles the client into this folder.
    pub(crate) fn compile(folder: &Path) -> Result<Self> {
        Ok(Self { program: compile(folder, "load", include_str!("load.c"))?, libraries: None })
    }

    /// The same program with the libraries of a folder instead of the system's.
    pub(crate) fn with_libraries(&self, folder: &Path) -> Self {
        Self { program: self.program.clone(), libraries: Some(folder.to_owned()) }
    }

    /// Starts a process that waits until the daemon has answered a call.
    pub(crate) fn until_answered(&self, uri: &str) -> Result<Running> {
        Running::start(self.command(uri).arg("answers"))
    }

    /// The number of secrets.
    pub(crate) fn count(&self, uri: &str) -> Result<u64> {
        let output = self.command(uri).arg("count").stderr(Stdio::inherit()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    }

    /// Defines secrets.
    pub(crate) fn fill(&self, uri: &str, secrets: u64) -> Result<()> {
        let status = self.command(uri).arg("fill").arg(secrets.to_string()).status()?;
        if status.success() { Ok(()) } else { Err(format!("{uri} could not be filled").into()) }
    }

    /// Repeats an operation for some seconds, on secrets that `fill` made.
    pub(crate) fn measure(
        &self,
        (uri, daemon): (&str, &Process),
        operation: &str,
        secrets: u64,
        connections: usize,
        seconds: u64,
    ) -> Result<Load> {
        let mut command = self.command(uri);
        command.args([operation, &secrets.to_string(), &connections.to_string(), &seconds.to_string()]);
        let mut client = Running::start(&mut command)?;
        let before = daemon.cpu()?;
        let line = client.run()?;
        let cpu = daemon.cpu()? - before;
        let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        match *numbers.as_slice() {
            [per_second, calls, p50_us, _p99_us, 0.0, client_cpu_us] if calls > 0.0 => {
                Ok(Load { per_second, p50_us, cpu_us: cpu.as_secs_f64() * 1e6 / calls, client_cpu_us })
            }
            _ => Err(format!("{operation} at {uri} failed: {line}").into()),
        }
    }

    fn command(&self, uri: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(uri).env_remove("LD_LIBRARY_PATH");
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

/// Compiles a client with libvirt's own library into this folder.
pub(crate) fn compile(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let (source, program) = (folder.join(name).with_extension("c"), folder.join(name));
    std::fs::write(&source, text)?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
    let status = gcc.arg(&program).arg(&source).arg("-lvirt").status()?;
    if status.success() { Ok(program) } else { Err(format!("{name}.c: needs gcc and libvirt-dev").into()) }
}

/// A client that is ready. It ends when this is dropped.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut running = Self { child, output };
        let mut line = String::new();
        running.output.read_line(&mut line)?;
        if line == "ready\n" { Ok(running) } else { Err(format!("{command:?} is not ready: {line}").into()) }
    }

    /// Lets it begin, and waits for its result.
    fn run(&mut self) -> Result<String> {
        self.child.stdin.as_mut().ok_or("no input")?.write_all(b"\n")?;
        let mut line = String::new();
        self.output.read_to_string(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Whether it has ended. A failure is an error.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(format!("the load client: {status}").into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
