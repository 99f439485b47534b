//! Reads the configuration file. It reports every wrong line at once, each with its place, its key and what is allowed:
//!
//! ```text
//! donjon.toml:3:1: unknown key "lissten": did you mean "listen"?; allowed: audit, audit_sync, …
//! donjon.toml:7:15: limits.connections = 0: allowed: a whole number of connections from 1 to 1000000
//! ```
//!
//! The keys are those of [`super::rows`]. They are not read through serde's derive, whose errors name neither the key
//! nor the choice.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::kinds::{FileValue, WrongValue};
use super::rows::{ROWS, SECTIONS, Settings};

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// At least one line is wrong.
    #[error("{}", joined(.0))]
    Wrong(Vec<Fault>),
}

fn joined(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}

/// One error in the file, with its place.
#[derive(Debug)]
pub(crate) struct Fault {
    file: PathBuf,
    line: usize,
    column: usize,
    problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.problem)
    }
}

/// Reads the settings in a file.
pub(crate) fn read(path: &Path) -> Result<Settings, FileError> {
    let text =
        fs::read_to_string(path).map_err(|source| FileError::Unreadable { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Reads the settings in a text; `file` is only for the errors.
pub(super) fn parse(file: &Path, text: &str) -> Result<Settings, FileError> {
    let mut reader = FileReader::default();
    match DeTable::parse(text) {
        Ok(table) => reader.top_level(table.get_ref()),
        Err(error) => {
            let message = error.message().trim_end();
            // The usual cause; the parser's message does not mention it.
            let hint = if message.starts_with("invalid") { "; text goes in \"quotes\"" } else { "" };
            let offset = error.span().unwrap_or(0..0).start;
            reader.faults.push((offset, format!("not TOML: {message}{hint}")));
        }
    }
    if reader.faults.is_empty() {
        return Ok(reader.settings);
    }
    reader.faults.sort_by_key(|(offset, _)| *offset);
    Err(FileError::Wrong(reader.faults.into_iter().map(|fault| locate(file, text, fault)).collect()))
}

fn locate(file: &Path, text: &str, (offset, problem): (usize, String)) -> Fault {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Fault { file: file.to_owned(), line, column, problem }
}

/// Walks the tables. It keeps the settings, and each error with its offset in bytes.
#[derive(Default)]
struct FileReader {
    settings: Settings,
    faults: Vec<(usize, String)>,
}

type FileKey<'a> = Spanned<Cow<'a, str>>;

impl FileReader {
    fn top_level(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !SECTIONS.iter().any(|(section, _)| !section.is_empty() && *section == name) {
                self.setting("", key, value);
                continue;
            }
            match value.get_ref().as_table() {
                Some(table) => table.iter().for_each(|(key, value)| self.setting(name, key, value)),
                None => {
                    let problem = format!("not a table; write [{name}] and the keys below it");
                    self.wrong(name, false, WrongValue::new(value, problem));
                }
            }
        }
    }

    fn setting(&mut self, section: &str, key: &FileKey<'_>, value: &FileValue<'_>) {
        let Some(row) = ROWS.iter().find(|row| row.section == section && row.key == key.get_ref().as_ref())
        else {
            return self.unknown(section, key);
        };
        if let Err(wrong) = self.settings.read(row, value) {
            self.wrong(&row.name(), row.is_secret, wrong);
        }
    }

    fn wrong(&mut self, name: &str, is_secret: bool, wrong: WrongValue) {
        let WrongValue { offset, written, problem } = wrong;
        let written = if is_secret { name.to_owned() } else { format!("{name} = {written}") };
        self.faults.push((offset, format!("{written}: {problem}")));
    }

    fn unknown(&mut self, section: &str, key: &FileKey<'_>) {
        let mut known: Vec<_> = ROWS.iter().filter(|row| row.section == section).map(|row| row.key).collect();
        let mut prefix = format!("{section}.");
        if section.is_empty() {
            known.extend(SECTIONS.iter().map(|(section, _)| *section).filter(|section| !section.is_empty()));
            known.sort_unstable();
            prefix.clear();
        }
        let (name, allowed) = (key.get_ref(), known.join(", "));
        let hint =
            closest(name, &known).map(|near| format!(": did you mean \"{near}\"?")).unwrap_or_default();
        let problem = format!("unknown key \"{prefix}{name}\"{hint}; allowed: {allowed}");
        self.faults.push((key.span().start, problem));
    }
}

/// The allowed name that was probably meant: at most a third of its characters differ.
fn closest<'a>(name: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let edits = |other: &str| strsim::levenshtein(name, other);
    allowed.iter().copied().min_by_key(|known| edits(known)).filter(|best| edits(best) * 3 <= best.len())
}
