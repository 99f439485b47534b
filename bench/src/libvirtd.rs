//! The two secret daemons under measurement, libvirt's own and Donjon, each with its secrets.
//!
//! ```text
//! target/bench/libvirt/load                       the client
//! target/bench/libvirt/libvirtd-10000/etc         /etc/libvirt of that daemon: its configuration, its secrets
//! target/bench/libvirt/libvirtd-10000/drivers     its only driver
//! target/bench/libvirt/donjond-10000              the data of Donjon
//! ```
//!
//! Debian 12 ships no virtsecretd; libvirtd with the secret driver alone is the same code. Its paths are built in, so it
//! runs in a mount namespace with our folders on /etc/libvirt and /run/libvirt: the machine's own files are not read or
//! changed, and its secrets are on the same disk as ours. That needs root. Sockets are in a temporary folder, because their
//! paths must be short.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::load::{Load, LoadClient};
use crate::process::Process;
use crate::{Result, server};

/// The longest start: libvirtd takes 10 s for 10 000 secrets, ten times that without the page cache.
const START_MAX: Duration = Duration::from_secs(180);
const CONFIG: &str = "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n";
const DRIVER: &str = "libvirt/connection-driver/libvirt_driver_secret.so";
/// A script that becomes libvirtd. $1 is its /etc/libvirt, $2 its /run/libvirt.
const IN_NAMESPACE: &str = "\
    mkdir -p /etc/libvirt /run/libvirt
    mount --bind \"$1\" /etc/libvirt
    mount --bind \"$2\" /run/libvirt
    exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid";

/// The two daemons.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Libvirtd,
    Donjond,
}

/// A running daemon.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    secrets: u64,
    uri: String,
    _sockets: TempDir,
}

impl Daemon {
    /// Starts it on its data.
    pub(crate) fn start(kind: Kind, secrets: u64, client: &LoadClient) -> Result<Self> {
        let (data, sockets) = (data_folder(kind, secrets)?, tempfile::tempdir()?);
        let (mut command, socket) = match kind {
            Kind::Libvirtd => libvirtd(&data, sockets.path())?,
            Kind::Donjond => donjond(&data, sockets.path())?,
        };
        command.stderr(File::create(data.join("stderr.txt"))?);
        let uri = format!("secret:///system?socket={}", socket.display());
        let mut waiting = client.until_answered(&uri)?;
        let process = Process::start(&mut command, START_MAX, || waiting.has_ended())?;
        Ok(Self { process, secrets, uri, _sockets: sockets })
    }

    /// Its URI for clients.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Makes its data once and keeps them. Wrong data are made again.
    pub(crate) fn prepare(kind: Kind, secrets: u64, client: &LoadClient) -> Result<()> {
        let _ = std::fs::remove_file(data_folder(kind, secrets)?.join("audit.log")); // The last run left a long one.
        let found = Self::start(kind, secrets, client)?;
        if client.count(&found.uri)? == secrets {
            return Ok(());
        }
        drop(found);
        std::fs::remove_dir_all(data_folder(kind, secrets)?)?;
        eprintln!("{kind:?}: making {secrets} secrets");
        let (daemon, begin) = (Self::start(kind, secrets, client)?, Instant::now());
        client.fill(&daemon.uri, secrets)?;
        eprintln!("{kind:?}: made {secrets} secrets in {:.0} s", begin.elapsed().as_secs_f64());
        Ok(())
    }

    /// Measures an operation for some seconds.
    pub(crate) fn measure(
        &self,
        client: &LoadClient,
        operation: &str,
        connections: usize,
        seconds: u64,
    ) -> Result<Load> {
        client.measure((&self.uri, &self.process), operation, self.secrets, connections, seconds)
    }
}

/// The folder of all data.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = crate::target()?.join("bench/libvirt");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn data_folder(kind: Kind, secrets: u64) -> Result<PathBuf> {
    let name = match kind {
        Kind::Libvirtd => "libvirtd",
        Kind::Donjond => "donjond",
    };
    let data = folder()?.join(format!("{name}-{secrets}"));
    std::fs::create_dir_all(&data)?;
    Ok(data)
}

fn libvirtd(data: &Path, sockets: &Path) -> Result<(Command, PathBuf)> {
    let (etc, drivers) = (data.join("etc"), data.join("drivers"));
    std::fs::create_dir_all(&etc)?;
    std::fs::write(etc.join("libvirtd.conf"), CONFIG)?;
    if !drivers.exists() {
        let driver = secret_driver()?;
        std::fs::create_dir(&drivers)?;
        symlink(driver, drivers.join("libvirt_driver_secret.so"))?;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", IN_NAMESPACE, "sh"]).arg(etc).arg(sockets);
    command.env("LIBVIRT_DRIVER_DIR", drivers);
    Ok((command, sockets.join("libvirt-sock")))
}

fn secret_driver() -> Result<PathBuf> {
    for library in std::fs::read_dir("/usr/lib")? {
        let driver = library?.path().join(DRIVER);
        if driver.exists() {
            return Ok(driver);
        }
    }
    Err("no libvirt_driver_secret.so: apt-get install libvirt-daemon".into())
}

fn donjond(data: &Path, sockets: &Path) -> Result<(Command, PathBuf)> {
    let socket = sockets.join("virtsecretd-sock");
    let mut command = server::donjond(data, "", server::free_address()?)?;
    command.arg("--libvirt-socket").arg(&socket);
    Ok((command, socket))
}
