//! libvirt's own QEMU driver against the built binary: guests start from encrypted disks whose passphrases are private
//! secrets of Donjon, found by UUID and by usage.
//!
//! `cargo xtask test` installs libvirt and QEMU and sets DONJON_TEST_EMULATOR. Without it the emulator in the target folder is
//! used, or the machine's; without one the test fails and names the command to run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

fn emulator() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_donjond")).ancestors().nth(2).unwrap();
    let extracted = target.join("qemu/qemu-system-x86_64");
    std::env::var_os("DONJON_TEST_EMULATOR")
        .map(PathBuf::from)
        .or_else(|| extracted.exists().then_some(extracted))
        .unwrap_or_else(|| "qemu-system-x86_64".into())
}

#[test]
fn guests_start_from_disks_that_private_secrets_open_and_from_no_others() {
    let data = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qemu.py");
    let output = Command::new(support::python_with_libvirt())
        .arg(script)
        .arg("--emulator")
        .arg(emulator())
        .args(["--", env!("CARGO_BIN_EXE_donjond"), "serve"])
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "off"])
        .args(["--libvirt-socket", "/run/libvirt/virtsecretd-sock", "--data-dir"])
        .arg(data.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
    for file in std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap_or_default(); // A folder has none of its own.
        let clear = bytes.windows(7).any(|window| window == b"hunter2");
        assert!(!clear, "a passphrase is in {} in the clear", file.display());
    }
}
