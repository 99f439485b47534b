//! The admin socket: operators ask the running server, which alone can read its database and has its keys.
//!
//! ```text
//! donjond check, backup ──client──▶ DATA-DIR/admin-sock ──server──▶ work ──▶ store, vault
//!                       ◀─ progress, findings, result, a descriptor ─┘
//! ```
//!
//! The bytes are in [`protocol`] and in docs/admin-socket.md. Root and the server's own user may ask; answers hold no payload
//! and no key. A request is a function of [`work`] that runs on a thread for what takes long, tells its
//! progress, and ends when its client has gone. To add one: a variant of [`protocol::Ask`], and its function.

pub(crate) mod client;
pub(crate) mod protocol;
pub(crate) mod server;
mod work;
