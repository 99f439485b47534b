//! The libvirt door: the secret driver's RPC, as libvirtd 12.8.0 answers it with that driver alone.
//!
//! ```text
//! connection ─▶ frame ─▶ session ─▶ handler ─▶ vault
//!     bytes     whole?   open? may they?   typed request, one call, typed reply
//!     events ◀─ connection ◀─ follower ◀─ change log
//! ```
//!
//! virsh, libvirt-python and libvirt's own daemons cannot tell the difference: codes, domains and texts of errors, the
//! bytes of replies and the order of checks are the same. Where the real daemon loses a secret, keeps one in memory or
//! lets one client shut out others, this does not; docs/libvirt-differences.md lists the cases.
//!
//! A handler is three steps: typed arguments out of bytes, one call of the vault, a typed reply into bytes. Values lie in
//! wiped buffers from the socket to the vault and back. Nothing a client sends, and nothing it leaves unread, takes more
//! memory or time than [`limits`] says.

mod auth;
mod connection;
mod cuts;
mod door;
mod error;
mod events;
#[doc(hidden)]
pub mod fuzzing;
mod handlers;
mod identity;
mod input;
mod later;
mod limits;
mod metrics;
mod output;
mod polkit;
mod reply;
mod session;
mod token;
mod turns;
mod uri;
mod xml;

pub use auth::Auth;
pub use door::{Door, DoorConfig, Socket};
pub use identity::Peer;
pub use metrics::Metrics;
pub use token::{NotAToken, SystemToken, TOKEN_BYTES};
pub use uri::Reach;
