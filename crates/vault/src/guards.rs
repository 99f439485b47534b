//! Guards: before a decision rests on a row of a secret or a container, its guard is checked.
//!
//! ```text
//! row, guard ──▶ does the guard fit? ──no──▶ Corrupt         the writer of the row had no key
//!                  │ yes
//!                  ▼
//!                policy ──▶ yes, no, or ask the ACL ──▶ does the hash of the whole ACL fit? ──▶ yes, no
//! ```
//!
//! The check happens wherever the vault decides access to one thing: before every payload, record, list of consumers and
//! change. [`Vault::decide`] is the only way to ask the policy about something that exists. Lists and counts are not
//! checked, because they show only data that is not encrypted in the database. Nor are the secrets of a container,
//! consumers, names and usages: nobody gets a payload through them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Absent, Acl, Call, Guard, Guarded, ProjectId, Standing, Text};
use seal::{ProjectKey, Rows, check_acl, guard_key_version};
use store::{AclStep, Change, Guarding, Kind, Regard, Regarded, RegardedRow, Store, unwitnessed};

use crate::authorise::{Subject, Verdict};
use crate::keys::Keys;
use crate::vault::is_expired;
use crate::{Action, Denied, Error, Failure, OpenError, Vault};

/// How many rows get their guards in one transaction.
const IN_ONE_TRANSACTION: u32 = 1000;
/// How often the log reports progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// A decision that allows the action, or that has to be made again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decided {
    Allowed,
    /// The row changed while its ACL was read: read the row and decide again.
    Moved,
}

impl Vault {
    /// Checks the guard of a row, then asks the policy. An expired secret counts as absent.
    pub(crate) async fn decide(
        &self,
        call: &Call,
        action: Action,
        standing: &Standing<'_>,
        guard: Option<&Guard>,
    ) -> Result<Decided, Error> {
        let guard = self.counted(checked_guard(&*self.store, &self.keys, standing, guard).await)?;
        if let (Guarded::Secret(id), true) = (standing.of, is_expired(standing.expiration, call)) {
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

    /// The ACL that belongs to a checked guard; `None` if the row has another guard by now.
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

    /// Prepares the new guard of a row that has this guard now, or another guard made with one of the same keys.
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
        Ok(Guarding::by(move |regard| renew_guard(&newest, &known, regard)))
    }
}

/// Makes the guard of a changed row, after the guard of the row before the change has been checked.
fn renew_guard(
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

/// Returns the guard if it fits the row; [`Failure::Corrupt`] if it is missing or does not fit.
async fn checked_guard<'a>(
    store: &dyn Store,
    keys: &Keys,
    standing: &Standing<'_>,
    guard: Option<&'a Guard>,
) -> Result<&'a Guard, Error> {
    let corrupt = |source| Failure::Corrupt { of: standing.of, source };
    let guard = guard.ok_or_else(|| corrupt(seal::Error::Unguarded))?;
    let version = guard_key_version(guard).map_err(corrupt)?;
    let key = match keys.of_version(store, standing.project, version).await {
        Ok(key) => key.ok_or_else(|| corrupt(seal::Error::Altered))?, // No key of this project made the guard.
        Err(Error::Failed(Failure::Keys(source))) => return Err(corrupt(source).into()),
        Err(error) => return Err(error),
    };
    key.check_guard(standing, guard).map_err(corrupt)?;
    Ok(guard)
}

/// Translates an error of the store. A row that cannot be understood counts as altered.
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

/// Checks that a row and its ACL are as they were stored.
pub(crate) async fn verify_row(
    store: &dyn Store,
    keys: &Keys,
    of: Option<Guarded>,
    read: Result<Regarded, store::Error>,
) -> Result<(), Error> {
    let found = read.map_err(|error| altered(of, error))?;
    let guard =
        checked_guard(store, keys, &found.access.standing(found.of), found.access.guard.as_ref()).await?;
    let corrupt = |source| Failure::Corrupt { of: found.of, source };
    Ok(check_acl(guard, found.acl.as_deref()).map_err(corrupt)?)
}

