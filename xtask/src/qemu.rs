//! Installs libvirt's QEMU driver and an emulator, for the tests that start guests.
//!
//! ```text
//! target/qemu/debs/*.deb            Debian's qemu-system-x86 and its missing dependencies
//! target/qemu/root/usr/…            their files
//! target/qemu/qemu-system-x86_64    a script that runs the emulator from there
//! ```
//!
//! libvirt is installed as usual. QEMU is not: Debian 12's package would replace a newer qemu-utils of backports, and a test
//! should not downgrade the machine. An installed emulator is used.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install::{apt, program};
use crate::{Result, run, target};

const EMULATOR: &str = "qemu-system-x86_64";
/// A script that finds the files beside itself, so the folder may be moved.
const LAUNCHER: &str = r#"#!/bin/sh
usr=${0%/*}/root/usr
for lib in "$usr"/lib/*-linux-gnu; do
    export LD_LIBRARY_PATH="$lib" QEMU_MODULE_DIR="$lib/qemu"
done
exec "$usr/bin/qemu-system-x86_64" "$@"
"#;

/// Installs what is missing. Returns the emulator.
pub(crate) fn install(root: &Path) -> Result<PathBuf> {
    program("libvirtd", "libvirt-daemon")?; // It has the QEMU driver and the secret driver.
    program("virsh", "libvirt-clients")?;
    program("qemu-img", "qemu-utils")?;
    if !answers(Command::new("/usr/bin/python3").args(["-c", "import libvirt"])) {
        apt(&["python3-libvirt"])?;
    }
    let folder = target(root).join("qemu");
    let launcher = folder.join(EMULATOR);
    for emulator in [PathBuf::from(EMULATOR), launcher.clone()] {
        if answers(Command::new(&emulator).arg("--version")) {
            return Ok(emulator);
        }
    }
    extract(&folder)?;
    std::fs::write(&launcher, LAUNCHER)?;
    std::fs::set_permissions(&launcher, PermissionsExt::from_mode(0o755))?;
    run(Command::new(&launcher).arg("--version"))?;
    Ok(launcher)
}

/// Downloads the package with its dependencies and unpacks them below a folder, without installing.
fn extract(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let (debs, unpacked) = (folder.join("debs"), folder.join("root"));
    std::fs::create_dir_all(debs.join("partial"))?; // apt requires this folder.
    run(Command::new("apt-get").args(["update", "-q"]))?;
    let mut download = Command::new("apt-get");
    download.args(["install", "-q", "-y", "--no-install-recommends", "--download-only", "-o"]);
    run(download.arg(format!("Dir::Cache::archives={}", debs.display())).arg("qemu-system-x86"))?;
    for file in std::fs::read_dir(&debs)? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "deb") {
            run(Command::new("dpkg-deb").arg("--extract").arg(path).arg(&unpacked))?;
        }
    }
    Ok(())
}

fn answers(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
