//! Everything that a change works with: the rows, the secrets that are kept elsewhere, its witness and its effects.

use model::{Absent, ChangeKind, ProjectId, ProjectQuotas, SecretId, Timestamp, Usage};

use super::outcome::{Effects, NotDone};
use super::tables::{Answer, ChangeLogRow, RowNumber, SecretRow, Tables, Tally};
use crate::Error;

/// For each so many bytes of its usage a row of the change log counts as one row more, so that the bound on rows bounds
/// bytes, too.
const USAGE_BYTES_A_ROW: u64 = 1024;

/// Secrets that are kept elsewhere. A change does not touch them, but they may be in its way.
pub trait Beside<E> {
    /// A project's own quotas.
    fn quotas(&self, project: &ProjectId) -> Result<Option<ProjectQuotas>, NotDone<E>>;
    /// The number of a project's rows.
    fn tally(&self, project: &ProjectId, tally: Tally) -> Result<u64, NotDone<E>>;
    /// The secret of a project with a usage, expired or not.
    fn holder(&self, project: &ProjectId, usage: &Usage) -> Result<Option<SecretId>, NotDone<E>>;
    /// Whether a project has a secret that has not expired.
    fn has_secret(&self, project: &ProjectId, id: SecretId, now: Timestamp) -> Result<bool, NotDone<E>>;
}

/// Other tables, within a transaction that is open too.
impl<T: Tables> Beside<T::Error> for &T {
    fn quotas(&self, project: &ProjectId) -> Answer<Option<ProjectQuotas>, T> {
        T::quotas(self, project)
    }
    fn tally(&self, project: &ProjectId, tally: Tally) -> Answer<u64, T> {
        self.project(project)?.map_or(Ok(0), |project| T::tally(self, project, tally))
    }
    fn holder(&self, project: &ProjectId, usage: &Usage) -> Answer<Option<SecretId>, T> {
        Ok(T::holder(self, project, usage)?.map(|holder| holder.id))
    }
    fn has_secret(&self, project: &ProjectId, id: SecretId, now: Timestamp) -> Answer<bool, T> {
        let project = self.project(project)?;
        let found = self.secret(id)?;
        Ok(found.is_some_and(|secret| Some(secret.project) == project && !secret.is_expired(now)))
    }
}

/// Everything that one change works with.
pub struct Transaction<'a, T, B> {
    /// The rows that it changes.
    pub here: &'a mut T,
    /// Secrets that are kept elsewhere.
    pub beside: B,
    /// Called once, when the change is known to succeed.
    pub witness: &'a mut dyn FnMut() -> Result<(), Error>,
    /// What the transaction does besides writing rows.
    pub effects: &'a mut Effects,
}

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    pub(crate) fn witness(&mut self) -> Result<(), Error> {
        (self.witness)()
    }

    /// A secret that has to be there.
    pub(super) fn secret(&self, id: SecretId) -> Answer<SecretRow, T> {
        Ok(self.here.secret(id)?.ok_or(Absent::Secret(id))?)
    }

    /// The row of a project, which is added if it has none.
    pub(crate) fn ensure_project(&mut self, project: &ProjectId) -> Answer<RowNumber, T> {
        match self.here.project(project)? {
            Some(known) => Ok(known),
            None => self.here.add_project(project),
        }
    }

    /// Adds a row about a secret to the change log.
    pub(crate) fn log(
        &mut self,
        (secret, project, usage): (SecretId, RowNumber, Option<&Usage>),
        kind: ChangeKind,
        time: Timestamp,
    ) -> Answer<(), T> {
        let usage_bytes = usage.map_or(0, |usage| u64::try_from(usage.id.len()).unwrap_or(u64::MAX));
        self.effects.newest_change += 1 + usage_bytes / USAGE_BYTES_A_ROW;
        let number = self.effects.newest_change;
        self.here.log(&ChangeLogRow { number, secret, project, kind, time, usage })
    }

    pub(super) fn log_secret(
        &mut self,
        secret: &SecretRow,
        kind: ChangeKind,
        time: Timestamp,
    ) -> Answer<(), T> {
        self.log((secret.id, secret.project, secret.usage.as_ref()), kind, time)
    }
}
