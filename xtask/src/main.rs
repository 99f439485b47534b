//! The project's commands: `cargo xtask test`, `tidy`, `fuzz`, `faults`, `bench`, `library`, `install`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "it prints its commands")]

mod fuzz;
mod install;
mod installation;
mod library;
mod parts;
mod qemu;
#[cfg(test)]
mod tidy;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use parts::Parts;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test            all checks: format, lints, the arrows of deny.toml, all tests with real clients, short runs of the
                  faults and of every fuzz target, with the time of each. Installs missing programs (apt, pip, cargo)
  tidy            the rules of the house that no compiler checks, a part of `test`
  settings        rewrites what the rows of the settings say: packaging/donjon.toml, tables in docs/operators-guide.md
  fuzz [SECONDS] [TARGET…]
                  runs the fuzz targets, each for some seconds (600)
  faults [EXPERIMENT…]
                  breaks disks, clocks, power and processes under donjond: see `cargo xtask faults --help`
  bench [MEASUREMENT…]
                  measures Donjon beside its peers: see `cargo xtask bench --help`
  library [--debug]
                  links the C library: target/library/libvirsecret.so.0
  install [--prefix DIR] [--libdir DIR] [--includedir DIR] [--destdir DIR] [--as-libvirt] [--debug]
                  builds and installs the C library with headers and pkg-config files below a prefix (/usr/local);
                  with --as-libvirt also under libvirt's names
";

/// How long each fuzz target runs in the tests.
const SMOKE_SECONDS: u64 = 5;

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    match command.as_deref() {
        Some("test") => test(),
        Some("tidy") => run(&mut cargo(&["test", "--quiet", "--package", "xtask", "tidy::"])),
        Some("settings") => settings(),
        Some("fuzz") => fuzz::run(&rest),
        Some("faults") => faults(&rest),
        Some("bench") => bench(&rest),
        Some("library") => library::run(&rest),
        Some("install") => installation::run(&rest),
        Some("help" | "--help" | "-h") => {
            eprint!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

/// The tests that compare the documents with the rows rewrite them too.
fn settings() -> Result<()> {
    let mut tests = cargo(&["test", "--quiet", "--package", "daemon", "config::documents"]);
    run(tests.env("UPDATE_EXPECT", "1"))
}

fn test() -> Result<()> {
    let mut parts = Parts::default();
    let outcome = test_each(&mut parts);
    parts.print();
    outcome
}

fn test_each(parts: &mut Parts) -> Result<()> {
    let root = root();
    let install = parts.begin("install");
    install::program("c++", "g++")?; // libFuzzer is C++.
    let clients = install::clients(&root)?;
    std::thread::scope(|scope| {
        // This mostly waits for PyPI, while the compiler works. Their packages of Debian are installed already.
        let peers = scope.spawn(|| peers(&root).map_err(|error| error.to_string()));
        let emulator = qemu::install(&root)?;
        install::polkit()?;
        install::systemd()?;
        install::libvirtd()?;
        install::remote()?;
        install::file_systems()?;
        install::program("valgrind", "valgrind")?;
        install::program("openssl", "openssl")?; // It reads keys that seal generates.
        let bindings = install::bindings(&root)?;
        install::cargo_tool(&root, "cargo-deny", install::CARGO_DENY)?;
        parts.end(install);
        let lints = parts.begin("format, lints, arrows");
        run(&mut cargo(&["fmt", "--all", "--check"]))?;
        run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
        run(Command::new(install::tool(&root, "cargo-deny")).args(["check", "bans", "licenses", "sources"]))?;
        parts.end(lints);
        let build = parts.begin("build");
        run(&mut cargo(&["build", "--workspace", "--quiet"]))?;
        let library = installation::stage(&root)?.join("usr");
        run(&mut cargo(&["test", "--workspace", "--no-run", "--quiet"]))?;
        parts.end(build);
        let waiting = parts.begin("waiting for PyPI");
        let (keystone, suites) = peers.join().map_err(|_| "installing from PyPI panicked")??;
        parts.end(waiting);
        let all = parts.begin("tests");
        let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
        tests.env("DONJON_TEST_PYTHON", clients.join("bin/python")).env("DONJON_TEST_EMULATOR", emulator);
        tests.env("DONJON_TEST_LIBRARY", library).env("DONJON_TEST_BINDINGS", bindings);
        tests.env("DONJON_TEST_KEYSTONE", keystone).env("DONJON_TEST_SUITES", suites);
        run(&mut tests)?;
        parts.end(all);
        Ok::<_, Box<dyn Error>>(())
    })?;
    let broken = parts.begin("faults, short");
    faults(&["--short".to_owned()])?;
    parts.end(broken);
    let fuzzed = parts.begin("fuzz, short");
    fuzz::smoke(SMOKE_SECONDS)?;
    parts.end(fuzzed);
    Ok(())
}

/// OpenStack's parts for the tests: Keystone, and the functional tests.
fn peers(root: &Path) -> Result<(PathBuf, PathBuf)> {
    Ok((install::keystone(root)?, install::suites(root)?))
}

/// Builds the faults and donjond, and runs the faults.
fn faults(arguments: &[String]) -> Result<()> {
    install::program("gcc", "gcc")?; // It builds the preloaded library.
    install::file_systems()?;
    run(&mut cargo(&["build", "--quiet", "--package", "daemon", "--package", "faults"]))?;
    run(Command::new(target(&root()).join("debug/faults")).args(arguments))
}

fn bench(arguments: &[String]) -> Result<()> {
    install::program("wrk", "wrk")?;
    install::libvirtd()?;
    if arguments.iter().any(|what| what == "keystone") || arguments.iter().all(|what| what.starts_with("--"))
    {
        install::keystone(&root())?;
        install::suites(&root())?;
        install::program("mariadbd", "mariadb-server-core")?;
        install::program("my_print_defaults", "mariadb-client-core")?; // mariadb-install-db asks it.
    }
    installation::stage(&root())?;
    run(&mut cargo(&["build", "--release", "--quiet", "--package", "daemon", "--package", "bench"]))?;
    run(Command::new(target(&root()).join("release/bench")).args(arguments))
}

/// Runs a command. A failure is an error.
fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", command_line(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}: {status}", command_line(command)).into()),
        Err(error) => Err(format!("{}: {error}", command_line(command)).into()),
    }
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The target folder.
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
