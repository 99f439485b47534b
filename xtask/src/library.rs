//! Links the C library from the crate `virsecret`, with the symbols of `symbols.txt` and no others.
//!
//! ```text
//!  cargo build --profile library ──▶ libvirsecret.a ─┐
//!  symbols.txt ──▶ version script ───────────────────┴─ cc -shared ──▶ target/library/
//!                                                                        libvirsecret.so.0
//!                                                                        libvirsecret-as-libvirt.so.0
//!  symbols-qemu.txt ──▶ C, version script ───────────── cc -shared ──▶   libvirsecret-as-libvirt-qemu.so.0
//!  symbols-lxc.txt  ──▶ the same                                         libvirsecret-as-libvirt-lxc.so.0
//! ```
//!
//! The second is the same with another soname, for an installation as libvirt's: ldconfig makes links by soname, and would
//! link libvirsecret.so.0 to a libvirt.so.0 that is a link to it.
//!
//! The other two are for programs that were linked to libvirt's libraries of these names. Their functions set the last error
//! of the thread, which the second library keeps. So each function is one call of a function that only the second exports,
//! under a version of ours.
//!
//! rustc can link shared libraries, but only with its own version script, which has no versions. Programs ask for each
//! symbol with its version, so the link is made here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, cargo, root, run as execute, target};

pub(crate) const NAME: &str = "libvirsecret.so.0";
pub(crate) const STAND_IN: &str = "libvirsecret-as-libvirt.so.0";
/// The soname that programs look for that were built with libvirt.
pub(crate) const LIBVIRT: &str = "libvirt.so.0";
/// The libraries beside [`STAND_IN`], each with its symbols.
pub(crate) const BESIDE: &[SmallLibrary] = &[
    SmallLibrary {
        file: "libvirsecret-as-libvirt-qemu.so.0",
        soname: "libvirt-qemu.so.0",
        development: "libvirt-qemu.so",
        table: "symbols-qemu.txt",
        node: "LIBVIRT_QEMU_",
    },
    SmallLibrary {
        file: "libvirsecret-as-libvirt-lxc.so.0",
        soname: "libvirt-lxc.so.0",
        development: "libvirt-lxc.so",
        table: "symbols-lxc.txt",
        node: "LIBVIRT_LXC_",
    },
];
/// The beginning of the symbol versions of libvirt's library.
const NODE: &str = "LIBVIRT_";
/// The symbol version of the functions that [`STAND_IN`] exports for the libraries beside it, and the beginning of their
/// names.
const PRIVATE_NODE: &str = "VIRSECRET_PRIVATE";
const PRIVATE: &str = "virsecret_";
const USAGE: &str = "usage: cargo xtask library [--debug]";

/// The options of the linker, beside names. `nodelete`, as in libvirt: a program that calls `dlclose` must not unmap code
/// that one of its threads returns to, nor a destructor of thread-locals.
const LINK: &[&str] = &[
    "-shared",
    "-static-libgcc",
    "-Wl,--gc-sections,--as-needed,--no-undefined,--build-id,--hash-style=gnu,-O1",
    "-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete",
    "-Wl,-Bsymbolic-functions",
];
/// The libraries that Rust's standard library needs (`--print native-static-libs`): all belong to libc.
const LIBRARIES: &[&str] = &["-lpthread", "-ldl", "-lm", "-lc"];
/// The sonames of libc's libraries.
const LIBC: &[&str] = &["libc.so.", "libm.so.", "libdl.so.", "libpthread.so.", "ld-linux"];

/// A library whose functions only call [`STAND_IN`].
pub(crate) struct SmallLibrary {
    pub(crate) file: &'static str,
    pub(crate) soname: &'static str,
    /// The name of a link to it, without a version.
    pub(crate) development: &'static str,
    table: &'static str,
    node: &'static str,
}

/// The version of a symbol, after the library's own beginning: `0.10.2`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Version([u32; 3]);

impl Version {
    fn parse(text: &str, node: &str) -> Option<Self> {
        let numbers: Vec<u32> = text
            .strip_prefix(node)?
            .split('.')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()
            .ok()?;
        Some(Self(numbers.try_into().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self([major, minor, micro]) = self;
        write!(f, "{major}.{minor}.{micro}")
    }
}

/// The symbols of each version, and those for the libraries beside it.
struct Symbols {
    node: &'static str,
    versions: BTreeMap<Version, BTreeSet<String>>,
    /// The C type that each function returns, where the table names it.
    types: BTreeMap<String, &'static str>,
    private: BTreeSet<String>,
}

impl Symbols {
    fn read(path: &Path, node: &'static str) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text, node).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    fn parse(text: &str, node: &'static str) -> Result<Self> {
        let (mut versions, mut names) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeSet::new());
        let mut types = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let version = |text| Version::parse(text, node);
            let (Some(name), Some(version)) = (words.next(), words.next().and_then(version)) else {
                return Err(format!("not a name and a version: {line}").into());
            };
            if !names.insert(name) {
                return Err(format!("{name} is there twice").into());
            }
            versions.entry(version).or_default().insert(name.to_owned());
            match words.nth(1) {
                Some("int") => types.insert(name.to_owned(), "int"),
                Some("pointer") => types.insert(name.to_owned(), "void *"),
                _ => None,
            };
        }
        if versions.is_empty() {
            return Err("no symbols".into());
        }
        Ok(Self { node, versions, types, private: BTreeSet::new() })
    }

