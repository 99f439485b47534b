//! Parts that fail on demand.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use model::{
    Access, ChangeCursor, Changes, Consumer, ConsumerId, Container, ContainerId, ContainerQuery,
    ContainerSecret, Guarded, Handle, KeyVersion, ListQuery, Listed, Metadatum, Order, OrderId, OrderQuery,
    Page, ProjectId, ProjectQuotas, Secret, SecretId, Timestamp, TransportKey, TransportKeyId, Usage, Which,
};
use seal::{KeyProvider, MasterKey, ProviderError, StoreAge};
use store::{
    AuditAnchor, Change, Error, Failure, GuardedAcl, Kind, NodeName, Numbers, RegardedRow, SealedSecret,
    Slice, Sliced, Store, StoreId, Witness, WrappedKey,
};
use vault::{AuditSink, Entry, Note, Ticket, TrailEnd};

/// Sets the call from which a part fails.
#[derive(Clone, Debug)]
pub struct Switch(Arc<AtomicI64>);

impl Default for Switch {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }
}

impl Switch {
    /// Every call fails from the n-th on, counted from 0.
    pub fn fail_after(&self, n: i64) {
        self.0.store(n, Ordering::SeqCst);
    }

    /// No call fails.
    pub fn work(&self) {
        self.0.store(i64::MAX, Ordering::SeqCst);
    }

    fn fails(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) <= 0
    }
}

/// A store that fails.
pub struct FaultyStore<S> {
    inner: S,
    switch: Switch,
}

impl<S: Store> FaultyStore<S> {
    /// Wraps a store.
    pub fn new(inner: S, switch: Switch) -> Self {
        Self { inner, switch }
    }

    fn check(&self) -> Result<(), Error> {
        if self.switch.fails() { Err(Failure::Unavailable("told to fail".into()).into()) } else { Ok(()) }
    }
}

#[async_trait]
impl<S: Store> Store for FaultyStore<S> {
    fn id(&self) -> StoreId {
        self.inner.id()
    }

    async fn key_check(&self) -> Result<Option<Vec<u8>>, Error> {
        self.check()?;
        self.inner.key_check().await
    }

    async fn access(&self, of: Guarded) -> Result<Option<Access>, Error> {
        self.check()?;
        self.inner.access(of).await
    }

    async fn secret(&self, id: SecretId) -> Result<Option<Secret>, Error> {
        self.check()?;
        self.inner.secret(id).await
    }

    async fn sealed(&self, id: SecretId) -> Result<Option<SealedSecret>, Error> {
        self.check()?;
        self.inner.sealed(id).await
    }

    async fn metadata(&self, id: SecretId) -> Result<Vec<Metadatum>, Error> {
        self.check()?;
        self.inner.metadata(id).await
    }

    async fn acl(&self, of: Guarded) -> Result<Option<GuardedAcl>, Error> {
        self.check()?;
        self.inner.acl(of).await
    }

    async fn regarded(&self, kind: Kind, after: i64, limit: u32) -> Result<Vec<RegardedRow>, Error> {
        self.check()?;
        self.inner.regarded(kind, after, limit).await
    }

    async fn consumers(&self, of: Guarded, slice: Slice) -> Result<Sliced<Consumer>, Error> {
        self.check()?;
        self.inner.consumers(of, slice).await
    }

    async fn consumer(&self, of: Guarded, id: ConsumerId) -> Result<Option<Consumer>, Error> {
        self.check()?;
        self.inner.consumer(of, id).await
    }

    async fn container(&self, id: ContainerId) -> Result<Option<Container>, Error> {
        self.check()?;
        self.inner.container(id).await
    }

    async fn container_secrets(&self, id: ContainerId) -> Result<Vec<ContainerSecret>, Error> {
        self.check()?;
        self.inner.container_secrets(id).await
    }

