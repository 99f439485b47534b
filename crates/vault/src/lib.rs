//! The vault authorises every request, writes it into the audit trail, then does it.
//!
//! ```text
//! front-end ──Call, request──▶ vault ──▶ store    rows, sealed
//!                              │  └────▶ seal     keys, plaintext
//!                              └───────▶ audit    one line per request, before anything leaves
//! ```
//!
//! The vault knows no protocol: a front-end parses bytes into the types of `model` and of this crate, makes one
//! call, and translates the result or the [`Error`]. The vault reads no clock: [`model::Call`] carries the time.
#![forbid(unsafe_code)]

mod acls;
mod audit;
mod authorise;
mod consumers;
mod containers;
mod error;
mod feed;
mod guards;
mod keys;
mod metadata;
mod opener;
mod orders;
mod quotas;
mod rendering;
mod secrets;
mod transport_keys;
mod upkeep;
mod values;
mod vault;

pub use audit::{
    AuditSink, Chain, CheckedTrail, Cut, Declared, Entry, Event, FileSink, LostChange, LostChanges, Note,
    Notice, Object, Outcome, StreamSink, Sync, Ticket, TrailEnd, TrailError, check_trail, is_deceptive,
};
pub use authorise::{Action, Policy, PolicyError, PolicySet, PolicyWarning};
pub use consumers::{PAGE_BYTES_MAX, SecretUse, Used};
pub use containers::{ContainerView, NewContainer};
pub use error::{Denied, Error, Failure, OpenError};
pub use feed::ChangeFeed;
pub use metadata::{Expect, Metadata};
pub use model::{Absent, Conflict};
pub use opener::Opener;
pub use orders::{NewOrder, OrderedKey};
pub use seal::{Payload, generate};
pub use secrets::{NewPayload, NewSecret, OpenedPayload};
pub use store::{Failure as StoreFailure, Numbers, Slice, Sliced};
pub use upkeep::{Grace, Reaped};
pub use vault::{Begin, Lost, OnLoss, Parts, Vault, unlock, unlock_by};