    /// The linker's version script. Each version inherits the one before.
    fn script(&self) -> String {
        let (mut script, mut before, node) = (String::new(), None, self.node);
        for (version, names) in &self.versions {
            let _ = writeln!(script, "{node}{version} {{\nglobal:");
            for name in names {
                let _ = writeln!(script, "    {name};");
            }
            match before.replace(version) {
                None => script.push_str("local:\n    *;\n};\n"),
                Some(before) => {
                    let _ = writeln!(script, "}} {node}{before};");
                }
            }
        }
        if !self.private.is_empty() {
            let _ = writeln!(script, "{PRIVATE_NODE} {{\nglobal:");
            for name in &self.private {
                let _ = writeln!(script, "    {name};");
            }
            script.push_str("};\n");
        }
        script
    }

    /// The linker's arguments that require each symbol in the archive.
    fn required(&self) -> String {
        let names = self.versions.values().flatten().chain(&self.private);
        names.fold(String::new(), |mut arguments, name| {
            let _ = writeln!(arguments, "-Wl,--require-defined={name}");
            arguments
        })
    }

    /// The symbols in the form of [`exported`].
    fn names(&self) -> BTreeSet<String> {
        let node = self.node;
        let of = |(version, names): (&Version, &BTreeSet<String>)| -> Vec<String> {
            names.iter().map(|name| format!("{name}@@{node}{version}")).collect()
        };
        let private = self.private.iter().map(|name| format!("{name}@@{PRIVATE_NODE}"));
        self.versions.iter().flat_map(of).chain(private).collect()
    }

    /// The names in [`STAND_IN`] of the functions of a library beside it.
    fn private_names(&self) -> impl Iterator<Item = String> {
        self.versions.values().flatten().map(|name| format!("{PRIVATE}{name}"))
    }

    /// The C source of a library beside [`STAND_IN`]. Each function passes only its first argument, because no other is used.
    fn source(&self) -> Result<String> {
        let mut source = String::new();
        for name in self.versions.values().flatten() {
            let kind = self.types.get(name).ok_or_else(|| format!("{name}: neither int nor pointer"))?;
            let _ = writeln!(source, "{kind} {PRIVATE}{name}(const void *first);");
            let _ = writeln!(source, "{kind} {name}(const void *first) {{ return {PRIVATE}{name}(first); }}");
        }
        Ok(source)
    }
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let debug = match arguments {
        [] => false,
        [flag] if flag == "--debug" => true,
        _ => return Err(USAGE.into()),
    };
    let root = root();
    let library = build(&root, debug)?.join(NAME);
    eprintln!(
        "{}: {} bytes, {} symbols, needs {}",
        library.display(),
        std::fs::metadata(&library)?.len(),
        exported(&library)?.len(),
        needed(&library)?.join(" ")
    );
    Ok(())
}

/// Builds all libraries. Returns their folder.
pub(crate) fn build(root: &Path, debug: bool) -> Result<PathBuf> {
    let profile = if debug { "dev" } else { "library" };
    let mut command = cargo(&["build", "--quiet", "--package", "virsecret", "--lib", "--profile", profile]);
    if !debug {
        command.env("CARGO_ENCODED_RUSTFLAGS", without_paths(root));
    }
    execute(&mut command)?;
    let archive = target(root).join(if debug { "debug" } else { profile }).join("libvirsecret.a");
    let tables = root.join("crates/virsecret");
    let mut symbols = Symbols::read(&tables.join("symbols.txt"), NODE)?;
    let folder = target(root).join("library");
    std::fs::create_dir_all(&folder)?;
    link(&archive, &symbols, &folder.join(NAME), NAME, debug)?;
    let beside = BESIDE.iter().map(|beside| Symbols::read(&tables.join(beside.table), beside.node));
    let beside: Vec<Symbols> = beside.collect::<Result<_>>()?;
    symbols.private = beside.iter().flat_map(Symbols::private_names).collect();
    let stand_in = folder.join(STAND_IN);
    link(&archive, &symbols, &stand_in, LIBVIRT, debug)?;
    for (SmallLibrary { file, soname, .. }, symbols) in BESIDE.iter().zip(&beside) {
        let source = folder.join(file).with_extension("c");
        std::fs::write(&source, symbols.source()?)?;
        let library = folder.join(file);
        link_with(&[&source, &stand_in], &["-O1", "-fPIC"], symbols, &library, soname, debug)?;
        check(&library, symbols, &[LIBVIRT])?;
    }
    symlink(NAME, &folder.join("libvirsecret.so"))?;
    Ok(folder)
}

