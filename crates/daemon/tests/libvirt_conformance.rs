//! The answers of the real libvirtd 12.8.0 to virsh 9.0.0 and a raw client, compared with those of the built binary.
//!
//! The recorded answers and the programs that ask are in `tests/recorded/libvirt`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use support::Server;

#[test]
fn every_recorded_answer_is_the_same_but_for_the_listed_differences() {
    let tools = support::recorded("libvirt");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let answers = folder.path().join("answers");
    let suites = ["virsh", "raw"];
    let ran = Command::new("bash")
        .arg(tools.join("run.sh"))
        .arg(format!("secret:///system?socket={}", server.socket().display()))
        .arg(&answers)
        .args(suites)
        .env("PY", support::python_with_libvirt())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let failed = format!("{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("virsh: 310 cases") && said.contains("raw: 125 cases"), "{failed}");

    let recorded = folder.path().join("recorded");
    std::fs::create_dir(&recorded).unwrap();
    for suite in suites {
        let file = format!("{suite}.txt");
        std::fs::copy(tools.join("recorded-12.8.0").join(&file), recorded.join(&file)).unwrap();
    }
    let compared = Command::new("bash")
        .arg(tools.join("diff.sh"))
        .args([&recorded, &answers])
        .env("LOOSE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compared.stdout);
    assert!(said.contains("435 cases"), "{said}\n{}", String::from_utf8_lossy(&compared.stderr));
    let differs: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter_map(|title| title.split(' ').next())
        .collect();
    let document = std::fs::read_to_string(support::root().join("docs/libvirt-differences.md")).unwrap();
    let listed: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| row.split(" |").next().unwrap().split(['`', ',', ' ']))
        .filter(|word| word.starts_with("virsh/") || word.starts_with("raw/"))
        .collect();
    let unlisted: Vec<_> = differs.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in docs/libvirt-differences.md: {unlisted:?}\n{said}");
    let outdated: Vec<_> = listed.difference(&differs).collect();
    assert!(outdated.is_empty(), "listed in docs/libvirt-differences.md, but the same: {outdated:?}");
}
