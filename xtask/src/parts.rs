//! The time of each part of a long command.

use std::time::{Duration, Instant};

/// The parts so far.
#[derive(Debug, Default)]
pub(crate) struct Parts(Vec<(&'static str, Duration)>);

/// A part that has begun.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    begin: Instant,
}

impl Parts {
    pub(crate) fn begin(&self, name: &'static str) -> Part {
        Part { name, begin: Instant::now() }
    }

    pub(crate) fn end(&mut self, part: Part) {
        self.0.push((part.name, part.begin.elapsed()));
    }

    /// Prints the time of each finished part, and the sum.
    pub(crate) fn print(&self) {
        eprintln!("\nseconds  part");
        for (name, took) in &self.0 {
            eprintln!("{:>7}  {name}", took.as_secs());
        }
        let all: Duration = self.0.iter().map(|(_, took)| *took).sum();
        eprintln!("{:>7}  all finished parts", all.as_secs());
    }
}
