//! Measures Donjon beside a peer in the same run. `cargo xtask bench` builds and runs this.
//!
//! A rate says little on another machine, or on a busy one; a ratio within one run says more. The two of a pair are measured
//! by turns, and the median is printed. `docs/performance.md` has the figures and their limits.
#![forbid(unsafe_code)]
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
usage: cargo xtask bench [MEASUREMENT…] [--secrets N] [--seconds N] [--rounds N]

MEASUREMENT, or all of them:
  read       payload reads at 64 connections, beside a bare axum server that answers 32 constant bytes
  create     durable creates at 1, 16 and 64 connections, beside the same server with one transaction a request
  list       the newest ten of a project, by every sort key and indexed filter, at 1 000 secrets and at N
  footprint  memory and start time, empty and with N secrets
  instructions  of one payload read and one create, counted by callgrind (valgrind); only if it is named
  libvirt    the libvirt door: calls, start and memory with 10, 1 000 and 10 000 secrets, beside libvirtd;
             needs root, because libvirtd gets a mount namespace of its own
  keystone   payload reads with tokens of a real Keystone, beside the same without, and beside the real Barbican 23
             with uwsgi and MariaDB
  library    the C library: size, start of a program, calls to donjond, beside libvirt's own library

  --secrets N   secrets in the large project (1000000; made once and kept in target/bench)
  --seconds N   length of each measurement (8; for libvirt and library 2)
  --rounds N    rounds of each pair (3)
";

/// The options of the command line.
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
            "peer" => return peer::run(), // The bare server runs in a process of its own.
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

/// The target folder.
fn target() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.ancestors().nth(2).ok_or("no target folder")?.to_owned())
}

/// The median, or the lower of the two middle values.
fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len().saturating_sub(1) / 2).copied()
}
