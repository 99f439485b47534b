//! Opens a trail's file, and reads at its end where the trail stands.
//!
//! The end is what a start needs, however long the trail is. If the service ended in order, that is the last line; if it
//! did not, lines that were not on disk yet may be broken, so more of them are verified.

use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use seal::ChainKey;

use super::note::Cut;
use super::parse::Parsed;

/// How long another process may take to let go of the file.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// The longest line read back; ids, roles and headers have limits that keep lines far below.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// What is read after an end that was not in order: more than a busy server writes between two moments in which it forces
/// the trail to disk.
const TAIL_BYTES_MAX: u64 = 16 << 20;
/// How each line of ours begins.
const BEGIN: &[u8] = b"{\"time\":\"";

/// What the end of a trail says.
#[derive(Clone, Debug, Default)]
pub struct TrailEnd {
    /// Number and link of the last line, if there is one.
    pub last: Option<(u64, [u8; 32])>,
    /// The newest change that the trail says was committed.
    pub committed: u64,
    /// The newest change that it has, committed or not.
    pub given: u64,
    /// A part of a line stands after the last one, or stood there.
    pub cut: Option<Cut>,
    /// Lines after the one with this number are broken.
    pub damaged_after: Option<u64>,
    /// Lines that follow another that was read, and how many of them have the link that they should.
    pub linked: (u64, u64),
}

/// Opens the file for this process alone, making it (mode 0600) if need be. It must be a regular file of our own, under
/// one name, so that nothing is ever cut or written that somebody planted.
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
            // A process that ends may still hold it for a moment.
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
    /// The end of a trail that may go on in a file: of that file, or, if it has no line yet, of the one that was made of it
    /// by rotation. `None` if there is no such file.
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

    /// The end of a file, and its length up to there. A file that ends in anything but a line of a trail is refused.
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
        // The first line of a part of the file may be half a line.
        let begin = match lines.len() as u64 == end {
            true => 0,
            false => lines.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        };
        let mut found = Self::of_lines(lines.get(begin..).unwrap_or_default(), key);
        found.cut = (!torn.is_empty()).then_some(Cut { at: end, bytes: torn.len() as u64 });
        Ok((found, end))
    }

    /// Of whole lines. What is broken says nothing.
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
            // It can go back, if the operator said so.
            found.committed = line.committed.unwrap_or(found.committed);
            found.given = found.given.max(line.given());
        }
        found
    }
}

/// The last whole line that is not a hole: a file system may have a length on disk before what was written there.
fn last_line(tail: &[u8]) -> Option<Parsed<'_>> {
    let whole = tail.get(..tail.iter().rposition(|byte| *byte == b'\n')?)?;
    let mut lines = whole.rsplit(|byte| *byte == b'\n');
    let last = lines.next()?;
    match Parsed::line(last) {
        None if last.contains(&0) => lines.find_map(Parsed::line),
        line => line,
    }
}

/// Whether this can be the beginning of a first line: written in part, or a length without content.
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
