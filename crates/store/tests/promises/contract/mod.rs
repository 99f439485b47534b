//! The promises of every store. Each test runs on each store of the list.

mod belongings;
mod change_log;
mod containers;
mod definitions;
mod guards;
mod lists;
mod metadata;
mod quotas;
mod secrets;

pub(crate) use definitions::{ceph, ephemeral, persistent, secret};
pub(crate) use lists::everything;
pub(crate) use secrets::{add, plain};
