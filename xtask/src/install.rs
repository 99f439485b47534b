//! Installs what the tests need: real clients and servers in Python, packages of Debian, tools of cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, run, target};

/// The version with which the tests pass.
pub(crate) const CARGO_DENY: &str = "0.20.2";
/// The version with which the fuzz targets build.
pub(crate) const CARGO_FUZZ: &str = "0.13.2";
/// The packages of PyPI whose functional tests run.
const SUITES: &[&str] = &["barbican", "python-barbicanclient", "castellan"];
/// The real client and its needs. The versions are fixed, so that only our changes make a test fail.
const CLIENTS: &str = "python-barbicanclient==7.6.0";

/// A Python environment with the real clients in it.
pub(crate) fn clients(root: &Path) -> Result<PathBuf> {
    environment(root, "clients", CLIENTS)
}

/// A Python environment with Keystone in it.
pub(crate) fn keystone(root: &Path) -> Result<PathBuf> {
    let requirements = root.join("crates/daemon/tests/keystone/requirements.txt");
    environment(root, "clients-keystone", &std::fs::read_to_string(requirements)?)
}

/// A Python environment for the functional tests of Barbican, its client and castellan, and their sources in `src`.
pub(crate) fn suites(root: &Path) -> Result<PathBuf> {
    let requirements = std::fs::read_to_string(root.join("crates/daemon/tests/suites/requirements.txt"))?;
    let folder = environment(root, "clients-suites", &requirements)?;
    let sources = folder.join("src");
    for suite in SUITES {
        let source = sources.join(suite);
        if !source.exists() {
            let line = requirements.lines().find(|line| line.starts_with(&format!("{suite}==")));
            let version = line.ok_or_else(|| format!("no version of {suite}"))?;
            // The installed packages do not have the tests.
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", suite, "--dest"]);
            run(pip.arg(&sources).arg(version))?;
            let archive = format!("{}.tar.gz", version.replace("==", "-").replace("python-b", "python_b"));
            let unpacked = sources.join("unpacked");
            std::fs::create_dir_all(&unpacked)?;
            let mut tar = Command::new("tar");
            tar.args(["--extract", "--strip-components=1", "--directory"]).arg(&unpacked).arg("--file");
            run(tar.arg(sources.join(archive)))?;
            std::fs::rename(unpacked, source)?;
        }
    }
    Ok(folder)
}

/// A Python environment with these requirements, below the target folder.
fn environment(root: &Path, name: &str, requirements: &str) -> Result<PathBuf> {
    let folder = target(root).join(name);
    let done = folder.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == requirements) {
        return Ok(folder);
    }
    let made = |folder: &Path| {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(folder);
        run(&mut command)
    };
    if made(&folder).is_err() {
        apt(&["python3", "python3-venv"])?;
        made(&folder)?;
    }
    let list = folder.join("requirements.txt");
    std::fs::write(&list, requirements)?;
    let python = folder.join("bin/python");
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(list))?;
    std::fs::write(done, requirements)?;
    Ok(folder)
}

/// A folder with the newest libvirt-python in a Python environment, and with programs that use secrets.
pub(crate) fn bindings(root: &Path) -> Result<PathBuf> {
    let folder = target(root).join("clients-bindings");
    run(Command::new("sh").arg(root.join("crates/virsecret/tests/bindings/install.sh")).arg(&folder))?;
    Ok(folder)
}

/// The path of a tool of cargo: ours, or the machine's.
pub(crate) fn tool(root: &Path, name: &str) -> PathBuf {
    let ours = target(root).join("tools/bin").join(name);
    if ours.exists() { ours } else { name.into() }
}

/// Installs a tool of cargo below the target folder, unless the machine has it.
pub(crate) fn cargo_tool(root: &Path, name: &str, version: &str) -> Result<()> {
    let answers =
        Command::new(tool(root, name)).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if answers.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["install", "--locked", "--quiet", "--version", version, "--root"]);
    run(command.arg(target(root).join("tools")).arg(name))
}

/// Installs a package of Debian, unless its program is there.
pub(crate) fn program(name: &str, package: &str) -> Result<()> {
    match Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(_) => apt(&[package]),
    }
}

/// Installs polkit and the system bus.
pub(crate) fn polkit() -> Result<()> {
    program("dbus-daemon", "dbus")?;
    if Path::new("/usr/lib/polkit-1/polkitd").exists() { Ok(()) } else { apt(&["polkitd"]) }
}

/// Installs systemd, which runs the packaged unit in a container, and curl, which sends it requests.
pub(crate) fn systemd() -> Result<()> {
    program("curl", "curl")?;
    let is_there =
        Path::new("/usr/lib/systemd/systemd").exists() && Path::new("/usr/bin/systemd-nspawn").exists();
    if is_there { Ok(()) } else { apt(&["systemd", "systemd-container", "dbus"]) }
}

/// Installs libvirtd with its secret driver, and the headers for C clients.
pub(crate) fn libvirtd() -> Result<()> {
    program("libvirtd", "libvirt-daemon")?;
    program("gcc", "gcc")?;
    let is_there = Path::new("/usr/include/libvirt/libvirt.h").exists();
    if is_there { Ok(()) } else { apt(&["libvirt-dev", "libc6-dev"]) }
}

/// Installs the mkfs of the file systems that tests fill.
pub(crate) fn file_systems() -> Result<()> {
    for (name, package) in
        [("mkfs.ext4", "e2fsprogs"), ("mkfs.btrfs", "btrfs-progs"), ("mkfs.xfs", "xfsprogs")]
    {
        if !["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).exists()) {
            apt(&[package])?;
        }
    }
    Ok(())
}

/// Installs the programs for remote daemons: openssl, ssh, and an sshd that the tests start.
pub(crate) fn remote() -> Result<()> {
    program("openssl", "openssl")?;
    program("nc", "netcat-openbsd")?;
    program("ssh", "openssh-client")?;
    if Path::new("/usr/sbin/sshd").exists() { Ok(()) } else { apt(&["openssh-server"]) }
}

/// Installs packages of Debian.
pub(crate) fn apt(packages: &[&str]) -> Result<()> {
    run(Command::new("apt-get").args(["update", "-q"]))?;
    run(Command::new("apt-get").args(["install", "-q", "-y", "--no-install-recommends"]).args(packages))
}
