//! `donjond virtsecretd`: replaces libvirt's own daemon, with its name and its options.

use std::time::Duration;

use crate::cli;
use crate::config::Settings;
use crate::config::table::Flags;
use crate::config::values::{ListenAt, LogFilter, SocketAt};
use crate::error::Error;
use crate::serve::{self, Idle};

/// Serves like virtsecretd.
pub(crate) fn run(flags: cli::Virtsecretd) -> Result<(), Error> {
    if flags.listen {
        return Err(Error::NotHere(
            "--listen: TLS and TCP are not served in this version\n\
             Use the UNIX socket, or ssh to the machine: virsh -c secret+ssh://host/system.",
        ));
    }
    if flags.daemon {
        return Err(Error::NotHere(
            "--daemon: donjond stays in the foreground\nLet systemd run it, or put & behind the command.",
        ));
    }
    if flags.pid_file.is_some() {
        return Err(Error::NotHere(
            "--pid-file: donjond writes none\nThe lock beside the database keeps a second server out.",
        ));
    }
    // 0 means no time limit, as in virtsecretd.
    let idle = flags
        .timeout
        .filter(|seconds| *seconds > 0)
        .map_or(Idle::Never, |seconds| Idle::For(Duration::from_secs(seconds)));
    let mut settings = Settings::default();
    settings.general.libvirt_socket = Some(socket());
    settings.general.log = flags.verbose.then(LogFilter::debug);
    // The file's addresses take precedence over these.
    let mut fallback = Settings::default();
    fallback.general.listen = Some(ListenAt::Off);
    fallback.general.metrics_listen = Some(ListenAt::Off);
    let settings = Flags(settings);
    serve::run(cli::Serve { config: flags.config, settings, accept_rollback: false, fallback }, idle)
}

/// The path where clients look.
fn socket() -> SocketAt {
    let runtime = if rustix::process::geteuid().is_root() {
        "/run".into()
    } else {
        std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| "/run".into())
    };
    SocketAt::At(std::path::Path::new(&runtime).join("libvirt/virtsecretd-sock"))
}
