//! A database that was changed by hand while the server was down: both doors report the changed secrets, and no others.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::Path;
use std::process::Command;

use libvirt_rpc::error::Code;
use support::rpc::{self, Raw};
use support::{Answer, Client, DONJOND, Server};

/// Has a server end, so that all it did is in one file.
fn end(mut server: Server) {
    server.terminate();
    assert!(server.wait().success());
}

fn start(folder: &Path) -> Server {
    Server::start_with(folder, &["--libvirt-project", "p"])
}

/// A payload asked for by a user of another project, without any role there.
fn read_as_me(client: &mut Client, id: &str) -> Answer {
    let path = format!("/v1/secrets/{id}/payload");
    let headers =
        "X-Project-Id: q\r\nX-User-Id: me\r\nX-Roles: observer\r\nAccept: application/octet-stream\r\n";
    client.ask_as("GET", &path, headers, b"").unwrap()
}

#[test]
fn a_row_that_was_changed_is_an_error_at_both_doors_and_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut client = server.connect();
    let secret = r#"{"payload": "hunter2", "payload_content_type": "text/plain"}"#;
    let ids = ["named", "other", "mine", "untouched"].map(|_| client.create(secret).unwrap().id());
    let [named, other, mine, untouched] = &ids;
    let made = client
        .ask("POST", "/v1/containers", "Content-Type: application/json\r\n", br#"{"type": "generic"}"#)
        .unwrap()
        .json();
    let container = made["container_ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(read_as_me(&mut client, named).status, 403);
    let mut libvirt = Raw::open(server.socket()).unwrap();
    let (defined, sound) = (rpc::id(1), rpc::id(2));
    for id in [defined, sound] {
        libvirt.define(&rpc::xml(id, "", "")).unwrap().unwrap();
        libvirt.set_value(id, b"v").unwrap().unwrap();
    }
    drop((client, libvirt));
    end(server);

    let row = |id: &str| format!("id = x'{}'", id.replace('-', ""));
    testkit::run_sql(
        &folder.path().join("donjon.db"),
        &format!(
            "INSERT INTO secret_acl_users (user, secret) SELECT 'me', seq FROM secrets WHERE {}; \
             INSERT INTO secret_acls (secret, created, updated) SELECT seq, 1, 1 FROM secrets WHERE {}; \
             UPDATE secrets SET project_access = 0 WHERE {}; \
             INSERT INTO projects (name) VALUES ('q'); \
             INSERT INTO project_keys SELECT (SELECT id FROM projects WHERE name = 'q'), version, wrapped FROM project_keys; \
             UPDATE secrets SET project = (SELECT id FROM projects WHERE name = 'q') WHERE {}; \
             UPDATE containers SET creator = 'me' WHERE {}; \
             UPDATE secrets SET private = 1 WHERE {}",
            row(named),
            row(named),
            row(other),
            row(mine),
            row(&container),
            row(&rpc::text(defined)),
        ),
    );

    let server = start(folder.path());
    let mut client = server.connect();
    for id in [named, mine] {
        let answer = read_as_me(&mut client, id);
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(answer.text().contains("changed in the database by hand"), "{}", answer.text());
    }
    for path in
        [format!("secrets/{other}"), format!("secrets/{other}/payload"), format!("containers/{container}")]
    {
        assert_eq!(client.ask("GET", &format!("/v1/{path}"), "", b"").unwrap().status, 500, "{path}");
    }
    assert_eq!(client.ask("GET", &format!("/v1/secrets/{named}/acl"), "", b"").unwrap().status, 500);
    let mut libvirt = Raw::open(server.socket()).unwrap();
    let refused = libvirt.value(defined).unwrap().unwrap_err();
    assert_eq!(refused.code, Code::InternalError as i32, "{refused:?}");
    assert_eq!(libvirt.xml(defined).unwrap().unwrap_err().code, Code::InternalError as i32);
    // The rest is as it was, and so are lists.
    assert_eq!(client.payload(untouched).unwrap().body, b"hunter2");
    assert_eq!(libvirt.value(sound).unwrap().unwrap(), b"v");
    assert_eq!(client.ask("GET", "/v1/secrets", "", b"").unwrap().status, 200);
    let checked = Command::new(DONJOND).args(["check", "--data-dir"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(!checked.status.success(), "{said}");
    for id in [named, other, mine, &container, &rpc::text(defined)] {
        assert!(said.contains(id.as_str()), "{id}: {said}");
    }
    assert!(!said.contains(untouched.as_str()), "{said}");
    let log = std::fs::read_to_string(folder.path().join("stderr.txt")).unwrap();
    assert!(log.contains(named) && log.contains(mine) && !log.contains("hunter2"), "{log}");
}
