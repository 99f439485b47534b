//! Gets libvirt's QEMU driver and an emulator for it, which the tests start guests with.
//!
//! ```text
//! target/qemu/debs/*.deb            what Debian's qemu-system-x86 needs and the machine has not
//! target/qemu/root/usr/…            the same, extracted
//! target/qemu/qemu-system-x86_64    runs it from there
//! ```
//!
//! libvirt is installed as usual. QEMU is not: Debian 12's removes a qemu-utils that is newer, as backports have it,
//! and nothing on the machine is to be downgraded for a test. Where an emulator is installed, that one serves.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install::{apt, program};
use crate::{Result, run, target};

const EMULATOR: &str = "qemu-system-x86_64";
/// Finds everything from where it lies itself, so the folder may be moved.
const LAUNCHER: &str = r#"#!/bin/sh
usr=${0%/*}/root/usr
for lib in "$usr"/lib/*-linux-gnu; do
    export LD_LIBRARY_PATH="$lib" QEMU_MODULE_DIR="$lib/qemu"
done
exec "$usr/bin/qemu-system-x86_64" "$@"
"#;

/// Installs what is missing and tells where the emulator is.
pub(crate) fn install(root: &Path) -> Result<PathBuf> {
    program("libvirtd", "libvirt-daemon")?; // With the QEMU driver and the secret driver.
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

/// Downloads the package and what it needs, installs nothing, and unpacks all of it below a folder.
fn extract(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let (debs, unpacked) = (folder.join("debs"), folder.join("root"));
    std::fs::create_dir_all(debs.join("partial"))?; // apt insists on it.
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
