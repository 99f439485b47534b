//! Ephemeral secrets beside durable ones: the same tables twice, of which one set is memory alone.
//!
//! A secret is in one of the two. Rules about all secrets of a project are checked in both, and a definition may move a
//! secret from one to the other. Only this module knows both sets.

mod merged;

use model::{ChangeKind, Conflict, Guarded, Secret, SecretId};

use crate::rules::{Answer, Effects, SecretRow, Table, Tables, Transaction};
use crate::{Change, Error, Reseal};

pub(crate) use merged::{durable_part, merged_page};

type Witness<'a> = &'a mut dyn FnMut() -> Result<(), Error>;

/// Whether a change is of a secret that is in memory, or is to be. Such a change works with both sets of tables.
pub fn concerns_memory(change: &Change, is_in_memory: impl FnOnce(SecretId) -> bool) -> bool {
    match change {
        Change::SetKeyCheck(_)
        | Change::ReplaceKeyCheck { .. }
        | Change::PutGuards(_)
        | Change::AddProjectKey { .. }
        | Change::SetAcl { of: Guarded::Container(_), .. }
        | Change::AddConsumer { of: Guarded::Container(_), .. }
        | Change::RemoveConsumer { of: Guarded::Container(_), .. }
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
        | Change::ReapOrders { .. }
        | Change::AnchorAudit { .. } => false,
        Change::CreateSecret { secret, .. } | Change::DefineSecret { secret, .. } => {
            secret.facets.ephemeral || is_in_memory(secret.id)
        }
        Change::FillPayload { id, .. }
        | Change::SetPayload { id, .. }
        | Change::DeleteSecret { id, .. }
        | Change::ReapSecret { id, .. }
        | Change::ReplaceMetadata { id, .. }
        | Change::AddMetadatum { id, .. }
        | Change::SetMetadatum { id, .. }
        | Change::RemoveMetadatum { id, .. }
        | Change::SetFacet { id, .. }
        | Change::SetAcl { of: Guarded::Secret(id), .. }
        | Change::AddConsumer { of: Guarded::Secret(id), .. }
        | Change::RemoveConsumer { of: Guarded::Secret(id), .. } => is_in_memory(*id),
    }
}

/// Whether a change that concerns memory brings a secret there or takes one away.
pub(crate) fn moves(change: &Change, is_in_memory: impl FnOnce(SecretId) -> bool) -> bool {
    matches!(change, Change::DefineSecret { secret, .. } if is_in_memory(secret.id) != secret.facets.ephemeral)
}

/// Whether a change that concerns memory writes durable rows too: it moves a secret, or takes away a durable one that has
/// expired.
pub fn is_durable<D: Tables>(durable: &D, change: &Change) -> Answer<bool, D> {
    let Change::DefineSecret { secret, .. } = change else { return Ok(false) };
    Ok(!secret.facets.ephemeral
        || durable.secret(secret.id)?.is_some()
        || !expired_in_the_way(durable, secret)?.is_empty())
}

/// Does a change that concerns memory. Both transactions are open.
pub fn apply<D, M>(
    durable: &mut D,
    memory: &mut M,
    change: &mut Change,
    witness: Witness<'_>,
    effects: &mut Effects,
) -> Answer<(), D>
where
    D: Tables,
    M: Tables<Error = D::Error>,
{
    if let Change::DefineSecret { secret, reseal, .. } = change {
        // Expired secrets are as if they were not there. Here both transactions are open, so they can go now.
        for expired in expired_in_the_way(durable, secret)? {
            transaction(durable, &*memory, witness, effects).take_away(&expired, secret.created)?;
        }
        let (stored, kept) = (durable.secret(secret.id)?, memory.secret(secret.id)?);
        match (stored, kept, secret.facets.ephemeral) {
            (Some(found), _, true) if !found.is_expired(secret.created) => {
                return move_secret(durable, memory, &found, secret, reseal.as_mut(), witness, effects);
            }
            (_, Some(found), false) if !found.is_expired(secret.created) => {
                effects.departed = true;
                return move_secret(memory, durable, &found, secret, reseal.as_mut(), witness, effects);
            }
            (Some(_), _, true) => return Err(Conflict::Id(secret.id).into()), // Another project's.
            (_, Some(_), false) => return Err(Conflict::Id(secret.id).into()), // Expired, and not gone yet.
            (None, _, true) => {}
            (_, None, false) => return transaction(durable, &*memory, witness, effects).apply(change),
        }
    }
    let deleted_durably = effects.deleted;
    transaction(memory, &*durable, witness, effects).apply(change)?;
    effects.deleted = deleted_durably; // No file has had any of the rest.
    effects.replaced = false;
    Ok(())
}

