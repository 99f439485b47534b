//! What the embedded store promises of its files.

mod files;
mod purge;
mod schema;
mod whole;
