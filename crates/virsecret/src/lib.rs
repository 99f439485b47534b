//! A client of libvirt's secret API: safe, blocking, for many threads.
//!
//! ```no_run
//! use virsecret::{Connection, UsageType, Validate};
//!
//! # fn main() -> Result<(), virsecret::Error> {
//! let connection = Connection::open("secret:///system")?;
//! let xml = "<secret><usage type='ceph'><name>client.x</name></usage></secret>";
//! let secret = connection.define(xml, Validate::Yes)?;
//! connection.set_value(&secret, b"AQBHCbtT6APDHhAA5W00cBchwkQjh3dkKsyPjw==")?;
//!
//! let found = connection.lookup_by_usage(UsageType::Ceph, "client.x")?;
//! assert_eq!(found.uuid, secret.uuid);
//! let value = connection.value(&found)?;
//! assert_eq!(value.expose().len(), 40);
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!  uri ──▶ reach ──▶ link ────────────▶ connection ──▶ secret, value, events
//!                    one stream,        the handshake, and
//!                    many callers       a method for each procedure
//! ```
//!
//! It talks to every daemon that serves the API: Donjon's, libvirt's `virtsecretd`, a whole `libvirtd`. It reaches them on
//! this machine, over TLS or TCP, through ssh, or through another program. Values are wiped when they are dropped, and no
//! error text has one. Every wait has a limit in [`limits`], unless the caller sets another.
//!
//! Left out: SASL, starting a daemon, reconnecting. There is no thread of its own: events are received while a caller
//! waits, in [`Connection::next_event`] or for a reply. The C API of libvirt stands on top, in `abi`.

mod abi;
mod access;
mod close;
mod connection;
mod error;
mod events;
mod inbox;
pub mod limits;
mod link;
#[cfg(test)]
mod peer;
mod reach;
mod secret;
mod socket;
mod stream;
mod tls;
mod transfer;
mod uri;
mod value;

pub use libvirt_rpc::error::RemoteError;
pub use uuid::Uuid;

pub use access::Access;
pub use close::CloseReason;
pub use connection::{Connection, Validate};
pub use error::{Error, Result, TlsError, Unfit};
pub use events::{Change, Event, EventKind, Registration};
pub use secret::{Filter, Secret, UsageType};
pub use uri::{Mode, Uri, UriError};
pub use value::Value;
