//! Power cuts: builds a disk as a cut may leave it, and starts a server on it.
//!
//! The writes of a server under one client are recorded. A cut at some byte of the record leaves
//!
//! - of each file, everything written before its last fsync;
//! - of later writes, any of the pages, each as it was at some moment, and perhaps torn at a sector;
//! - of a file that only grows, a first part of the later writes: the length grows after the bytes, as on ext4 and btrfs;
//! - of names (created, removed, renamed), everything before the last fsync of any file, and a first part of the later
//!   ones: file systems with a journal keep names in order.
//!
//! Changes that were acknowledged before that byte must be there. The request under way may be done or not.

use std::collections::BTreeMap;
use std::path::Path;

use fastrand::Rng;

use crate::calls::{copy_folder, make_store};
use crate::control::Control;
use crate::ledger::{Ledger, State};
use crate::progress::{Progress, Tally};
use crate::server::{Server, Started, check};
use crate::workload::{Outcome, Workload};
use crate::{Options, Result};

/// Requests of a recorded run.
const STEPS: usize = 120;
/// Cuts of one recording.
const CUTS_EACH: usize = 50;
const PAGE: u64 = 4096;
const SECTOR: u64 = 512;

/// One call that changed a file or a name, or made changes durable.
#[derive(Clone, Debug)]
enum Record {
    Write { path: String, offset: u64, data: Vec<u8>, appends: bool },
    Sync { path: String },
    Length { path: String, length: u64 },
    Create { path: String },
    Unlink { path: String },
    Rename { from: String, to: String },
}

/// An acknowledged change, with the length of the record at its request and at its answer.
#[derive(Debug)]
struct Acknowledged {
    asked: u64,
    answered: u64,
    states: BTreeMap<String, Vec<State>>,
}

/// A recorded run.
struct Recording {
    before: Ledger,
    /// Each with the position of its end in the record.
    records: Vec<(u64, Record)>,
    acknowledged: Vec<Acknowledged>,
}

pub(crate) fn run(options: &Options) -> Result<Tally> {
    let cases = options.cases(500, 16);
    let mut progress = Progress::new("power", cases);
    let mut rng = Rng::with_seed(options.seed);
    while progress.tally.passed + progress.tally.failed < cases {
        let folder = tempfile::tempdir()?;
        let template = folder.path().join("template");
        let recording = record(folder.path(), &template, rng.u64(..))?;
        for _ in 0..CUTS_EACH.min(cases - progress.tally.passed - progress.tally.failed) {
            let cut = rng.usize(1..=recording.records.len());
            let seed = rng.u64(..);
            let place = folder.path().join("cut");
            copy_folder(&template, &place)?;
            let outcome = run_cut(&recording, &place, cut, seed);
            progress.add_case(&format!("cut after call {cut}, pages drawn by {seed}"), outcome);
            std::fs::remove_dir_all(&place)?;
        }
    }
    Ok(progress.tally)
}

/// Runs a server and records its writes.
fn record(folder: &Path, template: &Path, seed: u64) -> Result<Recording> {
    let before = make_store(template, seed)?;
    let place = folder.join("recorded");
    copy_folder(template, &place)?;
    let (control, log) = (Control::new(folder)?, folder.join("log"));
    let Started::Listening(server) = Server::start(&place, Some(&control), Some(&log))? else {
        return Err("it does not start".into());
    };
    let client = server.client();
    let mut workload = Workload::resume(seed, before.clone());
    let mut acknowledged = Vec::new();
    for _ in 0..STEPS {
        let (asked, earlier) = (control.logged()?, workload.ledger.clone());
        if workload.step(&client)? != Outcome::Done {
            return Err("a request is not answered although nothing is broken".into());
        }
        let changed =
            workload.ledger.secrets.iter().filter(|(id, states)| earlier.secrets.get(*id) != Some(states));
        let states = changed.map(|(id, states)| (id.clone(), states.clone())).collect();
        acknowledged.push(Acknowledged { asked, answered: control.logged()?, states });
    }
    server.stop()?;
    let records = parse(&std::fs::read(&log)?)?;
    std::fs::remove_file(&log)?;
    std::fs::remove_dir_all(&place)?;
    Ok(Recording { before, records, acknowledged })
}