fn transaction<'a, T, B>(
    here: &'a mut T,
    beside: B,
    witness: Witness<'a>,
    effects: &'a mut Effects,
) -> Transaction<'a, T, B> {
    Transaction { here, beside, witness, effects }
}

/// Durable secrets that have expired and still have the id or the usage that a secret is to be defined with.
fn expired_in_the_way<D: Tables>(durable: &D, secret: &Secret) -> Answer<Vec<SecretRow>, D> {
    let same_id = durable.secret(secret.id)?;
    let same_usage = match secret.facets.usage() {
        Some(usage) => durable.holder(&secret.project, &usage)?,
        None => None,
    };
    let of_project = durable.project(&secret.project)?;
    let mut found: Vec<_> = [same_id, same_usage].into_iter().flatten().collect();
    found.retain(|found| found.is_expired(secret.created) && Some(found.project) == of_project);
    found.dedup_by_key(|found| found.row);
    Ok(found)
}

/// Defines a secret again in the other set of tables: a durable secret moves to memory, or one in memory becomes durable.
fn move_secret<X, Y>(
    from: &mut X,
    to: &mut Y,
    found: &SecretRow,
    secret: &Secret,
    reseal: Option<&mut Reseal>,
    witness: Witness<'_>,
    effects: &mut Effects,
) -> Answer<(), X>
where
    X: Tables,
    Y: Tables<Error = X::Error>,
{
    let (time, of) = (secret.created, Guarded::Secret(secret.id));
    let redefined = transaction(from, &*to, witness, effects).defined_again(found, secret, reseal)?;
    if from.is_named(found)? {
        return Err(Conflict::NamedOnDisk(found.id).into());
    }
    let metadata = from.metadata(found.row)?;
    let acl = from.acl(of)?.and_then(|found| found.acl);
    let consumers = from.consumers(of, found.row)?;
    witness()?;
    from.delete(Table::Secrets, found.row)?;
    effects.deleted |= found.filled && !effects.departed;
    if let Some(expired) = &redefined.in_the_way {
        transaction(from, &*to, witness, effects).take_away(expired, time)?;
    }
    let (secret, mut to) = (&redefined.secret, transaction(to, &*from, witness, effects));
    let project = to.ensure_project(&secret.project)?;
    let row = to.here.insert_secret(project, secret, redefined.sealed.as_deref())?;
    for datum in &metadata {
        to.here.add_metadatum(row, datum)?;
    }
    if acl.is_some() {
        to.here.set_acl(of, row, acl.as_ref(), secret.guard.as_ref())?;
    }
    for consumer in &consumers {
        let project = to.ensure_project(&consumer.project)?;
        to.here.add_consumer(of, row, project, consumer)?;
    }
    to.log((found.id, project, secret.facets.usage().as_ref()), ChangeKind::Redefined, time)
}

/// Reads one thing that is in either set of tables. If a secret moved between the two reads, both are read again.
pub(crate) fn find_in_either<T>(
    moves: impl Fn() -> u64,
    durable: impl Fn() -> Result<Option<T>, Error>,
    memory: impl Fn() -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    loop {
        let before = moves();
        if let Some(found) = durable()? {
            return Ok(Some(found));
        }
        if let Some(found) = memory()? {
            return Ok(Some(found));
        }
        if before == moves() {
            return Ok(None);
        }
    }
}

/// Reads both sets of tables until nothing has moved between them meanwhile. A client can move one secret to and fro all the
/// time, so this ends after some tries, with the last result.
pub(crate) fn at_one_moment<T>(
    moves: impl Fn() -> u64,
    mut look: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    const TRIES: u32 = 8;
    let mut tries = 0;
    loop {
        let before = moves();
        let found = look()?;
        tries += 1;
        if before == moves() || tries == TRIES {
            return Ok(found);
        }
    }
}