/// Flags that keep the paths of the building machine out of the library.
fn without_paths(root: &Path) -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let [home, root] = [home, root.to_owned()].map(|path| path.display().to_string());
    format!("--remap-path-prefix={home}=cargo\x1f--remap-path-prefix={root}=donjon")
}

fn link(archive: &Path, symbols: &Symbols, library: &Path, soname: &str, debug: bool) -> Result<()> {
    link_with(&[archive], &[], symbols, library, soname, debug)?;
    check(library, symbols, &[])
}

fn link_with(
    inputs: &[&Path],
    flags: &[&str],
    symbols: &Symbols,
    library: &Path,
    soname: &str,
    debug: bool,
) -> Result<()> {
    let (script, required) = (library.with_extension("map"), library.with_extension("required"));
    std::fs::write(&script, symbols.script())?;
    std::fs::write(&required, symbols.required())?;
    let mut command = Command::new(compiler());
    command.args(LINK).args(flags).arg(format!("-Wl,-soname,{soname}"));
    command.arg(flag_with_path("-Wl,--version-script=", &script)).arg(flag_with_path("@", &required));
    if !debug {
        command.arg("-Wl,--strip-all");
    }
    command.arg("-o").arg(library).args(inputs).args(LIBRARIES);
    execute(&mut command).map_err(|error| {
        format!("{error}\nThe linker's message above names the cause: a symbol of symbols.txt that the crate does not define, or a missing cc (apt-get install gcc libc6-dev).").into()
    })
}

/// Checks the linker's result: its symbols and the libraries that it needs.
fn check(library: &Path, symbols: &Symbols, others: &[&str]) -> Result<()> {
    let (found, wanted) = (exported(library)?, symbols.names());
    let differing: Vec<_> = found.symmetric_difference(&wanted).cloned().collect();
    if !differing.is_empty() {
        return Err(format!(
            "the symbols of {} differ from symbols.txt: {}. See how `link` in xtask/src/library.rs calls the linker.",
            library.display(),
            differing.join(" ")
        )
        .into());
    }
    let foreign = |name: &String| !LIBC.iter().chain(others).any(|known| name.starts_with(known));
    match needed(library)?.into_iter().find(foreign) {
        None => Ok(()),
        Some(name) => Err(format!(
            "{} needs {name}, but may need only libc and the library that it stands beside. Find the cause with `ldd`.",
            library.display()
        )
        .into()),
    }
}

/// The symbols that a library exports, as `virInitialize@@LIBVIRT_0.1.0`.
pub(crate) fn exported(library: &Path) -> Result<BTreeSet<String>> {
    let listed = listing("nm", &["-D", "--defined-only", "--with-symbol-versions"], library)?;
    let symbol = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "A", _] => None, // This is a version, which is a symbol, too.
        [_, _, name] => Some(name.to_owned()),
        _ => None,
    };
    Ok(listed.lines().filter_map(symbol).collect())
}

/// The libraries that a library needs.
pub(crate) fn needed(library: &Path) -> Result<Vec<String>> {
    let listed = listing("readelf", &["--dynamic", "--wide"], library)?;
    let name =
        |line: &str| Some(line.split_once("(NEEDED)")?.1.split_once('[')?.1.trim_end_matches(']').to_owned());
    Ok(listed.lines().filter_map(name).collect())
}

