//! No ring of files within a crate: each file can be read and tested before the files that use it.
//!
//! An arrow goes from a file to each file of its crate that one of its `use` statements names, through the re-exports of
//! modules. Left out: the root of the crate, paths without a `use`, methods that another file implements, and tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{files_below, read};
use crate::root;

/// The crates without a ring.
const WITHOUT_RINGS: &[&str] = &["barbican", "libvirt-rpc", "store", "testkit", "transport", "virsecret"];

/// A path within a crate. That of the crate's root is empty.
type Names = Vec<String>;

/// The modules of a crate with the paths of their `use` statements.
struct Uses(BTreeMap<Names, Vec<Names>>);

impl Uses {
    fn of_crate(name: &str) -> Self {
        let source = root().join("crates").join(name).join("src");
        let modules = files_below(&source, ".rs").into_iter().map(|file| {
            let code = read(&file);
            (module_at(file.strip_prefix(&source).unwrap()), used_paths(&code))
        });
        Self(modules.filter(|(module, _)| !module.ends_with(&["tests".to_owned()])).collect())
    }

    /// The path from the root of the crate, unless it leads to another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let above = &module[..module.len() - 1];
                if rest.first().is_some_and(|name| name == "super") {
                    return self.absolute(above, rest);
                }
                Some([above, rest].concat())
            }
            _ => Some([module, path].concat()).filter(|path| self.0.contains_key(&path[..=module.len()])),
        }
    }

    /// The module that defines what a path names.
    fn defining_module(&self, path: &Names, re_exports_max: usize) -> Names {
        let length = (0..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length])).unwrap();
        let (module, rest) = path.split_at(length);
        let re_export = self.0[module].iter().find(|used| used.len() > 1 && used.last() == rest.first());
        let target = re_export.and_then(|used| self.absolute(module, used)).filter(|target| target != path);
        match target {
            Some(target) if re_exports_max > 0 => self.defining_module(&target, re_exports_max - 1),
            _ => module.to_vec(),
        }
    }

    fn arrows_from(&self, module: &Names) -> BTreeSet<Names> {
        let paths = self.0[module].iter().filter_map(|path| self.absolute(module, path));
        let targets = paths.map(|path| self.defining_module(&path, 8));
        targets.filter(|target| target != module && !target.is_empty()).collect()
    }

    /// The modules in rings, and those between two rings.
    fn rings(&self) -> BTreeSet<Names> {
        let modules = self.0.keys().filter(|module| !module.is_empty());
        let mut arrows: BTreeMap<_, _> =
            modules.map(|module| (module.clone(), self.arrows_from(module))).collect();
        loop {
            let (left, used): (BTreeSet<_>, BTreeSet<_>) =
                (arrows.keys().cloned().collect(), arrows.values().flatten().cloned().collect());
            arrows.retain(|module, targets| used.contains(module) && !targets.is_disjoint(&left));
            if arrows.len() == left.len() {
                return left;
            }
        }
    }
}

fn module_at(file: &Path) -> Names {
    let file = file.with_extension("");
    let mut names: Names = file.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    names.pop_if(|name| ["mod", "lib", "main"].contains(&name.as_str()));
    names
}

fn used_paths(text: &str) -> Vec<Names> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut paths = Vec::new();
    for line_begin in code.match_indices("use ").map(|(at, _)| at) {
        let line = code[..line_begin].rsplit('\n').next().unwrap();
        if line.is_empty() || line.starts_with("pub") {
            add_paths(code[line_begin + 4..].split(';').next().unwrap(), &[], &mut paths);
        }
    }
    paths
}

/// Adds the paths of a tree such as `a::{b, c::{d, e as f}}`.
fn add_paths(tree: &str, prefix: &[String], paths: &mut Vec<Names>) {
    let names = |text: &str| -> Names {
        text.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    };
    let Some((before, group)) = tree.split_once('{') else {
        paths.push([prefix, &names(tree.split(" as ").next().unwrap())].concat());
        return;
    };
    let prefix = [prefix, &names(before)].concat();
    let (mut depth, mut begin) = (0, 0);
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if !group[begin..at].trim().is_empty() {
                    add_paths(&group[begin..at], &prefix, paths);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn files_use_each_other_in_no_ring() {
    for name in WITHOUT_RINGS {
        let rings = Uses::of_crate(name).rings();
        assert!(rings.is_empty(), "these files of {name} use each other, or files that do: {rings:?}");
    }
}

#[test]
fn a_ring_through_a_re_export_is_found() {
    let names = |path: &str| -> Names { path.split("::").map(str::to_owned).collect() };
    let module = |path: &str, text: &str| (names(path), used_paths(text));
    let uses = Uses(BTreeMap::from([
        (vec![], vec![]),
        module("a", "use crate::b::{Second, deep::Third};\nuse std::fmt;\n"),
        module("b", "pub(crate) use deep::{\n    Second,\n};\n"),
        module(
            "b::deep",
            "use super::super::c::Fourth as Other;\n\n#[cfg(test)]\nmod tests {\nuse crate::d;\n",
        ),
        module("c", "use crate::a::First;\n"),
        module("d", "use crate::a;\n"),
    ]));
    assert_eq!(uses.arrows_from(&names("a")), BTreeSet::from([names("b::deep")]));
    assert_eq!(uses.rings(), BTreeSet::from(["a", "b::deep", "c"].map(names)));
    let mut open = uses;
    open.0.insert(names("c"), vec![]);
    assert!(open.rings().is_empty());
}
