//! The checks and the writes of each change, once for every store.
//!
//! ```text
//! Change ──▶ check ──▶ witness ──▶ write        Tables: the rows here
//!              └──────── asks ────────┘         Beside: secrets that are kept elsewhere
//! ```
//!
//! Nothing is written before the witness has agreed, and nothing is checked after, so a change that is refused has
//! written nothing. A change keeps all its parts, so it can be done again. Queries and transactions are the keeper's:
//! it implements [`Tables`], which is the seam between all stores and these rules.

mod acls;
mod consumers;
mod containers;
mod metadata;
mod orders;
mod outcome;
mod quotas;
mod secrets;
mod tables;
mod transaction;

pub use outcome::{Effects, NotDone};
pub use tables::{
    AclRow, Answer, ChangeLogRow, ContainerRow, Parts, RowNumber, SecretRow, Table, Tables, Tally,
};
pub use transaction::{Beside, Transaction};

use model::Absent;

use crate::limits::REAPED_AT_ONCE;
use crate::{Change, Error};
use outcome::require;

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    /// Does one change.
    pub fn apply(&mut self, change: &mut Change) -> Answer<(), T> {
        match change {
            Change::SetKeyCheck(check) => {
                require(self.here.key_check()?.is_none(), Error::Changed)?;
                self.witness()?;
                self.here.set_key_check(check)
            }
            Change::ReplaceKeyCheck { from, to } => {
                require(self.here.key_check()?.as_ref() == Some(from), Error::Changed)?;
                self.witness()?;
                self.here.set_key_check(to)
            }
            Change::PutGuards(guards) => {
                self.witness()?;
                guards.iter().try_for_each(|(of, guard)| self.here.put_guard(*of, guard))
            }
            Change::AddProjectKey { project, version, wrapped } => {
                self.witness()?;
                let project = self.ensure_project(project)?;
                self.here.add_project_key(project, *version, wrapped)
            }
            Change::CreateSecret { secret, sealed, limit } => {
                self.add_secret(secret, sealed.as_deref(), *limit, None)
            }
            Change::DefineSecret { secret, reseal, limit } => {
                self.define_secret(secret, reseal.as_mut(), *limit)
            }
            Change::FillPayload { id, private, content_type, sealed, time } => {
                self.fill_payload(*id, *private, (*content_type, sealed), *time)
            }
            Change::SetPayload { id, private, rendered, encoding, content_type, sealed, time } => {
                self.set_payload(*id, *private, (*rendered, *encoding), (*content_type, sealed), *time)
            }
            Change::DeleteSecret { id, unless_used, time } => self.delete_secret(*id, *unless_used, *time),
            Change::ReapSecret { id, by, time } => self.reap_secret(*id, *by, *time),
            Change::SetFacet { id, facet, expect, reseal, time } => {
                self.set_facet(*id, facet, *expect, reseal.as_mut(), *time)
            }
            Change::ReplaceMetadata { id, user, facets, reseal, time } => {
                self.replace_metadata(*id, user, facets, reseal.as_mut(), *time)
            }
            Change::AddMetadatum { id, datum } => self.add_metadatum(*id, datum),
            Change::SetMetadatum { id, datum } => self.set_metadatum(*id, datum),
            Change::RemoveMetadatum { id, key } => self.remove_metadatum(*id, key),
            Change::SetAcl { of, change, guarding, time } => self.set_acl(*of, change, guarding, *time),
            Change::AddConsumer { of, consumer, limit } => self.add_consumer(*of, consumer, *limit),
            Change::RemoveConsumer { of, who, only_of } => self.remove_consumer(*of, who, only_of.as_ref()),
            Change::CreateContainer { container, secrets, limit } => {
                self.create_container(container, secrets, *limit)
            }
            Change::AddContainerSecret { id, secret, time } => self.add_container_secret(*id, secret, *time),
            Change::RemoveContainerSecret { id, secret, time } => {
                self.remove_container_secret(*id, secret, *time)
            }
            Change::DeleteContainer(id) => {
                let container = self.container(*id)?;
                self.witness()?;
                self.here.delete(Table::Containers, container.row)
            }
            Change::CreateOrder { order, secrets, container, limit } => {
                let container = container.as_ref().map(|(container, parts)| (&**container, parts.as_slice()));
                self.create_order(order, secrets, container, *limit)
            }
            Change::DeleteOrder(id) => {
                let order = self.here.order(*id)?.ok_or(Absent::Order)?;
                self.witness()?;
                self.here.delete(Table::Orders, order)
            }
            Change::ReapOrders { before } => {
                self.witness()?;
                self.here.delete_spent_orders(*before, REAPED_AT_ONCE)
            }
            Change::SetProjectQuotas { project, quotas } => {
                self.witness()?;
                let project = self.ensure_project(project)?;
                self.here.set_quotas(project, quotas)
            }
            Change::DeleteProjectQuotas(project) => {
                require(self.here.quotas(project)?.is_some(), Absent::Quotas)?;
                self.witness()?;
                self.here.delete_quotas(project)
            }
            Change::AddTransportKey(key) => {
                self.witness()?;
                self.here.insert_transport_key(key)
            }
            Change::DeleteTransportKey(id) => {
                let key = self.here.transport_key(*id)?.ok_or(Absent::TransportKey)?;
                self.witness()?;
                self.here.delete(Table::TransportKeys, key)
            }
            Change::AnchorAudit { node, anchor } => {
                self.witness()?;
                self.here.set_audit_anchor(node, anchor)
            }
        }
    }
}
