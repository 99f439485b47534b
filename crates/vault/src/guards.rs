//! Guards: nobody decides by what the database says of a secret or a container before its guard has been checked.
//!
//! ```text
//! row, guard ──▶ does the guard fit? ──no──▶ Corrupt         whoever wrote the row had no key
//!                  │ yes
//!                  ▼
//!                policy ──▶ yes, no, or: if the ACL names the user ──▶ whole ACL, hashed: does it fit? ──▶ yes, no
//! ```
//!
//! It is checked wherever access to one thing is decided, which is before every payload, record, list of consumers and
//! change: [`Vault::decide`] is the only way to ask the policy about something that is there. It is not checked in
//! lists and counts, which show nothing that is not in the clear in the database, and of what a container holds, who
//! uses something, names and usages: by those nobody gets a payload.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Absent, Acl, Call, Guard, Guarded, ProjectId, Standing, Text};
use seal::{ProjectKey, Rows, check_acl, guard_key_version};
use store::{AclStep, Change, Guarding, Kind, Regard, Regarded, RegardedRow, Store, unwitnessed};

use crate::authorise::{Subject, Verdict};
use crate::keys::Keys;
use crate::vault::expired;
use crate::{Action, Denied, Error, Failure, OpenError, Vault};

/// Rows that get their guards in one transaction.
const IN_ONE_TRANSACTION: u32 = 1000;
/// How often the log says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What came of a decision that allows or cannot be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decided {
    Allowed,
    /// What it is about changed while its ACL was read: it is to be read, and decided, again.
    Moved,
}

impl Vault {
    /// Whether the policy allows it of something that is there, once that is known to be as it was stored. What has
    /// expired is not there.
    pub(crate) async fn decide(
        &self,
        call: &Call,
        action: Action,
        standing: &Standing<'_>,
        guard: Option<&Guard>,
    ) -> Result<Decided, Error> {
        let guard = self.counted(vouched(&*self.store, &self.keys, standing, guard).await)?;
        if let (Guarded::Secret(id), true) = (standing.of, expired(standing.expiration, call)) {
            return Err(Absent::Secret(id).into());
        }
        let if_named = match self.verdict(action, call, Some(Subject::from(standing))) {
            Verdict::Allowed => return Ok(Decided::Allowed),
            Verdict::Denied => return Err(Denied::Action(action).into()),
            Verdict::AskAcl => true,
            Verdict::AskAclNot => false,
        };
        let acl = self.counted(self.acl_under(standing.of, Some(guard)).await)?;
        let Some(acl) = acl else { return Ok(Decided::Moved) };
        let names = |acl: &Acl| {
            call.caller
                .user
                .as_ref()
                .is_some_and(|user| acl.users.iter().any(|named| named.as_str() == user.as_str()))
        };
        if acl.as_ref().is_some_and(names) == if_named {
            Ok(Decided::Allowed)
        } else {
            Err(Denied::Action(action).into())
        }
    }

    /// The ACL of something whose guard has been checked, if that is its guard still.
    pub(crate) async fn acl_under(
        &self,
        of: Guarded,
        guard: Option<&Guard>,
    ) -> Result<Option<Option<Acl>>, Error> {
        let corrupt = |source| Failure::Corrupt { of, source };
        let found = self.store.acl(of).await.map_err(|error| altered(Some(of), error))?;
        let Some(found) = found.filter(|found| found.guard.as_ref() == guard) else { return Ok(None) };
        let guard = guard.ok_or_else(|| corrupt(seal::Error::Unguarded))?;
        check_acl(guard, users(&found.acl)).map_err(corrupt)?;
        Ok(Some(found.acl))
    }

    /// Makes the guard of something whose guard is this one now, or another that one of the same keys made.
    pub(crate) async fn guarding(
        &self,
        project: &ProjectId,
        guard: Option<&Guard>,
    ) -> Result<Guarding, Error> {
        let newest = self.keys.newest(&*self.store, project).await?;
        let version = guard.and_then(|guard| guard_key_version(guard).ok());
        let before = match version {
            Some(version) if version != newest.version() => {
                self.keys.of_version(&*self.store, project, version).await?
            }
            _ => None,
        };
        let known: Vec<_> = [before, Some(Arc::clone(&newest))].into_iter().flatten().collect();
        Ok(Guarding::by(move |regard| guard_anew(&newest, &known, regard)))
    }
}

