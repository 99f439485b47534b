//! Events: the daemon reports secrets that are defined, undefined, or given a value.

use libvirt_rpc::messages::{self, LIFECYCLE_DEFINED, LIFECYCLE_UNDEFINED, Lifecycle, ValueChanged};
use libvirt_rpc::procedures::{EVENT_LIFECYCLE, EVENT_VALUE_CHANGED};
use libvirt_rpc::xdr::{DecodeError, Decoder};

use crate::secret::Secret;

/// The kinds of events: `virSecretEventID`.
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

/// A registration for events; the daemon's number for it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Registration(pub(crate) i32);

/// A change of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The registration it is for. If two match, the daemon sends two events.
    pub registration: Registration,
    /// The secret.
    pub secret: Secret,
    /// The change.
    pub change: Change,
}

/// The change in an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It was defined, for the first time or again.
    Defined,
    /// It was undefined.
    Undefined,
    /// Its value was set, perhaps to the same value.
    ValueChanged,
    /// The number of a lifecycle event that this program does not know.
    Other(i32),
}

/// Decodes the payload of a message. `None` if it is not an event of secrets.
pub(crate) fn decode(procedure: i32, from: &mut Decoder<'_>) -> Result<Option<Event>, DecodeError> {
    match procedure {
        EVENT_LIFECYCLE => Lifecycle::decode(from).map(|message| Some(lifecycle(&message))),
        EVENT_VALUE_CHANGED => ValueChanged::decode(from).map(|message| Some(value_changed(&message))),
        _ => Ok(None),
    }
}

fn lifecycle(message: &Lifecycle<'_>) -> Event {
    let change = match message.event {
        LIFECYCLE_DEFINED => Change::Defined,
        LIFECYCLE_UNDEFINED => Change::Undefined,
        other => Change::Other(other),
    };
    Event { registration: Registration(message.callback), secret: Secret::of_wire(&message.secret), change }
}

fn value_changed(message: &ValueChanged<'_>) -> Event {
    Event {
        registration: Registration(message.callback),
        secret: Secret::of_wire(&message.secret),
        change: Change::ValueChanged,
    }
}
