//! The answers of the real Barbican 23.0.0, compared with those of the built binary.
//!
//! The recorded answers and the program that asks are in `tests/recorded/barbican`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::Server;
use support::keystone::Keystone;

/// The password of Keystone's admin that `keystone_seed.py` uses.
const ADMIN_PASSWORD: &str = "adminpw";

/// The host that a case is sent to beside the server's address.
const NAMED: &str = "example.com";

#[test]
fn every_recorded_answer_is_the_same_but_for_the_listed_differences() {
    let suite = support::recorded("barbican");
    let mut differs = with_project_headers(&suite);
    let keystone = Keystone::start();
    let admin = keystone.id("users", "admin");
    let password = json!({ "user": { "password": ADMIN_PASSWORD } });
    let changed = keystone.ask("PATCH", &format!("/users/{admin}"), Some(&keystone.admin()), Some(&password));
    assert_eq!(changed.status, 200, "{}", changed.text());
    support::until("tokens of the second in which the password was changed are past", || {
        let token = keystone.log_in("admin", ADMIN_PASSWORD, "admin").unwrap();
        keystone.ask("GET", "/services", Some(&token), None).status == 200
    });
    for policy in ["secure-rbac", "legacy"] {
        differs.extend(with_tokens(&suite, &keystone, policy));
    }
    let document = std::fs::read_to_string(support::root().join("docs/barbican-differences.md")).unwrap();
    let listed: BTreeSet<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| row.split(" |").next().unwrap().split(['`', ',', ' ']))
        .filter(|word| word.contains('.'))
        .map(str::to_owned)
        .collect();
    let found: BTreeSet<String> = differs.iter().map(|differing| differing.case.clone()).collect();
    let unlisted: Vec<_> = differs.iter().filter(|differing| !listed.contains(&differing.case)).collect();
    assert!(unlisted.is_empty(), "{} are not in docs/barbican-differences.md: {unlisted:#?}", unlisted.len());
    let outdated: Vec<_> = listed.difference(&found).collect();
    assert!(outdated.is_empty(), "listed in docs/barbican-differences.md, but the same: {outdated:?}");
}

/// A case that was answered otherwise.
#[derive(Debug)]
struct Differing {
    case: String,
    /// In the words of the tool.
    how: String,
}

fn with_project_headers(suite: &Path) -> Vec<Differing> {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--hosts", NAMED]);
    replay(suite, &["--endpoint", &server.url()])
}

/// Two projects, and a user for each role in both.
fn with_tokens(suite: &Path, keystone: &Keystone, policy: &str) -> Vec<Differing> {
    let folder = tempfile::tempdir().unwrap();
    let config = keystone.configure(folder.path(), &format!("policy = \"{policy}\""));
    let server = Server::start_with(folder.path(), &["--config", config.to_str().unwrap()]);
    python(suite, "keystone_seed.py", &[&keystone.url(), &server.url()]);
    let golden = suite.join(format!("keystone-{}-rbac.json", policy.trim_end_matches("-rbac")));
    let mut differs = replay(
        suite,
        &[
            "--endpoint",
            &server.url(),
            "--mode",
            "keystone",
            "--keystone",
            &keystone.url(),
            "--golden",
            golden.to_str().unwrap(),
        ],
    );
    differs.iter_mut().for_each(|differing| differing.how.insert_str(0, &format!("{policy}: ")));
    differs
}

/// Sends the cases and collects the differing answers.
fn replay(suite: &Path, arguments: &[&str]) -> Vec<Differing> {
    let said = python(suite, "replay.py", arguments);
    assert!(said.contains("recorded cases the same"), "{said}");
    let mut differs: Vec<Differing> = Vec::new();
    for line in said.lines() {
        if line.starts_with(' ') {
            differs.last_mut().unwrap().how += line;
        } else if let Some((case, request)) = line.split_once("  ") {
            differs.push(Differing { case: case.to_owned(), how: request.to_owned() });
        }
    }
    differs
}

fn python(suite: &Path, script: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("python3");
    command.arg(suite.join(script)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(!failed.contains("Traceback"), "{script}: {said}{failed}");
    said
}
