//! `donjon`: the command-line client, over the libvirt socket.
//!
//! ```text
//! arguments ──cli──▶ command ──target──▶ connection ──▶ what it does ──console──▶ text or JSON
//! ```
//!
//! It holds no key and opens no database: it asks a daemon, like any other client of libvirt's secret API. A value is
//! never an argument, is wiped after use, and is in no message. Under the name `virt-ssh-helper` it is the helper that
//! libvirt's clients start over ssh.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod console;
mod encoding;
mod error;
mod helper;
mod input;
mod json;
mod prompt;
mod reference;
mod target;
mod xml;

use std::process::ExitCode;

use clap::Parser;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use cli::{Cli, Command};
use commands::Session;
use error::Error;

fn main() -> ExitCode {
    harden();
    let mut arguments = std::env::args_os();
    if helper::is_called(arguments.next().as_deref()) {
        return helper::run(arguments.map(|argument| argument.to_string_lossy().into_owned()));
    }
    let cli = Cli::parse(); // Help, version and wrong usage end here, with 0 or 2.
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_closed_pipe() {
                console::tell(format_args!("donjon: {}", console::lines(&error.to_string())));
            }
            error.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Error> {
    cli.check()?;
    let session = Session { connection: &target::connect(cli.connect.as_deref())?, json: cli.json };
    match &cli.command {
        Command::Define(flags) => commands::define::run(&session, flags),
        Command::SetValue(flags) => commands::set_value::run(&session, flags),
        Command::GetValue(flags) => commands::get_value::run(&session, flags),
        Command::List(flags) => commands::list::run(&session, *flags),
        Command::Show(flags) => commands::show::run(&session, flags),
        Command::Undefine(flags) => commands::undefine::run(&session, flags),
        Command::Events(flags) => commands::events::run(&session, flags),
    }
}

/// Keeps values out of core files and away from other programs of the same user. If the system refuses that, the program
/// goes on: the memory is the user's own.
fn harden() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
