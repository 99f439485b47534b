//! The control file of the preloaded library, which maps it while donjond runs. `preload.c` describes it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Kinds of calls, as bits.
pub(crate) const READ: u64 = 1;
pub(crate) const WRITE: u64 = 2;
pub(crate) const SYNC: u64 = 4;
pub(crate) const OPEN: u64 = 8;
pub(crate) const NAME: u64 = 16;
pub(crate) const MAP: u64 = 32;
/// Every call that can fail on a full disk.
pub(crate) const GROWS: u64 = WRITE | SYNC | NAME;
/// Every kind.
pub(crate) const ALL: u64 = READ | WRITE | SYNC | OPEN | NAME | MAP;

const CALLS: u64 = 0;
const FAIL_AT: u64 = 8;
const ERROR: u64 = 16;
const STAYS: u64 = 24;
const KINDS: u64 = 32;
const HALVE: u64 = 40;

const LOGGED: u64 = 56;
const CLOCK: u64 = 64;
const BYTES: u64 = 72;

/// A fault in one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The number of the call, from 1; 0 for no call.
    pub(crate) at: u64,
    /// The errno.
    pub(crate) error: i32,
    /// Whether later calls fail, too.
    pub(crate) stays: bool,
    /// Whether a failing write first writes one half.
    pub(crate) halve: bool,
    /// The kinds of calls that are counted.
    pub(crate) kinds: u64,
}

/// The control file, and the library beside it.
pub(crate) struct Control {
    file: File,
    pub(crate) path: PathBuf,
    pub(crate) library: PathBuf,
}

impl Control {
    /// A control file for one server in this folder. Builds the library there if it is missing.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let library = folder.join("preload.so");
        if !library.exists() {
            let source = folder.join("preload.c");
            std::fs::write(&source, include_str!("../preload.c"))?;
            let mut compiler = Command::new("gcc");
            compiler
                .args(["-O2", "-shared", "-fPIC", "-o"])
                .arg(&library)
                .arg(&source)
                .args(["-ldl", "-lpthread"]);
            if !compiler.status()?.success() {
                return Err("the preloaded library does not build".into());
            }
        }
        let path = folder.join("control");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.set_len(BYTES)?;
        Ok(Self { file, path, library })
    }

    fn set(&self, field: u64, value: u64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_ne_bytes(), field)?)
    }

    fn get(&self, field: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, field)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Sets a fault, and restarts the count.
    pub(crate) fn set_fault(&self, fault: Fault) -> Result<()> {
        self.set(FAIL_AT, 0)?;
        self.set(ERROR, u64::try_from(fault.error)?)?;
        self.set(STAYS, fault.stays.into())?;
        self.set(HALVE, fault.halve.into())?;
        self.set(CALLS, 0)?;
        self.set(KINDS, fault.kinds)?;
        self.set(FAIL_AT, fault.at)
    }

    /// Ends every fault.
    pub(crate) fn lift(&self) -> Result<()> {
        self.set(FAIL_AT, 0)
    }

    /// Calls counted since the fault was set.
    pub(crate) fn calls(&self) -> Result<u64> {
        self.get(CALLS)
    }

    /// Bytes of the write log.
    pub(crate) fn logged(&self) -> Result<u64> {
        self.get(LOGGED)
    }

    /// Puts the server's wall clock ahead by some seconds.
    pub(crate) fn set_clock(&self, ahead: i64) -> Result<()> {
        Ok(self.file.write_all_at(&ahead.to_ne_bytes(), CLOCK)?)
    }
}
