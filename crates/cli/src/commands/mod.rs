//! One file a command: what it asks the daemon, and what it says of the answer.

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

/// What every command has.
pub(crate) struct Session<'a> {
    /// To the daemon.
    pub(crate) connection: &'a Connection,
    /// Whether a program reads the result.
    pub(crate) json: bool,
}

impl Session<'_> {
    /// The result of a change: which secret it was.
    fn say_changed(&self, secret: &Secret) -> Result<(), Error> {
        if self.json { console::say(json::secret_with(secret, [])) } else { console::say(secret.uuid) }
    }
}