/// Whether a store says that all its rows have guards.
pub(crate) async fn has_guards(store: &dyn Store, keys: &Keys) -> Result<bool, OpenError> {
    let check = store.key_check().await?.unwrap_or_default();
    Ok(keys.verify(&store.id(), &check).map_err(OpenError::Keys)? == Rows::Guarded)
}

/// Gives a guard to each row of a store that an older version wrote, some rows at a time. If the service ends meanwhile,
/// the next start continues. At the end, the check value of the store says that all rows have guards, so a row without
/// one is refused from then on.
///
/// Rows that cannot be understood, or whose project key does not open, get no guard: nobody can use them anyway. If the
/// disk cannot read a row, the next start tries again, and the check value is written only then.
pub(crate) async fn guard_all(store: &dyn Store, keys: &Keys) -> Result<(), OpenError> {
    if has_guards(store, keys).await? {
        return Ok(());
    }
    tracing::info!("giving every secret and container its guard, once");
    let mut progress = Progress { rows: 0, is_whole: true, logged: Instant::now() };
    for kind in [Kind::Secrets, Kind::Containers] {
        let (mut after, mut limit) = (i64::MIN, IN_ONE_TRANSACTION);
        loop {
            let some = match store.regarded(kind, after, limit).await {
                Err(store::Error::Failed(store::Failure::Unreadable)) if limit > 1 => {
                    limit = 1; // Takes the rows before the damage.
                    continue;
                }
                Err(store::Error::Failed(store::Failure::Unreadable)) => {
                    progress.is_whole = false;
                    let from = after;
                    after = beyond_damage(store, kind, from).await?;
                    tracing::error!(
                        ?kind,
                        after = from,
                        up_to = after,
                        "these rows cannot be read and get no guard"
                    );
                    if after == i64::MAX {
                        break; // They were the last rows.
                    }
                    continue;
                }
                some => some?,
            };
            let Some(last) = some.last() else { break };
            (after, limit) = (last.row, limit.saturating_mul(2).min(IN_ONE_TRANSACTION));
            guard_some(store, keys, kind, some, &mut progress).await?;
        }
    }
    let Progress { rows, is_whole, .. } = progress;
    if !is_whole {
        tracing::error!(rows, "some rows have no guard and cannot be used; the next start tries again");
        return Ok(());
    }
    let (from, to) = (store.key_check().await?.unwrap_or_default(), keys.check_value(&store.id()));
    store.apply(Change::ReplaceKeyCheck { from, to }, unwitnessed()).await?;
    tracing::info!(rows, "every secret and container has its guard");
    Ok(())
}

/// The progress of [`guard_all`].
struct Progress {
    rows: u64,
    /// False if the disk could not read a row, which may succeed at another time.
    is_whole: bool,
    logged: Instant,
}

async fn guard_some(
    store: &dyn Store,
    keys: &Keys,
    kind: Kind,
    some: Vec<RegardedRow>,
    progress: &mut Progress,
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
                progress.is_whole &= !is_unreadable;
                tracing::error!(?kind, row, ?of, error = %failure, "a row gets no guard and cannot be used");
            }
            Err(error) => {
                return Err(OpenError::Store(store::Failure::Unavailable(error.to_string()).into()));
            }
        }
    }
    progress.rows += u64::try_from(guards.len()).unwrap_or(0);
    store.apply(Change::PutGuards(guards), unwitnessed()).await?;
    if progress.logged.elapsed() >= PROGRESS_EVERY {
        progress.logged = Instant::now();
        tracing::info!(rows = progress.rows, "rows that have got guards so far");
    }
    Ok(())
}

/// Finds the first row number after which rows can be read again. The row after `after` cannot be read.
async fn beyond_damage(store: &dyn Store, kind: Kind, after: i64) -> Result<i64, OpenError> {
    let is_readable = async |after| match store.regarded(kind, after, 1).await {
        Ok(_) => Ok(true),
        Err(store::Error::Failed(store::Failure::Unreadable)) => Ok(false),
        Err(error) => Err(OpenError::Store(error)),
    };
    let (mut bad, mut good, mut step) = (after.max(0), i64::MAX, 1_i64); // Row numbers begin at 1.
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

/// Makes the first guard of a row; `None` if the row has a guard.
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
