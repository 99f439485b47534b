//! Real clients against the built binary: python-barbicanclient and its command line, unmodified.
//!
//! `cargo xtask test` installs them and sets DONJON_TEST_PYTHON. Without it any python3 with barbicanclient is used; without
//! one the test fails and names the command to run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::Path;
use std::process::Command;

use support::Server;

#[test]
fn python_barbicanclient_stores_gets_lists_updates_and_deletes_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients.py");
    let output =
        Command::new(support::python_with_barbicanclient()).arg(script).arg(server.url()).output().unwrap();
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
