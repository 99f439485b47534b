//! libvirt's RPC as the secret driver speaks it: bytes in, values out, and back.
//!
//! ```text
//!  u32 length ─┬─ header: program version procedure kind serial status ─┬─ payload (XDR, RFC 4506)
//!              └── counts itself, the header and the payload ───────────┘
//! ```
//!
//! - [`frame`] cuts a stream into messages and reads their headers,
//! - [`procedures`] is the table of what can be called, and [`foreign`] of what only other daemons do,
//! - [`messages`] are arguments and replies, each decoded and encoded, so that server and client agree,
//! - [`error`] is the error that a reply carries instead of a result,
//! - [`xdr`] are the primitives, each with its limit.
//!
//! Everything here is pure: no I/O, no clock, nothing of Donjon's own. Hostile bytes give a [`xdr::DecodeError`]. What
//! is decoded borrows from the message, so a value that is a secret is copied nowhere here.
//!
//! Source of numbers and limits: libvirt's `src/remote/remote_protocol.x`, `src/rpc/virnetprotocol.x` and
//! `src/rpc/virkeepaliveprotocol.x`, release 12.8.0, and conversations recorded with its daemons.

pub mod error;
pub mod foreign;
pub mod frame;
pub mod messages;
pub mod procedures;
pub mod xdr;
