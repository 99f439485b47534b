//! What the daemon tells by itself, once asked to: secrets that come, go, or get another value.

use libvirt_rpc::messages::{self, LIFECYCLE_DEFINED, LIFECYCLE_UNDEFINED, Lifecycle, ValueChanged};
use libvirt_rpc::procedures::{EVENT_LIFECYCLE, EVENT_VALUE_CHANGED};
use libvirt_rpc::xdr::{DecodeError, Decoder};

use crate::secret::Secret;

/// What can be asked to be told of: `virSecretEventID`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// A secret was defined (or defined anew) or undefined.
    Lifecycle,
    /// A value was set.
    ValueChanged,
}

impl EventKind {
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::Lifecycle => messages::EVENT_ID_LIFECYCLE,
            Self::ValueChanged => messages::EVENT_ID_VALUE_CHANGED,
        }
    }
}

/// That somebody asked to be told; the daemon's number for it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Registration(pub(crate) i32);

/// Something happened to a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Who asked to be told. With two that match, the daemon tells twice.
    pub registration: Registration,
    /// To which secret.
    pub secret: Secret,
    /// What.
    pub change: Change,
}

/// What happened to a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It was defined, for the first time or again.
    Defined,
    /// It is gone.
    Undefined,
    /// Its value was set, to the same one perhaps.
    ValueChanged,
    /// A lifecycle event that came later than this program: its number.
    Other(i32),
}

/// Reads the payload of a message. `None` if the message is about something else.
pub(crate) fn decode(procedure: i32, from: &mut Decoder<'_>) -> Result<Option<Event>, DecodeError> {
    match procedure {
        EVENT_LIFECYCLE => Lifecycle::decode(from).map(|said| Some(lifecycle(&said))),
        EVENT_VALUE_CHANGED => ValueChanged::decode(from).map(|said| Some(value_changed(&said))),
        _ => Ok(None),
    }
}

fn lifecycle(said: &Lifecycle<'_>) -> Event {
    let change = match said.event {
        LIFECYCLE_DEFINED => Change::Defined,
        LIFECYCLE_UNDEFINED => Change::Undefined,
        other => Change::Other(other),
    };
    Event { registration: Registration(said.callback), secret: Secret::of_wire(&said.secret), change }
}

fn value_changed(said: &ValueChanged<'_>) -> Event {
    Event {
        registration: Registration(said.callback),
        secret: Secret::of_wire(&said.secret),
        change: Change::ValueChanged,
    }
}
