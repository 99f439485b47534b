//! Changes of a store, as values. Each is checked and done in one transaction.

use model::{
    AclChange, Consumer, Container, ContainerId, ContainerSecret, ContentType, Encoding, Expect, Facet,
    Guard, Guarded, KeyVersion, Metadatum, Order, OrderId, ProjectId, ProjectQuotas, Secret, SecretId,
    Timestamp, TransportKey, TransportKeyId, Uses,
};

use crate::{AuditAnchor, Guarding, NodeName};

/// One change.
#[derive(Debug)]
pub enum Change {
    /// Completes a new store. [`crate::Error::Changed`] if it is complete.
    SetKeyCheck(Vec<u8>),
    /// Replaces the key check. [`crate::Error::Changed`] if it is not `from`.
    ReplaceKeyCheck {
        /// The present one.
        from: Vec<u8>,
        /// The new one.
        to: Vec<u8>,
    },
    /// Gives secrets and containers a guard if they have none.
    PutGuards(Vec<(Guarded, Guard)>),
    /// Gives a project a key. A key of that version that is there stays, and this is no error: read it afterwards.
    AddProjectKey {
        /// Whose.
        project: ProjectId,
        /// Which.
        version: KeyVersion,
        /// The key, wrapped.
        wrapped: Vec<u8>,
    },
    /// Adds a secret. It has a `content_type` exactly if there is an envelope.
    CreateSecret {
        /// The record.
        secret: Box<Secret>,
        /// Its payload's envelope.
        sealed: Option<Vec<u8>>,
        /// The most secrets that its project may have.
        limit: Limit,
    },
    /// Adds a secret without a payload under its id. If its project has a secret of that id, changes the facets of that
    /// one by the rules of [`model::Facets::redefined`]. [`model::Conflict::Id`] if another project has it.
    DefineSecret {
        /// The record, of which an existing secret takes the facets.
        secret: Box<Secret>,
        /// The payload, bound to the new facets.
        reseal: Option<Reseal>,
        /// The most secrets that its project may have.
        limit: Limit,
    },
    /// Gives a secret its payload, once.
    FillPayload {
        /// Which.
        id: SecretId,
        /// The flag that the envelope is bound to: [`crate::Error::Changed`] if the secret has another.
        private: bool,
        /// The type of the payload.
        content_type: ContentType,
        /// Its envelope.
        sealed: Vec<u8>,
        /// When.
        time: Timestamp,
    },
    /// Gives a secret a payload, whether or not it has one. Soon after the acknowledgement a replaced envelope is in no file of
    /// the store.
    SetPayload {
        /// Which.
        id: SecretId,
        /// The flag that the envelope is bound to: [`crate::Error::Changed`] if the secret has another.
        private: bool,
        /// How the present payload is rendered, as the caller read it: [`crate::Error::Changed`] if it is rendered otherwise.
        rendered: Encoding,
        /// How the new payload is rendered.
        encoding: Encoding,
        /// The type of the payload.
        content_type: ContentType,
        /// Its envelope.
        sealed: Vec<u8>,
        /// When.
        time: Timestamp,
    },
    /// Deletes a secret. After the acknowledgement its ciphertext is in no file of the store.
    DeleteSecret {
        /// Which.
        id: SecretId,
        /// Only if it has no consumers: [`model::Conflict::Consumers`].
        unless_used: bool,
        /// When.
        time: Timestamp,
    },
    /// Replaces all user metadata and changes the facets named.
    ReplaceMetadata {
        /// Which.
        id: SecretId,
        /// The new pairs. Of two with the same key the first is taken.
        user: Vec<Metadatum>,
        /// The facets to change.
        facets: Vec<Facet>,
        /// The payload, bound to the new facets.
        reseal: Option<Reseal>,
        /// When.
        time: Timestamp,
    },
    /// Adds one pair.
    AddMetadatum {
        /// Which.
        id: SecretId,
        /// The pair.
        datum: Metadatum,
    },
    /// Changes the value of one pair.
    SetMetadatum {
        /// Which.
        id: SecretId,
        /// The pair.
        datum: Metadatum,
    },
    /// Removes one pair, if it is there.
    RemoveMetadatum {
        /// Which.
        id: SecretId,
        /// The key.
        key: String,
    },
    /// Changes one facet.
    SetFacet {
        /// Which.
        id: SecretId,
        /// The change.
        facet: Facet,
        /// The condition on its present value.
        expect: Expect,
        /// The payload, bound to the new facets.
        reseal: Option<Reseal>,
        /// When.
        time: Timestamp,
    },
    /// Changes the ACL of a secret or a container.
    SetAcl {
        /// Whose.
        of: Guarded,
        /// The change.
        change: AclChange,
        /// Makes its guard.
        guarding: Guarding,
        /// When.
        time: Timestamp,
    },
    /// Registers a consumer. One that is registered stays as it is, and this is no error.
    AddConsumer {
        /// Of what.
        of: Guarded,
        /// The consumer.
        consumer: Consumer,
        /// The most consumers that its project may have.
        limit: Limit,
    },
    /// Removes a consumer. [`model::Absent::Consumer`] if it is not registered.
    RemoveConsumer {
        /// Of what.
        of: Guarded,
        /// Which.
        who: Uses,
        /// Only if it was registered from this project: [`crate::Error::OthersConsumer`].
        only_of: Option<ProjectId>,
    },
    /// Adds a container. [`model::Absent::Reference`] if one of the secrets is not there, has expired or is of another
    /// project.
    CreateContainer {
        /// The record.
        container: Box<Container>,
        /// The secrets in it.
        secrets: Vec<ContainerSecret>,
        /// The most containers that its project may have.
        limit: Limit,
    },
    /// Puts a secret into a container. [`model::Conflict::Part`] if it is there under that name,
    /// [`model::Absent::Reference`] if the project has no such secret.
    AddContainerSecret {
        /// Into which.
        id: ContainerId,
        /// What.
        secret: ContainerSecret,
        /// When.
        time: Timestamp,
    },
    /// Takes a secret out of a container. [`model::Absent::Part`] if it is not there under that name,
    /// [`model::Absent::Reference`] if the project has no such secret.
    RemoveContainerSecret {
        /// Out of which.
        id: ContainerId,
        /// What.
        secret: ContainerSecret,
        /// When.
        time: Timestamp,
    },
    /// Deletes a container. The secrets that were in it stay.
    DeleteContainer(ContainerId),
    /// Adds an order, with the secrets and the container that it made.
    CreateOrder {
        /// The record.
        order: Box<Order>,
        /// The secrets that were made, with their envelopes.
        secrets: Vec<(Secret, Vec<u8>)>,
        /// The container they are in.
        container: Option<(Box<Container>, Vec<ContainerSecret>)>,
        /// The most orders that its project may have.
        limit: Limit,
    },
    /// Deletes an order. Its secrets and its container stay.
    DeleteOrder(OrderId),
    /// Sets quotas of a project. Those that are left out stay as they were.
    SetProjectQuotas {
        /// Which.
        project: ProjectId,
        /// The quotas.
        quotas: ProjectQuotas,
    },
    /// Gives a project the default quotas. [`model::Absent::Quotas`] if it had none of its own.
    DeleteProjectQuotas(ProjectId),
    /// Adds a transport key.
    AddTransportKey(TransportKey),
    /// Deletes a transport key.
    DeleteTransportKey(TransportKeyId),
    /// Deletes a secret that has expired. [`model::Absent::Secret`] if it has not.
    ReapSecret {
        /// Which.
        id: SecretId,
        /// The time by which it has expired.
        by: Timestamp,
        /// When.
        time: Timestamp,
    },
    /// Deletes orders that failed or whose outcome is gone, oldest first, at most [`crate::limits::REAPED_AT_ONCE`].
    ReapOrders {
        /// Only orders that were last changed before this.
        before: Timestamp,
    },
    /// Writes down where the audit trail of a node stands.
    AnchorAudit {
        /// Which.
        node: NodeName,
        /// Where.
        anchor: AuditAnchor,
    },
}

/// The most rows that a project may have if it has no quota of its own; negative is no limit. One more is
/// [`model::Conflict::Quota`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit(pub i64);

impl Limit {
    /// No limit.
    pub const NONE: Self = Self(model::UNLIMITED);
}

/// A payload that is sealed again, because facts that it is bound to change. [`crate::Error::Changed`] if the old envelope is
/// not there any more.
#[derive(Debug)]
pub struct Reseal {
    /// The envelope that was opened, if there was a payload.
    pub from: Option<Vec<u8>>,
    /// The new one.
    pub to: Option<Vec<u8>>,
    /// Makes the guard, which is bound to the same facts.
    pub guarding: Guarding,
}

/// The audit trail could not be written, so the change must not be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unwitnessed;

/// Called inside the transaction of a change, once it is known to succeed, with the number of the change. A change of memory
/// alone has no number: it ends with the process.
pub type Witness = Box<dyn FnMut(Option<u64>) -> Result<(), Unwitnessed> + Send>;

/// The witness of changes that need none: upkeep of the store itself.
pub fn unwitnessed() -> Witness {
    Box::new(|_| Ok(()))
}
