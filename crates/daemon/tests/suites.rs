//! The functional tests of Barbican, its client and castellan, unmodified, against the built binary and a real Keystone.
//!
//! A test that passes on the real Barbican 23.0.0 must pass here: `suites/*.txt` has the outcome of every test there.
//! `cargo xtask test` installs the suites and sets DONJON_TEST_SUITES.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::keystone::Keystone;
use support::{DONJOND, Server};

/// Suites at once: the tests may count on two cores, and each suite has a thread.
const PROCESSES: &str = "2";

#[test]
fn barbicans_own_functional_tests_pass() {
    check("barbican");
}

#[test]
fn python_barbicanclients_functional_tests_pass() {
    check("python-barbicanclient");
}

#[test]
fn castellans_functional_tests_pass() {
    check("castellan");
}

/// The suites use the roles that Barbican had before secure RBAC.
#[track_caller]
fn check(suite: &str) {
    let (folder, keystone) = (tempfile::tempdir().unwrap(), Keystone::start());
    let config = keystone.configure(folder.path(), "policy = \"legacy\"");
    let server = Server::start_with(folder.path(), &["--config", config.to_str().unwrap()]);
    keystone.register(&server.url());
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suites");
    let installed = installed();
    let output = Command::new(installed.join("bin/python"))
        .arg(files.join("run.py"))
        .arg(suite)
        .arg(installed.join("src").join(suite))
        .args([server.url(), keystone.url()])
        .args(["--processes", PROCESSES])
        .output()
        .unwrap();
    let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let recorded = std::fs::read_to_string(files.join(suite).with_extension("txt")).unwrap();
    let passed = |text: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| line.strip_prefix("pass ")).map(str::to_owned).collect()
    };
    let (here, there) = (passed(&said), passed(&recorded));
    let missing: Vec<&String> = there.difference(&here).collect();
    assert!(
        output.status.success() && missing.is_empty(),
        "{} of {} pass on Barbican and not here: {missing:#?}\n{why}",
        missing.len(),
        there.len()
    );
}

/// The folder of the Python environment of the suites, with their sources in `src`.
fn installed() -> PathBuf {
    let target = Path::new(DONJOND).ancestors().nth(2).unwrap();
    let folder =
        std::env::var_os("DONJON_TEST_SUITES").map_or_else(|| target.join("clients-suites"), PathBuf::from);
    assert!(folder.exists(), "the suites are not installed: run `cargo xtask test`, which installs them");
    folder
}
