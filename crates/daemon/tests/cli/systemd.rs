//! Sockets from systemd, and messages to it.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;

use crate::{DONJOND, Folder, PATIENCE, Server, get, http};

#[test]
fn a_passed_socket_is_served() {
    let folder = Folder::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh", DONJOND, "serve"])
        .args(["--data-dir", &folder.data(), "--metrics-listen", "127.0.0.1:0"])
        .stdin(OwnedFd::from(socket));
    let server = Server::spawn(command);
    assert_eq!(server.rest, address);
    assert!(http(&address, &get("/healthcheck")).starts_with("HTTP/1.1 200"));
    server.stop();
}

#[test]
fn a_passed_socket_is_no_way_around_the_refusal() {
    let folder = Folder::new();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let output = Command::new("sh")
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh", DONJOND, "serve"])
        .args(["--data-dir", &folder.data(), "--metrics-listen", "127.0.0.1:0"])
        .stdin(OwnedFd::from(socket))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_service_manager_learns_when_it_is_ready_and_when_it_stops() {
    let folder = Folder::new();
    let path = folder.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut message = [0; 1024];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut command = Command::new(DONJOND);
    command
        .args([
            "serve",
            "--data-dir",
            &folder.data(),
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ])
        .env("NOTIFY_SOCKET", &path);
    let server = Server::spawn(command);
    assert!(told().contains("READY=1"));
    server.signal(Signal::HUP);
    assert!(told().contains("RELOADING=1\nMONOTONIC_USEC="));
    assert!(told().contains("READY=1"));
    server.signal(Signal::TERM);
    assert!(told().contains("STOPPING=1"));
}
