//! The libvirt door as an operator sees it: sockets, limits, its end, and its behaviour under the name of libvirt's daemon.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libvirt_rpc::procedures::Procedure;
use rustix::process::{Pid, Signal, kill_process};
use support::rpc::{self, Raw};
use support::{DONJOND, Server, until};
use tempfile::TempDir;

/// Longer than any `--timeout` in these tests, and than the pause between two checks of it.
const LONGER: Duration = Duration::from_secs(3);

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A server that is expected to refuse to start.
fn refused(args: &[&str]) -> Output {
    Command::new(DONJOND).args(args).output().unwrap()
}

// The sockets.

#[test]
fn a_client_beyond_the_limit_waits_until_another_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("donjon.toml");
    fs::write(&config, "[limits]\nlibvirt_connections = 3\n").unwrap();
    let server = Server::start_with(folder.path(), &["--config", config.to_str().unwrap()]);
    let mut three: Vec<Raw> = (0..3).map(|_| Raw::open(server.socket()).unwrap()).collect();
    let mut fourth = Raw::connect(server.socket()).unwrap();
    let opened = fourth.begin(Procedure::ConnectOpen, rpc::open).unwrap();
    fourth.stream().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert_eq!(fourth.message().unwrap_err().kind(), ErrorKind::WouldBlock);
    for client in &mut three {
        assert_eq!(client.count().unwrap(), 0, "those who are there are served");
    }
    assert_eq!(server.connect().create("{}").unwrap().status, 201, "so is the other door");
    fourth.stream().set_read_timeout(Some(support::PATIENCE)).unwrap();
    three.pop();
    fourth.answer_to(opened).unwrap().unwrap();
    assert_eq!(fourth.count().unwrap(), 0);
}

#[test]
fn sockets_have_the_modes_and_the_group_that_were_chosen() {
    let group = rustix::process::getegid().as_raw().to_string();
    // Root may give its files to any group.
    let group = if rustix::process::geteuid().is_root() { "1234".to_owned() } else { group };
    for (args, read_write, read_only) in [
        (&[][..], 0o600, 0o666),
        (&["--libvirt-socket-group", &group], 0o660, 0o666),
        (&["--libvirt-socket-mode", "0640", "--libvirt-socket-ro-mode", "0600"], 0o640, 0o600),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_with(folder.path(), args);
        let ro = folder.path().join("virtsecretd-sock-ro");
        assert_eq!((mode(server.socket()), mode(&ro)), (read_write, read_only), "{args:?}");
        if args.contains(&&*group) {
            assert_eq!(fs::metadata(server.socket()).unwrap().gid().to_string(), group);
        }
    }
}

#[test]
fn a_socket_that_was_left_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    Server::start(folder.path()).kill();
    assert!(folder.path().join("virtsecretd-sock").exists(), "nobody could tidy up");
    let server = Server::start(folder.path());
    assert_eq!(Raw::open(server.socket()).unwrap().count().unwrap(), 0);
}

#[test]
fn a_second_server_is_refused_with_advice() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(folder.path());
    let socket = server.socket().to_str().unwrap();
    let data = other.path().to_str().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--data-dir", data];
    let output = refused(&[&args[..], &["--libvirt-socket", socket]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another program listens there") && said.contains("--libvirt-socket"), "{said}");
    assert_eq!(Raw::open(server.socket()).unwrap().count().unwrap(), 0, "the first one does not notice");
    // A file that is not a socket is not removed.
    let file = other.path().join("file");
    fs::write(&file, "somebody's").unwrap();
    let output = refused(&[&args[..], &["--libvirt-socket", file.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
}

// The end.

#[test]
fn at_the_end_begun_calls_are_answered_and_the_sockets_go() {
    const WRITERS: u64 = 8;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let mut idle = Raw::open(server.socket()).unwrap();
    idle.register(0, None).unwrap().unwrap();
    for writer in 0..WRITERS {
        idle.define(&rpc::xml(rpc::id(writer), "", "")).unwrap().unwrap();
    }
    let changes = AtomicU64::new(0);
    // The last value that was acknowledged to each.
    let acknowledged: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let mut client = Raw::open(server.socket()).unwrap();
                let changes = &changes;
                scope.spawn(move || {
                    let mut last = 0_u64;
                    while let Ok(answer) = client.set_value(rpc::id(writer), &(last + 1).to_be_bytes()) {
                        answer.unwrap();
                        last += 1;
                        changes.fetch_add(1, Ordering::Relaxed);
                    }
                    last
                })
            })
            .collect();
        until("the writers are at work", || changes.load(Ordering::Relaxed) > 10 * WRITERS);
        server.terminate();
        assert_eq!(server.wait().code(), Some(0));
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    while idle.message().is_ok() {} // The events of its own definitions.
    for socket in ["virtsecretd-sock", "virtsecretd-sock-ro"] {
        assert!(!folder.path().join(socket).exists(), "{socket} is still there");
    }
    let server = Server::start(folder.path());
    let mut client = Raw::open(server.socket()).unwrap();
    for (writer, last) in (0..).zip(acknowledged) {
        let value = client.value(rpc::id(writer)).unwrap().unwrap();
        assert!(last > 0);
        assert_eq!(
            value,
            last.to_be_bytes(),
            "whatever was done was answered, and whatever was answered is done"
        );
    }
}

// Under the name of libvirt's daemon.

/// The sockets that systemd would pass, and a configuration that keeps everything in one folder.
struct Units {
    folder: TempDir,
}

/// A server that is ended at the latest when the test is.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Units {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("data_dir = \"{}\"\n", folder.path().join("data").display());
        fs::write(folder.path().join("donjon.toml"), config).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("virtsecretd-sock")
    }

    /// Starts a program as systemd does, when the first client connects.
    fn activate(&self, program: &Path, args: &[&str]) -> (Ending, Raw) {
        let listen = |name| {
            let _ = fs::remove_file(self.path(name));
            OwnedFd::from(UnixListener::bind(self.path(name)).unwrap())
        };
        let (read_write, read_only) = (listen("virtsecretd-sock"), listen("virtsecretd-sock-ro"));
        let mut client = Raw::connect(&self.socket()).unwrap();
        let pass = "exec 3<&0 4>&1 </dev/null >/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\" \"$@\"";
        let child = Command::new("sh")
            .args(["-c", pass])
            .arg(program)
            .args(args)
            .arg("--config")
            .arg(self.path("donjon.toml"))
            .stdin(read_write)
            .stdout(read_only)
            .stderr(fs::File::create(self.path("stderr.txt")).unwrap())
            .spawn()
            .unwrap();
        client.call(Procedure::ConnectOpen, rpc::open).unwrap().unwrap();
        (Ending(child), client)
    }
}

