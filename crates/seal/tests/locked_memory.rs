//! Checks the memory of keys and payloads, which the kernel shows as files, without unsafe code.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use seal::{Error, Locked, MasterKey, Payload};

/// Runs one test at a time: some tests look at memory that they have given back.
static ALONE: Mutex<()> = Mutex::new(());
/// This variable is set for a child process that may lock no memory.
const NO_LOCKS: &str = "SEAL_TEST_NO_LOCKS";

fn key(byte: u8) -> Locked<32> {
    Locked::try_init(|bytes| {
        bytes.fill(byte);
        Ok::<_, Error>(())
    })
    .unwrap()
}

fn address(key: &Locked<32>) -> u64 {
    key.expose().as_ptr() as u64
}

/// The flags of the mapping that an address is in: `man proc_pid_smaps`, VmFlags.
fn flags(address: u64) -> BTreeSet<String> {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in maps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        if let Some((Ok(start), Ok(end))) =
            range.map(|(start, end)| (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16)))
        {
            inside = (start..end).contains(&address);
        } else if let (true, Some(flags)) = (inside, line.strip_prefix("VmFlags: ")) {
            return flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    panic!("no mapping of {address:x}");
}

fn read_memory(address: u64) -> [u8; 32] {
    let mut bytes = [0xFF; 32];
    File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, address).unwrap();
    bytes
}

#[test]
fn keys_are_locked_not_dumped_and_not_inherited() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let flags = flags(address(&key(1)));
    assert!(flags.contains("lo"), "locked: {flags:?}");
    assert!(flags.contains("dd"), "not dumped: {flags:?}");
    assert!(flags.contains("dc"), "not copied on fork: {flags:?}");
}

#[test]
fn a_dropped_key_is_wiped() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = key(0xA5);
    let address = address(&key);
    assert_eq!(read_memory(address), [0xA5; 32]);
    drop(key);
    assert_eq!(read_memory(address), [0; 32]);
}

/// The heap keeps its own notes at the start of a freed block, so the test looks at the middle.
#[test]
fn a_dropped_payload_is_wiped() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let middle = |bytes: &[u8]| bytes.as_ptr() as u64 + 1024;
    let plain = vec![0xA5; 2048];
    let address = middle(&plain);
    drop(plain);
    assert_eq!(read_memory(address), [0xA5; 32], "bytes that nobody wipes stay, and this test sees them");
    let payload = Payload::new(vec![0x5A; 2048]);
    let address = middle(payload.expose());
    assert_eq!(read_memory(address), [0x5A; 32]);
    drop(payload);
    assert_eq!(read_memory(address), [0; 32]);
}

#[test]
fn a_thousand_keys_are_eight_pages() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let keys: Vec<_> = (0..1_000).map(|_| key(2)).collect();
    let pages: BTreeSet<_> = keys.iter().map(|key| address(key) / 4096).collect();
    let slots: BTreeSet<_> = keys.iter().map(address).collect();
    assert_eq!(slots.len(), keys.len());
    assert!(pages.len() <= 9, "one page may have been begun before: {}", pages.len());
    drop(keys);
    let again: BTreeSet<_> = (0..1_000).map(|_| address(&key(3)) / 4096).collect();
    assert!(again.is_subset(&pages), "slots are used again");
}

/// Runs again in a child process for which the shell sets the limit to zero. The limit does not bind a privileged process.
#[test]
fn keys_work_where_memory_cannot_be_locked() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if std::env::var_os(NO_LOCKS).is_some() {
        let master = MasterKey::random().unwrap();
        assert!(master.verify(b"the first store.", &master.check_value(b"the first store.")).is_ok());
        let flags = flags(address(&key(4)));
        assert!(flags.contains("dd"), "not dumped either: {flags:?}");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let status = Command::new("sh")
        .args(["-c", r#"ulimit -l 0 && exec "$0" --exact keys_work_where_memory_cannot_be_locked"#])
        .arg(this)
        .env(NO_LOCKS, "1")
        .status()
        .unwrap();
    assert!(status.success());
}
