//! The progress and the findings of an experiment.

use std::fmt;
use std::time::{Duration, Instant};

/// The interval of lines about the progress.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Findings that are printed; more are only counted.
const TOLD_MAX: usize = 20;

/// The number of cases by outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The cases of one experiment.
pub(crate) struct Progress {
    name: &'static str,
    of: usize,
    begin: Instant,
    last_line: Instant,
    pub(crate) tally: Tally,
}

impl Progress {
    pub(crate) fn new(name: &'static str, of: usize) -> Self {
        let now = Instant::now();
        Self { name, of, begin: now, last_line: now, tally: Tally::default() }
    }

    /// Counts a case, and prints a failure.
    pub(crate) fn add_case(&mut self, case: &dyn fmt::Display, outcome: crate::Result<()>) {
        match outcome {
            Ok(()) => self.tally.passed += 1,
            Err(error) => {
                self.tally.failed += 1;
                if self.tally.failed <= TOLD_MAX {
                    println!("{} FAILED: {case}: {error}", self.name);
                }
            }
        }
        if self.last_line.elapsed() > LINE_INTERVAL {
            self.last_line = Instant::now();
            let done = self.tally.passed + self.tally.failed;
            let left = self.begin.elapsed() * u32::try_from(self.of.saturating_sub(done)).unwrap_or(u32::MAX)
                / u32::try_from(done.max(1)).unwrap_or(u32::MAX);
            eprintln!("{}: {done} of {}, about {} s left", self.name, self.of, left.as_secs());
        }
    }

    /// Counts a case that cannot run here, and prints the reason.
    pub(crate) fn skip(&mut self, why: &str) {
        self.tally.skipped += 1;
        println!("{} skipped: {why}", self.name);
    }
}
