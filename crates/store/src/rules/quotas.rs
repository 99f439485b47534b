//! Whether a project has room for one more of something.

use model::{Conflict, Counted, ProjectId, Timestamp};

use super::outcome::{NotDone, require};
use super::tables::{Answer, Tables, Tally};
use super::transaction::{Beside, Transaction};
use crate::Limit;

impl Tally {
    /// The quota that these rows count against.
    fn counted(self) -> Counted {
        match self {
            Self::Secrets | Self::LiveSecrets { .. } => Counted::Secrets,
            Self::Containers => Counted::Containers,
            Self::Orders => Counted::Orders,
            Self::SecretConsumers | Self::ContainerConsumers => Counted::Consumers,
        }
    }
}

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    /// Refuses one more row where its project has as many as it may have: by its own quota, or by `limit` if it has none.
    pub(super) fn require_room(
        &self,
        project: &ProjectId,
        tally: Tally,
        limit: Limit,
        now: Timestamp,
    ) -> Answer<(), T> {
        let own = match self.here.quotas(project)? {
            None => self.beside.quotas(project)?,
            own => own,
        };
        let limit = own.and_then(|own| own.of(tally.counted())).unwrap_or(limit.0);
        let Ok(limit) = u64::try_from(limit) else { return Ok(()) };
        let row = self.here.project(project)?;
        let is_below = |tally| {
            let here = row.map_or(Ok(0), |row| self.here.tally(row, tally))?;
            Ok::<_, NotDone<_>>(here + self.beside.tally(project, tally)? < limit)
        };
        // Secrets that have expired and are still there do not count, which only matters where all are too many.
        let fits =
            is_below(tally)? || tally == Tally::Secrets && is_below(Tally::LiveSecrets { now, limit })?;
        Ok(require(fits, Conflict::Quota(tally.counted()))?)
    }
}
