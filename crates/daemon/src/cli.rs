//! The command line: what may be typed, and the help that teaches it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Place, Settings};

/// Keeps secrets, encrypted, behind the REST API of OpenStack Barbican.
#[derive(Debug, Parser)]
#[command(
    name = "donjond",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Examples:
  donjond serve                            start, and say what to try
  donjond serve --config /etc/donjon.toml  start with settings from a file
  donjond check                            see whether database and key fit
  donjond check --audit                    see whether the audit trail is whole

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, for the time of one match")]
pub(crate) enum Command {
    /// Run the server
    ///
    /// With no flag and no file it makes a data directory, a master key and a database, listens on loopback, and says
    /// on stderr where each is.
    #[command(after_help = SERVE_HELP)]
    Serve(Serve),
    /// Make the data directory, the master key and the database, and say where each is
    ///
    /// `serve` does this by itself; `init` is for making a backup of the key before the first secret is stored. It
    /// refuses to touch a store that is there.
    #[command(after_help = "Example:\n  donjond init --data-dir /srv/donjon")]
    Init(Init),
    /// Look at a store without changing it: schema, integrity, master key, counts, audit trail
    ///
    /// A server may be running on it meanwhile.
    #[command(after_help = CHECK_HELP)]
    Check(Check),
}

const SERVE_HELP: &str = "\
Examples:
  donjond serve --data-dir ./try --listen 127.0.0.1:9999 --log debug
  donjond serve --config /etc/donjon/donjon.toml --master-key credential:donjon.key

Each flag is a key of the file too (--data-dir is data_dir), and the flag wins. The file alone has [limits].

Signals: SIGTERM or SIGINT stops accepting and lets requests in flight finish (a second one ends at once); \
SIGHUP opens the audit trail anew, for logrotate, and reads the log filter from the file.";

const CHECK_HELP: &str = "\
Examples:
  donjond check
  donjond check --audit
  donjond check --audit audit.log.2 audit.log.1 audit.log

Rotated files are one trail: name them oldest first, and give no compressed ones.";

/// `donjond serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `donjond init`.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `donjond check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Verify the audit trail instead, in these files, oldest first
    ///
    /// [default: the file that `serve` writes]
    #[arg(long, value_name = "FILE", num_args = 0..)]
    pub(crate) audit: Option<Vec<PathBuf>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
