//! One secret, two doors: real, unmodified clients of Barbican and of libvirt at one server.
//!
//! `clients.rs` says where python-barbicanclient is; virsh and libvirt-python are the system's. `cargo xtask test` installs all
//! of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::Server;
use support::process::{count_in, files};

/// The project of the libvirt door is the one that [`support::Client`] asks for.
const PROJECT: [&str; 2] = ["--libvirt-project", "p"];

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// No file of the server's has a value in it.
#[track_caller]
fn no_value_is_in(folder: &Path) {
    for (name, bytes) in files(folder) {
        for clear in [&b"hunter2"[..], b"aHVudGVyMg", b"68756e74657232"] {
            assert_eq!(count_in(&bytes, clear), 0, "a value is in {name} in the clear");
        }
    }
}

fn virsh(server: &Server, args: &[&str]) -> Output {
    Command::new("virsh").args(["-q", "-c", &server.uri()]).args(args).output().unwrap()
}

#[test]
fn python_barbicanclient_and_virsh_see_the_same_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let python = support::python_with_barbicanclient();
    succeeds(Command::new(python).arg(script("two_doors.py")).args([server.url(), server.uri()]));
    no_value_is_in(folder.path());
}

#[test]
fn libvirt_python_does_everything_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let python = support::python_with_libvirt();
    succeeds(Command::new(python).arg(script("libvirt_python.py")).arg(server.uri()));
    no_value_is_in(folder.path());
}

#[test]
fn an_ephemeral_secret_is_at_both_doors_in_no_file_and_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(folder.path(), &PROJECT);
    let uuid = "d0d0d0d0-0000-4000-8000-00000000e9e9";
    let xml = folder.path().join("secret.xml");
    std::fs::write(&xml, format!("<secret ephemeral='yes'><uuid>{uuid}</uuid></secret>")).unwrap();
    assert!(virsh(&server, &["secret-define", xml.to_str().unwrap()]).status.success());
    assert!(virsh(&server, &["secret-set-value", uuid, "aHVudGVyMg=="]).status.success());
    std::fs::remove_file(&xml).unwrap();

    let mut rest = server.connect();
    assert_eq!(rest.payload(uuid).unwrap().body, b"hunter2");
    let path = format!("/v1/secrets/{uuid}");
    assert_eq!(rest.ask("GET", &path, "", b"").unwrap().json()["status"], "ACTIVE");
    let metadata = rest.ask("GET", &format!("{path}/metadata"), "", b"").unwrap().json();
    assert_eq!(metadata["metadata"]["libvirt_ephemeral"], "yes");
    let list = rest.ask("GET", "/v1/secrets", "", b"").unwrap();
    assert!(list.text().contains(uuid) && list.json()["total"] == 1, "{}", list.text());
    assert_eq!(virsh(&server, &["secret-get-value", uuid]).stdout.trim_ascii(), b"aHVudGVyMg==");
    for (name, bytes) in files(folder.path()) {
        let may = name.ends_with("audit.log"); // Who asked for it is written down.
        assert!(
            may || count_in(&bytes, b"e9e9") + count_in(&bytes, b"\x80\0\0\0\0\0\xe9\xe9") == 0,
            "{name}"
        );
    }

    server.terminate();
    assert!(server.wait().success());
    no_value_is_in(folder.path());
    let server = Server::start_with(folder.path(), &PROJECT);
    let gone = virsh(&server, &["secret-dumpxml", uuid]);
    assert!(String::from_utf8(gone.stderr).unwrap().contains("no secret with matching uuid"));
    assert_eq!(virsh(&server, &["secret-list"]).stdout.trim_ascii(), b"");
    assert_eq!(server.connect().ask("GET", &path, "", b"").unwrap().status, 404);
}

/// The real daemon leaves its file, and has it back at the next start.
#[test]
fn a_secret_redefined_as_ephemeral_is_off_the_disk_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &PROJECT);
    let json = r#"{"name": "n", "payload": "hunter2", "payload_content_type": "text/plain"}"#;
    let uuid = server.connect().create(json).unwrap().id();
    let xml = folder.path().join("secret.xml");
    std::fs::write(&xml, format!("<secret ephemeral='yes'><uuid>{uuid}</uuid></secret>")).unwrap();
    assert!(virsh(&server, &["secret-define", xml.to_str().unwrap()]).status.success());
    let read = server.connect().payload(&uuid).unwrap();
    assert_eq!((read.status, read.text().as_str()), (200, "hunter2"), "what it is stays");
    server.kill();
    let server = Server::start_with(folder.path(), &PROJECT);
    assert_eq!(server.connect().payload(&uuid).unwrap().status, 404);
    assert_eq!(virsh(&server, &["secret-list"]).stdout.trim_ascii(), b"");
}
