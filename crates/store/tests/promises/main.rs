//! What a store promises.
//!
//! `contract` holds for every store. It runs on the stores that `DONJON_TEST_STORE` lists, by default on the embedded one,
//! `sqlite`. `sqlite` is about the files of the embedded store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod contract;
mod sqlite;
mod support;
