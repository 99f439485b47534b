//! Rows, sealed: what Donjon knows of secrets, on disk.
//!
//! A store keeps records, ciphertext and wrapped keys. It cannot name plaintext: the type does not exist here. It
//! knows no protocol and decides nothing about who may do what.
//!
//! - What [`Store::apply`] has acknowledged is on disk. What it refused has left no trace.
//! - A change and its row in the change log are one transaction, and so are its [`Witness`] and its number.
//! - Reads see everything acknowledged before they began.
//! - An ephemeral secret is in no file, in no form: a store keeps it in memory, and it ends with the store.
//!
//! `tests/promises/contract` is the promise in full: one suite that every store passes.
#![forbid(unsafe_code)]

mod change;
mod ephemeral;
mod error;
mod guarding;
pub mod limits;
mod numbers;
mod plan;
pub mod rules;
pub mod sqlite;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use model::{
    Access, ChangeCursor, Changes, Consumer, ConsumerId, Container, ContainerId, ContainerQuery,
    ContainerSecret, ContentType, Encoding, Guarded, Handle, KeyVersion, ListQuery, Listed, Metadatum, Order,
    OrderId, OrderQuery, Page, ProjectId, ProjectQuotas, Secret, SecretId, Timestamp, TransportKey,
    TransportKeyId, Usage, Which,
};
use tokio::sync::watch;

pub use change::{Change, Limit, Reseal, Unwitnessed, Witness, unwitnessed};
pub use error::{CopyError, Error, Failure, OpenError};
pub use guarding::{AclStep, GuardedAcl, Guarding, Kind, Regard, Regarded, RegardedRow};
pub use numbers::Numbers;
pub use sqlite::{Copied, CopyProgress, SqliteStore};

/// Sixteen random bytes that name a store; keys are bound to them.
pub type StoreId = [u8; 16];

/// What it takes to decide about a secret and to open its payload: one probe, no more than needed.
#[derive(Clone, Debug)]
pub struct SealedSecret {
    /// What decides about access to it.
    pub access: Access,
    /// How the payload is rendered where it leaves as a value.
    pub encoding: Encoding,
    /// The kind of payload, and its envelope.
    pub payload: Option<(ContentType, Vec<u8>)>,
}

/// A project's key as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrappedKey {
    /// Which of the project's keys.
    pub version: KeyVersion,
    /// The key, wrapped by the master key.
    pub wrapped: Vec<u8>,
}

/// A server among those that share a store. Each writes an audit trail of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeName(Cow<'static, str>);

impl NodeName {
    /// The server of a store that has only one.
    pub const ONLY: Self = Self(Cow::Borrowed("only"));

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for NodeName {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

/// Where the audit trail of a node stood: its last line's number and hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuditAnchor {
    /// The number of the line.
    pub number: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slice {
    /// How many to pass over.
    pub offset: u64,
    /// The most to give.
    pub limit: u32,
}

impl Slice {
    /// All there are of what is bounded elsewhere.
    pub const ALL: Self = Self { offset: 0, limit: u32::MAX };
}

/// A part of a list, and how long the whole is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sliced<T> {
    /// The part.
    pub items: Vec<T>,
    /// How many there are.
    pub total: u64,
}

/// A database of secrets.
#[async_trait]
pub trait Store: Send + Sync {
    /// Names this store, for good.
    fn id(&self) -> StoreId;

    /// What tells the right master key; absent until a new store's first start is complete.
    async fn key_check(&self) -> Result<Option<Vec<u8>>, Error>;

    /// What decides about access to a secret or a container, expired or not.
    async fn access(&self, of: Guarded) -> Result<Option<Access>, Error>;

    /// One record, expired or not.
    async fn secret(&self, id: SecretId) -> Result<Option<Secret>, Error>;

    /// The envelope of one payload, and what decides about access to it.
    async fn sealed(&self, id: SecretId) -> Result<Option<SealedSecret>, Error>;

    /// The user metadata of a secret, in the order of keys.
    async fn metadata(&self, id: SecretId) -> Result<Vec<Metadatum>, Error>;

    /// The ACL of something that is there. [`Failure::Unguarded`] if it names users and is none.
    async fn acl(&self, of: Guarded) -> Result<Option<GuardedAcl>, Error>;

