//! `donjon set-value`: sets the value of a secret.

use virsecret::UsageType;

use super::Session;
use crate::cli::SetValue;
use crate::encoding::is_ceph_key_in_base64;
use crate::error::Error;
use crate::{console, input};

/// The secret is looked up first, so that nobody types a value for a secret that does not exist.
pub(crate) fn run(session: &Session<'_>, flags: &SetValue) -> Result<(), Error> {
    let secret = flags.secret.lookup(session.connection)?;
    let value = input::value(flags.file.as_deref(), flags.written.into())?;
    session.connection.set_value(&secret, &value)?;
    if secret.usage_type == UsageType::Ceph && is_ceph_key_in_base64(&value) {
        console::tell(
            "donjon: warning: the value is a Ceph key in base64, as ceph prints it, and was stored so; hypervisors want the \
             bytes: give it once more, with --base64",
        );
    }
    session.say_changed(&secret)
}
