//! How fast Donjon is, each figure beside a peer in the same run. `cargo xtask bench` builds and runs this.
//!
//! Rates of one run say little on another machine, and on a busy one not even on the same; ratios within a run do.
//! Each pair is alternated, and the median is told. `docs/performance.md` has the figures and what limits them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it measured")]

mod client;
mod creates;
mod footprint;
mod instructions;
mod keystone;
mod library;
mod libvirt;
mod libvirtd;
mod lists;
mod load;
mod peer;
mod process;
mod reads;
mod seed;
mod server;
mod wrk;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: cargo xtask bench [WHAT…] [--secrets N] [--seconds N] [--rounds N]

WHAT, all of it if nothing is named:
  read       payload reads at 64 connections, beside a bare axum server that answers 32 constant bytes
  create     durable creates at 1, 16 and 64 connections, beside the same server with one transaction a request
  list       the newest ten of a project, by every sort key and indexed filter, at 1 000 secrets and at N
  footprint  memory and time to start, empty and with N secrets
  instructions  of one payload read and one create, counted by callgrind (valgrind); only if it is named
  libvirt    the libvirt door: calls, start and memory with 10, 1 000 and 10 000 secrets, beside libvirtd itself;
             as root, for libvirtd gets a mount namespace of its own
  keystone   payload reads with tokens of a real Keystone, beside the same without, and beside the real Barbican 23
             with uwsgi and MariaDB
  library    the C library: size, a program's start, calls on donjond, beside libvirt's own library

  --secrets N   secrets in the large project (1000000; made once and kept in target/bench)
  --seconds N   how long each measurement takes (8; libvirt and library 2)
  --rounds N    how often each pair is alternated (3)
";

/// What was asked for.
#[derive(Clone, Debug)]
struct Options {
    secrets: u64,
    seconds: Option<u64>,
    rounds: usize,
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let mut options = Options { secrets: 1_000_000, seconds: None, rounds: 3 };
    let mut what = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64> { Ok(arguments.next().ok_or(USAGE)?.parse()?) };
        match argument.as_str() {
            "--secrets" => options.secrets = number()?,
            "--seconds" => options.seconds = Some(number()?),
            "--rounds" => options.rounds = usize::try_from(number()?)?.max(1),
            "peer" => return peer::run(), // The bare server, in a process of its own.
            "read" | "create" | "list" | "footprint" | "keystone" | "libvirt" | "library"
            | "instructions" => what.push(argument),
            "--help" | "-h" => {
                print!("{USAGE}");
                return Ok(());
            }
            _ => return Err(USAGE.into()),
        }
    }
    let all = what.is_empty();
    let asked = |name: &str| all || what.iter().any(|asked| asked == name);
    if what.iter().any(|asked| asked == "instructions") {
        instructions::run()?;
    }
    if asked("library") {
        library::run(&options)?;
    }
    if asked("libvirt") {
        libvirt::run(&options)?;
    }
    if asked("create") || asked("read") || asked("footprint") || asked("keystone") {
        wrk::check()?;
    }
    if asked("create") {
        creates::run(&options)?;
    }
    if asked("keystone") {
        keystone::run(&options)?;
    }
    if asked("read") || asked("list") || asked("footprint") {
        let data = seed::data(options.secrets)?;
        if asked("footprint") {
            footprint::run(&data)?;
        }
        if asked("read") {
            reads::run(&options, &data)?;
        }
        if asked("list") {
            lists::run(&options, &data)?;
        }
    }
    Ok(())
}

/// Where builds go.
fn target() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.ancestors().nth(2).ok_or("no target folder")?.to_owned())
}

/// The middle one, or the lower of the two in the middle.
fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len().saturating_sub(1) / 2).copied()
}
