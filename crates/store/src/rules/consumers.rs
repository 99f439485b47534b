//! Consumers of secrets and of containers.

use model::{Absent, Conflict, Consumer, Guarded, ProjectId, Uses};

use super::outcome::require;
use super::tables::{Answer, Parts, RowNumber, Tables, Tally};
use super::transaction::{Beside, Transaction};
use crate::limits::PARTS_MAX;
use crate::{Error, Failure, Limit};

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    /// The row of a secret or a container that has to be there.
    fn row_of(&self, of: Guarded) -> Answer<RowNumber, T> {
        Ok(match of {
            Guarded::Secret(id) => self.secret(id)?.row,
            Guarded::Container(id) => self.container(id)?.row,
        })
    }

    pub(super) fn add_consumer(&mut self, of: Guarded, consumer: &Consumer, limit: Limit) -> Answer<(), T> {
        require(consumer.who.is_of(of), Failure::Corrupt("a consumer of something else"))?;
        let row = self.row_of(of)?;
        if self.here.registered_from(of, row, &consumer.who)?.is_some() {
            return Ok(self.witness()?);
        }
        let (parts, tally) = match of {
            Guarded::Secret(_) => (Parts::SecretConsumers, Tally::SecretConsumers),
            Guarded::Container(_) => (Parts::ContainerConsumers, Tally::ContainerConsumers),
        };
        require(self.here.count(row, parts)? < PARTS_MAX, Conflict::TooManyParts)?;
        self.require_room(&consumer.project, tally, limit, consumer.created)?;
        self.witness()?;
        let project = self.ensure_project(&consumer.project)?;
        self.here.add_consumer(of, row, project, consumer)
    }

    pub(super) fn remove_consumer(
        &mut self,
        of: Guarded,
        who: &Uses,
        only_of: Option<&ProjectId>,
    ) -> Answer<(), T> {
        require(who.is_of(of), Absent::Consumer)?;
        let row = self.row_of(of)?;
        let from = self.here.registered_from(of, row, who)?.ok_or(Absent::Consumer)?;
        if let Some(only_of) = only_of {
            require(self.here.project(only_of)? == Some(from), Error::OthersConsumer)?;
        }
        self.witness()?;
        self.here.delete_consumer(of, row, who)
    }
}
