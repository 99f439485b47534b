//! Output for people on stdout and stderr, outside the log.
//!
//! A closed pipe (`donjond check | head -1`) is not a failure, so write errors are ignored.

use std::fmt::Display;
use std::io::Write;

/// Prints one line of result on stdout.
pub(crate) fn print_line(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints one line beside the result on stderr.
pub(crate) fn print_note(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