/// Builds the disk after a cut, and checks a server on it.
fn run_cut(recording: &Recording, place: &Path, cut: usize, seed: u64) -> Result<()> {
    let (done, _) = recording.records.split_at(cut);
    let at = done.last().map_or(0, |(end, _)| *end);
    disk_after(done, &place.join("data"), &mut Rng::with_seed(seed))?;
    let mut ledger = recording.before.clone();
    for change in &recording.acknowledged {
        if change.answered <= at {
            ledger.secrets.extend(change.states.clone());
        } else if change.asked < at {
            for (id, states) in &change.states {
                if !ledger.secrets.contains_key(id) {
                    ledger.add_possible_state(id, None);
                }
                states.iter().for_each(|state| ledger.add_possible_state(id, state.clone()));
            }
        }
    }
    let server = Server::start_well(place)?;
    ledger.verify(&server.client())?;
    server.stop()?;
    check(place, &[])?;
    check(place, &["--audit"])
}

/// Applies to a copy of the earlier files all certain records, and some of the others.
fn disk_after(done: &[(u64, Record)], data: &Path, rng: &mut Rng) -> Result<()> {
    let last_sync = done.iter().rposition(|(_, record)| matches!(record, Record::Sync { .. })).unwrap_or(0);
    let names_until = rng.usize(last_sync..=done.len());
    // The records of a file are certain before its last sync, under its name at that time.
    let mut certain = vec![false; done.len()];
    let mut written: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, (_, record)) in done.iter().enumerate() {
        match record {
            Record::Write { path, .. } | Record::Length { path, .. } => {
                written.entry(path).or_default().push(number)
            }
            Record::Sync { path } => {
                for known in written.remove(path.as_str()).unwrap_or_default() {
                    if let Some(certain) = certain.get_mut(known) {
                        *certain = true;
                    }
                }
            }
            Record::Rename { from, to } => {
                let moved = written.remove(from.as_str()).unwrap_or_default();
                written.insert(to, moved);
            }
            Record::Unlink { path } => drop(written.remove(path.as_str())),
            Record::Create { .. } => {}
        }
    }
    let drawn = ReachedDisk::new(done, &certain, rng);
    for (number, (_, record)) in done.iter().enumerate() {
        let sure = certain.get(number).copied().unwrap_or(false);
        let named = number < names_until;
        match record {
            Record::Write { path, offset, data: bytes, appends } => {
                for (at, page) in pages(*offset, bytes) {
                    let whole = if sure {
                        page.len()
                    } else {
                        drawn.bytes_of_page(path, page_of(at, *appends), number, page.len())
                    };
                    write_at(
                        &data.join(path.trim_start_matches('/')),
                        at,
                        page.get(..whole).unwrap_or(page),
                    )?;
                    if *appends && whole < page.len() {
                        break; // Nothing follows a missing part.
                    }
                }
            }
            Record::Length { path, length } if sure || drawn.has(path, u64::MAX, number) => {
                if let Ok(file) =
                    std::fs::File::options().write(true).open(data.join(path.trim_start_matches('/')))
                {
                    file.set_len(*length)?;
                }
            }
            Record::Create { path } if named => {
                let path = data.join(path.trim_start_matches('/'));
                std::fs::File::options().create(true).append(true).open(path)?;
            }
            Record::Unlink { path } if named => {
                drop(std::fs::remove_file(data.join(path.trim_start_matches('/'))))
            }
            Record::Rename { from, to } if named => {
                let [from, to] = [from, to].map(|name| data.join(name.trim_start_matches('/')));
                drop(std::fs::rename(from, to));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The unsynced writes that reached the disk, drawn by chance. A page is written at one moment as a whole: earlier writes to
/// it are on the disk, later ones are not.
struct ReachedDisk<'a> {
    /// The number of the first record that a page, or the length of the file ([`u64::MAX`]), lacks.
    until: BTreeMap<(&'a str, u64), usize>,
    /// Whether the last write of each page is torn.
    torn: bool,
}

impl<'a> ReachedDisk<'a> {
    fn new(done: &'a [(u64, Record)], certain: &[bool], rng: &mut Rng) -> Self {
        let mut touched: BTreeMap<(&str, u64), Vec<usize>> = BTreeMap::new();
        for (number, (_, record)) in done.iter().enumerate() {
            if certain.get(number).copied().unwrap_or(false) {
                continue;
            }
            match record {
                Record::Write { path, offset, data, appends } => {
                    for (at, _) in pages(*offset, data) {
                        touched.entry((path, page_of(at, *appends))).or_default().push(number);
                    }
                }
                Record::Length { path, .. } => touched.entry((path, u64::MAX)).or_default().push(number),
                _ => {}
            }
        }
        // No page, every page, or each page by chance.
        let luck = [0.0, 1.0, 0.5, 0.9].get(rng.usize(..4)).copied().unwrap_or(0.5);
        let until = |numbers: Vec<usize>, rng: &mut Rng| {
            let kept = if rng.f64() < luck { rng.usize(1..=numbers.len()) } else { 0 };
            numbers.get(kept).copied().unwrap_or(if kept == 0 { 0 } else { usize::MAX })
        };
        let until = touched.into_iter().map(|(page, numbers)| (page, until(numbers, rng))).collect();
        Self { until, torn: rng.bool() }
    }

    fn has(&self, path: &str, page: u64, number: usize) -> bool {
        self.until.get(&(path, page)).is_some_and(|until| number < *until)
    }

    /// How many bytes of a write to a page are on the disk.
    fn bytes_of_page(&self, path: &str, page: u64, number: usize, bytes: usize) -> usize {
        match self.until.get(&(path, page)) {
            Some(until) if number < *until => bytes,
            // The disk was writing this when the power failed.
            Some(until) if number == *until && self.torn => {
                let sectors = u64::try_from(bytes).unwrap_or(0) / 2 / SECTOR;
                usize::try_from(sectors * SECTOR).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// The page of a byte. Appended bytes are drawn together with the file's length.
fn page_of(at: u64, appends: bool) -> u64 {
    if appends { u64::MAX } else { at / PAGE }
}

/// The parts of a write that lie in one page each.
fn pages(offset: u64, data: &[u8]) -> Vec<(u64, &[u8])> {
    let mut parts = Vec::new();
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let room = usize::try_from(PAGE - at % PAGE).unwrap_or(rest.len());
        let (page, behind) = rest.split_at(room.min(rest.len()));
        parts.push((at, page));
        at += page.len() as u64;
        rest = behind;
    }
    parts
}

/// Writes into a file, if its name exists.
fn write_at(path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::FileExt as _;
    match std::fs::File::options().write(true).open(path) {
        Ok(file) => Ok(file.write_all_at(bytes, offset)?),
        Err(_) => Ok(()), // Without its name the file is not on the disk.
    }
}

/// Reads the write log, which `preload.c` describes.
fn parse(mut log: &[u8]) -> Result<Vec<(u64, Record)>> {
    let mut records = Vec::new();
    let mut end = 0;
    while !log.is_empty() {
        let (what, path_bytes) = (u32::from_ne_bytes(take(&mut log)?), u32::from_ne_bytes(take(&mut log)?));
        let (offset, bytes) = (u64::from_ne_bytes(take(&mut log)?), u64::from_ne_bytes(take(&mut log)?));
        let path = String::from_utf8(slice(&mut log, u64::from(path_bytes))?.to_vec())?;
        let data = slice(&mut log, bytes)?.to_vec();
        end += 24 + u64::from(path_bytes) + bytes;
        let record = match what {
            1 | 7 => Record::Write { path, offset, data, appends: what == 7 },
            2 => Record::Sync { path },
            3 => Record::Length { path, length: offset },
            4 => Record::Create { path },
            5 => Record::Unlink { path },
            6 => Record::Rename { from: path, to: String::from_utf8(data)? },
            _ => return Err(format!("a record of kind {what}").into()),
        };
        records.push((end, record));
    }
    Ok(records)
}

fn take<const N: usize>(log: &mut &[u8]) -> Result<[u8; N]> {
    let (first, rest) = log.split_first_chunk().ok_or("the log ends within a record")?;
    *log = rest;
    Ok(*first)
}

fn slice<'a>(log: &mut &'a [u8], bytes: u64) -> Result<&'a [u8]> {
    let (first, rest) =
        log.split_at_checked(usize::try_from(bytes)?).ok_or("the log ends within a record")?;
    *log = rest;
    Ok(first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

    use super::*;

    fn write(path: &str, offset: u64, byte: u8, bytes: usize) -> Record {
        Record::Write { path: path.to_owned(), offset, data: vec![byte; bytes], appends: false }
    }

    /// The content of a file after each of many cuts behind these records, if the file exists.
    fn contents_after(records: &[Record]) -> Vec<Option<Vec<u8>>> {
        let numbered: Vec<_> = (0..).zip(records.iter().cloned()).collect();
        let once = |seed| {
            let folder = tempfile::tempdir().unwrap();
            disk_after(&numbered, folder.path(), &mut Rng::with_seed(seed)).unwrap();
            std::fs::read(folder.path().join("f")).ok()
        };
        (0..300).map(once).collect()
    }

    #[test]
    fn synced_bytes_are_always_on_the_disk_and_later_ones_sometimes() {
        let created = Record::Create { path: "/f".to_owned() };
        let synced = Record::Sync { path: "/f".to_owned() };
        let found = contents_after(&[created, write("/f", 0, 1, 4096), synced, write("/f", 0, 2, 4096)]);
        let page = |byte| Some(vec![byte; 4096]);
        assert!(found.contains(&page(1)) && found.contains(&page(2)), "either may be there");
        for bytes in found.iter().map(|bytes| bytes.as_ref().unwrap()) {
            let torn = bytes.iter().position(|byte| *byte == 1).unwrap_or(bytes.len());
            assert!(torn % 512 == 0 && bytes[torn..].iter().all(|byte| *byte == 1), "torn only at a sector");
        }
    }

    #[test]
    fn an_unsynced_file_may_be_missing_empty_or_complete() {
        let found = contents_after(&[Record::Create { path: "/f".to_owned() }, write("/f", 0, 1, 8192)]);
        for expected in [None, Some(vec![]), Some(vec![1; 8192])] {
            assert!(found.contains(&expected));
        }
        let second_page_alone = |bytes: &Vec<u8>| bytes.len() == 8192 && bytes[0] == 0 && bytes[8191] == 1;
        assert!(found.iter().flatten().any(second_page_alone), "pages reach the disk in any order");
    }

    #[test]
    fn appended_bytes_are_there_from_the_front() {
        let append = |offset, byte| Record::Write {
            path: "/f".to_owned(),
            offset,
            data: vec![byte; 5000],
            appends: true,
        };
        let created = Record::Create { path: "/f".to_owned() };
        let whole = [vec![1; 5000], vec![2; 5000]].concat();
        let found = contents_after(&[created, append(0, 1), append(5000, 2)]);
        assert!(found.iter().flatten().all(|bytes| whole.starts_with(bytes)));
        assert!(found.contains(&Some(whole[..5000].to_vec())));
    }
}
