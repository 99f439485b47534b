//! `donjond`: builds every part, offers nothing.
//!
//! ```text
//! flags, file ──config──▶ Config ──serve──▶ store, master key, audit trail ──▶ vault ──▶ doors
//!                                  │                                                      ▲
//!                                  └──listen──▶ sockets ──▶ connections, at most so many ─┘
//!                                                   each on one of the threads
//! ```
#![forbid(unsafe_code)]

mod admin;
mod banner;
mod build;
mod cli;
mod commands;
mod config;
mod console;
mod error;
mod inspect;
mod listen;
mod logging;
mod loss;
mod manager;
mod metrics;
mod permissions;
mod process;
mod progress;
mod serve;
mod stored;
mod threads;
mod token;
mod unix_socket;
mod upkeep;

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use error::{Error, SystemError};
use serve::Idle;

/// Freed memory is wiped: no token or body of a request stays in it.
#[global_allocator]
static HEAP: seal::WipingHeap = seal::WipingHeap;

fn main() -> ExitCode {
    let cli = Cli::parse_from(cli::arguments(std::env::args_os())); // Help, version and wrong usage end here, with 0 or 2.
    std::panic::set_hook(Box::new(print_panic));
    // Some libraries panic when the system gives them no thread; that is an error like any other.
    let ran = catch_unwind(AssertUnwindSafe(|| run(cli.command))).unwrap_or(Err(Error::Panicked));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::print_note(format_args!("donjond: {error}"));
            error.exit_code()
        }
    }
}

/// Tells only the place of a panic: its message may quote a value.
fn print_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    console::print_note(format_args!("donjond: a panic at {place}"));
}

fn run(command: Command) -> Result<(), Error> {
    process::harden().map_err(|errno| SystemError::Harden(errno.into()))?;
    match command {
        Command::Serve(flags) => serve::run(flags, Idle::Never),
        Command::Virtsecretd(flags) => commands::virtsecretd::run(flags),
        Command::Init(flags) => commands::init::run(flags),
        Command::Check(flags) => commands::check::run(flags),
        Command::Backup(flags) => commands::backup::run(flags),
        Command::Policy(flags) => commands::policy::run(flags),
        Command::Token(flags) => commands::token::run(&flags),
    }
}
