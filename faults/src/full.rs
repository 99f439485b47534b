//! The file system of the store fills up, and gets room again.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::calls::check_recovery;
use crate::progress::{Progress, Tally};
use crate::server::{Server, Started, check};
use crate::workload::{Outcome, Workload};
use crate::{Options, Result};

/// File systems, the command that makes each, and the size of its disk: for btrfs and xfs the smallest possible.
const KINDS: [(&str, &[&str], u64); 3] = [
    ("ext4 with blocks of 1 KiB", &["mkfs.ext4", "-q", "-F", "-b", "1024"], 48 << 20),
    ("btrfs", &["mkfs.btrfs", "-q", "-f"], 128 << 20),
    ("xfs with blocks of 1 KiB", &["mkfs.xfs", "-q", "-f", "-b", "size=1024"], 320 << 20),
];
/// Requests until a full disk must have caused an error.
const STEPS_MAX: usize = 4000;
/// Requests to a server on a full disk.
const STEPS_FULL: usize = 60;

pub(crate) fn run(options: &Options) -> Result<Tally> {
    let mut progress = Progress::new("full", KINDS.len());
    for (name, make, bytes) in KINDS {
        let folder = tempfile::tempdir()?;
        match Disk::new(folder.path(), make, bytes) {
            Ok(disk) => progress.add_case(&name, run_disk(options, &disk)),
            Err(error) => progress.skip(&format!("{name}: {error}")),
        }
    }
    Ok(progress.tally)
}

/// Fills the disk under a server, checks, makes room, and checks again; then starts a server on a full disk.
fn run_disk(options: &Options, disk: &Disk) -> Result<()> {
    let mut server = Server::start_well(&disk.mounted)?;
    let mut workload = Workload::new(options.seed);
    for _ in 0..20 {
        workload.step(&server.client())?;
    }
    let filler = fill(&disk.mounted)?;
    let client = server.client();
    let mut refused = 0;
    for _ in 0..STEPS_MAX {
        match workload.step(&client)? {
            Outcome::Done => {}
            Outcome::Refused => refused += 1,
            Outcome::Unanswered => {
                return Err(format!("a request was not answered: {}", server.stderr()?).into());
            }
        }
        server.check_running()?;
        if refused == STEPS_FULL {
            break;
        }
    }
    if refused == 0 {
        return Err("the disk was not full".into());
    }
    if !names_full_disk(&server.stderr()?) {
        return Err(format!("the log does not say that the disk is full: {}", server.stderr()?).into());
    }
    std::fs::remove_file(&filler)?;
    check_recovery(&server, &mut workload)?;

    let filler = fill(&disk.mounted)?;
    server.kill()?;
    let again = Server::start(&disk.mounted, None, None)?;
    match again {
        Started::Refused(stderr) if names_full_disk(&stderr) => std::fs::remove_file(&filler)?,
        Started::Refused(stderr) => {
            return Err(format!("the reason for not starting is missing: {stderr}").into());
        }
        Started::Listening(server) => {
            std::fs::remove_file(&filler)?;
            check_recovery(&server, &mut workload)?;
            server.stop()?;
        }
    }
    let server = Server::start_well(&disk.mounted)?;
    workload.ledger.verify(&server.client())?;
    server.stop()?;
    check(&disk.mounted, &[])?;
    check(&disk.mounted, &["--audit"])
}

fn names_full_disk(stderr: &str) -> bool {
    ["disk is full", "No space left on device", "disk full"].iter().any(|words| stderr.contains(words))
}

/// Writes smaller and smaller blocks until the disk is full.
fn fill(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("filler");
    let mut file = File::create(&path)?;
    for bytes in [1 << 20, 1 << 16, 1 << 12, 1 << 9, 1] {
        let block = vec![0x55; bytes];
        while file.write_all(&block).is_ok() && file.sync_data().is_ok() {}
    }
    Ok(path)
}

/// A file that holds a file system, mounted through a loop device until it is dropped.
struct Disk {
    mounted: PathBuf,
}

impl Disk {
    fn new(folder: &Path, make: &[&str], bytes: u64) -> Result<Self> {
        let (image, mounted) = (folder.join("image"), folder.join("disk"));
        File::create(&image)?.set_len(bytes)?;
        std::fs::create_dir(&mounted)?;
        let (program, arguments) = make.split_first().ok_or("no program")?;
        run_quietly(Command::new(program).args(arguments).arg(&image))?;
        run_quietly(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted))?;
        Ok(Self { mounted })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run_quietly(Command::new("umount").arg("-l").arg(&self.mounted));
    }
}

/// Runs a program. A failure is an error with the last line of its output.
fn run_quietly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{name}: {}: {}", output.status, stderr.lines().last().unwrap_or_default()).into())
}
