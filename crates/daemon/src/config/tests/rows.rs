//! Every row is a key of the file, every row of the top level a flag, and the documents show only what is allowed.

use std::path::Path;

use clap::{Args as _, Command};

use super::load;
use crate::config::documents::packaged_file;
use crate::config::rows::{ROWS, SECTIONS};
use crate::config::table::{DefaultValue, Flags, Row, SERVE};
use crate::config::{Config, ConfigError, Settings, file};

/// The value that documents show for a row: its default, or an example.
fn shown_value(row: &Row) -> &'static str {
    match row.default {
        DefaultValue::Fixed(value) => value,
        DefaultValue::Computed { packaged, .. } => packaged,
        DefaultValue::Absent { example, .. } => example,
    }
}

#[test]
fn the_value_that_documents_show_for_a_row_is_allowed() {
    for row in ROWS {
        let table = if row.section.is_empty() { String::new() } else { format!("[{}]\n", row.section) };
        let settings = file::parse(Path::new("f"), &format!("{table}{} = {}", row.key, shown_value(row)));
        assert_ne!(settings.unwrap(), Settings::default(), "{}", row.name());
    }
}

#[test]
fn every_row_of_the_top_level_is_a_flag_whose_help_says_what_it_does() {
    let mut command = Flags::<SERVE>::augment_args(Command::new("serve"));
    let help = command.render_long_help().to_string();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    for row in ROWS {
        let flag = format!("--{} ", row.key.replace('_', "-"));
        let is_flag = help.contains(&flag) || help.contains(&format!("--{}[", row.key.replace('_', "-")));
        assert_eq!(is_flag, row.section.is_empty(), "{flag}");
        assert!(!is_flag || words(&help).contains(&words(row.help)), "{flag}");
    }
}

#[test]
fn a_flag_is_read_as_its_key_is() {
    let parse = |args: &[&str]| {
        let command = Flags::<SERVE>::augment_args(Command::new("serve").no_binary_name(true));
        Settings::of_flags(&command.try_get_matches_from(args).unwrap())
    };
    for row in ROWS.iter().filter(|row| row.section.is_empty()) {
        let value = shown_value(row).trim_matches(['"', '[', ']']);
        if !value.is_empty() {
            let flag = format!("--{}={value}", row.key.replace('_', "-"));
            let file = file::parse(Path::new("f"), &format!("{} = {}", row.key, shown_value(row))).unwrap();
            assert_eq!(parse(&[&flag]), file, "{flag}");
        }
    }
    let hosts = parse(&["--hosts", "a,b", "--hosts", "c", "--insecure-listen"]);
    assert_eq!(
        hosts,
        file::parse(Path::new("f"), "hosts = [\"a\", \"b\", \"c\"]\ninsecure_listen = true").unwrap()
    );
}

/// The packaged file, with lines that begin so without it.
fn uncommented(marks: &[&str]) -> Result<Config, ConfigError> {
    let plain = |line: &str| marks.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line).to_owned();
    load(&packaged_file().lines().map(|line| plain(line) + "\n").collect::<String>())
}

#[test]
fn the_packaged_file_has_the_defaults() {
    let mut defaults = load("").unwrap();
    let derived = &mut defaults.derived;
    (derived.is_libvirt_socket_chosen, derived.is_admin_socket_chosen) = (true, true); // By the file that names them.
    assert_eq!(uncommented(&["#: "]).unwrap(), defaults);
}

#[test]
fn every_line_of_the_packaged_file_is_allowed() {
    let all = uncommented(&["#: ", "#- "]).unwrap();
    let examples = all.differing(&load("").unwrap()).map(|row| row.default.is_value()).collect::<Vec<_>>();
    assert_eq!(examples, [false].repeat(ROWS.iter().filter(|row| !row.default.is_value()).count()));
}

#[test]
fn every_row_belongs_to_a_known_table() {
    assert!(ROWS.iter().all(|row| SECTIONS.iter().any(|(section, _)| *section == row.section)));
}
