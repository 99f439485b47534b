//! The command line and its help. The flags of settings come from `config/rows.rs`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::Settings;
use crate::config::table::{BACKUP, CHECK, Flags, INIT, POLICY, SERVE};
use crate::config::values::{self, Group};

/// Keeps secrets, encrypted, behind the REST API of OpenStack Barbican and the secret API of libvirt.
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
  donjond check                            see whether database and key fit, and every payload opens
  donjond backup /backup/donjon.db         copy the database while the server runs
  donjond check --audit                    see whether the audit trail is whole

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command to run.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one value exists, for the time of one match")]
pub(crate) enum Command {
    /// Run the server
    ///
    /// Without flags and file it makes a data directory, a master key and a database, listens on loopback, and prints
    /// on stderr where each is.
    #[command(after_help = SERVE_HELP)]
    Serve(Serve),
    /// Run instead of libvirt's virtsecretd, with its options
    ///
    /// Serves /run/libvirt/virtsecretd-sock as root, else $XDG_RUNTIME_DIR/libvirt/virtsecretd-sock, or the sockets that
    /// systemd passes, and no REST API unless the file names an address. A link to donjond with the name virtsecretd
    /// does the same.
    #[command(after_help = VIRTSECRETD_HELP)]
    Virtsecretd(Virtsecretd),
    /// Make the data directory, the master key and the database, and print where each is
    ///
    /// `serve` does this by itself. Use `init` to make a backup of the key before the first secret is stored. It refuses
    /// to touch an existing store.
    #[command(after_help = "Example:\n  donjond init --data-dir /srv/donjon")]
    Init(Init),
    /// Check policy and store without changing them: schema, integrity, master key, every payload, audit trail
    ///
    /// It opens every payload and prints the ids of secrets that do not open. A server may run on the store meanwhile:
    /// the command asks it over the admin socket.
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// Copy the database to a new file, and check the whole copy
    ///
    /// A server may run on the store meanwhile: the command asks it over the admin socket. The copy is complete and
    /// checked when the command ends; an unfinished copy is deleted. The master key is not in the copy.
    #[command(after_help = BACKUP_HELP)]
    Backup(Backup),
    /// Print the rules of who may do what as a policy file, or the errors of a policy file
    ///
    /// Each rule comes with the requests that it decides, and with the line of the file that overrides it. Shorten and
    /// change the output to make a policy file of your own.
    #[command(after_help = POLICY_HELP)]
    Policy(Policy),
    /// Make the token that libvirt's daemons identify themselves with, and let a group read it
    ///
    /// Run it as root before a server that runs as another user: libvirt makes the token for root alone. An existing
    /// token is kept, because other daemons have read it.
    #[command(
        after_help = "Example:\n  donjond token --group donjon    as donjond.service does before it starts"
    )]
    Token(Token),
}

const SERVE_HELP: &str = "\
Examples:
  donjond serve --data-dir ./try --listen 127.0.0.1:9999 --log debug
  donjond serve --config /etc/donjon/donjon.toml --master-key credential:donjon.key
  donjond serve --accept-rollback          after a restored backup: go on without the later changes

Each flag except --config and --accept-rollback is also a key of the file (--data-dir is data_dir), and the flag wins. Only the file has the tables [cors], [keystone], [limits], [quotas] and [upkeep].

Signals: SIGTERM or SIGINT stops accepting and lets requests in flight finish (a second one ends at once); \
SIGHUP reopens the audit trail, for logrotate, and reads the log filter and the policy again.";

const VIRTSECRETD_HELP: &str = "\
Examples:
  donjond virtsecretd --timeout 120        as virtsecretd.service starts it
  ln -s donjond virtsecretd; VIRTD_PATH=$PWD virsh -c 'secret:///session?mode=direct' secret-list

The file is Donjon's own (TOML), not virtsecretd.conf. With --timeout the server ends when no client was connected \
for that time, unless an ephemeral secret would be lost.";

const CHECK_HELP: &str = "\
Examples:
  donjond check
  donjond check --audit
  donjond check --audit audit.log.2 audit.log.1 audit.log

Rotated files are one trail: name the oldest first, and decompress them before.";

const BACKUP_HELP: &str = "\
Examples:
  donjond backup /backup/donjon-$(date +%F).db
  donjond backup --config /etc/donjon/donjon.toml --data-dir /var/lib/donjon /backup/donjon.db

