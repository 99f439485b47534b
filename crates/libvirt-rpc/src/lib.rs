//! libvirt's RPC for secrets: decodes and encodes messages.
//!
//! ```text
//!  u32 length ─┬─ header: program version procedure kind serial status ─┬─ payload (XDR, RFC 4506)
//!              └── counts itself, the header and the payload ───────────┘
//! ```
//!
//! - [`frame`] cuts a stream into messages and reads their headers,
//! - [`procedures`] is the table of the procedures, and [`foreign`] that of other daemons' procedures,
//! - [`messages`] has the arguments and replies, decoded and encoded, so that server and client agree,
//! - [`error`] is the error in a reply,
//! - [`xdr`] has the primitives, each with its limit.
//!
//! This crate is pure: it has no I/O, no clock and nothing of Donjon's own. Hostile bytes give a [`xdr::DecodeError`].
//! Decoded values borrow from the message, so the value of a secret is never copied.
//!
//! Source of numbers and limits: libvirt's `src/remote/remote_protocol.x`, `src/rpc/virnetprotocol.x` and
//! `src/rpc/virkeepaliveprotocol.x`, release 12.8.0, and conversations recorded with its daemons.
#![forbid(unsafe_code)]

pub mod error;
pub mod foreign;
pub mod frame;
pub mod messages;
pub mod procedures;
pub mod xdr;
