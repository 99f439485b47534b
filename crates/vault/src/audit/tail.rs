//! Opens the file of a trail, and reads the end of the trail.
//!
//! A start needs only the end, however long the trail is. If the service ended in order, the last line is enough. If it
//! did not, lines that were not on disk yet may be broken, so more lines are verified.

use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use seal::ChainKey;

use super::note::Cut;
use super::parse::Parsed;

/// How long to wait for another process to release the file.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// The longest line that is read. The limits of ids, roles and headers keep lines far shorter.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// How many bytes are read if the service did not end in order: more than a busy server writes between two moments at
/// which it forces the trail to disk.
const TAIL_BYTES_MAX: u64 = 16 << 20;
/// The beginning of every line.
const BEGIN: &[u8] = b"{\"time\":\"";

/// The contents of the end of a trail.
#[derive(Clone, Debug, Default)]
pub struct TrailEnd {
    /// Number and link of the last line, if there is one.
    pub last: Option<(u64, [u8; 32])>,
    /// The newest change that was committed, according to the trail.
    pub committed: u64,
    /// The newest change in the trail, committed or not.
    pub given: u64,
    /// A part of a line that stands or stood after the last line.
    pub cut: Option<Cut>,
    /// The number of the last line before broken lines.
    pub damaged_after: Option<u64>,
    /// The number of lines that follow a line that was read, and the number of those with the right link.
    pub linked: (u64, u64),
}

/// Opens the file for this process alone, and creates it (mode 0600) if it is missing. The file must be regular, belong to
/// this user and have one name, so nobody can make the service cut or write another file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file =
        File::options().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path);
    let file = file.map_err(|error| match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => unfit("it is a symbolic link"),
        _ => error,
    })?;
    require_own(&file.metadata()?)?;
    let begin = Instant::now();
    while let Err(error) = file.try_lock() {
        match error {
            // A process that is ending may hold the file for another moment.
            TryLockError::WouldBlock if begin.elapsed() < LOCK_WAIT_MAX => std::thread::sleep(LOCK_RETRY),
            TryLockError::WouldBlock => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "another process writes this audit trail",
                ));
            }
            TryLockError::Error(error) => return Err(error),
        }
    }
    Ok(file)
}

fn require_own(found: &Metadata) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let kind = found.file_type();
    if kind.is_dir() || kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device()
    {
        return Err(unfit("it is no regular file"));
    }
    if found.uid() != own {
        return Err(unfit(&format!("it belongs to user {}, and this process is user {own}", found.uid())));
    }
    if found.nlink() > 1 {
        return Err(unfit("it has more than one name (hard links)"));
    }
    Ok(())
}

fn unfit(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

pub(super) fn is_same_file(file: &File, path: &Path) -> bool {
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), std::fs::metadata(path)), (Ok(a), Ok(b)) if identity(&a) == identity(&b))
}

impl TrailEnd {
    /// The end of the trail that continues in a file. If the file has no line yet, this is the end of the file that
    /// rotation made of it. `None` if there is no such file.
    pub fn read(path: &Path, key: &ChainKey) -> io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::of_rotated(path, key),
            Err(error) => return Err(error),
        };
        let (end, _) = Self::of_file(&mut file, key)?;
        match end.last {
            Some(_) => Ok(Some(end)),
            None => Ok(Some(Self { cut: end.cut, ..Self::of_rotated(path, key)?.unwrap_or_default() })),
        }
    }

    pub(super) fn of_rotated(path: &Path, key: &ChainKey) -> io::Result<Option<Self>> {
        let mut rotated = path.as_os_str().to_owned();
        rotated.push(".1");
        match File::open(PathBuf::from(rotated)) {
            Ok(mut file) => Ok(Some(Self { cut: None, ..Self::of_file(&mut file, key)?.0 })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The end of a file, and the length of its complete lines. A file that does not end in a line of a trail is refused.
    pub(super) fn of_file(file: &mut File, key: &ChainKey) -> io::Result<(Self, u64)> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut tail = tail(file, length, LINE_BYTES_MAX)?;
        if !last_line(&tail).is_some_and(|line| line.is_stop()) {
            tail = self::tail(file, length, TAIL_BYTES_MAX)?;
        }
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, torn) = tail.split_at(whole);
        let is_ours = match lines.is_empty() {
            false => last_line(lines).is_some(),
            true => tail.len() as u64 == length && may_begin_a_line(torn),
        };
        if !is_ours {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its last whole line is no line of an audit trail",
            ));
        }
        let end = length - torn.len() as u64;
        // A part of the file may begin within a line.
        let begin = match lines.len() as u64 == end {
            true => 0,
            false => lines.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        };
        let mut found = Self::of_lines(lines.get(begin..).unwrap_or_default(), key);
        found.cut = (!torn.is_empty()).then_some(Cut { at: end, bytes: torn.len() as u64 });
        Ok((found, end))
    }

    /// Reads complete lines; broken lines contribute nothing.
    fn of_lines(lines: &[u8], key: &ChainKey) -> Self {
        let mut found = Self::default();
        let mut sound = None;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = Parsed::line(line.strip_suffix(b"\n").unwrap_or(line)) else {
                found.damaged_after = found.damaged_after.or(sound);
                continue;
            };
            let fits = match found.last {
                None => true,
                Some((number, link)) => {
                    found.linked.0 += 1;
                    line.number == number + 1 && line.link == key.link(&link, line.linked)
                }
            };
            found.last = Some((line.number, line.link));
            if !fits {
                found.damaged_after = found.damaged_after.or(sound);
                continue;
            }
            found.linked.1 += u64::from(found.linked.0 > 0);
            sound = Some(line.number);
            // The number decreases if the operator accepted a loss.
            found.committed = line.committed.unwrap_or(found.committed);
            found.given = found.given.max(line.given());
        }
        found
    }
}

/// The last complete line that is not a hole: a file system may store a file's length before its contents.
fn last_line(tail: &[u8]) -> Option<Parsed<'_>> {
    let whole = tail.get(..tail.iter().rposition(|byte| *byte == b'\n')?)?;
    let mut lines = whole.rsplit(|byte| *byte == b'\n');
    let last = lines.next()?;
    match Parsed::line(last) {
        None if last.contains(&0) => lines.find_map(Parsed::line),
        line => line,
    }
}

/// Whether this can be the beginning of a first line: a part of a line, or a length without contents.
fn may_begin_a_line(torn: &[u8]) -> bool {
    let begin = BEGIN.get(..torn.len().min(BEGIN.len())).unwrap_or_default();
    torn.starts_with(begin) || torn.iter().all(|byte| *byte == 0)
}

fn tail(file: &mut File, length: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    let from = length.saturating_sub(bytes_max);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(length - from).read_to_end(&mut tail)?;
    Ok(tail)
}
