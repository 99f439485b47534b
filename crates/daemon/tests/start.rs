//! A start with too few resources: an error names the missing resource, the exit code is 1, and there is no panic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use support::{DONJOND, PATIENCE};

/// Users without processes, one for each test: the limit of threads counts all threads of a user, and root has no limit.
static NOBODY: AtomicU32 = AtomicU32::new(64_321);

/// A folder of the server's user, with the program in it.
struct Place {
    folder: tempfile::TempDir,
    program: PathBuf,
    user: u32,
    number: std::cell::Cell<usize>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let program = folder.path().join("donjond");
        std::fs::copy(DONJOND, &program).unwrap();
        Self { folder, program, user: NOBODY.fetch_add(1, Ordering::Relaxed), number: 0.into() }
    }

    /// Starts a server under a limit. Returns `None` if it serves, or else its exit code and output.
    fn start(&self, limit: &str) -> Option<(Option<i32>, String)> {
        self.number.set(self.number.get() + 1);
        let data = self.folder.path().join(self.number.get().to_string());
        let is_root = rustix::process::geteuid().is_root();
        let mut command = Command::new(if is_root { "setpriv" } else { "prlimit" });
        if is_root {
            let user = self.user.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "prlimit"]);
        }
        let told = self.folder.path().join("told.txt");
        let mut child = command
            .arg(limit)
            .arg(&self.program)
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .arg("--libvirt-socket")
            .arg(data.with_extension("sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&told).unwrap())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        let said = |path: &Path| std::fs::read_to_string(path).unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Some((status.code(), said(&told)));
            }
            if said(&told).contains("is ready") {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            assert!(begin.elapsed() < PATIENCE, "{limit}: {}", said(&told));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Raises the limit until the server starts. Each failure must name the missing resource.
    #[track_caller]
    fn climb(&self, limits: impl Iterator<Item = String>, says: &[&str]) {
        for (refused, limit) in limits.enumerate() {
            let Some((code, said)) = self.start(&limit) else {
                assert!(refused > 0, "{limit} is enough");
                return;
            };
            assert_eq!(code, Some(1), "{limit}: {said}");
            assert!(says.iter().any(|text| said.contains(text)), "{limit}: {said}");
            assert!(!said.contains("panic") && !said.contains("that owns"), "{limit}: {said}");
        }
        panic!("it never served");
    }
}

/// Files that others can change are refused, and files that they can read are reported.
#[test]
fn files_that_others_can_change_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = support::Server::start(&{
        std::fs::create_dir(&data).unwrap();
        data.clone()
    });
    server.terminate();
    server.wait();
    let run = |command: &str| {
        let mut donjond = Command::new(DONJOND);
        donjond.arg(command).arg("--data-dir").arg(&data);
        if command == "serve" {
            donjond.args(["--listen", "127.0.0.1:0", "--metrics-listen", "off"]);
            donjond.arg("--libvirt-socket").arg(data.join("virtsecretd-sock"));
        }
        let output = donjond.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, wrong, right) in [("", 0o777, 0o700), ("donjon.db", 0o666, 0o600), ("audit.log", 0o602, 0o600)]
    {
        let path = if name.is_empty() { data.clone() } else { data.join(name) };
        mode(&path, wrong);
        for command in ["serve", "check"] {
            let (code, said) = run(command);
            assert_eq!(code, Some(1), "{command} {name}: {said}");
            assert!(
                said.contains(&format!("{} is not used", path.display())) && said.contains("chmod"),
                "{said}"
            );
        }
        mode(&path, right);
    }
    let token = data.join("common/system.token");
    mode(&token, 0o606);
    let (code, said) = run("serve");
    assert!(code == Some(1) && said.contains("system.token is not used"), "{said}");
    mode(&token, 0o600);
    if rustix::process::geteuid().is_root() {
        for (path, commands) in [(data.join("master.key"), &["serve", "check"][..]), (token, &["serve"])] {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            for command in commands {
                let (code, said) = run(command);
                assert_eq!(code, Some(1), "{command}: {said}");
                assert!(said.contains("it belongs to user 65534"), "{said}");
            }
            std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        }
    }
    mode(&data.join("donjon.db"), 0o604);
    let output = Command::new(DONJOND).args(["check", "--data-dir"]).arg(&data).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("warning     everybody on this machine can read")
    );
    support::Server::start(&data);
    let log = std::fs::read_to_string(data.join("stderr.txt")).unwrap();
    assert!(log.contains("everybody on this machine can read"), "{log}");
}

#[test]
fn a_low_limit_of_open_files_is_reported() {
    let limits = (12..=40).step_by(4).chain((64..4096).step_by(64)).map(|files| format!("--nofile={files}"));
    Place::new().climb(limits, &["the limit of open files is "]);
}

#[test]
fn a_low_limit_of_threads_is_reported() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: only root runs a server as a user with no other processes");
    }
    let limits = (1..4096).map(|threads| format!("--nproc={threads}"));
    Place::new().climb(limits, &["threads that starting takes", "limits of the service"]);
}

#[test]
fn a_low_limit_of_memory_is_reported() {
    let place = Place::new();
    let mut last = None;
    for megabytes in (16..400).step_by(4) {
        match place.start(&format!("--as={megabytes}000000")) {
            None => break,
            refused => last = refused,
        }
    }
    // With still less the program itself cannot be mapped, and nobody is there to say anything.
    let (code, said) = last.unwrap();
    assert_eq!(code, Some(1), "{said}");
    let says = ["of memory that starting takes", "threads that starting takes"];
    assert!(says.iter().any(|text| said.contains(text)), "{said}");
}
