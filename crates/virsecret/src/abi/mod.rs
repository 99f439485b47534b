//! The C API: every public function of libvirt, those of secrets and what belongs to them for real.
//!
//! ```text
//!  connect  secret  callbacks  typed ──▶ error (enter: no panic leaves, errors are kept) ──▶ the program
//!     │       │         │
//!     └───────┴────┬────┘        events ──▶ the program's event loop, or default_loop
//!                  ▼
//!           the safe client
//! ```
//!
//! This module alone has `unsafe` in it: pointers come in and go out. Each block says why it is sound; most rest on what
//! the headers in `include/libvirt` ask of the program. The names are libvirt's, and so is what each function promises:
//! the headers say it, so it is not said again here.
#![allow(unsafe_code, reason = "the C ABI")]
#![allow(unreachable_pub, reason = "programs reach it, by name")]
#![allow(non_snake_case, non_upper_case_globals, reason = "the names are libvirt's")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the headers say what the program must see to; each block here names which of it"
)]
#![allow(clippy::not_unsafe_ptr_arg_deref, reason = "the ABI has no unsafe functions")]

mod callbacks;
mod connect;
mod default_loop;
mod error;
mod events;
mod faults;
mod handle;
mod log;
mod loops;
mod raw;
mod registrations;
mod secret;
mod texts;
mod typed;
mod unsupported;
mod vir_error;
mod watch;
