//! The file system that the store is on is full, and is not any more.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::calls::goes_on;
use crate::progress::{Progress, Tally};
use crate::server::{Server, Started, check};
use crate::workload::{Outcome, Workload};
use crate::{Options, Result};

/// File systems, how each is made, and bytes of its disk. btrfs and xfs have none smaller.
const KINDS: [(&str, &[&str], u64); 3] = [
    ("ext4 with blocks of 1 KiB", &["mkfs.ext4", "-q", "-F", "-b", "1024"], 48 << 20),
    ("btrfs", &["mkfs.btrfs", "-q", "-f"], 128 << 20),
    ("xfs with blocks of 1 KiB", &["mkfs.xfs", "-q", "-f", "-b", "size=1024"], 320 << 20),
];
/// Requests until a full disk must have shown.
const STEPS_MAX: usize = 4000;
/// Requests to a server on a full disk.
const STEPS_FULL: usize = 60;

pub(crate) fn run(options: &Options) -> Result<Tally> {
    let mut progress = Progress::new("full", KINDS.len());
    for (name, make, bytes) in KINDS {
        let folder = tempfile::tempdir()?;
        match Disk::new(folder.path(), make, bytes) {
            Ok(disk) => progress.case(&name, one(options, &disk)),
            Err(error) => progress.skip(&format!("{name}: {error}")),
        }
    }
    Ok(progress.tally)
}

/// Fills the disk under a server, looks, makes room, and looks again; and once more with a start on the full disk.
fn one(options: &Options, disk: &Disk) -> Result<()> {
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
                return Err(format!("a request was not answered: {}", server.told()?).into());
            }
        }
        server.is_well()?;
        if refused == STEPS_FULL {
            break;
        }
    }
    if refused == 0 {
        return Err("the disk was not full".into());
    }
    if !said_full(&server.told()?) {
        return Err(format!("the log does not say that the disk is full: {}", server.told()?).into());
    }
    std::fs::remove_file(&filler)?;
    goes_on(&server, &mut workload)?;

    let filler = fill(&disk.mounted)?;
    server.kill()?;
    let again = Server::start(&disk.mounted, None, None)?;
    match again {
        Started::Refused(told) if said_full(&told) => std::fs::remove_file(&filler)?,
        Started::Refused(told) => return Err(format!("it does not say why it does not start: {told}").into()),
        Started::Listening(server) => {
            std::fs::remove_file(&filler)?;
            goes_on(&server, &mut workload)?;
            server.stop()?;
        }
    }
    let server = Server::start_well(&disk.mounted)?;
    workload.ledger.verify(&server.client())?;
    server.stop()?;
    check(&disk.mounted, &[])?;
    check(&disk.mounted, &["--audit"])
}

fn said_full(told: &str) -> bool {
    ["disk is full", "No space left on device", "disk full"].iter().any(|words| told.contains(words))
}

/// Writes until there is no room, in blocks that get smaller.
fn fill(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("filler");
    let mut file = File::create(&path)?;
    for bytes in [1 << 20, 1 << 16, 1 << 12, 1 << 9, 1] {
        let block = vec![0x55; bytes];
        while file.write_all(&block).is_ok() && file.sync_data().is_ok() {}
    }
    Ok(path)
}

/// A file with a file system in it, mounted through a loop device until it is dropped.
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

/// Runs a program; anything but success is an error with the last line that it said.
fn run_quietly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{name}: {}: {}", output.status, told.lines().last().unwrap_or_default()).into())
}
