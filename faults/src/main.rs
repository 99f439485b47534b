//! Breaks disks, clocks, power and processes under donjond: `cargo xtask faults` builds and runs this.
//!
//! Each experiment runs the built donjond on a store of its own, sends requests, breaks something, and then compares the
//! store with a ledger of acknowledged changes:
//!
//! - no acknowledged change is lost or torn, no deleted secret is back, and no refused request has left a trace;
//! - answers are 2xx or 503, the server does not panic, and no signal ends it;
//! - once the fault is over the server recovers by itself, and `donjond check` finds the store sound.
//!
//! `preload.c` stands between donjond and its files. It does not see system calls made without libc.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its findings")]

mod calls;
mod client;
mod clock;
mod control;
mod full;
mod kills;
mod ledger;
mod power;
mod progress;
mod server;
mod workload;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use progress::Tally;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: cargo xtask faults [EXPERIMENT…] [--short] [--cases N] [--seed N]

EXPERIMENT, or all of them:
  calls   one call to the operating system fails with EIO, ENOSPC, EDQUOT or EROFS: once, after half of a write, or from
          then on; up to --cases of the calls of a run
  kills   kill -9 under the load of four clients, again and again on one store
  power   the writes of a run are recorded, and the disk is built as a power cut at any moment may leave it: with all
          synced writes and some pages of the others
  clock   the wall clock is set forward and back under load, to beyond the year 9999 and before 1970
  full    the file system is full: ext4 with blocks of 1 KiB, btrfs and xfs, each on a loop device; needs root, and skips
          a file system without its mkfs

  --short     few cases of each, as in the tests: about a minute
  --cases N   the number of cases of calls and power (1000, 500); kills has a tenth of it
  --seed N    repeats the draws of a run, which prints its seed at the beginning

It uses loopback and its own folders, and ends by itself.
";

/// The options of the command line.
#[derive(Clone, Copy, Debug)]
struct Options {
    short: bool,
    cases: Option<usize>,
    seed: u64,
}

impl Options {
    /// The number of cases of an experiment.
    fn cases(&self, long: usize, short: usize) -> usize {
        self.cases.unwrap_or(if self.short { short } else { long })
    }
}

/// The name and the function of an experiment.
type Experiment = (&'static str, fn(&Options) -> Result<Tally>);

const EXPERIMENTS: [Experiment; 5] = [
    ("calls", calls::run),
    ("kills", kills::run),
    ("power", power::run),
    ("clock", clock::run),
    ("full", full::run),
];

fn main() -> ExitCode {
    match run() {
        Ok(failed) => ExitCode::from(u8::from(failed)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the chosen experiments. Returns whether any case failed.
fn run() -> Result<bool> {
    let mut options = Options { short: false, cases: None, seed: fastrand::u64(..) };
    let mut named = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--short" => options.short = true,
            "--cases" => options.cases = Some(arguments.next().ok_or(USAGE)?.parse()?),
            "--seed" => options.seed = arguments.next().ok_or(USAGE)?.parse()?,
            "--help" | "-h" => {
                print!("{USAGE}");
                return Ok(false);
            }
            name if EXPERIMENTS.iter().any(|(known, _)| *known == name) => named.push(argument),
            _ => return Err(USAGE.into()),
        }
    }
    println!("seed {}", options.seed);
    let mut all = Tally::default();
    for (name, experiment) in EXPERIMENTS {
        if named.is_empty() || named.iter().any(|asked| asked == name) {
            let begin = Instant::now();
            let tally = experiment(&options)?;
            println!("{name}: {tally} in {} s", begin.elapsed().as_secs());
            all.add(tally);
        }
    }
    println!("{} passed, {} failed, {} skipped", all.passed, all.failed, all.skipped);
    Ok(all.failed > 0)
}
