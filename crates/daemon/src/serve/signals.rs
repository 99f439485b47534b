//! The signals that end the server or make it read its configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use vault::Vault;

use super::{load, now};
use crate::build::load_policy;
use crate::cli;
use crate::config::Config;
use crate::logging::Logging;
use crate::manager;

/// The signals that the server listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Reloads at each hangup, until a signal to end.
    pub(super) async fn until_end(&mut self, reload: &Reload, vault: &Vault) {
        while self.next().await == SignalMeaning::Reload {
            reload.now(vault);
        }
    }

    async fn next(&mut self) -> SignalMeaning {
        tokio::select! {
            _ = self.terminate.recv() => SignalMeaning::End,
            _ = self.interrupt.recv() => SignalMeaning::End,
            _ = self.hangup.recv() => SignalMeaning::Reload,
        }
    }

    pub(super) async fn end(&mut self) {
        while self.next().await != SignalMeaning::End {}
    }
}

/// The meaning of a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SignalMeaning {
    End,
    Reload,
}

/// What a reload needs: the flags of the start, and the running configuration.
pub(super) struct Reload {
    pub(super) flags: cli::Serve,
    pub(super) running: Config,
    pub(super) logging: Logging,
}

impl Reload {
    /// Applies all changes that need no restart. A failed step leaves things as they were.
    fn now(&self, vault: &Vault) {
        manager::reloading();
        match vault.reopen_audit(now()) {
            Ok(()) => tracing::info!(file = %self.running.general.audit, "the audit trail was reopened"),
            Err(error) => tracing::error!(%error, "the audit trail stays in its file"),
        }
        match load(&self.flags) {
            Ok(config) => self.apply(&config, vault),
            Err(error) => tracing::error!("the configuration stays as it was: {error}"),
        }
        manager::ready();
    }

    fn apply(&self, config: &Config, vault: &Vault) {
        self.logging.set(&config.general.log);
        match load_policy(config, &self.running.derived.auth) {
            Ok(policy) => {
                let described = config.describe_policy(&policy);
                vault.set_policy(policy);
                tracing::info!(policy = described, "the policy was read again");
            }
            Err(error) => tracing::error!("the policy stays as it was: {error}"),
        }
        let waiting = config.needs_restart(&self.running);
        tracing::info!(log = %config.general.log, "the configuration was read again");
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these changes need a restart");
        }
    }
}
