//! The documents that come from the rows: `packaging/donjon.toml` and the tables of the operator's guide.
//!
//! The tests fail where a document differs from the rows; `cargo xtask settings` rewrites it.

use expect_test::expect_file;

use super::rows::{ROWS, SECTIONS};
use super::table::{DefaultValue, Row};

/// The longest line of the packaged file.
const COLUMNS: usize = 110;

#[test]
fn the_packaged_file_has_every_row() {
    expect_file!["../../../../packaging/donjon.toml"].assert_eq(&packaged_file());
}

#[test]
fn the_tables_of_the_guide_have_every_row() {
    let guide = include_str!("../../../../docs/operators-guide.md");
    let mut text = guide.to_owned();
    for (section, _) in SECTIONS {
        let begin = format!("<!-- settings: {} -->\n", if section.is_empty() { "general" } else { section });
        let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("the guide lacks {begin}"));
        let (_, after) = rest.split_once("<!-- end of settings -->").expect("the end of a table");
        text = format!("{before}{begin}{}<!-- end of settings -->{after}", guide_table(section));
    }
    expect_file!["../../../../docs/operators-guide.md"].assert_eq(&text);
}

pub(super) fn packaged_file() -> String {
    let mut text = comment(
        "Configuration of donjond. Every line with \"#:\" is the default of a server that root starts, and of the packaged \
         service; an ordinary user's server has its data in $XDG_DATA_HOME/donjon and its socket in \
         $XDG_RUNTIME_DIR/donjon. Remove \"#: \" to change one. Every line with \"#-\" is an example of a key that has no \
         default. Each key outside of tables is also a flag of `donjond serve` (data_dir is --data-dir), and the flag \
         wins. The operator's guide: /usr/share/doc/donjon/operators-guide.md",
    );
    for (section, sentence) in SECTIONS {
        if !section.is_empty() {
            text += &format!("\n{}#: [{section}]\n", comment(sentence));
        }
        for row in ROWS.iter().filter(|row| row.section == section) {
            let line = match row.default {
                DefaultValue::Fixed(value) | DefaultValue::Computed { packaged: value, .. } => {
                    format!("#: {} = {value}\n", row.key)
                }
                DefaultValue::Absent { example, .. } => format!("#- {} = {example}\n", row.key),
            };
            let default = match row.default {
                DefaultValue::Absent { words, .. } => format!(" Default: {words}."),
                DefaultValue::Fixed(_) | DefaultValue::Computed { .. } => String::new(),
            };
            let guide = match row.guide {
                "" => String::new(),
                page => format!(" See \"{page}\" in the guide."),
            };
            text += &format!("\n{}{line}", comment(&format!("{}{default}{guide}", sentences(row))));
        }
    }
    text
}

fn guide_table(section: &str) -> String {
    let mut text = match section {
        "" => "| flag of `serve` | key | what it does | default |\n|---|---|---|---|\n".to_owned(),
        _ => format!("| key of `[{section}]` | what it does | default |\n|---|---|---|\n"),
    };
    for row in ROWS.iter().filter(|row| row.section == section) {
        let flag = row.flag.as_ref().map(|flag| {
            let value = if flag.value == "BOOL" { String::new() } else { format!(" {}", flag.value) };
            format!("| `--{}{value}` ", row.key.replace('_', "-"))
        });
        let guide = match row.guide {
            "" => String::new(),
            page => format!(" See [{page}](#{}).", page.to_lowercase().replace(' ', "-").replace(':', "")),
        };
        let (flag, sentences, default) = (flag.unwrap_or_default(), sentences(row), row.default_in_words());
        text += &format!("{flag}| `{}` | {sentences}{guide} | {default} |\n", row.key);
    }
    text
}

/// What the row says, as sentences.
fn sentences(row: &Row) -> String {
    let allowed = match (row.allowed)() {
        allowed if allowed.is_empty() => allowed,
        allowed => format!(" ({})", allowed.trim_end()),
    };
    let more = if row.more.is_empty() { String::new() } else { format!(" {}", row.more) };
    let reloads = if row.reloads { " SIGHUP reads it again." } else { "" };
    format!("{}{allowed}.{more}{reloads}", row.help)
}

/// A text as lines of comment.
fn comment(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), "#".to_owned());
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines += &format!("{line}\n");
            "#".clone_into(&mut line);
        }
        line += &format!(" {word}");
    }
    lines + &line + "\n"
}