/// The guard of what was changed, from what was there, which has to be as it was stored.
fn guard_anew(
    newest: &ProjectKey,
    known: &[Arc<ProjectKey>],
    Regard { before, guard, after, acl }: &Regard<'_>,
) -> Result<Option<Guard>, store::Error> {
    let unguarded = |_| store::Failure::Unguarded(before.of);
    let guard = guard.ok_or(store::Failure::Unguarded(before.of))?;
    let version = guard_key_version(guard).map_err(unguarded)?;
    let key = known.iter().find(|key| key.version() == version).ok_or(store::Error::Changed)?;
    key.check_guard(before, guard).map_err(unguarded)?;
    Ok(Some(match acl {
        None => newest.guard_again(after, guard).map_err(unguarded)?,
        Some(AclStep { before, after: users }) => {
            check_acl(guard, *before).map_err(unguarded)?;
            newest.guard(after, *users)
        }
    }))
}

/// A guard that fits; [`Failure::Corrupt`] if there is none, or it does not.
async fn vouched<'a>(
    store: &dyn Store,
    keys: &Keys,
    standing: &Standing<'_>,
    guard: Option<&'a Guard>,
) -> Result<&'a Guard, Error> {
    let corrupt = |source| Failure::Corrupt { of: standing.of, source };
    let guard = guard.ok_or_else(|| corrupt(seal::Error::Unguarded))?;
    let version = guard_key_version(guard).map_err(corrupt)?;
    let key = match keys.of_version(store, standing.project, version).await {
        Ok(key) => key.ok_or_else(|| corrupt(seal::Error::Altered))?, // No key of that project made it.
        Err(Error::Failed(Failure::Keys(source))) => return Err(corrupt(source).into()),
        Err(error) => return Err(error),
    };
    key.check_guard(standing, guard).map_err(corrupt)?;
    Ok(guard)
}

/// A row that cannot be understood, or whose ACL names users where there is none, was changed by somebody.
fn altered(of: Option<Guarded>, error: store::Error) -> Error {
    match (of, error) {
        (Some(of), store::Error::Failed(store::Failure::Corrupt(_))) => {
            Failure::Corrupt { of, source: seal::Error::Altered }.into()
        }
        (_, other) => other.into(),
    }
}

fn users(acl: &Option<Acl>) -> Option<&[Text]> {
    acl.as_ref().map(|acl| acl.users.as_slice())
}

/// Whether something is as it was stored, with its ACL.
pub(crate) async fn sound(
    store: &dyn Store,
    keys: &Keys,
    of: Option<Guarded>,
    read: Result<Regarded, store::Error>,
) -> Result<(), Error> {
    let found = read.map_err(|error| altered(of, error))?;
    let guard = vouched(store, keys, &found.access.standing(found.of), found.access.guard.as_ref()).await?;
    let corrupt = |source| Failure::Corrupt { of: found.of, source };
    Ok(check_acl(guard, found.acl.as_deref()).map_err(corrupt)?)
}

/// Whether a store says that all its rows have guards.
pub(crate) async fn has_guards(store: &dyn Store, keys: &Keys) -> Result<bool, OpenError> {
    let check = store.key_check().await?.unwrap_or_default();
    Ok(keys.verify(&store.id(), &check).map_err(OpenError::Keys)? == Rows::Guarded)
}

