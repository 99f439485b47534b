//! Whether a project has room for one more of something.

use model::{Conflict, Counted, ProjectId, Timestamp};

use super::outcome::{NotDone, require};
use super::tables::{Answer, Tables, Tally};
use super::transaction::{Beside, Transaction};
use crate::Limit;

/// Room for one more row in a project.
pub(super) struct Room<'a> {
    pub(super) project: &'a ProjectId,
    pub(super) counted: Counted,
    /// Where the project has no quota of its own.
    pub(super) limit: Limit,
    pub(super) now: Timestamp,
}

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    /// Refuses one more row where its project has as many as it may have.
    pub(super) fn require_room(&self, room: &Room<'_>, tally: Tally) -> Answer<(), T> {
        let Some(limit) = self.limit(room)? else { return Ok(()) };
        let project = self.here.project(room.project)?;
        let is_below = |tally| {
            let here = project.map_or(Ok(0), |project| self.here.tally(project, tally))?;
            Ok::<_, NotDone<_>>(here + self.beside.tally(room.project, tally)? < limit)
        };
        // Secrets that have expired and are still there do not count, which only matters where all are too many.
        let fits = is_below(tally)?
            || tally == Tally::Secrets && is_below(Tally::LiveSecrets { now: room.now, limit })?;
        Ok(require(fits, Conflict::Quota(room.counted))?)
    }

    /// The most rows that the project may have, unless it has no limit.
    fn limit(&self, room: &Room<'_>) -> Answer<Option<u64>, T> {
        let own = match self.here.quotas(room.project)? {
            None => self.beside.quotas(room.project)?,
            own => own,
        };
        let limit = own.and_then(|own| own.of(room.counted)).unwrap_or(room.limit.0);
        Ok(u64::try_from(limit).ok())
    }
}
