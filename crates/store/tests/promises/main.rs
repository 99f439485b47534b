//! What a store promises.
//!
//! `contract` holds for every store and runs on those that `DONJON_TEST_STORE` lists, by default on `sqlite`, the embedded
//! one. `sqlite` is about the files of that one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod contract;
mod sqlite;
mod support;
