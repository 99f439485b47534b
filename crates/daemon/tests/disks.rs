//! Full disks and an unreadable block, on real file systems in loop devices: the server answers, logs a line, and goes on.
//! Skipped with a message where no file system can be mounted.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails may panic, and one that is skipped says so"
)]

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use store::sqlite::Purpose;
use store::{SqliteStore, Store as _};
use support::{Client, PATIENCE, Server, until};

/// A file system in a file.
struct Disk {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl Disk {
    /// Makes one, unless this machine cannot.
    fn make(mkfs: &[&str], mebibytes: u64) -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap(), mounted: false };
        File::create(disk.image()).unwrap().set_len(mebibytes << 20).unwrap();
        fs::create_dir(disk.folder.path().join("mnt")).unwrap();
        let made = Command::new(mkfs[0])
            .args(&mkfs[1..])
            .arg(disk.image())
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .output();
        if !made.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: no {}", mkfs[0]);
            return None;
        }
        disk.mount()
    }

    fn mount(mut self) -> Option<Self> {
        let mount = Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path("")).output();
        match mount {
            Ok(output) if output.status.success() => {
                self.mounted = true;
                Some(self)
            }
            failed => {
                eprintln!("SKIPPED: nothing can be mounted in a loop device here: {failed:?}");
                None
            }
        }
    }

    fn unmount(&mut self) {
        if std::mem::take(&mut self.mounted) {
            let path = self.path("");
            // Whoever was killed may hold it a moment longer.
            until("it is unmounted", || {
                Command::new("umount").arg(&path).output().is_ok_and(|output| output.status.success())
            });
        }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("mnt").join(name)
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut filler = File::create(self.path("filler")).unwrap();
        for size in [1 << 20, 1 << 12, 1 << 10] {
            while filler.write_all(&vec![1; size]).and_then(|()| filler.sync_data()).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.path("filler")).unwrap();
        let _ = Command::new("sync").arg("-f").arg(self.path("")).output();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.path("")).output();
        }
    }
}

/// The database is on the disk, all else elsewhere.
fn start(data: &Path, disk: &Disk) -> Server {
    Server::start_with(data, &["--store", &format!("sqlite:{}", disk.path("donjon.db").display())])
}

fn create(client: &mut Client, payload: &str) -> support::Answer {
    client.create(&format!(r#"{{"payload": "{payload}", "payload_content_type": "text/plain"}}"#)).unwrap()
}

fn log(data: &Path) -> String {
    fs::read_to_string(data.join("stderr.txt")).unwrap()
}

fn full(mkfs: &[&str], mebibytes: u64) {
    let Some(mut disk) = Disk::make(mkfs, mebibytes) else { return };
    let data = tempfile::tempdir().unwrap();
    let mut server = start(data.path(), &disk);
    let mut client = server.connect();
    let payload = |n: usize| format!("{n}-{}", "x".repeat(9000));
    let mut kept = vec![create(&mut client, &payload(0)).id()];
    disk.fill();
    // A file system may have room for some, although it says that it is full.
    let refused = loop {
        let answer = create(&mut client, &payload(kept.len()));
        if answer.status != 201 {
            break answer;
        }
        kept.push(answer.id());
        assert!(kept.len() < 5000, "it is never full");
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("the disk of the store is full"), "{}", refused.text());
    assert!(log(data.path()).contains("the disk of the store is full"), "{}", log(data.path()));
    assert!(server.is_running());
    let read = |server: &Server, kept: &[String]| {
        let mut client = server.connect();
        for (n, id) in kept.iter().enumerate() {
            let answer = client.payload(id).unwrap();
            assert_eq!((answer.status, answer.text()), (200, payload(n)), "what was acknowledged is there");
        }
    };
    read(&server, &kept);
    // A restart makes no room and needs none.
    server.kill();
    let mut server = start(data.path(), &disk);
    read(&server, &kept);
    disk.empty();
    let begin = Instant::now();
    let mut client = server.connect();
    loop {
        let answer = create(&mut client, &payload(kept.len()));
        if answer.status == 201 {
            kept.push(answer.id());
            break;
        }
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(begin.elapsed() < PATIENCE, "there is room, and nobody had to help");
        std::thread::sleep(Duration::from_millis(100));
    }
    read(&server, &kept);
    assert!(server.is_running());
    server.terminate();
    assert!(server.wait().success());
    disk.unmount();
}

#[test]
fn a_full_ext4_of_small_blocks_is_an_answer() {
    full(&["mkfs.ext4", "-q", "-b", "1024"], 16);
}

#[test]
fn a_full_xfs_of_small_blocks_is_an_answer() {
    full(&["mkfs.xfs", "-q", "-b", "size=1024"], 320);
}

#[test]
fn a_full_btrfs_is_an_answer() {
    full(&["mkfs.btrfs", "-q"], 128);
}

/// btrfs has a checksum for each block, so a changed one is one that cannot be read.
#[test]
fn a_block_that_cannot_be_read_is_an_answer_of_that_secret_alone() {
    let Some(mut disk) = Disk::make(&["mkfs.btrfs", "-q"], 128) else { return };
    let data = tempfile::tempdir().unwrap();
    let mut server = start(data.path(), &disk);
    let mut client = server.connect();
    let ids: Vec<_> = (0..5).map(|n| create(&mut client, &format!("{n}{}", "y".repeat(9500))).id()).collect();
    server.terminate();
    assert!(server.wait().success());
    let needle = {
        let store = SqliteStore::open(&disk.path("donjon.db"), Purpose::Inspect).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(store.sealed(ids[2].parse().unwrap())).unwrap();
        let (_, sealed) = found.unwrap().payload.unwrap();
        sealed[6000..6032].to_vec() // On pages of its own, of which the row has none.
    };
    disk.unmount();
    let image = File::options().read(true).write(true).open(disk.image()).unwrap();
    let bytes = fs::read(disk.image()).unwrap();
    // The write-ahead log had it too, on blocks that are free now.
    for (place, _) in bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle) {
        image.write_all_at(&[!needle[0]], place as u64).unwrap();
    }
    image.sync_all().unwrap();
    drop(bytes);
    let Some(mut disk) = disk.mount() else { return };

    let mut server = start(data.path(), &disk);
    let mut client = server.connect();
    for _ in 0..2 {
        for (n, id) in ids.iter().enumerate() {
            let answer = client.payload(id).unwrap();
            if n == 2 {
                assert_eq!(answer.status, 503, "{} {}", answer.text(), log(data.path()));
                let text = answer.text();
                assert!(text.contains("cannot be read from the disk"), "{text} {}", log(data.path()));
            } else {
                assert_eq!((answer.status, answer.body.len()), (200, 9501));
            }
        }
        let listed = client.ask("GET", "/v1/secrets", "", b"").unwrap();
        assert_eq!(listed.status, 200);
        assert_eq!(create(&mut client, "z").status, 201);
    }
    assert!(server.is_running());
    server.terminate();
    server.wait();
    disk.unmount();
}
