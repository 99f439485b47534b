//! Gets what the tests need and the machine does not have: real clients and servers in Python, cargo's own tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, run, target};

/// The version that the tests are known to pass with.
pub(crate) const CARGO_DENY: &str = "0.20.2";
/// The version that the fuzz targets are known to build with.
pub(crate) const CARGO_FUZZ: &str = "0.13.2";
/// Whose functional tests are run, by their names on PyPI.
const SUITES: &[&str] = &["barbican", "python-barbicanclient", "castellan"];
/// The real client, and what it needs; with versions, so that a red test is our own doing.
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
            // The tests are not in the packages that are installed.
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

/// A Python environment below the target folder with all of these requirements in it.
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

/// A folder with a Python environment in it that has the newest libvirt-python, and programs that use secrets.
pub(crate) fn bindings(root: &Path) -> Result<PathBuf> {
    let folder = target(root).join("clients-bindings");
    run(Command::new("sh").arg(root.join("crates/virsecret/tests/bindings/install.sh")).arg(&folder))?;
    Ok(folder)
}

/// Where a tool of cargo's is: the machine's own, or ours.
pub(crate) fn tool(root: &Path, name: &str) -> PathBuf {
    let ours = target(root).join("tools/bin").join(name);
    if ours.exists() { ours } else { name.into() }
}

/// Installs a tool of cargo's below the target folder, unless the machine has it.
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

/// Installs a package of Debian's, unless its program is there.
pub(crate) fn program(name: &str, package: &str) -> Result<()> {
    match Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(_) => apt(&[package]),
    }
}

/// polkit, and the system bus that it is asked over.
pub(crate) fn polkit() -> Result<()> {
    program("dbus-daemon", "dbus")?;
    if Path::new("/usr/lib/polkit-1/polkitd").exists() { Ok(()) } else { apt(&["polkitd"]) }
}

/// systemd, by which the packaged unit is run in a container, and curl, which asks it there.
pub(crate) fn systemd() -> Result<()> {
    program("curl", "curl")?;
    let is_there =
        Path::new("/usr/lib/systemd/systemd").exists() && Path::new("/usr/bin/systemd-nspawn").exists();
    if is_there { Ok(()) } else { apt(&["systemd", "systemd-container", "dbus"]) }
}

/// libvirtd with its secret driver, and what its C clients are built with.
pub(crate) fn libvirtd() -> Result<()> {
    program("libvirtd", "libvirt-daemon")?;
    program("gcc", "gcc")?;
    let is_there = Path::new("/usr/include/libvirt/libvirt.h").exists();
    if is_there { Ok(()) } else { apt(&["libvirt-dev", "libc6-dev"]) }
}

/// What makes the file systems that are filled to the last byte.
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

/// What reaches a daemon elsewhere: TLS's certificates, ssh, and an sshd, which the tests run for themselves.
pub(crate) fn remote() -> Result<()> {
    program("openssl", "openssl")?;
    program("nc", "netcat-openbsd")?;
    program("ssh", "openssh-client")?;
    if Path::new("/usr/sbin/sshd").exists() { Ok(()) } else { apt(&["openssh-server"]) }
}

/// Installs packages of Debian's.
pub(crate) fn apt(packages: &[&str]) -> Result<()> {
    run(Command::new("apt-get").args(["update", "-q"]))?;
    run(Command::new("apt-get").args(["install", "-q", "-y", "--no-install-recommends"]).args(packages))
}
