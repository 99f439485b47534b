//! What real Barbican 23.0.0 answered, asked of the built binary.
//!
//! The recorded answers and the tool that asks for them lie in `../shared/conformance` beside the project. Where that
//! folder is not, there is nothing to compare with and the test says so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use support::Server;

#[test]
fn every_recorded_answer_is_the_same_but_for_the_listed_differences() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let replay = root.join("../shared/conformance/barbican/replay.py");
    if !replay.exists() {
        eprintln!("no recorded answers at {}: nothing compared", replay.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let output = Command::new("python3")
        .arg(replay)
        .args(["--endpoint", &server.url()])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("recorded cases the same"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let differs: BTreeSet<&str> = said
        .lines()
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_once("  "))
        .map(|(id, _)| id)
        .collect();
    let document = std::fs::read_to_string(root.join("docs/barbican-differences.md")).unwrap();
    let listed: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| row.split(" |").next().unwrap().split(['`', ',', ' ']))
        .filter(|word| word.contains('.'))
        .collect();
    let unlisted: Vec<_> = differs.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in docs/barbican-differences.md: {unlisted:?}\n{said}");
    let outdated: Vec<_> = listed.difference(&differs).collect();
    assert!(outdated.is_empty(), "listed in docs/barbican-differences.md, but the same: {outdated:?}");
}
