//! The libvirt door: the secret driver's RPC, as libvirtd 12.8.0 answers it with that driver alone.
//!
//! ```text
//! connection ─▶ input ─▶ session ─▶ dispatch ─▶ handler ─▶ vault
//!     bytes     whole?   checks     one match    one call, typed reply
//!     events ◀─ connection ◀─ follower ◀─ change log
//! ```
//!
//! virsh, libvirt-python and libvirt's own daemons see no difference: codes, domains and texts of errors, the bytes of
//! replies and the order of checks are the same. The real daemon can lose a secret, keep one in memory or let one client
//! shut out others; this one does not. docs/libvirt-differences.md lists the cases.
//!
//! The table in `libvirt-rpc` decodes the arguments of a call, one match finds its handler, and the handler calls the vault
//! once and writes a typed reply. Values lie in wiped buffers from the socket to the vault and back. [`limits`] bounds the
//! memory and the time of everything that a client sends or leaves unread.
#![forbid(unsafe_code)]

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
mod limits;
mod metrics;
mod output;
mod pending;
mod polkit;
mod reply;
mod session;
mod token;
mod turns;
mod uri;
mod xml;

pub use auth::ClientAuth;
pub use door::{Door, DoorConfig, Socket};
pub use identity::Peer;
pub use metrics::Metrics;
pub use token::{NotAToken, SystemToken, TOKEN_BYTES};
pub use uri::Reach;
