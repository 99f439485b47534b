//! The admin socket's setting.

use std::path::Path;

use clap::Args;

use super::values::SocketAt;

/// The part that was chosen.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AdminSettings {
    /// Have the admin socket at PATH, by which `check` and `backup` ask a running server, or "off"
    ///
    /// Root and the user that runs the server may use it.
    ///
    /// [default: DATA-DIR/admin-sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) admin_socket: Option<SocketAt>,
}

impl AdminSettings {
    /// These, and `other` where these do not say.
    pub(super) fn or(self, other: Self) -> Self {
        Self { admin_socket: self.admin_socket.or(other.admin_socket) }
    }

    /// What they come to.
    pub(super) fn resolve(self, data_dir: &Path) -> Admin {
        Admin {
            is_chosen: self.admin_socket.is_some(),
            socket: self.admin_socket.unwrap_or_else(|| SocketAt::At(data_dir.join("admin-sock"))),
        }
    }
}

/// The choice, or the default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Admin {
    pub(crate) socket: SocketAt,
    /// Whether somebody named the socket; if not, the server goes on without where it cannot be made.
    pub(crate) is_chosen: bool,
}

impl Admin {
    /// Where it is, if it is anywhere.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.socket {
            SocketAt::Off => None,
            SocketAt::At(path) => Some(path),
        }
    }
}
