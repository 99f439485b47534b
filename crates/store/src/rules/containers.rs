//! Containers, and what is in them.

use model::{Absent, Conflict, Container, ContainerId, ContainerSecret, ProjectId, SecretId, Timestamp};

use super::outcome::require;
use super::tables::{Answer, ContainerRow, Parts, RowNumber, Table, Tables, Tally};
use super::transaction::{Beside, Transaction};
use crate::Limit;
use crate::limits::PARTS_MAX;

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    /// A container that has to be there.
    pub(super) fn container(&self, id: ContainerId) -> Answer<ContainerRow, T> {
        Ok(self.here.container(id)?.ok_or(Absent::Container)?)
    }

    /// The row of a secret that a container of a project may hold.
    fn reference(&self, id: SecretId, project: &ProjectId, time: Timestamp) -> Answer<RowNumber, T> {
        let number = self.here.project(project)?;
        match self.here.secret(id)? {
            Some(secret) if Some(secret.project) == number && !secret.is_expired(time) => Ok(secret.row),
            // Whether another project's secret is ephemeral is nobody's business.
            _ if self.beside.has_secret(project, id, time)? => Err(Conflict::EphemeralPart(id).into()),
            _ => Err(Absent::Reference(id).into()),
        }
    }

    pub(super) fn create_container(
        &mut self,
        container: &Container,
        secrets: &[ContainerSecret],
        limit: Limit,
    ) -> Answer<(), T> {
        let now = container.created;
        require(u64::try_from(secrets.len()).is_ok_and(|parts| parts <= PARTS_MAX), Conflict::TooManyParts)?;
        self.require_room(&container.project, Tally::Containers, limit, now)?;
        let rows = secrets
            .iter()
            .map(|secret| self.reference(secret.secret, &container.project, now))
            .collect::<Result<Vec<_>, _>>()?;
        self.witness()?;
        let project = self.ensure_project(&container.project)?;
        self.insert_container(project, container, secrets, &rows)
    }

    /// Writes a container that was checked, with the rows of its secrets.
    pub(super) fn insert_container(
        &mut self,
        project: RowNumber,
        container: &Container,
        secrets: &[ContainerSecret],
        rows: &[RowNumber],
    ) -> Answer<(), T> {
        let container = self.here.insert_container(project, container)?;
        for (secret, row) in secrets.iter().zip(rows) {
            self.here.add_container_secret(container, *row, secret.name.as_ref())?;
        }
        Ok(())
    }

    pub(super) fn add_container_secret(
        &mut self,
        id: ContainerId,
        secret: &ContainerSecret,
        time: Timestamp,
    ) -> Answer<(), T> {
        let container = self.container(id)?;
        let project = self.here.project_name(container.project)?;
        let row = self.reference(secret.secret, &project, time)?;
        let taken = self.here.container_secret(container.row, row, secret.name.as_ref())?.is_some();
        require(!taken, Conflict::Part(secret.secret))?;
        require(
            self.here.count(container.row, Parts::ContainerSecrets)? < PARTS_MAX,
            Conflict::TooManyParts,
        )?;
        self.witness()?;
        self.here.add_container_secret(container.row, row, secret.name.as_ref())?;
        self.here.touch_container(container.row, time)
    }

    pub(super) fn remove_container_secret(
        &mut self,
        id: ContainerId,
        secret: &ContainerSecret,
        time: Timestamp,
    ) -> Answer<(), T> {
        let container = self.container(id)?;
        let found = self.here.secret(secret.secret)?;
        let found = found.filter(|found| found.project == container.project && !found.is_expired(time));
        let row = found.ok_or(Absent::Reference(secret.secret))?.row;
        let part = self.here.container_secret(container.row, row, secret.name.as_ref())?;
        let part = part.ok_or(Absent::Part(secret.secret))?;
        self.witness()?;
        self.here.delete(Table::ContainerSecrets, part)?;
        self.here.touch_container(container.row, time)
    }
}