    /// What decides about each secret or container on disk, after a row, at most `limit`.
    async fn regarded(&self, kind: Kind, after: i64, limit: u32) -> Result<Vec<RegardedRow>, Error>;

    /// The consumers of a secret or a container, in order of registration.
    async fn consumers(&self, of: Guarded, slice: Slice) -> Result<Sliced<Consumer>, Error>;

    /// One consumer.
    async fn consumer(&self, of: Guarded, id: ConsumerId) -> Result<Option<Consumer>, Error>;

    /// One container.
    async fn container(&self, id: ContainerId) -> Result<Option<Container>, Error>;

    /// What is in a container, in order of adding.
    async fn container_secrets(&self, id: ContainerId) -> Result<Vec<ContainerSecret>, Error>;

    /// The containers of a project, in order of creation.
    async fn containers(&self, query: &ContainerQuery) -> Result<Sliced<Container>, Error>;

    /// One order.
    async fn order(&self, id: OrderId) -> Result<Option<Order>, Error>;

    /// The orders of a project, in order of creation.
    async fn orders(&self, query: &OrderQuery) -> Result<Sliced<Order>, Error>;

    /// What was said of a project's quotas, if anything was.
    async fn project_quotas(&self, project: &ProjectId) -> Result<Option<ProjectQuotas>, Error>;

    /// The projects of whose quotas something was said, in order of first mention.
    async fn all_project_quotas(&self, slice: Slice) -> Result<Sliced<(ProjectId, ProjectQuotas)>, Error>;

    /// One transport key.
    async fn transport_key(&self, id: TransportKeyId) -> Result<Option<TransportKey>, Error>;

    /// Transport keys, in order of creation; those of one back end, if it is named.
    async fn transport_keys(&self, plugin: Option<&str>, slice: Slice)
    -> Result<Sliced<TransportKey>, Error>;

    /// One page of secrets that have not expired by `now`.
    async fn list(&self, query: &ListQuery, now: Timestamp) -> Result<Page, Error>;

    /// Some secrets that have expired by then and are still there, of whichever project: those that expired first.
    async fn expired(&self, by: Timestamp, limit: u32) -> Result<Vec<(SecretId, ProjectId)>, Error>;

    /// How many orders [`Change::ReapOrders`] would take away.
    async fn spent_orders(&self, before: Timestamp) -> Result<u32, Error>;

    /// What a secret's id points at, expired or not.
    async fn handle(&self, id: SecretId) -> Result<Option<Handle>, Error>;

    /// What a usage points at in a project, expired or not.
    async fn handle_by_usage(&self, project: &ProjectId, usage: &Usage) -> Result<Option<Handle>, Error>;

    /// How many secrets of a project have not expired by `now`.
    async fn count(&self, project: &ProjectId, which: Which, now: Timestamp) -> Result<u64, Error>;

    /// The secrets of a project that have not expired by `now`, at most `limit`, in no order. [`Failure::ListTooLong`] if what
    /// they are used for takes more memory than a list may.
    async fn handles(
        &self,
        project: &ProjectId,
        which: Which,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Listed>, Error>;

    /// A project's newest key, or the one of a version.
    async fn project_key(
        &self,
        project: &ProjectId,
        version: Option<KeyVersion>,
    ) -> Result<Option<WrappedKey>, Error>;

    /// The change log after a place, oldest first, at most `limit` rows and about a mebibyte, but one row at least. Rows are
    /// dropped after an hour, or when there are more than a named number; who comes later than that is told.
    async fn changes(&self, after: ChangeCursor, limit: u32) -> Result<Changes, Error>;

    /// Follows the end of the change log.
    fn newest_change(&self) -> watch::Receiver<ChangeCursor>;

    /// Where the audit trail of a node stood when that was last written down.
    async fn audit_anchor(&self, node: &NodeName) -> Result<Option<AuditAnchor>, Error>;

    /// The number of the newest witnessed change that is on disk, as is read there.
    async fn witnessed(&self) -> Result<u64, Error>;

    /// The numbers that witnessed changes have.
    fn numbers(&self) -> Arc<Numbers>;

    /// Does one change. The witness is called inside the transaction once the change is known to succeed; if it
    /// refuses, nothing was done. A store that must repeat a transaction calls it again.
    async fn apply(&self, change: Change, witness: Witness) -> Result<(), Error>;
}
