//! The real polkit against the built binary: polkit's rules and passwords decide about access.
//!
//! `cargo xtask test` installs polkit, the system bus and virsh. Without them the test fails and names the command to run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::Path;
use std::process::Command;

#[test]
fn ordinary_users_may_what_polkit_allows_them() {
    let data = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/polkit.py");
    let output = Command::new("python3")
        .arg(script)
        .args(["--read-only", "/run/libvirt/virtsecretd-sock-ro"])
        .args(["--", env!("CARGO_BIN_EXE_donjond"), "serve"])
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "off"])
        .args(["--libvirt-socket", "/run/libvirt/virtsecretd-sock", "--libvirt-socket-mode", "0666"])
        .args(["--libvirt-auth", "polkit", "--data-dir"])
        .arg(data.path())
        .output()
        .expect("python3 is not installed: run `cargo xtask test`, which installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
}
