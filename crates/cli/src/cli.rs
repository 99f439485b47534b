//! The command line: the commands, their flags and their help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use virsecret::Uuid;

use crate::error::Error;
use crate::reference::{Reference, Usage};
use crate::xml::XmlText;

/// Stores and reads the secrets of this host through libvirt's secret API.
#[derive(Debug, Parser)]
#[command(
    name = "donjon",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = HELP
)]
pub(crate) struct Cli {
    /// Talk to the daemon at URI, or at the socket with this path
    ///
    /// Such as secret:///system (libvirt's own), secret:///session, secret:///system?socket=/srv/virtsecretd-sock, or
    /// /srv/virtsecretd-sock alone; on another machine secret+ssh://HOST/system, or secret+tls://HOST/system where a
    /// libvirtd serves TLS. [env: DONJON_URI] [default: the first that exists of
    /// $XDG_RUNTIME_DIR/donjon/virtsecretd-sock (unless root), /run/donjon/virtsecretd-sock and
    /// /run/libvirt/virtsecretd-sock]
    #[arg(long, short, value_name = "URI", global = true, display_order = GLOBAL)]
    pub(crate) connect: Option<String>,
    /// Print results as JSON, for programs
    #[arg(long, global = true, display_order = GLOBAL)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command come after the flags of the one command in its help.
const GLOBAL: usize = 500;

const HELP: &str = "\
SECRET is the UUID of a secret or its usage: ceph:client.x, volume:/dev/vg/disk, iscsi:target, tls:name, vtpm:name.

Examples:
  donjon define --usage ceph:client.x --description 'Ceph key of Nova'
  ceph auth get-key client.x | donjon set-value ceph:client.x --base64
  donjon get-value ceph:client.x
  donjon list

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such secret.";

impl Cli {
    /// Checks that clap cannot make.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.command {
            Command::SetValue(flags) if !flags.misplaced.is_empty() => Err(Error::ValueAsArgument),
            _ => Ok(()),
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a secret without a value, and print its UUID
    ///
    /// With the UUID of an existing secret, the command replaces its attributes and keeps its value.
    #[command(after_help = DEFINE_HELP)]
    Define(Define),
    /// Set the value of a secret, also in place of an earlier one
    ///
    /// The value comes from standard input or from a file, byte for byte. At a terminal donjon asks for it twice and does
    /// not show it. It is never an argument, because every user of the machine sees arguments with ps.
    #[command(after_help = SET_VALUE_HELP)]
    SetValue(SetValue),
    /// Print the value of a secret, byte for byte
    ///
    /// At a terminal donjon adds a newline, and refuses a value that is not text. Only hypervisors can read the value of a
    /// private secret.
    #[command(after_help = GET_VALUE_HELP)]
    GetValue(GetValue),
    /// List secrets: UUID, usage, flags
    #[command(after_help = LIST_HELP)]
    List(List),
    /// Show the attributes of a secret, without its value
    #[command(after_help = "Examples:\n  donjon show ceph:client.x\n  donjon show ceph:client.x --xml")]
    Show(Show),
    /// Delete secrets with their values, and print the UUID of each
    ///
    /// It does not ask first, and a deleted secret cannot be restored.
    #[command(after_help = UNDEFINE_HELP)]
    Undefine(Undefine),
    /// Print a line for each event of a secret: defined, undefined, value-changed
    ///
    /// Only new events are printed. A line on stderr says when donjon has begun to listen. It runs until it is interrupted,
    /// or until --count or --timeout ends it.
    #[command(after_help = EVENTS_HELP)]
    Events(Events),
}

const DEFINE_HELP: &str = "\
Examples:
  donjon define --usage volume:/var/lib/libvirt/images/db.luks --private
  donjon define --usage ceph:client.x --uuid 3a8f0c52-8a1e-4a57-9d3e-0c5b8d6f7e21
  donjon define --xml secret.xml --validate
  id=$(donjon define) && head -c 32 /dev/urandom | donjon set-value $id

Two secrets cannot have the same usage. With --json the UUID is printed in an object.";

const SET_VALUE_HELP: &str = "\
Examples:
  donjon set-value ceph:client.x < key.txt
  donjon set-value ceph:client.x --file key.txt
  printf %s \"$passphrase\" | donjon set-value volume:/dev/vg/disk   (echo would add a newline)
  openssl rand -hex 32 | donjon set-value volume:/dev/vg/disk --hex
  ceph auth get-key client.x | donjon set-value ceph:client.x --base64

Ceph prints keys in base64, and hypervisors want the bytes: without --base64 a guest cannot log in.

A value has 1 to 65536 bytes. When it is stored, the UUID of the secret is printed.";

const GET_VALUE_HELP: &str = "\
Examples:
  donjon get-value volume:/dev/vg/disk | cryptsetup open --key-file - /dev/vg/disk disk
  donjon get-value volume:/dev/vg/disk --base64";

const LIST_HELP: &str = "\
Examples:
  donjon list
  donjon list --no-private --no-ephemeral
  donjon list --json | jq -r '.[] | select(.usage.type == \"ceph\") | .uuid'";

const UNDEFINE_HELP: &str = "\
Example:
  donjon undefine ceph:client.x volume:/dev/vg/disk

One failure does not stop the others. The exit code is 3 if all failed secrets do not exist, and 1 if one failed otherwise.";

const EVENTS_HELP: &str = "\
Examples:
  donjon events
  donjon events ceph:client.x --count 1 --timeout 60
  donjon events --json | while read -r event; do echo \"$event\"; done

If --timeout ends before --count events have come, the exit code is 1. Without --count it is 0.";

/// `donjon define`.
#[derive(Args, Debug)]
pub(crate) struct Define {
    /// The usage: volume, ceph, iscsi, tls or vtpm, and a name [default: no usage]
    #[arg(long, value_name = "TYPE:ID")]
    pub(crate) usage: Option<Usage>,
    /// A description for people
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<XmlText>,
    /// Let only hypervisors read the value
    #[arg(long)]
    pub(crate) private: bool,
    /// Never write the secret to disk: it is gone when the daemon ends
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// The UUID [default: the daemon makes one]
    #[arg(long)]
    pub(crate) uuid: Option<Uuid>,
    /// Take the definition from a file in libvirt's XML format; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["usage", "description", "private", "ephemeral", "uuid"])]
    pub(crate) xml: Option<PathBuf>,
    /// Let the daemon check the definition against libvirt's schema
    #[arg(long)]
    pub(crate) validate: bool,
}

/// `donjon set-value`.
#[derive(Args, Debug)]
pub(crate) struct SetValue {
    /// The secret: its UUID, or TYPE:ID
    #[arg(value_name = "SECRET")]
    pub(crate) secret: Reference,
    /// Take the value from a file; - is standard input, even if that is a terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) written: Written,
    /// A value that was given as an argument by mistake. It is parsed, so that the error does not repeat it.
    #[arg(hide = true)]
    pub(crate) misplaced: Vec<OsString>,
}

/// `donjon get-value`.
#[derive(Args, Debug)]
pub(crate) struct GetValue {
    /// The secret: its UUID, or TYPE:ID
    #[arg(value_name = "SECRET")]
    pub(crate) secret: Reference,
    #[command(flatten)]
    pub(crate) written: Written,
    /// Print a value that is not text to a terminal
    #[arg(long)]
    pub(crate) force: bool,
}

/// The encoding of a value in the input or the output.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Written {
    /// The value is written in base64
    #[arg(long, conflicts_with = "hex")]
    pub(crate) base64: bool,
    /// The value is written in hexadecimal digits
    #[arg(long)]
    pub(crate) hex: bool,
}

