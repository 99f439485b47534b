//! A store of plain tables: durable ones, and those of ephemeral secrets.

use model::SecretId;
use store::rules::{Effects, NotDone, Transaction};
use store::{Change, Failure, ephemeral};
use testkit::plain::{Duplicate, PlainTables};

use crate::reason;

#[derive(Debug, Default)]
pub(crate) struct ModelStore {
    pub(crate) durable: PlainTables,
    pub(crate) memory: PlainTables,
    /// The number of the newest row of the change log.
    pub(crate) newest_change: u64,
    /// The newest number that was given to a change, and the newest of a change that was done.
    pub(crate) given: u64,
    pub(crate) witnessed: u64,
}

impl ModelStore {
    pub(crate) fn has_secret(&self, id: SecretId) -> bool {
        [&self.durable, &self.memory].iter().any(|tables| tables.plain_secret(id).is_some())
    }

    /// Does a change, or says why it is refused.
    pub(crate) fn apply(&mut self, change: &mut Change, agrees: bool) -> Result<(), String> {
        let before = (self.durable.clone(), self.memory.clone());
        let in_memory = ephemeral::concerns_memory(change, |id| self.memory.plain_secret(id).is_some());
        let numbered = if in_memory {
            ephemeral::is_durable(&self.durable, change).unwrap()
        } else {
            is_numbered(change)
        };
        let mut effects = Effects::after(self.newest_change);
        let mut number = None;
        let mut witness = || {
            self.given += u64::from(numbered);
            number = numbered.then_some(self.given);
            if agrees { Ok(()) } else { Err(Failure::Unwitnessed.into()) }
        };
        let done = if in_memory {
            ephemeral::apply(&mut self.durable, &mut self.memory, change, &mut witness, &mut effects)
        } else {
            let here = &mut self.durable;
            Transaction { here, beside: &self.memory, witness: &mut witness, effects: &mut effects }
                .apply(change)
        };
        match done {
            Ok(()) => {
                self.newest_change = effects.newest_change;
                self.witnessed = number.unwrap_or(self.witnessed);
                Ok(())
            }
            Err(NotDone::Refused(error)) => {
                if in_memory {
                    (self.durable, self.memory) = before;
                } else {
                    // A refused change shares its transaction with others, which are committed.
                    assert_eq!((&self.durable, &self.memory), (&before.0, &before.1), "it wrote: {change:?}");
                }
                Err(reason(&error))
            }
            Err(NotDone::Keeper(Duplicate)) => {
                (self.durable, self.memory) = before;
                Err("the keeper failed".to_owned())
            }
        }
    }
}

/// Whether the audit trail has the change: the upkeep of the store itself is not there.
fn is_numbered(change: &Change) -> bool {
    match change {
        Change::SetKeyCheck(_)
        | Change::ReplaceKeyCheck { .. }
        | Change::PutGuards(_)
        | Change::AddProjectKey { .. }
        | Change::ReapOrders { .. }
        | Change::AnchorAudit { .. } => false,
        Change::CreateSecret { .. }
        | Change::DefineSecret { .. }
        | Change::FillPayload { .. }
        | Change::SetPayload { .. }
        | Change::DeleteSecret { .. }
        | Change::ReplaceMetadata { .. }
        | Change::AddMetadatum { .. }
        | Change::SetMetadatum { .. }
        | Change::RemoveMetadatum { .. }
        | Change::SetFacet { .. }
        | Change::SetAcl { .. }
        | Change::AddConsumer { .. }
        | Change::RemoveConsumer { .. }
        | Change::CreateContainer { .. }
        | Change::AddContainerSecret { .. }
        | Change::RemoveContainerSecret { .. }
        | Change::DeleteContainer(_)
        | Change::CreateOrder { .. }
        | Change::DeleteOrder(_)
        | Change::SetProjectQuotas { .. }
        | Change::DeleteProjectQuotas(_)
        | Change::AddTransportKey(_)
        | Change::DeleteTransportKey(_)
        | Change::ReapSecret { .. } => true,
    }
}
