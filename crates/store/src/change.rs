//! What can be done to a store, as values: each is one transaction, checked and done inside it.

use model::{
    AclChange, Consumer, Container, ContainerId, ContainerSecret, ContentType, Encoding, Expect, Facet,
    Guard, Guarded, KeyVersion, Metadatum, Order, OrderId, ProjectId, ProjectQuotas, Secret, SecretId,
    Timestamp, TransportKey, TransportKeyId, Uses,
};

use crate::{AuditAnchor, Guarding, NodeName};

/// One change.
#[derive(Debug)]
pub enum Change {
    /// Completes a new store. [`crate::Error::Changed`] if that was done before.
    SetKeyCheck(Vec<u8>),
    /// Has the key check say something else. [`crate::Error::Changed`] if it is not `from`.
    ReplaceKeyCheck {
        /// What it is.
        from: Vec<u8>,
        /// What it is to be.
        to: Vec<u8>,
    },
    /// Gives those of these that have no guard one.
    PutGuards(Vec<(Guarded, Guard)>),
    /// Gives a project a key. If that version is there already, it stays, and this is no error: read what is there.
    AddProjectKey {
        /// Whose.
        project: ProjectId,
        /// Which.
        version: KeyVersion,
        /// The key, wrapped.
        wrapped: Vec<u8>,
    },
    /// Adds a secret. Its `content_type` is there exactly if `sealed` is.
    CreateSecret {
        /// The record.
        secret: Box<Secret>,
        /// Its payload's envelope.
        sealed: Option<Vec<u8>>,
        /// The most secrets that its project may have.
        limit: Limit,
    },
    /// Adds a secret under the id it says, with no payload; or, if its project has it already, changes its facets to
    /// these by the rules of [`model::Facets::redefined`]. [`crate::Error::IdTaken`] if another project has it.
    DefineSecret {
        /// The record, as it is if it is new.
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
        /// The flag that the envelope is bound to: [`crate::Error::Changed`] if the secret's is another.
        private: bool,
        /// What the payload is.
        content_type: ContentType,
        /// Its envelope.
        sealed: Vec<u8>,
        /// When.
        time: Timestamp,
    },
    /// Gives a secret a payload, whether or not it has one. A replaced envelope is in no file of the store any more
    /// soon after this is acknowledged.
    SetPayload {
        /// Which.
        id: SecretId,
        /// The flag that the envelope is bound to: [`crate::Error::Changed`] if the secret's is another.
        private: bool,
        /// How the one before is rendered, from which the payload was made: [`crate::Error::Changed`] if it is another.
        rendered: Encoding,
        /// How it is rendered from now on.
        encoding: Encoding,
        /// What the payload is.
        content_type: ContentType,
        /// Its envelope.
        sealed: Vec<u8>,
        /// When.
        time: Timestamp,
    },
    /// Deletes a secret. When this is acknowledged its ciphertext is in no file of the store any more.
    DeleteSecret {
        /// Which.
        id: SecretId,
        /// Only if nobody says that they use it: [`crate::Error::HasConsumers`].
        unless_used: bool,
        /// When.
        time: Timestamp,
    },
    /// Replaces all user metadata and changes the facets named.
    ReplaceMetadata {
        /// Which.
        id: SecretId,
        /// The new pairs; of two with one key the first holds.
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
        /// What it must be before.
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
        /// What it is to say.
        change: AclChange,
        /// Makes its guard.
        guarding: Guarding,
        /// When.
        time: Timestamp,
    },
    /// Registers a consumer. If it is registered already, it stays as it is, and this is no error.
    AddConsumer {
        /// Of what.
        of: Guarded,
        /// The consumer.
        consumer: Consumer,
        /// The most consumers that its project may have.
        limit: Limit,
    },
    /// Removes a consumer. [`crate::Error::NotFound`] if it is not registered.
    RemoveConsumer {
        /// Of what.
        of: Guarded,
        /// Which.
        who: Uses,
        /// Only if it was registered from this project: [`crate::Error::OthersConsumer`].
        only_of: Option<ProjectId>,
    },
    /// Adds a container. [`crate::Error::NoSuchReference`] if one of the secrets is not there, has expired or is another
    /// project's.
    CreateContainer {
        /// The record.
        container: Box<Container>,
        /// What is in it.
        secrets: Vec<ContainerSecret>,
        /// The most containers that its project may have.
        limit: Limit,
    },
    /// Puts a secret into a container; [`crate::Error::ReferenceTaken`] if it is there under that name. One of another
    /// project, or none, is [`crate::Error::NoSuchReference`].
    AddContainerSecret {
        /// Into which.
        id: ContainerId,
        /// What.
        secret: ContainerSecret,
        /// When.
        time: Timestamp,
    },
    /// Takes a secret out of a container; [`crate::Error::NotInContainer`] if it is not there under that name, and
    /// [`crate::Error::NoSuchReference`] if there is none such in the project.
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
    /// Adds an order and what came of it.
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
    /// Deletes an order. What came of it stays.
    DeleteOrder(OrderId),
    /// Says how much a project may have. What is left out stays as it was.
    SetProjectQuotas {
        /// Which.
        project: ProjectId,
        /// How much.
        quotas: ProjectQuotas,
    },
    /// Gives a project the default quotas. [`crate::Error::NotFound`] if it had no others.
    DeleteProjectQuotas(ProjectId),
    /// Adds a transport key.
    AddTransportKey(TransportKey),
    /// Deletes a transport key.
    DeleteTransportKey(TransportKeyId),
    /// Takes away a secret that has expired, as [`Self::DeleteSecret`] would. [`crate::Error::NotFound`] if it has not.
    ReapSecret {
        /// Which.
        id: SecretId,
        /// It has expired by then.
        by: Timestamp,
        /// When.
        time: Timestamp,
    },
    /// Takes away orders that failed or whose outcome is gone, oldest first, no more than [`crate::limits::REAPED_AT_ONCE`].
    ReapOrders {
        /// They were done before.
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

/// The most of something that a project may have where it has no quota of its own; anything negative is no limit. One more
/// is [`crate::Error::QuotaReached`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit(pub i64);

impl Limit {
    /// No limit.
    pub const NONE: Self = Self(model::UNLIMITED);
}

/// A payload sealed anew, because something it is bound to changes. Done only if the old envelope is still there;
/// [`crate::Error::Changed`] else.
#[derive(Debug)]
pub struct Reseal {
    /// The envelope that was opened; absent if there was no payload.
    pub from: Option<Vec<u8>>,
    /// The new one.
    pub to: Option<Vec<u8>>,
    /// Makes the guard, which is bound to the same.
    pub guarding: Guarding,
}

/// Whoever has to have written a change down before it is done would not, so it is not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unwitnessed;

/// Called inside the transaction of a change, once it is known to succeed, with the number of the change. One that writes
/// nothing in a file has none: it ends with the process.
pub type Witness = Box<dyn FnMut(Option<u64>) -> Result<(), Unwitnessed> + Send>;

/// A witness for what needs none: upkeep of the store itself.
pub fn unwitnessed() -> Witness {
    Box::new(|_| Ok(()))
}
