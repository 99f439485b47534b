//! `donjon undefine`: destroys secrets.

use super::Session;
use crate::cli::Undefine;
use crate::console;
use crate::error::Error;
use crate::reference::Reference;

/// Like `rm`, it reports a secret that cannot be undefined, and goes on with the others. A lost connection ends the command.
pub(crate) fn run(session: &Session<'_>, flags: &Undefine) -> Result<(), Error> {
    let [reference] = flags.secrets.as_slice() else { return several(session, &flags.secrets) };
    one(session, reference)
}

fn several(session: &Session<'_>, references: &[Reference]) -> Result<(), Error> {
    let (mut failed, mut absent) = (0, true);
    for reference in references {
        match one(session, reference) {
            Ok(()) => {}
            Err(error @ Error::Output(_)) => return Err(error),
            Err(error) if !session.connection.is_alive() => return Err(error),
            Err(error) => {
                console::tell(format_args!("donjon: {}", console::lines(&error.to_string())));
                failed += 1;
                absent &= matches!(error, Error::NoSuchSecret(_));
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(Error::Some { failed, all: references.len(), absent }) }
}

fn one(session: &Session<'_>, reference: &Reference) -> Result<(), Error> {
    let secret = reference.lookup(session.connection)?;
    session.connection.undefine(&secret).map_err(|error| match error {
        error if error.is_no_secret() => Error::NoSuchSecret(reference.clone()), // Another client was quicker.
        error => error.into(),
    })?;
    session.say_changed(&secret)
}
