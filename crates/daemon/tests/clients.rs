//! Real clients against the built binary: python-barbicanclient and its command line, unmodified.
//!
//! `cargo xtask test` installs them and says where in DONJON_TEST_PYTHON. Without it a python3 that can import
//! barbicanclient will do; without that the test fails and says what to run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::Server;

fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_donjond")).ancestors().nth(2).unwrap();
    let named = std::env::var_os("DONJON_TEST_PYTHON").map(PathBuf::from);
    named
        .into_iter()
        .chain([target.join("clients/bin/python"), "python3".into()])
        .find(|python| {
            let imports = Command::new(python).args(["-c", "import barbicanclient"]).output();
            imports.is_ok_and(|output| output.status.success())
        })
        .expect("python-barbicanclient is not installed: run `cargo xtask test`, which installs it")
}

#[test]
fn python_barbicanclient_stores_gets_lists_updates_and_deletes_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients.py");
    let output = Command::new(python()).arg(script).arg(server.url()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
    let stored = std::fs::read(folder.path().join("donjon.db")).unwrap();
    let log = std::fs::read(folder.path().join("donjon.db-wal")).unwrap();
    let audit = std::fs::read(folder.path().join("audit.log")).unwrap();
    let stderr = std::fs::read(folder.path().join("stderr.txt")).unwrap();
    for (name, bytes) in [("database", stored), ("log", log), ("audit trail", audit), ("stderr", stderr)] {
        assert!(
            !bytes.windows(7).any(|window| window == b"hunter2"),
            "a payload is in the {name} in the clear"
        );
    }
}