/// Gives each row of a store of before there were guards its guard, some at a time: whatever ends it meanwhile, the next
/// start goes on. Then the store's check value says that all have one, and nobody takes a row without for one of those.
///
/// Rows that cannot be understood, or whose project's key cannot be had, stay without: nobody can use them anyway. A row
/// that the disk does not give is tried again by the next start, and the check value waits for it.
pub(crate) async fn guard_all(store: &dyn Store, keys: &Keys) -> Result<(), OpenError> {
    if has_guards(store, keys).await? {
        return Ok(());
    }
    tracing::info!("what decides about each secret and container gets its guard, once");
    let mut so_far = SoFar { rows: 0, is_whole: true, told: Instant::now() };
    for kind in [Kind::Secrets, Kind::Containers] {
        let (mut after, mut limit) = (i64::MIN, IN_ONE_TRANSACTION);
        loop {
            let some = match store.regarded(kind, after, limit).await {
                Err(store::Error::Failed(store::Failure::Unreadable)) if limit > 1 => {
                    limit = 1; // What is before the damage.
                    continue;
                }
                Err(store::Error::Failed(store::Failure::Unreadable)) => {
                    so_far.is_whole = false;
                    let from = after;
                    after = beyond_damage(store, kind, from).await?;
                    tracing::error!(
                        ?kind,
                        after = from,
                        up_to = after,
                        "rows there cannot be read, and get no guard"
                    );
                    if after == i64::MAX {
                        break; // The last ones.
                    }
                    continue;
                }
                some => some?,
            };
            let Some(last) = some.last() else { break };
            (after, limit) = (last.row, limit.saturating_mul(2).min(IN_ONE_TRANSACTION));
            guard_some(store, keys, kind, some, &mut so_far).await?;
        }
    }
    let SoFar { rows, is_whole, .. } = so_far;
    if !is_whole {
        tracing::error!(rows, "some rows have no guard, and cannot be used; the next start tries again");
        return Ok(());
    }
    let (from, to) = (store.key_check().await?.unwrap_or_default(), keys.check_value(&store.id()));
    store.apply(Change::ReplaceKeyCheck { from, to }, unwitnessed()).await?;
    tracing::info!(rows, "every secret and container has its guard");
    Ok(())
}

/// How far it is.
struct SoFar {
    rows: u64,
    /// Nothing was left out that could be there another time.
    is_whole: bool,
    told: Instant,
}

async fn guard_some(
    store: &dyn Store,
    keys: &Keys,
    kind: Kind,
    some: Vec<RegardedRow>,
    so_far: &mut SoFar,
) -> Result<(), OpenError> {
    let mut guards = Vec::with_capacity(some.len());
    for RegardedRow { row, of, read } in some {
        match first_guard(store, keys, read).await {
            Ok(guard) => guards.extend(guard),
            Err(Error::Failed(failure)) => {
                let is_unreadable = matches!(failure, Failure::Store(store::Failure::Unreadable));
                if !is_unreadable && !failure.is_of_the_row() {
                    return Err(failure.into());
                }
                so_far.is_whole &= !is_unreadable;
                tracing::error!(?kind, row, ?of, error = %failure, "a row gets no guard, and cannot be used");
            }
            Err(error) => {
                return Err(OpenError::Store(store::Failure::Unavailable(error.to_string()).into()));
            }
        }
    }
    so_far.rows += u64::try_from(guards.len()).unwrap_or(0);
    store.apply(Change::PutGuards(guards), unwitnessed()).await?;
    if so_far.told.elapsed() >= PROGRESS_EVERY {
        so_far.told = Instant::now();
        tracing::info!(rows = so_far.rows, "guards so far");
    }
    Ok(())
}

/// The first number after which rows can be read again: the one after this cannot.
async fn beyond_damage(store: &dyn Store, kind: Kind, after: i64) -> Result<i64, OpenError> {
    let is_readable = async |after| match store.regarded(kind, after, 1).await {
        Ok(_) => Ok(true),
        Err(store::Error::Failed(store::Failure::Unreadable)) => Ok(false),
        Err(error) => Err(OpenError::Store(error)),
    };
    let (mut bad, mut good, mut step) = (after.max(0), i64::MAX, 1_i64); // Numbers of rows begin at 1.
    while bad < i64::MAX {
        let next = bad.saturating_add(step);
        if is_readable(next).await? {
            good = next;
            break;
        }
        (bad, step) = (next, step.saturating_mul(2));
    }
    while good > bad.saturating_add(1) {
        let middle = bad.midpoint(good);
        match is_readable(middle).await? {
            true => good = middle,
            false => bad = middle,
        }
    }
    Ok(good)
}

/// None if it has one.
async fn first_guard(
    store: &dyn Store,
    keys: &Keys,
    read: Result<Regarded, store::Error>,
) -> Result<Option<(Guarded, Guard)>, Error> {
    let Regarded { of, access, acl } = read?;
    if access.guard.is_some() {
        return Ok(None);
    }
    let key = keys.newest(store, &access.project).await?;
    Ok(Some((of, key.guard(&access.standing(of), acl.as_deref()))))
}