Run it as root, or as the user that runs the server. FILE belongs to the user who runs the command (mode 0600).";

const POLICY_HELP: &str = "\
Examples:
  donjond policy --policy secure-rbac                     the rules of Barbican 23
  donjond policy --policy-file policy.yaml                 with the changes of a file, or with its errors
  donjond policy --config /etc/donjon/donjon.toml         the rules that serve would use

A rule is \"NAME\": \"CHECK\" in YAML. A check is role:NAME, rule:NAME, ATTRIBUTE:VALUE (project_id, user_id, roles of \
the caller; 'text', True, False) with %(target.secret.project_id)s and similar for the thing that is asked for, @ for \
everybody, ! for nobody; and, or, not and parentheses join them. The operator's guide, \"Who may do what\", explains all of it.";

/// `donjond serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Flags<SERVE>,
    /// Start although the database lacks changes that the audit trail shows as committed
    ///
    /// For a restored backup, or for changes that cannot be recovered. A line of the audit trail declares the loss. The
    /// flag is for one start, so it is not a key of the file.
    #[arg(long)]
    pub(crate) accept_rollback: bool,
    /// Settings that apply if neither the flags nor the file have them.
    #[arg(skip)]
    pub(crate) fallback: Settings,
}

/// `donjond virtsecretd`: each option of virtsecretd(8) works or is refused by name.
#[derive(Args, Debug)]
pub(crate) struct Virtsecretd {
    /// End after SECONDS without a client
    #[arg(short, long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Read settings from FILE (TOML)
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log in detail
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Refused: TLS and TCP are not served
    #[arg(short, long)]
    pub(crate) listen: bool,
    /// Refused: use a service manager or `&` to run it in the background
    #[arg(short, long)]
    pub(crate) daemon: bool,
    /// Refused: the lock beside the database keeps a second server out
    #[arg(short, long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
}

/// The arguments. A program with the name of libvirt's daemon gets the arguments of that command.
pub(crate) fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = given.into_iter().collect();
    let name = arguments.first().map(PathBuf::from);
    if name.as_deref().and_then(Path::file_name).is_some_and(|name| name == "virtsecretd") {
        // virtsecretd(8) prints its version for -V and --version too; clap knows these only at the top.
        let is_version = |argument: &OsString| argument == "-V" || argument == "--version";
        if !arguments.get(1).is_some_and(is_version) {
            arguments.insert(1, "virtsecretd".into());
        }
    }
    arguments
}

/// `donjond init`.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Flags<INIT>,
}

/// `donjond check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Flags<CHECK>,
    /// Verify the audit trail instead, in these files, the oldest first
    ///
    /// [default: the file that `serve` writes]
    #[arg(long = "audit", value_name = "FILE", num_args = 0..)]
    pub(crate) trail: Option<Vec<PathBuf>>,
}

/// `donjond backup`.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Flags<BACKUP>,
    /// Path of the copy, which must not exist
    #[arg(value_name = "FILE", value_parser = values::path)]
    pub(crate) to: PathBuf,
}

/// `donjond policy`.
#[derive(Args, Debug)]
pub(crate) struct Policy {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Flags<POLICY>,
}

/// `donjond token`.
#[derive(Args, Debug)]
pub(crate) struct Token {
    /// Let GROUP, a name or a number, read FILE (0640), and enter its directory (0750) unless everybody may already
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<Group>,
    /// Path of the token
    #[arg(value_name = "FILE", default_value = "/run/libvirt/common/system.token", value_parser = values::path)]
    pub(crate) file: PathBuf,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_link_with_the_name_of_libvirts_daemon_runs_its_command() {
        let run = |line: &str| arguments(line.split(' ').map(OsString::from)).join(OsStr::new(" "));
        assert_eq!(run("donjond serve"), "donjond serve");
        assert_eq!(
            run("/usr/sbin/virtsecretd --timeout=120"),
            "/usr/sbin/virtsecretd virtsecretd --timeout=120"
        );
        assert_eq!(run("virtsecretd -V"), "virtsecretd -V");
        let parsed = Cli::try_parse_from(arguments(["virtsecretd", "-t", "120"].map(OsString::from)));
        assert!(matches!(
            parsed.unwrap().command,
            Command::Virtsecretd(Virtsecretd { timeout: Some(120), .. })
        ));
    }
}
