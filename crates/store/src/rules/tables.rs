//! The seam between the rules and the keeper of the rows: a database, or facts that were loaded from one.
//!
//! A method of [`Tables`] asks one question or writes one row; it checks nothing and decides nothing. A keeper may run each
//! as a statement at once, or answer from rows that it loaded before and gather the writes. Questions take `&self`, so that
//! the rules can ask two keepers in turn.

use model::{
    Acl, ChangeKind, Consumer, Container, ContainerId, ContentType, Encoding, Guard, Guarded, KeyVersion,
    Metadatum, Order, OrderId, ProjectId, ProjectQuotas, Secret, SecretId, Text, Timestamp, TransportKey,
    TransportKeyId, Usage, UserId, Uses,
};

use super::outcome::NotDone;
use crate::{AuditAnchor, NodeName};

/// Names a row within its table, for as long as a transaction lasts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RowNumber(pub i64);

/// The facts of a secret that changes need.
#[derive(Clone, Debug)]
pub struct SecretRow {
    /// Its row.
    pub row: RowNumber,
    /// Its id.
    pub id: SecretId,
    /// The row of its project.
    pub project: RowNumber,
    /// Whether it has a payload.
    pub filled: bool,
    /// Whether ordinary clients are refused the value.
    pub private: bool,
    /// How the payload is rendered.
    pub encoding: Encoding,
    /// When it expires.
    pub expiration: Option<Timestamp>,
    /// What it is used for.
    pub usage: Option<Usage>,
}

impl SecretRow {
    /// Whether it has expired. Then it behaves as absent.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expiration.is_some_and(|expiration| expiration <= now)
    }
}

/// A secret or a container, with its ACL.
#[derive(Clone, Debug)]
pub struct AclRow {
    /// The row of the secret or the container.
    pub row: RowNumber,
    /// The row of its project.
    pub project: RowNumber,
    /// Who created it.
    pub creator: Option<UserId>,
    /// Whether its project may read it by its roles.
    pub project_access: bool,
    /// Whether ordinary clients are refused the value.
    pub private: bool,
    /// When it expires.
    pub expiration: Option<Timestamp>,
    /// Its guard.
    pub guard: Option<Guard>,
    /// Its ACL.
    pub acl: Option<Acl>,
}

/// The facts of a container that changes need.
#[derive(Clone, Copy, Debug)]
pub struct ContainerRow {
    /// Its row.
    pub row: RowNumber,
    /// The row of its project.
    pub project: RowNumber,
}

/// One row of the change log.
#[derive(Clone, Debug)]
pub struct ChangeLogRow<'a> {
    /// Its number.
    pub number: u64,
    /// Which secret changed.
    pub secret: SecretId,
    /// The row of its project.
    pub project: RowNumber,
    /// What happened.
    pub kind: ChangeKind,
    /// When.
    pub time: Timestamp,
    /// What the secret is used for.
    pub usage: Option<&'a Usage>,
}

/// Rows of a project that count against its quotas. A keeper counts them as they come and go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tally {
    /// Secrets, expired ones among them.
    Secrets,
    /// Secrets that have not expired, if they are fewer than `limit`; otherwise any number that is not less.
    LiveSecrets {
        /// The time of the change.
        now: Timestamp,
        /// The most that the project may have.
        limit: u64,
    },
    /// Containers.
    Containers,
    /// Orders.
    Orders,
    /// Consumers of secrets.
    SecretConsumers,
    /// Consumers of containers.
    ContainerConsumers,
}

/// Rows that belong to a secret or a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parts {
    /// The pairs of a secret's user metadata.
    Metadata,
    /// The consumers of a secret.
    SecretConsumers,
    /// The consumers of a container.
    ContainerConsumers,
    /// The secrets in a container.
    ContainerSecrets,
}

/// Where rows are deleted one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Table {
    /// Secrets, with everything that belongs to one.
    Secrets,
    /// Containers, with everything that belongs to one.
    Containers,
    /// The places of secrets in containers.
    ContainerSecrets,
    /// Orders.
    Orders,
    /// Transport keys.
    TransportKeys,
}

/// The answer of a keeper.
pub type Answer<V, T> = Result<V, NotDone<<T as Tables>::Error>>;

/// The rows of a store, within one transaction.
pub trait Tables {
    /// Why a row cannot be read or written. The whole transaction fails then.
    type Error;

