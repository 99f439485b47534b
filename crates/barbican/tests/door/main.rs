//! The door as its users meet it: over a vault with all its parts in a temporary folder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod api;
mod browsers;
mod connection;
mod keystone;
mod rig;
