//! Rules of the house that no compiler checks, as tests.

mod rings;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root;

/// Every file of ours with this ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let folders = ["crates", "bench", "faults", "xtask", "fuzz"];
    folders.iter().flat_map(|folder| files_below(&root().join(folder), ending)).collect()
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "corpus", "artifacts", "fail", "__pycache__"].contains(&name.as_str()) {
                found.extend(files_below(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = files(".rs").into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "no header (//!) in {silent:#?}");
}

/// The two crates that have unsafe code, in the files that [`unsafe_code_is_where_the_architecture_says`] knows.
const WITH_UNSAFE_CODE: [&str; 2] = ["crates/seal", "crates/virsecret"];

#[test]
fn every_crate_has_the_lints_and_all_but_two_forbid_unsafe_code() {
    for path in files("Cargo.toml") {
        let (folder, text) = (path.parent().unwrap(), read(&path));
        if text.contains("[workspace]\n") {
            continue; // Another workspace: the fuzz targets, and a program of the bindings' tests.
        }
        assert!(text.contains("[lints]\nworkspace = true"), "{} has no lints", path.display());
        if WITH_UNSAFE_CODE.iter().any(|name| folder.ends_with(name)) {
            continue;
        }
        let roots = ["src/lib.rs", "src/main.rs"].map(|name| folder.join(name));
        for crate_root in roots.iter().filter(|crate_root| crate_root.exists()) {
            let forbids = read(crate_root).contains("#![forbid(unsafe_code)]");
            assert!(forbids, "{} does not forbid unsafe code", crate_root.display());
        }
    }
}

#[test]
fn unsafe_code_is_where_the_architecture_says() {
    for path in files(".rs") {
        let seal = ["locked.rs", "evp.rs", "wiping.rs"]
            .iter()
            .any(|name| path.ends_with(format!("crates/seal/src/{name}")));
        let allowed = seal || path.to_string_lossy().contains("crates/virsecret/src/abi/");
        let itself = path.ends_with("xtask/src/tidy.rs");
        let marks = ["unsafe {", "unsafe fn", "unsafe extern", "unsafe(no_mangle)", "unsafe impl"];
        let found = !itself && read(&path).lines().any(|line| marks.iter().any(|mark| line.contains(mark)));
        assert!(allowed || !found, "{} has unsafe code", path.display());
    }
}

#[test]
fn there_is_one_cipher_library() {
    let copies = read(&root().join("Cargo.lock")).matches("name = \"aws-lc-sys\"").count();
    assert_eq!(copies, 1, "aws-lc-sys in Cargo.toml must have the version of aws-lc-rs");
}

#[test]
fn the_fuzz_targets_lock_what_the_crates_depend_on() {
    let lock = read(&root().join("fuzz/Cargo.lock"));
    let packages: Vec<_> =
        lock.split("[[package]]").filter(|package| !package.contains("source = ")).collect();
    for path in files("Cargo.toml").into_iter().filter(|path| path.starts_with(root().join("crates"))) {
        let (folder, manifest) = (path.parent().unwrap().file_name().unwrap(), read(&path));
        let name = format!("\nname = \"{}\"\n", folder.to_str().unwrap());
        let Some(package) = packages.iter().find(|package| package.contains(&name)) else { continue };
        let needed = manifest.split("\n[").find_map(|table| table.strip_prefix("dependencies]\n")).unwrap();
        for needed in needed.lines().filter_map(|line| line.split(['.', ' ', '=']).next()) {
            assert!(
                needed.is_empty() || needed.starts_with('#') || package.contains(&format!("\n \"{needed}")),
                "fuzz/Cargo.lock: {} does not have {needed}; `cargo metadata` in fuzz brings it up to date",
                path.display()
            );
        }
    }
}

#[test]
fn the_number_of_differences_from_barbican_is_the_listed_one() {
    let document = read(&root().join("docs/barbican-differences.md"));
    let cases = document.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let listed = cases.flat_map(|row| row.split(['`', ',', ' '])).filter(|word| word.contains('.')).count();
    let mut numbers = document.split(" of ").take(3).map(|text| {
        let digits: String = text.chars().rev().take_while(char::is_ascii_digit).collect();
        digits.chars().rev().collect::<String>()
    });
    let same = numbers.find_map(|digits| digits.parse::<usize>().ok()).unwrap();
    let all = document.split_once(&format!("{same} of ")).unwrap().1.split(' ').next().unwrap();
    assert_eq!(same + listed, all.parse::<usize>().unwrap(), "{listed} cases are in the table");
}

/// Files whose matches name all that they match: dispatch, and conversions of errors.
const WITHOUT_CATCH_ALL: &[&str] = &[
    "crates/barbican/src/problem.rs",
    "crates/barbican/src/routes.rs",
    "crates/barbican/src/table.rs",
    "crates/libvirt/src/error.rs",
    "crates/libvirt/src/session/dispatch.rs",
    "crates/store/src/error.rs",
    "crates/vault/src/error.rs",
];

/// A new row or variant must not build until its arm is there.
#[test]
fn dispatch_and_error_conversions_have_no_catch_all() {
    for name in WITHOUT_CATCH_ALL {
        assert!(!read(&root().join(name)).contains("_ =>"), "{name} has a catch-all");
    }
}

/// The rules of changes hold for every database.
#[test]
fn the_rules_of_the_store_name_no_database() {
    let rules = files_below(&root().join("crates/store/src/rules"), ".rs");
    assert!(!rules.is_empty());
    for path in rules {
        let code: String = read(&path).lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for word in ["sqlite", "SELECT ", "INSERT ", "UPDATE ", "DELETE "] {
            assert!(!code.contains(word), "{} names {word}", path.display());
        }
    }
}

/// Recorded answers and databases of real servers: `tests/SHA256SUMS` has the digest of each file.
#[test]
fn recorded_data_is_complete_and_unchanged() {
    let folder = root().join("tests");
    let sums = read(&folder.join("SHA256SUMS"));
    let listed: BTreeSet<PathBuf> = sums.lines().map(|line| folder.join(line[64..].trim_start())).collect();
    let mut found = BTreeSet::new();
    for part in ["recorded", "fixtures"] {
        found.extend(files_below(&folder.join(part), "").into_iter().filter(|path| {
            let programs_and_texts = ["py", "sh", "c", "md"];
            !path.extension().is_some_and(|ending| programs_and_texts.contains(&ending.to_str().unwrap()))
        }));
    }
    let differing: Vec<_> = listed.symmetric_difference(&found).collect();
    assert!(differing.is_empty(), "missing, or not in tests/SHA256SUMS: {differing:#?}");
    let check = ["--check", "--quiet", "--strict", "SHA256SUMS"];
    let checked = Command::new("sha256sum").args(check).current_dir(&folder).output().unwrap();
    assert!(checked.status.success(), "tests/SHA256SUMS: {}", String::from_utf8_lossy(&checked.stdout));
}

/// A file outside the repository is missing in a clone.
#[test]
fn nothing_names_a_folder_beside_the_repository() {
    let outside = ["../sha", "red"].concat();
    for path in [".rs", ".py", ".sh", ".md"].iter().flat_map(|ending| files(ending)) {
        assert!(!read(&path).contains(&outside), "{} names {outside}", path.display());
    }
}

/// So that "to add, touch" and the other tables stay true when files move.
#[test]
fn files_that_the_architecture_names_exist() {
    let document = read(&root().join("ARCHITECTURE.md"));
    let is_path = |word: &&str| {
        let may_be_in_a_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        word.contains('/') && word.starts_with(char::is_alphabetic) && word.chars().all(may_be_in_a_path)
    };
    let named = document.split('`').skip(1).step_by(2).filter(is_path);
    let missing: Vec<_> = named
        .filter(|name| !root().join(name).exists() && !root().join("crates").join(name).exists())
        .collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

/// The guide's table of messages quotes them, with `…` in the place of names and numbers.
#[test]
fn messages_that_the_guide_explains_are_in_the_code() {
    const FOREIGN: &[&str] =
        &["database is locked", "invalid peer certificate", "Socket service donjond.service already active"];
    let code: String = files_below(&root().join("crates"), ".rs").iter().map(|path| read(path)).collect();
    let code = code.split("\\\n").map(str::trim_start).collect::<String>();
    let guide = read(&root().join("docs/operators-guide.md"));
    let (_, table) = guide.split_once("## When it says").unwrap();
    let messages = table.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next());
    let quoted = messages.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let unknown: Vec<_> = quoted
        .filter(|message| !FOREIGN.iter().any(|foreign| message.starts_with(foreign)))
        .flat_map(|message| message.split('…').map(|part| part.trim_matches([' ', ',', '(', ')'])))
        .filter(|part| !code.contains(part))
        .collect();
    assert!(unknown.is_empty(), "docs/operators-guide.md explains messages that nothing prints: {unknown:?}");
}

#[test]
fn every_decision_is_numbered_once() {
    let folder = root().join("docs/decisions");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let number = |name: &String| name.split_once('-').and_then(|(number, _)| number.parse::<u32>().ok());
    for pair in names.windows(2) {
        assert!(number(&pair[0]).is_some() && number(&pair[0]) < number(&pair[1]), "{pair:?}");
    }
}

#[test]
fn links_of_the_documents_lead_to_files() {
    let mut documents: Vec<PathBuf> = ["README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "CHANGELOG"]
        .map(|name| root().join(name).with_extension("md"))
        .into();
    documents.extend(std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for document in documents.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "md"))
    {
        let text = read(&document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            let foreign = link.contains("://") || path.is_empty();
            assert!(
                foreign || document.parent().unwrap().join(path).exists(),
                "{}: nothing at {link}",
                document.display()
            );
        }
    }
}