    /// The check that tells the right master key from a wrong one.
    fn key_check(&self) -> Answer<Option<Vec<u8>>, Self>;
    /// Writes that check.
    fn set_key_check(&mut self, check: &[u8]) -> Answer<(), Self>;
    /// Writes where a node's audit trail stands.
    fn set_audit_anchor(&mut self, node: &NodeName, anchor: &AuditAnchor) -> Answer<(), Self>;
    /// Adds a row to the change log.
    fn log(&mut self, row: &ChangeLogRow<'_>) -> Answer<(), Self>;

    /// The row of a project.
    fn project(&self, project: &ProjectId) -> Answer<Option<RowNumber>, Self>;
    /// The project of a row.
    fn project_name(&self, project: RowNumber) -> Answer<ProjectId, Self>;
    /// Adds a project.
    fn add_project(&mut self, project: &ProjectId) -> Answer<RowNumber, Self>;
    /// Gives a project a key, unless it has that version.
    fn add_project_key(&mut self, project: RowNumber, key: KeyVersion, wrapped: &[u8]) -> Answer<(), Self>;
    /// A project's own quotas.
    fn quotas(&self, project: &ProjectId) -> Answer<Option<ProjectQuotas>, Self>;
    /// Sets those of a project's quotas that are named.
    fn set_quotas(&mut self, project: RowNumber, quotas: &ProjectQuotas) -> Answer<(), Self>;
    /// Removes a project's own quotas.
    fn delete_quotas(&mut self, project: &ProjectId) -> Answer<(), Self>;
    /// The number of a project's rows.
    fn tally(&self, project: RowNumber, tally: Tally) -> Answer<u64, Self>;

    /// The number of rows that belong to a row.
    fn count(&self, of: RowNumber, parts: Parts) -> Answer<u64, Self>;
    /// Deletes a row.
    fn delete(&mut self, table: Table, row: RowNumber) -> Answer<(), Self>;

    /// A secret by its id, expired or not.
    fn secret(&self, id: SecretId) -> Answer<Option<SecretRow>, Self>;
    /// The secret of a project with a usage, expired or not.
    fn holder(&self, project: &ProjectId, usage: &Usage) -> Answer<Option<SecretRow>, Self>;
    /// The record of a secret, which is of this project, and its envelope.
    fn record(&self, secret: RowNumber, project: &ProjectId) -> Answer<(Secret, Option<Vec<u8>>), Self>;
    /// Whether a container or an order names a secret.
    fn is_named(&self, secret: &SecretRow) -> Answer<bool, Self>;
    /// Adds a secret.
    fn insert_secret(
        &mut self,
        project: RowNumber,
        secret: &Secret,
        sealed: Option<&[u8]>,
    ) -> Answer<RowNumber, Self>;
    /// Gives a secret a payload.
    fn set_payload(
        &mut self,
        secret: RowNumber,
        payload: (ContentType, &[u8]),
        encoding: Encoding,
        time: Timestamp,
    ) -> Answer<(), Self>;
    /// Writes the facets of a secret, and the guard and the envelope that are bound to them.
    fn set_facets(&mut self, row: RowNumber, secret: &Secret, sealed: Option<&[u8]>) -> Answer<(), Self>;
    /// Gives a secret or a container a guard if it has none.
    fn put_guard(&mut self, of: Guarded, guard: &Guard) -> Answer<(), Self>;

    /// The user metadata of a secret.
    fn metadata(&self, secret: RowNumber) -> Answer<Vec<Metadatum>, Self>;
    /// Whether a secret has a key.
    fn has_metadatum(&self, secret: RowNumber, key: &str) -> Answer<bool, Self>;
    /// Adds a pair, unless the secret has the key.
    fn add_metadatum(&mut self, secret: RowNumber, datum: &Metadatum) -> Answer<(), Self>;
    /// Changes the value of a key.
    fn set_metadatum(&mut self, secret: RowNumber, datum: &Metadatum) -> Answer<(), Self>;
    /// Removes a pair, if it is there, or all pairs.
    fn delete_metadata(&mut self, secret: RowNumber, key: Option<&str>) -> Answer<(), Self>;

    /// Something with its ACL.
    fn acl(&self, of: Guarded) -> Answer<Option<AclRow>, Self>;
    /// Writes the ACL of something in place of the one before, and the guard that is bound to it.
    fn set_acl(
        &mut self,
        of: Guarded,
        row: RowNumber,
        acl: Option<&Acl>,
        guard: Option<&Guard>,
    ) -> Answer<(), Self>;

    /// The consumers of something, in order of registration.
    fn consumers(&self, of: Guarded, row: RowNumber) -> Answer<Vec<Consumer>, Self>;
    /// The row of the project that a consumer was registered from.
    fn registered_from(&self, of: Guarded, row: RowNumber, who: &Uses) -> Answer<Option<RowNumber>, Self>;
    /// Adds a consumer, registered from a project.
    fn add_consumer(
        &mut self,
        of: Guarded,
        row: RowNumber,
        project: RowNumber,
        consumer: &Consumer,
    ) -> Answer<(), Self>;
    /// Removes a consumer.
    fn delete_consumer(&mut self, of: Guarded, row: RowNumber, who: &Uses) -> Answer<(), Self>;

    /// A container by its id.
    fn container(&self, id: ContainerId) -> Answer<Option<ContainerRow>, Self>;
    /// Adds a container.
    fn insert_container(&mut self, project: RowNumber, container: &Container) -> Answer<RowNumber, Self>;
    /// Writes when a container was changed.
    fn touch_container(&mut self, container: RowNumber, time: Timestamp) -> Answer<(), Self>;
    /// The place of a secret in a container under a name.
    fn container_secret(
        &self,
        container: RowNumber,
        secret: RowNumber,
        name: Option<&Text>,
    ) -> Answer<Option<RowNumber>, Self>;
    /// Puts a secret into a container.
    fn add_container_secret(
        &mut self,
        container: RowNumber,
        secret: RowNumber,
        name: Option<&Text>,
    ) -> Answer<(), Self>;

    /// An order by its id.
    fn order(&self, id: OrderId) -> Answer<Option<RowNumber>, Self>;
    /// Adds an order.
    fn insert_order(&mut self, project: RowNumber, order: &Order) -> Answer<(), Self>;
    /// Deletes orders that failed or whose outcome is gone, oldest first, at most `limit`.
    fn delete_spent_orders(&mut self, before: Timestamp, limit: u32) -> Answer<(), Self>;

    /// A transport key by its id.
    fn transport_key(&self, id: TransportKeyId) -> Answer<Option<RowNumber>, Self>;
    /// Adds a transport key.
    fn insert_transport_key(&mut self, key: &TransportKey) -> Answer<(), Self>;
}