    async fn containers(&self, query: &ContainerQuery) -> Result<Sliced<Container>, Error> {
        self.check()?;
        self.inner.containers(query).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, Error> {
        self.check()?;
        self.inner.order(id).await
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Sliced<Order>, Error> {
        self.check()?;
        self.inner.orders(query).await
    }

    async fn project_quotas(&self, project: &ProjectId) -> Result<Option<ProjectQuotas>, Error> {
        self.check()?;
        self.inner.project_quotas(project).await
    }

    async fn all_project_quotas(&self, slice: Slice) -> Result<Sliced<(ProjectId, ProjectQuotas)>, Error> {
        self.check()?;
        self.inner.all_project_quotas(slice).await
    }

    async fn transport_key(&self, id: TransportKeyId) -> Result<Option<TransportKey>, Error> {
        self.check()?;
        self.inner.transport_key(id).await
    }

    async fn transport_keys(
        &self,
        plugin: Option<&str>,
        slice: Slice,
    ) -> Result<Sliced<TransportKey>, Error> {
        self.check()?;
        self.inner.transport_keys(plugin, slice).await
    }

    async fn expired(&self, by: Timestamp, limit: u32) -> Result<Vec<(SecretId, ProjectId)>, Error> {
        self.check()?;
        self.inner.expired(by, limit).await
    }

    async fn spent_orders(&self, before: Timestamp) -> Result<u32, Error> {
        self.check()?;
        self.inner.spent_orders(before).await
    }

    async fn list(&self, query: &ListQuery, now: Timestamp) -> Result<Page, Error> {
        self.check()?;
        self.inner.list(query, now).await
    }

    async fn handle(&self, id: SecretId) -> Result<Option<Handle>, Error> {
        self.check()?;
        self.inner.handle(id).await
    }

    async fn handle_by_usage(&self, project: &ProjectId, usage: &Usage) -> Result<Option<Handle>, Error> {
        self.check()?;
        self.inner.handle_by_usage(project, usage).await
    }

    async fn count(&self, project: &ProjectId, which: Which, now: Timestamp) -> Result<u64, Error> {
        self.check()?;
        self.inner.count(project, which, now).await
    }

    async fn handles(
        &self,
        project: &ProjectId,
        which: Which,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        self.check()?;
        self.inner.handles(project, which, now, limit).await
    }

    async fn project_key(
        &self,
        project: &ProjectId,
        version: Option<KeyVersion>,
    ) -> Result<Option<WrappedKey>, Error> {
        self.check()?;
        self.inner.project_key(project, version).await
    }

    async fn changes(&self, after: ChangeCursor, limit: u32) -> Result<Changes, Error> {
        self.check()?;
        self.inner.changes(after, limit).await
    }

    fn newest_change(&self) -> tokio::sync::watch::Receiver<ChangeCursor> {
        self.inner.newest_change()
    }

    async fn audit_anchor(&self, node: &NodeName) -> Result<Option<AuditAnchor>, Error> {
        self.check()?;
        self.inner.audit_anchor(node).await
    }

    async fn witnessed(&self) -> Result<u64, Error> {
        self.check()?;
        self.inner.witnessed().await
    }

    fn numbers(&self) -> Arc<Numbers> {
        self.inner.numbers()
    }

    async fn apply(&self, change: Change, witness: Witness) -> Result<(), Error> {
        self.check()?;
        self.inner.apply(change, witness).await
    }
}

/// An audit trail that fails.
pub struct FaultyAudit<A> {
    inner: A,
    switch: Switch,
}

impl<A: AuditSink> FaultyAudit<A> {
    /// Wraps an audit trail.
    pub fn new(inner: A, switch: Switch) -> Self {
        Self { inner, switch }
    }
}

#[async_trait]
impl<A: AuditSink> AuditSink for FaultyAudit<A> {
    fn found(&self) -> TrailEnd {
        self.inner.found()
    }

    fn note(&self, note: &Note) -> io::Result<()> {
        self.inner.note(note)
    }

    fn record(&self, entry: &Entry<'_>) -> io::Result<()> {
        if self.switch.fails() {
            return Err(io::Error::other("told to fail"));
        }
        self.inner.record(entry)
    }

    fn queue(&self, entry: &Entry<'_>) -> Ticket {
        if self.switch.fails() {
            return Ticket::settled(&Err(io::ErrorKind::Other.into()));
        }
        self.inner.queue(entry)
    }

    fn settle(&self, ticket: &Ticket) -> Option<io::Result<()>> {
        self.inner.settle(ticket)
    }

    async fn wait(&self, ticket: &Ticket) -> io::Result<()> {
        self.inner.wait(ticket).await
    }

    fn committed(&self) -> u64 {
        self.inner.committed()
    }

    fn synced_head(&self) -> io::Result<(u64, [u8; 32])> {
        self.inner.synced_head()
    }

    fn reopen(&self) -> io::Result<bool> {
        self.inner.reopen()
    }
}

/// A key provider that has no key.
pub struct FaultyKeys;

impl KeyProvider for FaultyKeys {
    fn master_key(&self, _store: StoreAge) -> Result<MasterKey, ProviderError> {
        Err(ProviderError::NoCredentials { name: "told-to-fail".into() })
    }

    fn describe(&self) -> String {
        "a provider told to fail".into()
    }
}
