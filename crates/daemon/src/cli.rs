//! The command line: what may be typed, and the help that teaches it.

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
    /// Run in the place of libvirt's virtsecretd, with its options
    ///
    /// Serves /run/libvirt/virtsecretd-sock as root, else $XDG_RUNTIME_DIR/libvirt/virtsecretd-sock, or the sockets that
    /// systemd passes, and no REST API unless the file says so. A link to donjond that is called virtsecretd does the
    /// same.
    #[command(after_help = VIRTSECRETD_HELP)]
    Virtsecretd(Virtsecretd),
    /// Make the data directory, the master key and the database, and say where each is
    ///
    /// `serve` does this by itself; `init` is for making a backup of the key before the first secret is stored. It
    /// refuses to touch a store that is there.
    #[command(after_help = "Example:\n  donjond init --data-dir /srv/donjon")]
    Init(Init),
    /// Look at policy and store without changing them: schema, integrity, master key, every payload, audit trail
    ///
    /// Every payload is opened, and the ids of secrets that do not open are printed. A server may be running on it
    /// meanwhile: it is asked by its admin socket.
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// Copy the database to a new file, and look at everything in the copy
    ///
    /// A server may be running on it meanwhile: it is asked by its admin socket. The copy is whole and checked when this
    /// ends; nothing is left of one that was not finished. The master key is not in it.
    #[command(after_help = BACKUP_HELP)]
    Backup(Backup),
    /// Print the rules of who may do what, as a policy file, and say what is wrong with a file
    ///
    /// Each rule with what asks for it, and, where a file overrides it, with the line that does. What is printed can be
    /// cut down and changed to become a policy file.
    #[command(after_help = POLICY_HELP)]
    Policy(Policy),
    /// Make the token by which libvirt's daemons prove to be such, and let a group read it
    ///
    /// For root, before a server that runs as another user: libvirt makes the token for root alone. One that is there is
    /// kept, for others have read it.
    #[command(
        after_help = "Example:\n  donjond token --group donjon    as donjond.service does before it starts"
    )]
    Token(Token),
}

const SERVE_HELP: &str = "\
Examples:
  donjond serve --data-dir ./try --listen 127.0.0.1:9999 --log debug
  donjond serve --config /etc/donjon/donjon.toml --master-key credential:donjon.key
  donjond serve --accept-rollback          after a backup was restored: go on without what came after it

Each flag but --accept-rollback is a key of the file too (--data-dir is data_dir), and the flag wins. The file alone has the tables: [keystone], [limits], [quotas], [upkeep].

Signals: SIGTERM or SIGINT stops accepting and lets requests in flight finish (a second one ends at once); \
SIGHUP opens the audit trail anew, for logrotate, and reads the log filter from the file.";

const VIRTSECRETD_HELP: &str = "\
Examples:
  donjond virtsecretd --timeout 120        as virtsecretd.service starts it
  ln -s donjond virtsecretd; VIRTD_PATH=$PWD virsh -c 'secret:///session?mode=direct' secret-list

The file is Donjon's own (TOML), not virtsecretd.conf. With --timeout the server ends when no client was connected \
for so long and no ephemeral secret would be lost.";

const CHECK_HELP: &str = "\
Examples:
  donjond check
  donjond check --audit
  donjond check --audit audit.log.2 audit.log.1 audit.log

Rotated files are one trail: name them oldest first, and give no compressed ones.";

const BACKUP_HELP: &str = "\
Examples:
  donjond backup /backup/donjon-$(date +%F).db
  donjond backup --config /etc/donjon/donjon.toml --data-dir /var/lib/donjon /backup/donjon.db

Run it as root, or as the user that runs the server. FILE belongs to whoever runs this (mode 0600).";

const POLICY_HELP: &str = "\
Examples:
  donjond policy --policy secure-rbac                     the rules of Barbican 23
  donjond policy --policy-file policy.yaml                 with what a file changes, or what is wrong with it
  donjond policy --config /etc/donjon/donjon.toml         the rules that serve would have

A rule is \"NAME\": \"CHECK\" in YAML. A check is role:NAME, rule:NAME, ATTRIBUTE:VALUE (project_id, user_id, roles of \
the caller; 'text', True, False) with %(target.secret.project_id)s and the like for what is asked for, @ for \
everybody, ! for nobody; and, or, not and parentheses join them. The operator's guide, \"Who may do what\", has all.";

/// `donjond serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Read settings from FILE (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Flags<SERVE>,
    /// Go on without changes that the audit trail has as committed and the database has not
    ///
    /// After a backup was restored, or what was lost cannot be had back. A line of the audit trail declares it. This once:
    /// it is no key of the file.
    #[arg(long)]
    pub(crate) accept_rollback: bool,
    /// What holds where neither flags nor the file say.
    #[arg(skip)]
    pub(crate) behind: Settings,
}

/// `donjond virtsecretd`: the options of virtsecretd(8), each done or refused by name.
#[derive(Args, Debug)]
pub(crate) struct Virtsecretd {
    /// End when no client was connected for SECONDS
    #[arg(short, long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Read settings from FILE (TOML)
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log what happens in detail
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Not here: TLS and TCP are not served
    #[arg(short, long)]
    pub(crate) listen: bool,
    /// Not here: a service manager or `&` runs it in the background
    #[arg(short, long)]
    pub(crate) daemon: bool,
    /// Not here: the lock beside the database keeps a second server out
    #[arg(short, long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
}

/// The arguments, or, where the program is called by the name of libvirt's daemon, those of its command.
pub(crate) fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = given.into_iter().collect();
    let name = arguments.first().map(PathBuf::from);
    if name.as_deref().and_then(Path::file_name).is_some_and(|name| name == "virtsecretd") {
        // virtsecretd(8) prints its version for -V and --version too, which clap has at the top only.
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
    /// Verify the audit trail instead, in these files, oldest first
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
    /// Where to put the copy; nothing may be there
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
    /// Let GROUP, a name or a number, read FILE (0640), and enter its directory (0750) if not everybody may
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<Group>,
    /// Where the token is
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
    fn a_link_with_the_name_of_libvirts_daemon_is_that() {
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
