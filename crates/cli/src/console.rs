//! What the program says to people on stdout and stderr.
//!
//! A reader of stdout that has gone away (`donjon events | head -1`) ends the program, quietly. What is lost on stderr is
//! lost.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::error::Error;

/// One line of result, on stdout, at once.
pub(crate) fn say(line: impl Display) -> Result<(), Error> {
    writeln!(io::stdout().lock(), "{line}").map_err(Error::Output)
}

/// One line beside the result, on stderr.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Something to be answered on the same line, on stderr.
pub(crate) fn prompt(text: &str) {
    let _ = write!(io::stderr().lock(), "{text}");
}

/// Whether people read the result as it comes.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A value, on stdout. Past the buffer of the standard library, which nobody wipes.
pub(crate) fn write_value(value: &[u8]) -> Result<(), Error> {
    let unbuffered = || Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    unbuffered().and_then(|mut stdout: File| stdout.write_all(value)).map_err(Error::Output)
}

/// A text from elsewhere, for one line or one cell: what would command the terminal is spelled out.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.chars().map(spelled).collect::<String>().into()
    } else {
        text.into()
    }
}

/// The same for a text of several lines.
pub(crate) fn lines(text: &str) -> String {
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn spelled(character: char) -> String {
    if character.is_control() { character.escape_default().collect() } else { character.into() }
}

/// Rows below their headings, as wide as the widest of each column.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let mut widths = headings.map(width);
    for row in rows {
        widths.iter_mut().zip(row).for_each(|(widest, cell)| *widest = (*widest).max(width(cell)));
    }
    let row = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, wide)| format!("{cell:wide$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let body = rows.iter().map(|cells| row(cells.each_ref().map(String::as_str)));
    [row(headings)].into_iter().chain(body).collect()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "ceph:ä"], ["longer", ""]].map(|row| row.map(str::to_owned));
        expect_test::expect![[r#"
            ID      USAGE
            a       ceph:ä
            longer"#]]
        .assert_eq(&table(["ID", "USAGE"], &rows).join("\n"));
    }

    #[test]
    fn what_would_command_a_terminal_is_spelled_out() {
        assert_eq!(line("plain ä"), "plain ä");
        assert_eq!(line("\x1b[31mred\n\u{9b}"), "\\u{1b}[31mred\\n\\u{9b}");
        assert_eq!(lines("one\ntwo\x07"), "one\ntwo\\u{7}");
    }
}
