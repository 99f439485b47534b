//! Runs the fuzz targets, which are a workspace of their own in `fuzz/`.

use std::process::Command;

use crate::{Result, install, root, run as execute};

/// Runs the named targets, or all, for some seconds each.
pub(crate) fn run_each(seconds: u64, named: &[String]) -> Result<()> {
    let root = root();
    install::cargo_tool(&root, "cargo-fuzz", install::CARGO_FUZZ)?;
    let tool = || {
        let mut command = Command::new(install::tool(&root, "cargo-fuzz"));
        command.current_dir(&root);
        command
    };
    let mut targets = named.to_vec();
    if targets.is_empty() {
        let listed = tool().args(["fuzz", "list"]).output()?;
        targets.extend(String::from_utf8(listed.stdout)?.split_whitespace().map(str::to_owned));
    }
    if targets.is_empty() {
        return Err("there is no fuzz target".into());
    }
    for target in targets {
        // Without a sanitizer the stable compiler is enough, and safe code has little that one could find.
        let command = &mut tool();
        command.args(["fuzz", "run", "--sanitizer", "none", "--release", &target]);
        let seeds = root.join("fuzz/seeds").join(&target);
        let corpus = root.join("fuzz/corpus").join(&target);
        std::fs::create_dir_all(&corpus)?;
        command.arg(corpus);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        command.args(["--", "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        execute(command.arg(format!("-max_total_time={seconds}")))?;
    }
    Ok(())
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (seconds, named) = match arguments.split_first() {
        Some((first, rest)) if first.parse::<u64>().is_ok() => (first.parse()?, rest),
        _ => (600, arguments),
    };
    run_each(seconds, named)
}

/// Runs each target for a short time, as part of the tests.
pub(crate) fn smoke(seconds: u64) -> Result<()> {
    run_each(seconds, &[])
}
