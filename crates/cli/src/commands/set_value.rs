//! `donjon set-value`: gives a secret its value.

use super::Session;
use crate::cli::SetValue;
use crate::error::Error;
use crate::input;

/// The secret is looked up first, so that nobody types a value for one that is not there.
pub(crate) fn run(session: &Session<'_>, flags: &SetValue) -> Result<(), Error> {
    let secret = flags.secret.lookup(session.connection)?;
    let value = input::value(flags.file.as_deref(), flags.written.into())?;
    session.connection.set_value(&secret, &value)?;
    session.say_changed(&secret)
}
