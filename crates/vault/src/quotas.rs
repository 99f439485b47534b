//! Quotas: how much a project may have.

use model::{Call, Counted, ProjectId, ProjectQuotas, Quotas};
use store::{Change, Limit, Slice, Sliced};

use crate::audit::{Object, Outcome};
use crate::{Action, Error, Vault};

impl Vault {
    /// What the caller's project may have.
    pub async fn own_quotas(&self, call: &Call) -> Result<Quotas, Error> {
        let action = Action::ReadQuotas;
        let read = async {
            self.may(call, action)?;
            Ok(self.store.project_quotas(&call.caller.project).await?)
        };
        let said = self.written(call, action, None, read.await).await?;
        self.record(call, action, None, Outcome::Done).await?;
        Ok(said.unwrap_or_default().or(self.quotas))
    }

    /// What was said of the quotas of all projects.
    pub async fn all_project_quotas(
        &self,
        call: &Call,
        slice: Slice,
    ) -> Result<Sliced<(ProjectId, ProjectQuotas)>, Error> {
        let action = Action::ReadProjectQuotas;
        let read = async {
            self.may(call, action)?;
            Ok(self.store.all_project_quotas(slice).await?)
        };
        let page = self.written(call, action, None, read.await).await?;
        self.record(call, action, None, Outcome::Done).await?;
        Ok(page)
    }

    /// What was said of a project's.
    pub async fn project_quotas(&self, call: &Call, project: &ProjectId) -> Result<ProjectQuotas, Error> {
        let action = Action::ReadProjectQuotas;
        let of = Object::Quotas(project.clone());
        let read = async {
            self.may(call, action)?;
            self.store.project_quotas(project).await?.ok_or(Error::NoSuchQuotas)
        };
        let quotas = self.written(call, action, of.clone(), read.await).await?;
        self.record(call, action, of, Outcome::Done).await?;
        Ok(quotas)
    }

    /// Says how much a project may have; what is left out stays as it was.
    pub async fn set_project_quotas(
        &self,
        call: &Call,
        project: &ProjectId,
        quotas: ProjectQuotas,
    ) -> Result<(), Error> {
        let change = Change::SetProjectQuotas { project: project.clone(), quotas };
        self.change_quotas(call, Action::SetProjectQuotas, project, change).await
    }

    /// Gives a project the default quotas.
    pub async fn delete_project_quotas(&self, call: &Call, project: &ProjectId) -> Result<(), Error> {
        let change = Change::DeleteProjectQuotas(project.clone());
        self.change_quotas(call, Action::DeleteProjectQuotas, project, change).await
    }

    async fn change_quotas(
        &self,
        call: &Call,
        action: Action,
        project: &ProjectId,
        change: Change,
    ) -> Result<(), Error> {
        let of = Object::Quotas(project.clone());
        let changed = async {
            self.may(call, action)?;
            self.change(call, action, of.clone(), change).await.map_err(|error| match error {
                store::Error::NotFound => Error::NoSuchQuotas,
                other => other.into(),
            })
        };
        self.written(call, action, of.clone(), changed.await).await
    }

    /// What a project may have of something where nothing was said of its quotas.
    pub(crate) fn limit(&self, counted: Counted) -> Limit {
        Limit(self.quotas.of(counted))
    }
}