#[test]
fn sockets_that_systemd_passes_are_served_and_stay() {
    let units = Units::new();
    let (mut server, mut client) =
        units.activate(Path::new(DONJOND), &["serve", "--listen", "off", "--metrics-listen", "off"]);
    let id = client.define("<secret/>").unwrap().unwrap();
    let mut reader = Raw::open(&units.path("virtsecretd-sock-ro")).unwrap();
    assert_eq!(reader.list().unwrap(), [id]);
    assert_eq!(reader.undefine(id).unwrap().unwrap_err().code, 29, "its name says that it is read-only");
    kill_process(Pid::from_child(&server.0), Signal::TERM).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    assert!(units.socket().exists() && units.path("virtsecretd-sock-ro").exists(), "they are systemd's");
}

#[test]
fn with_a_timeout_it_ends_without_clients_if_nothing_would_be_lost() {
    let units = Units::new();
    let (mut server, mut client) = units.activate(Path::new(DONJOND), &["virtsecretd", "--timeout", "1"]);
    std::thread::sleep(LONGER);
    let kept = client.define("<secret/>").unwrap().unwrap();
    let ephemeral = client.define("<secret ephemeral='yes'/>").unwrap().unwrap();
    client.set_value(ephemeral, b"hunter2").unwrap().unwrap();
    drop(client);
    std::thread::sleep(LONGER);
    assert!(server.0.try_wait().unwrap().is_none(), "it would have lost a secret");
    let mut client = Raw::open(&units.socket()).unwrap();
    assert_eq!(client.value(ephemeral).unwrap().unwrap(), b"hunter2");
    client.undefine(ephemeral).unwrap().unwrap();
    drop(client);
    until("it ends by itself", || server.0.try_wait().unwrap().is_some());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));

    // The next client has it started again.
    let (_server, mut client) = units.activate(Path::new(DONJOND), &["virtsecretd", "--timeout", "1"]);
    assert_eq!(client.list().unwrap(), [kept]);
}

#[test]
fn a_link_with_the_name_of_libvirts_daemon_is_that_daemon() {
    let units = Units::new();
    let link = units.path("virtsecretd");
    symlink(DONJOND, &link).unwrap();
    let (mut server, client) = units.activate(&link, &["--timeout=1"]);
    drop(client);
    until("it ends by itself", || server.0.try_wait().unwrap().is_some());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    let version = Command::new(&link).arg("-V").output().unwrap();
    assert!(version.status.success() && version.stdout.starts_with(b"donjond "), "{version:?}");
}

#[test]
fn options_that_are_not_done_are_refused_by_name() {
    for (args, name) in [
        (&["--listen"][..], "--listen"),
        (&["-l"], "--listen"),
        (&["--daemon"], "--daemon"),
        (&["-d"], "--daemon"),
        (&["--pid-file", "/run/x.pid"], "--pid-file"),
        (&["-p", "/run/x.pid"], "--pid-file"),
    ] {
        let output = refused(&[&["virtsecretd"], args].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.starts_with(&format!("donjond: {name}: ")), "{args:?}: {said}");
    }
}

/// libvirt's library starts the daemon of an ordinary user itself, by its name.
#[test]
fn virsh_starts_it_for_an_ordinary_user() {
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    fs::copy(DONJOND, folder.path().join("virtsecretd")).unwrap(); // Where they may not look, they start nothing.
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let virsh = |args: &[&str]| {
        let mut command = Command::new("virsh");
        command.args(["-q", "-c", "secret:///session?mode=direct"]).args(args).stdin(Stdio::null());
        for name in ["VIRTD_PATH", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HOME"] {
            command.env(name, folder.path());
        }
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let xml = folder.path().join("secret.xml");
    fs::write(&xml, rpc::xml(rpc::id(1), "", "")).unwrap();
    let uuid = rpc::text(rpc::id(1));
    virsh(&["secret-define", xml.to_str().unwrap()]);
    let socket = folder.path().join("libvirt/virtsecretd-sock");
    let client = Raw::open(&socket).unwrap();
    let daemon = rustix::net::sockopt::socket_peercred(client.stream()).unwrap().pid;
    virsh(&["secret-set-value", &uuid, "aHVudGVyMg=="]);
    assert_eq!(virsh(&["secret-get-value", &uuid]).trim(), "aHVudGVyMg==");
    let database = fs::metadata(folder.path().join(".local/share/donjon/donjon.db")).unwrap();
    assert_eq!(database.uid(), fs::metadata(folder.path()).unwrap().uid(), "it is theirs");
    kill_process(daemon, Signal::TERM).unwrap();
    drop(client);
    until("it ends", || !socket.exists());
}
