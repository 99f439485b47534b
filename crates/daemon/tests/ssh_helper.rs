//! `secret+ssh://host/system` by libvirt's own virsh, to a host with Donjon and only its helper.
//!
//! `cargo xtask test` installs sshd and virsh. Without them the test fails and names the command to run.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails may panic")]

use std::path::Path;
use std::process::Command;

#[test]
fn virsh_reaches_a_host_that_has_only_donjon() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root may make the namespaces that this runs in: not tested");
        return;
    }
    let donjond = Path::new(env!("CARGO_BIN_EXE_donjond"));
    let donjon = donjond.with_file_name("donjon");
    assert!(donjon.exists(), "{} is not built: run cargo build --workspace first", donjon.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ssh_helper.py");
    let output = Command::new("python3").arg(script).arg("--").arg(donjond).arg(donjon).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "{}", said.concat());
}
