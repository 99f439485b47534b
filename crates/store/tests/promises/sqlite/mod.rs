//! The promises of the embedded store about its files.

mod files;
mod purge;
mod schema;
mod whole;
