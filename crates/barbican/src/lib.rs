//! The REST door: OpenStack Barbican's v1 API, as release 23.0.0 answers it in project-header mode.
//!
//! ```text
//! transport ─▶ door ─▶ exchange ─▶ path, table, negotiate ─▶ handler ─▶ vault
//!    HTTP    is it ours?  who?      where to? as what?         typed request, one call, typed reply
//! ```
//!
//! Clients written for Barbican cannot tell the difference: statuses, headers and error texts are the same, oddities
//! included. Where Barbican loses data, fails or drops a connection, this door does not: docs/barbican-differences.md lists
//! the cases.
//!
//! A handler is three steps: a typed request out of bytes, one call of the vault, a typed reply into bytes. A request
//! that is wrong in itself still asks the vault whether its caller may make it, so strangers learn nothing and the
//! attempt is written down.
//!
//! Plaintext lies in wiped buffers from the request's body to the vault and from the vault to the connection. No error
//! text quotes it. Descriptions of errors may quote other parts of a request, so they are never logged.
#![forbid(unsafe_code)]

mod accept;
mod door;
mod exchange;
#[doc(hidden)]
pub mod fuzzing;
mod media_types;
mod metrics;
mod microversion;
mod negotiate;
mod page;
mod parameters;
mod path;
mod problem;
mod python;
mod query;
mod reply;
mod request;
mod resources;
mod routes;
mod schema;
mod table;
mod write;

pub use door::{Door, DoorConfig};
pub use reply::Body;
