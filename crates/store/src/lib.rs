//! The rows of secrets, with their payloads sealed.
//!
//! A store keeps records, ciphertext and wrapped keys. It cannot name plaintext: the type does not exist here. It
//! knows no protocol and decides nothing about who may do what.
//!
//! - A change that [`Store::apply`] has acknowledged is on disk. A change that it refused has left no trace.
//! - A change and its row in the change log are one transaction, and so are its [`Witness`] and its number.
//! - Reads see everything acknowledged before they began.
//! - An ephemeral secret is in no file in any form: a store keeps it in memory, and it ends with the store.
//!
//! `tests/promises/contract` is the whole promise: one suite that every store passes.
#![forbid(unsafe_code)]

mod change;
pub mod ephemeral;
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

/// Everything that opening a payload needs: the facts that decide about access, and the envelope.
#[derive(Clone, Debug)]
pub struct SealedSecret {
    /// The facts that decide about access to it.
    pub access: Access,
    /// How the libvirt door renders the payload.
    pub encoding: Encoding,
    /// The kind of payload, and its envelope.
    pub payload: Option<(ContentType, Vec<u8>)>,
}

/// A project's key as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrappedKey {
    /// The version of the key.
    pub version: KeyVersion,
    /// The key, wrapped by the master key.
    pub wrapped: Vec<u8>,
}

/// One of the servers that share a store. Each writes its own audit trail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeName(Cow<'static, str>);

impl NodeName {
    /// The only server of a store.
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

/// The last line of a node's audit trail at some moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuditAnchor {
    /// The number of the line.
    pub number: u64,
    /// The hash of the line.
    pub hash: [u8; 32],
}

/// The part of a list that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slice {
    /// The number of items before the part.
    pub offset: u64,
    /// The most items in the part.
    pub limit: u32,
}

impl Slice {
    /// The whole of a list that is bounded elsewhere.
    pub const ALL: Self = Self { offset: 0, limit: u32::MAX };
}

/// A part of a list, and the length of the whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sliced<T> {
    /// The part.
    pub items: Vec<T>,
    /// The number of items in the whole list.
    pub total: u64,
}

/// A database of secrets.
#[async_trait]
pub trait Store: Send + Sync {
    /// The id of this store, which never changes.
    fn id(&self) -> StoreId;

    /// The check that tells the right master key from a wrong one; absent until a new store's first start is complete.
    async fn key_check(&self) -> Result<Option<Vec<u8>>, Error>;

    /// The facts that decide about access to a secret or a container, expired or not.
    async fn access(&self, of: Guarded) -> Result<Option<Access>, Error>;

    /// One record, expired or not.
    async fn secret(&self, id: SecretId) -> Result<Option<Secret>, Error>;

    /// The envelope of one secret's payload, and the facts that decide about access to it.
    async fn sealed(&self, id: SecretId) -> Result<Option<SealedSecret>, Error>;

    /// The user metadata of a secret, in the order of keys.
    async fn metadata(&self, id: SecretId) -> Result<Vec<Metadatum>, Error>;

    /// The ACL and the guard of a secret or a container. [`Failure::Unguarded`] if there are users of an ACL and no ACL.
    async fn acl(&self, of: Guarded) -> Result<Option<GuardedAcl>, Error>;

    /// The facts that decide about access to each secret or container on disk, after a row, at most `limit`.
    async fn regarded(&self, kind: Kind, after: i64, limit: u32) -> Result<Vec<RegardedRow>, Error>;

    /// The consumers of a secret or a container, in order of registration.
    async fn consumers(&self, of: Guarded, slice: Slice) -> Result<Sliced<Consumer>, Error>;

    /// One consumer.
    async fn consumer(&self, of: Guarded, id: ConsumerId) -> Result<Option<Consumer>, Error>;

    /// One container.
    async fn container(&self, id: ContainerId) -> Result<Option<Container>, Error>;

    /// The secrets in a container, in the order in which they were added.
    async fn container_secrets(&self, id: ContainerId) -> Result<Vec<ContainerSecret>, Error>;

    /// The containers of a project, in order of creation.
    async fn containers(&self, query: &ContainerQuery) -> Result<Sliced<Container>, Error>;

    /// One order.
    async fn order(&self, id: OrderId) -> Result<Option<Order>, Error>;

    /// The orders of a project, in order of creation.
    async fn orders(&self, query: &OrderQuery) -> Result<Sliced<Order>, Error>;

    /// A project's own quotas, if it has any.
    async fn project_quotas(&self, project: &ProjectId) -> Result<Option<ProjectQuotas>, Error>;

    /// The projects that have quotas of their own, in the order in which the store first knew them.
    async fn all_project_quotas(&self, slice: Slice) -> Result<Sliced<(ProjectId, ProjectQuotas)>, Error>;

    /// One transport key.
    async fn transport_key(&self, id: TransportKeyId) -> Result<Option<TransportKey>, Error>;

    /// The transport keys of one back end, or of all, in order of creation.
    async fn transport_keys(&self, plugin: Option<&str>, slice: Slice)
    -> Result<Sliced<TransportKey>, Error>;

    /// One page of secrets that have not expired by `now`.
    async fn list(&self, query: &ListQuery, now: Timestamp) -> Result<Page, Error>;

    /// Secrets of all projects that have expired by then and were not taken away, oldest expiration first, at most `limit`.
    async fn expired(&self, by: Timestamp, limit: u32) -> Result<Vec<(SecretId, ProjectId)>, Error>;

    /// The number of orders that [`Change::ReapOrders`] would delete.
    async fn spent_orders(&self, before: Timestamp) -> Result<u32, Error>;

    /// A secret by its id, expired or not, for a caller that does not want the whole record.
    async fn handle(&self, id: SecretId) -> Result<Option<Handle>, Error>;

    /// The secret of a project that has a usage, expired or not.
    async fn handle_by_usage(&self, project: &ProjectId, usage: &Usage) -> Result<Option<Handle>, Error>;

    /// The number of a project's secrets that have not expired by `now`.
    async fn count(&self, project: &ProjectId, which: Which, now: Timestamp) -> Result<u64, Error>;

    /// The secrets of a project that have not expired by `now`, at most `limit`, in no order. [`Failure::ListTooLong`] if
    /// their usages take more memory than a list may.
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

    /// The change log after a place, oldest first, at most `limit` rows and about a mebibyte, but at least one row. Rows are
    /// dropped after an hour, or when there are more than [`limits::CHANGES_KEPT`]; a follower that comes later is told.
    async fn changes(&self, after: ChangeCursor, limit: u32) -> Result<Changes, Error>;

    /// Follows the end of the change log.
    fn newest_change(&self) -> watch::Receiver<ChangeCursor>;

    /// The end of a node's audit trail, as it was last written down.
    async fn audit_anchor(&self, node: &NodeName) -> Result<Option<AuditAnchor>, Error>;

    /// The number of the newest witnessed change on disk, read from the disk.
    async fn witnessed(&self) -> Result<u64, Error>;

    /// The numbers of witnessed changes.
    fn numbers(&self) -> Arc<Numbers>;

    /// Does one change. The witness is called inside the transaction once the change is known to succeed; if it
    /// refuses, nothing was done. A store that must repeat a transaction calls it again.
    async fn apply(&self, change: Change, witness: Witness) -> Result<(), Error>;
}
