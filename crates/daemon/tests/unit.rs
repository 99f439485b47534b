//! systemd understands the packaged unit, as it is and with every line that its comments offer, and the unit stays closed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails may panic, one that is skipped says so"
)]

use std::process::Command;

const UNIT: &str = include_str!("../../../packaging/systemd/donjond.service");
const DONJOND: &str = env!("CARGO_BIN_EXE_donjond");
/// The worst allowed score of `systemd-analyze security`, in tenths: the unit has 16.
const EXPOSURE_MAX: &str = "20";

/// Has systemd read a unit; skipped, with a word, where there is no systemd to ask.
fn analyze(name: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text.replace("/usr/bin/donjond", DONJOND)).unwrap();
    let run = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).arg(&path).output();
    let Ok(verified) = run(&["verify", "--man=no"]) else {
        return println!("skipped: there is no systemd-analyze");
    };
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    let exposed =
        run(&["security", "--offline=true", "--no-pager", &format!("--threshold={EXPOSURE_MAX}")]).unwrap();
    assert!(exposed.status.success(), "{}", String::from_utf8_lossy(&exposed.stdout));
}

#[test]
fn the_unit_is_understood_and_closed() {
    analyze("donjond.service", UNIT);
}

#[test]
fn the_lines_that_close_it_further_are_understood_too() {
    let lines: Vec<_> = UNIT.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    let offered = |key: &str| lines.iter().any(|line| line.starts_with(key));
    assert!(offered("PrivateUsers=yes") && offered("IPAddressDeny=any"), "{lines:?}");
    let further = lines.iter().filter(|line| {
        ["IPAddressDeny", "RestrictAddressFamilies", "PrivateUsers"].iter().any(|key| line.starts_with(key))
    });
    let further = further.copied().collect::<Vec<_>>().join("\n");
    analyze("donjond.service", &UNIT.replace("\n[Install]", &format!("\n{further}\n\n[Install]")));
}
