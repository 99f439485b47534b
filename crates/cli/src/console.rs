//! Output for people on stdout and stderr.
//!
//! If the reader of stdout has ended (`donjon events | head -1`), the program ends too, without a message. Errors of stderr
//! are ignored.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::error::Error;

/// Prints one line of the result on stdout at once.
pub(crate) fn say(line: impl Display) -> Result<(), Error> {
    writeln!(io::stdout().lock(), "{line}").map_err(Error::Output)
}

/// Prints one line on stderr.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints a question on stderr. The answer comes on the same line.
pub(crate) fn prompt(text: &str) {
    let _ = write!(io::stderr().lock(), "{text}");
}

/// Whether stdout is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes a value to stdout, without the buffer of the standard library, which is not wiped.
pub(crate) fn write_value(value: &[u8]) -> Result<(), Error> {
    let unbuffered = || Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    unbuffered().and_then(|mut stdout: File| stdout.write_all(value)).map_err(Error::Output)
}

/// A foreign text for one line or one cell. Control characters are escaped, so that a terminal does not obey them.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.chars().map(escaped).collect::<String>().into()
    } else {
        text.into()
    }
}

/// The same for a text of several lines.
pub(crate) fn lines(text: &str) -> String {
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn escaped(character: char) -> String {
    if character.is_control() { character.escape_default().collect() } else { character.into() }
}

/// Rows below their headings. Each column is as wide as its widest cell.
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
    fn control_characters_are_escaped() {
        assert_eq!(line("plain ä"), "plain ä");
        assert_eq!(line("\x1b[31mred\n\u{9b}"), "\\u{1b}[31mred\\n\\u{9b}");
        assert_eq!(lines("one\ntwo\x07"), "one\ntwo\\u{7}");
    }
}