fn listing(tool: &str, arguments: &[&str], file: &Path) -> Result<String> {
    let mut command = Command::new(tool);
    let command = command.args(arguments).arg(file).env("LC_ALL", "C");
    let output =
        command.output().map_err(|error| format!("{tool}: {error}. Run apt-get install binutils."))?;
    if !output.status.success() {
        return Err(format!("{tool} {}: {}", file.display(), String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Makes a link, and renames it into place.
pub(crate) fn symlink(to: &str, at: &Path) -> Result<()> {
    let told = |error: std::io::Error| format!("{}: {error}", at.display());
    let new = at.with_added_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error).into()),
        _ => {}
    }
    std::os::unix::fs::symlink(to, &new).and_then(|()| std::fs::rename(&new, at)).map_err(told)?;
    Ok(())
}

fn compiler() -> OsString {
    std::env::var_os("CC").unwrap_or_else(|| "cc".into())
}

/// An argument of a flag and a path.
fn flag_with_path(flag: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push(path);
    argument
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(table: &str) -> String {
        Symbols::parse(table, NODE).unwrap().script()
    }

    fn refusal(table: &str) -> String {
        Symbols::parse(table, NODE).err().unwrap().to_string()
    }

    #[test]
    fn one_version_hides_everything_else() {
        let expected = "LIBVIRT_0.1.0 {\nglobal:\n    virInitialize;\nlocal:\n    *;\n};\n";
        assert_eq!(script("virInitialize LIBVIRT_0.1.0 here\n"), expected);
    }

    #[test]
    fn versions_ascend_as_numbers_and_each_inherits_the_one_before() {
        let table = "# a comment\n\
            virC LIBVIRT_0.10.0 here\n\
            virD LIBVIRT_12.5.0 stub int domain 20 7/6\n\
            virB LIBVIRT_0.9.13 data\n\
            \n\
            virA LIBVIRT_0.9.2 stub void none 20\n\
            virE LIBVIRT_0.9.2 here\n";
        let expected = "LIBVIRT_0.9.2 {\nglobal:\n    virA;\n    virE;\nlocal:\n    *;\n};\n\
            LIBVIRT_0.9.13 {\nglobal:\n    virB;\n} LIBVIRT_0.9.2;\n\
            LIBVIRT_0.10.0 {\nglobal:\n    virC;\n} LIBVIRT_0.9.13;\n\
            LIBVIRT_12.5.0 {\nglobal:\n    virD;\n} LIBVIRT_0.10.0;\n";
        assert_eq!(script(table), expected);
    }

    #[test]
    fn each_symbol_is_required_of_the_archive() {
        let symbols = Symbols::parse("virB LIBVIRT_1.0.0 here\nvirA LIBVIRT_0.9.0 here\n", NODE).unwrap();
        assert_eq!(symbols.required(), "-Wl,--require-defined=virA\n-Wl,--require-defined=virB\n");
    }

    #[test]
    fn a_malformed_table_is_refused() {
        assert_eq!(refusal("# nothing\n"), "no symbols");
        assert_eq!(refusal("virA\n"), "not a name and a version: virA");
        assert_eq!(refusal("virA 1.0.0 here\n"), "not a name and a version: virA 1.0.0 here");
        assert_eq!(refusal("virA LIBVIRT_1.0 here\n"), "not a name and a version: virA LIBVIRT_1.0 here");
        assert_eq!(
            refusal("virA LIBVIRT_PRIVATE_9.0.0 here\n"),
            "not a name and a version: virA LIBVIRT_PRIVATE_9.0.0 here"
        );
        assert_eq!(refusal("virA LIBVIRT_1.0.0\nvirA LIBVIRT_1.1.0\n"), "virA is there twice");
    }

    #[test]
    fn a_library_beside_it_calls_what_the_stand_in_exports_for_it() {
        let table = "virQ LIBVIRT_QEMU_0.8.3 stub int domain 0 7/6\nvirR LIBVIRT_QEMU_1.2.3 stub pointer connect 0 6\n";
        let beside = Symbols::parse(table, "LIBVIRT_QEMU_").unwrap();
        assert_eq!(
            beside.source().unwrap(),
            "int virsecret_virQ(const void *first);\n\
             int virQ(const void *first) { return virsecret_virQ(first); }\n\
             void * virsecret_virR(const void *first);\n\
             void * virR(const void *first) { return virsecret_virR(first); }\n"
        );
        let mut symbols = Symbols::parse("virA LIBVIRT_0.9.0 here\n", NODE).unwrap();
        symbols.private = beside.private_names().collect();
        assert_eq!(
            symbols.script(),
            "LIBVIRT_0.9.0 {\nglobal:\n    virA;\nlocal:\n    *;\n};\n\
             VIRSECRET_PRIVATE {\nglobal:\n    virsecret_virQ;\n    virsecret_virR;\n};\n"
        );
        assert!(symbols.names().contains("virsecret_virQ@@VIRSECRET_PRIVATE"));
        assert!(symbols.required().contains("--require-defined=virsecret_virR\n"));
    }

    #[test]
    fn the_table_is_the_public_api_of_libvirt_12_8() {
        let symbols = Symbols::read(&root().join("crates/virsecret/symbols.txt"), NODE).unwrap();
        assert_eq!(symbols.names().len(), 526);
        assert_eq!(symbols.versions.len(), 104);
        assert!(symbols.names().contains("virSecretGetValue@@LIBVIRT_0.7.1"));
        assert_eq!(symbols.versions.keys().next(), Some(&Version([0, 0, 3])));
        assert_eq!(symbols.versions.keys().next_back(), Some(&Version([12, 5, 0])));
    }
}