/// `donjon list`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct List {
    /// Only private secrets, whose value only hypervisors can read
    #[arg(long, conflicts_with = "no_private")]
    pub(crate) private: bool,
    /// Only secrets that are not private
    #[arg(long)]
    pub(crate) no_private: bool,
    /// Only ephemeral secrets, which are never written to disk
    #[arg(long, conflicts_with = "no_ephemeral")]
    pub(crate) ephemeral: bool,
    /// Only secrets that are stored on disk
    #[arg(long)]
    pub(crate) no_ephemeral: bool,
}

/// `donjon show`.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The secret: its UUID, or TYPE:ID
    #[arg(value_name = "SECRET")]
    pub(crate) secret: Reference,
    /// Print it as XML, as define --xml takes it
    #[arg(long, conflicts_with = "json")]
    pub(crate) xml: bool,
}

/// `donjon undefine`.
#[derive(Args, Debug)]
pub(crate) struct Undefine {
    /// The secrets: the UUID of each, or TYPE:ID
    #[arg(value_name = "SECRET", required = true)]
    pub(crate) secrets: Vec<Reference>,
}

/// `donjon events`.
#[derive(Args, Debug)]
pub(crate) struct Events {
    /// Only events of this secret: its UUID, or TYPE:ID
    #[arg(value_name = "SECRET")]
    pub(crate) secret: Option<Reference>,
    /// End after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) timeout: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn check(line: &str, good: bool) {
        let words = ["donjon"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words) {
            Ok(_) => assert!(good, "{line} was accepted"),
            Err(error) => {
                assert!(!good, "{line} was refused: {error}");
                assert_eq!(error.exit_code(), 2, "{line}");
            }
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn valid_command_lines_are_accepted() {
        for line in [
            "define",
            "define --usage ceph:client.x --description x --private --ephemeral",
            "define --usage ceph=client.x --uuid 3a8f0c52-8a1e-4a57-9d3e-0c5b8d6f7e21",
            "define --xml - --validate",
            "set-value ceph:client.x --base64",
            "set-value 3a8f0c52-8a1e-4a57-9d3e-0c5b8d6f7e21 --file -",
            "get-value volume:/dev/a --hex --force",
            "-c secret:///system list --private --no-ephemeral",
            "list --json --connect /run/x",
            "show vtpm:a --xml",
            "undefine tls:a iscsi:b",
            "events --count 1 --timeout 5",
            "events ceph:x",
        ] {
            check(line, true);
        }
    }

    #[test]
    fn a_value_as_an_argument_is_refused_and_not_repeated() {
        let cli = Cli::try_parse_from(["donjon", "set-value", "ceph:client.x", "hunter2"]).unwrap();
        let error = cli.check().unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let cli = Cli::try_parse_from(["donjon", "set-value", "ceph:client.x"]).unwrap();
        assert!(cli.check().is_ok());
    }

    #[test]
    fn invalid_command_lines_are_refused() {
        for line in [
            "define --usage disk:x",
            "define --usage ceph:",
            "define --usage ceph",
            "define --uuid x",
            "define --xml a --private",
            "set-value",
            "set-value ceph:client.x --base64 --hex",
            "get-value x",
            "list --private --no-private",
            "list --ephemeral --no-ephemeral",
            "show ceph:x --xml --json",
            "undefine",
            "events --count 0",
            "events --timeout 0",
        ] {
            check(line, false);
        }
    }
}
