//! Seals payloads for the store and opens them for the vault. All cryptography is here, so auditors read one crate.
//!
//! ```text
//! key provider ──gives──▶ master key ──unwraps──▶ project key (versioned) ──HKDF(secret id)──▶ secret key
//!   file, credential        │    │                                                                 │
//!                 check value    └──HKDF──▶ chain key                                         AES-256-GCM
//!                 (is it this    (links the lines                                                  │
//!                  store's?)      of the audit trail)                                      sealed ◀┴▶ payload
//! ```
//!
//! What it promises:
//!
//! - A sealed payload opens only for its own secret, project, key version and private flag.
//! - A guard binds the facts that decide about access to their secret or container ([`ProjectKey::guard`]).
//! - Every sealed payload and wrapped key is opened once and compared before it is returned.
//! - [`Payload`] and the keys cannot be printed, copied, compared or serialised; tests prove that misuse
//!   does not compile. No error carries a byte of either.
//! - Keys live in memory that is locked, left out of core dumps and wiped ([`Locked`]).
//! - A program with [`WipingHeap`] leaves nothing in memory that it has freed.
//! - Arbitrary bytes give a typed [`Error`], never a panic.
//!
//! What it leaves out: an old row that is put back in its own place opens (the store must prevent rollback); a
//! sealed payload shows the length of its plaintext; keys derived for one call, and the cipher's round keys,
//! live for that call in ordinary memory that is wiped but not locked, and so do the keys that only
//! authenticate (of the audit trail, of guards) as long as they are used.

mod envelope;
mod error;
mod evp;
pub mod generate;
#[cfg(test)]
mod golden;
mod guard;
mod keys;
mod locked;
mod payload;
mod primitives;
mod provider;
mod wiping;

pub use envelope::{Bound, Sealed};
pub use error::Error;
pub use guard::{check_acl, guard_key_version};
pub use keys::{ChainKey, MasterKey, ProjectKey, Rows};
pub use locked::Locked;
pub use payload::Payload;
pub use provider::{FileProvider, KeyProvider, ProviderError, StoreAge, SystemdCredential};
pub use wiping::WipingHeap;
