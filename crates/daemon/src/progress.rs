//! Shows the progress of long work on stderr: a bar on a terminal, elsewhere a line from time to time.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::admin::protocol::{Finding, Progress, Step};
use crate::console::{print_line, print_note};
use crate::inspect::Watch;

/// The time between two lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress on stderr and findings on stdout, until it is stopped.
#[derive(Debug)]
pub(crate) struct ProgressPrinter {
    stopped: AtomicBool,
    shown: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    /// The bar, on a terminal.
    bar: Option<ProgressBar>,
    step: Option<Step>,
    begun: Instant,
    told: Instant,
}

impl ProgressPrinter {
    /// A reporter for the person who runs the command.
    pub(crate) fn new() -> Arc<Self> {
        let bar = std::io::stderr()
            .is_terminal()
            .then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10)));
        let now = Instant::now();
        Arc::new(Self {
            stopped: AtomicBool::new(false),
            shown: Mutex::new(Shown { bar, step: None, begun: now, told: now }),
        })
    }

    /// Stops the work.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.step = None;
        if let Some(bar) = &shown.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for ProgressPrinter {
    fn progress(&self, progress: Progress) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.step != Some(progress.step) {
            shown.begin(progress.step);
        }
        shown.show(progress);
    }

    fn found(&self, finding: Finding) {
        let text = finding_text(&finding);
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match &shown.bar {
            Some(bar) => bar.suspend(|| print_line(text)),
            None => print_line(text),
        }
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }
}

impl Shown {
    fn begin(&mut self, step: Step) {
        (self.step, self.begun, self.told) = (Some(step), Instant::now(), Instant::now());
        if let Some(bar) = &self.bar {
            bar.reset();
            let style = ProgressStyle::with_template(template(step));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(name(step));
        }
    }

    fn show(&mut self, Progress { step, done, of }: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
            bar.tick();
        } else if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            print_note(format_args!("donjond: {}", progress_text(step, done, of, self.begun.elapsed())));
        }
    }
}

const fn name(step: Step) -> &'static str {
    match step {
        Step::Pages => "looking at pages and indexes",
        Step::Payloads => "opening payloads",
        Step::Copy => "copying the database",
        Step::Write => "writing the copy",
    }
}

const fn template(step: Step) -> &'static str {
    match step {
        Step::Pages => "{spinner} {msg} {elapsed}",
        Step::Payloads => "{msg} {wide_bar} {human_pos}/{human_len} {per_sec}, {eta} left",
        Step::Copy | Step::Write => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
    }
}

fn progress_text(step: Step, done: u64, of: u64, took: Duration) -> String {
    let name = name(step);
    if of == 0 {
        return format!("{name}, for {} s", took.as_secs());
    }
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let left = of.saturating_sub(done) as f64 / rate.max(0.001);
    let (unit, scale) = if step == Step::Payloads { ("", 1.0) } else { (" MB", 1e6) };
    format!(
        "{name}: {:.0} of {:.0}{unit}, {:.0}{unit} a second, about {left:.0} s left",
        done as f64 / scale,
        of as f64 / scale,
        rate / scale,
    )
}

fn finding_text(finding: &Finding) -> String {
    match &finding.secret {
        Some(id) => format!("damaged     {id}: {}", finding.why),
        None => format!("damaged     row {} of secrets: {}", finding.row, finding.why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_rate_and_time_left() {
        let ten = Duration::from_secs(10);
        assert_eq!(
            progress_text(Step::Payloads, 20_000, 100_000, ten),
            "opening payloads: 20000 of 100000, 2000 a second, about 40 s left"
        );
        assert_eq!(
            progress_text(Step::Copy, 50_000_000, 100_000_000, ten),
            "copying the database: 50 of 100 MB, 5 MB a second, about 10 s left"
        );
        assert_eq!(progress_text(Step::Pages, 0, 0, ten), "looking at pages and indexes, for 10 s");
    }

    #[test]
    fn every_template_is_valid() {
        for step in [Step::Pages, Step::Payloads, Step::Copy, Step::Write] {
            assert!(ProgressStyle::with_template(template(step)).is_ok());
        }
    }
}
