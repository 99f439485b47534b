//! `check --audit`: altered and missing lines of the trail are found.

use std::fs;

use expect_test::expect;

use crate::{Folder, Server, refused, succeeds};

#[test]
fn an_altered_or_missing_line_of_the_audit_trail_is_found() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    for payload in ["one", "two", "three", "four"] {
        server.store(payload);
    }
    server.stop();
    let check = ["check", "--data-dir", &folder.data(), "--audit"];
    expect![[r#"
        audit trail DATA/audit.log
        verified    6 lines, none missing or altered
        changes     none is missing; the audit trail says up to 4 were committed
    "#]]
    .assert_eq(&succeeds(&check).replace(&folder.data(), "DATA"));

    let trail = fs::read_to_string(folder.path("data/audit.log")).unwrap();
    assert!(!["one", "two", "three", "four"].iter().any(|payload| trail.contains(&format!("\"{payload}\""))));
    let lines: Vec<_> = trail.lines().collect();
    let altered: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(i, line)| if i == 1 { line.replace("rest", "rust") } else { (*line).to_owned() })
        .collect();
    folder.write("data/audit.log", &(altered.join("\n") + "\n"));
    refused(
        folder.dir(),
        &check,
        1,
        expect![[r#"
        donjond: the audit trail does not hold (DIR/data/audit.log): line 2 of the input, number 2, or the one before it was altered
        Keep these files as they are, and find out who could write them.
    "#]],
    );
    folder.write("data/audit.log", &([lines[0], lines[2], lines[3], lines[4], lines[5]].join("\n") + "\n"));
    refused(
        folder.dir(),
        &check,
        1,
        expect![[r#"
        donjond: the audit trail does not hold (DIR/data/audit.log): line 2 of the input has number 3, not 2: lines were removed, moved or added
        Keep these files as they are, and find out who could write them.
    "#]],
    );
    folder.write("data/audit.log", &(lines[..lines.len() - 1].join("\n") + "\n"));
    refused(
        folder.dir(),
        &check,
        1,
        expect![[r#"
        donjond: the audit trail does not hold (DIR/data/audit.log): the trail ends at number 5, but the store knows that number 6 was written: lines were cut off
        Keep these files as they are, and find out who could write them.
    "#]],
    );
}
