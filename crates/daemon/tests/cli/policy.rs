//! The policy file: its mistakes, its printed form, and reading it again.

use expect_test::expect;
use rustix::process::Signal;

use crate::{Folder, Server, donjond, http, post, refused, succeeds};

#[test]
fn a_wrong_policy_file_is_reported_line_by_line_and_no_file_is_made() {
    let folder = Folder::new();
    let file =
        folder.write("policy.yaml", "# ours\n\"secret:delte\": \"role:a\"\n\"secret:get\": \"role:a or\"\n");
    refused(
        folder.dir(),
        &["serve", "--data-dir", &folder.data(), "--policy-file", &file],
        2,
        expect![[r#"
            donjond: DIR/policy.yaml:3: "secret:get": it ends where a check should follow; write one, or take the last word away
            See the rules there are, and what they say, with: donjond policy
        "#]],
    );
    let wrong =
        folder.write("wrong.yaml", "# ours\n\"secret:delte\": \"role:a\"\n\"secret:get\": \"rule:membr\"\n");
    let told = "\
donjond: DIR/wrong.yaml:2: \"secret:delte\" is no rule of Barbican's, and nothing refers to it; did you mean \"secret:delete\"?
DIR/wrong.yaml:3: \"secret:get\" refers to the rule \"membr\", which is not defined; the operator's guide says where all names are
See the rules there are, and what they say, with: donjond policy
";
    for command in ["serve", "check"] {
        let output = donjond(&[command, "--data-dir", &folder.data(), "--policy-file", &wrong]);
        let said =
            String::from_utf8(output.stderr).unwrap().replace(&folder.dir().display().to_string(), "DIR");
        assert_eq!((said.as_str(), output.status.code()), (told, Some(2)), "{command}");
    }
    refused(
        folder.dir(),
        &["policy", "--policy-file", &folder.path("none.yaml").display().to_string()],
        2,
        expect![[r#"
            donjond: cannot read the policy file DIR/none.yaml: No such file or directory (os error 2)
            Let the user that runs donjond read it, or name another with --policy-file.
        "#]],
    );
    assert!(!folder.path("data").exists());
}

#[test]
fn the_printed_policy_is_a_policy_file() {
    let folder = Folder::new();
    let file = folder.write("policy.yaml", "\"secrets:get\": \"role:auditor\"\nversion:get: '@'\n");
    let printed = succeeds(&["policy", "--policy", "secure-rbac", "--policy-file", &file]);
    assert!(printed.contains("policy.yaml:1\n\"secrets:get\": \"role:auditor\"\n"), "{printed}");
    let again = folder.write("again.yaml", &printed);
    let again = succeeds(&["policy", "--policy-file", &again]);
    let rules =
        |text: &str| text.lines().filter(|line| line.starts_with('"')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rules(&again), rules(&printed));
    assert!(rules(&printed).len() > 80);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/policy-project-admin.yaml");
    assert!(
        succeeds(&["policy", "--policy", "secure-rbac", "--policy-file", shipped])
            .contains("project-admin.yaml:")
    );
}

#[test]
fn a_hangup_reads_the_policy_and_a_wrong_one_changes_nothing() {
    let folder = Folder::new();
    let file = folder.write("policy.yaml", "secret:decrypt: rule:secret_project_admin\n");
    let server = Server::start_with(&folder, &["--policy-file", &file]);
    let id = server.store("one");
    let may = |expect: &str| assert!(server.read(&id).starts_with(expect), "{}", server.read(&id));
    may("HTTP/1.1 200");
    folder.write("policy.yaml", "secret:decrypt: '!'\n");
    server.signal(Signal::HUP);
    server.line_with("configuration was read again");
    may("HTTP/1.1 403");
    folder.write("policy.yaml", "secret:decrypt: admin\n");
    server.signal(Signal::HUP);
    assert!(server.line_with("the policy stays as it was").contains("ERROR"));
    server.line_with("configuration was read again");
    may("HTTP/1.1 403");
    folder.write("policy.yaml", "# as it is\n");
    server.signal(Signal::HUP);
    server.line_with("configuration was read again");
    may("HTTP/1.1 200");
    server.stop();
}

#[test]
fn the_set_of_barbican_23_wants_its_roles() {
    let folder = Folder::new();
    let server = Server::start_with(&folder, &["--policy", "secure-rbac"]);
    let as_roles = |roles: &str, request: &str| {
        http(&server.rest, &request.replacen("\r\n", &format!("\r\nX-Roles: {roles}\r\n"), 1))
    };
    let body = r#"{"payload": "one", "payload_content_type": "text/plain"}"#;
    assert!(as_roles("creator", &post(body)).starts_with("HTTP/1.1 403"));
    assert!(as_roles("admin", &post(body)).starts_with("HTTP/1.1 403"), "alone it is no member");
    assert!(as_roles("reader,member", &post(body)).starts_with("HTTP/1.1 201"));
    server.stop();
}
