//! Breaks what donjond stands on, on purpose, and looks at what is left: `cargo xtask faults` builds and runs this.
//!
//! Each experiment runs the built donjond on a store of its own, asks it over REST, breaks something, and then holds
//! the store against the ledger of what was acknowledged:
//!
//! - nothing acknowledged is lost, torn or back again, and nothing refused has left a trace;
//! - no answer but 2xx and 503, no panic, no end by a signal;
//! - when the fault is over the server goes on by itself, and `donjond check` finds the store sound.
//!
//! `preload.c` stands between donjond and its files. System calls made without libc are not seen by it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it tells what it found")]

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
usage: cargo xtask faults [WHAT…] [--short] [--cases N] [--seed N]

WHAT, all of it if nothing is named:
  calls   the n-th call to the operating system fails: EIO, ENOSPC, EDQUOT or EROFS, once or from then on, a write also
          after its first half; for every n up to the last call of a run, as far as --cases reaches
  kills   kill -9 under the load of four clients, over and over on one store
  power   a run's writes are recorded, and the disk is put together as a power cut at any moment may leave it: what was
          forced to disk is there, of the rest some pages are
  clock   the wall clock is set forward and back while requests are answered, up to beyond the year 9999
  full    the file system is full: ext4 with blocks of 1 KiB, btrfs and xfs, each on a loop device; as root, and with what
          mkfs there is

  --short     few cases of each, as in the tests: about a minute
  --cases N   cases of calls and of power (1000, 500), and a tenth of it kills
  --seed N    what is drawn by chance is drawn the same again; the seed of a run is told at its begin

It runs on loopback and in folders of its own, and ends by itself.
";

/// What was asked for.
#[derive(Clone, Copy, Debug)]
struct Options {
    short: bool,
    cases: Option<usize>,
    seed: u64,
}

impl Options {
    /// How many cases an experiment has.
    fn cases(&self, long: usize, short: usize) -> usize {
        self.cases.unwrap_or(if self.short { short } else { long })
    }
}

/// An experiment: its name, and what runs it.
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

/// Runs what is asked for. Whether anything was found.
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
