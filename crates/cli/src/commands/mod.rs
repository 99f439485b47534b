//! One file for each command: its calls to the daemon, and its output.

pub(crate) mod define;
pub(crate) mod events;
pub(crate) mod get_value;
pub(crate) mod list;
pub(crate) mod set_value;
pub(crate) mod show;
pub(crate) mod undefine;

use virsecret::{Connection, Secret};

use crate::error::Error;
use crate::{console, json};

/// The connection and the flags of every command.
pub(crate) struct Session<'a> {
    /// The connection to the daemon.
    pub(crate) connection: &'a Connection,
    /// Whether a program reads the result.
    pub(crate) json: bool,
}

impl Session<'_> {
    /// Prints the changed secret.
    fn say_changed(&self, secret: &Secret) -> Result<(), Error> {
        if self.json { console::say(json::secret_with(secret, [])) } else { console::say(secret.uuid) }
    }
}
