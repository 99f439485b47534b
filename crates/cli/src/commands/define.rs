//! `donjon define`: makes a secret, or replaces the attributes of one.

use virsecret::Validate;

use super::Session;
use crate::cli::Define;
use crate::error::Error;
use crate::{input, xml};

pub(crate) fn run(session: &Session<'_>, flags: &Define) -> Result<(), Error> {
    let validate = if flags.validate { Validate::Yes } else { Validate::No };
    let secret = match &flags.xml {
        Some(file) => session.connection.define(&*input::xml(file)?, validate),
        None => session.connection.define(xml::write(flags), validate),
    };
    session.say_changed(&secret?)
}
