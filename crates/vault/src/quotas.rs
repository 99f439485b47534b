//! Quotas: how much a project may have.

use model::{Absent, Call, Counted, ProjectId, ProjectQuotas, Quotas};
use store::{Change, Limit, Slice, Sliced};

use crate::audit::Object;
use crate::{Action, Error, Vault};

impl Vault {
    /// What the caller's project may have.
    pub async fn own_quotas(&self, call: &Call) -> Result<Quotas, Error> {
        let action = Action::ReadQuotas;
        let read = async {
            self.may(call, action)?;
            Ok(self.store.project_quotas(&call.caller.project).await?)
        };
        let own = self.read(call, action, None, read).await?;
        Ok(own.unwrap_or_default().or(self.quotas))
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
        self.read(call, action, None, read).await
    }

    /// What was said of a project's.
    pub async fn project_quotas(&self, call: &Call, project: &ProjectId) -> Result<ProjectQuotas, Error> {
        let action = Action::ReadProjectQuotas;
        let read = async {
            self.may(call, action)?;
            Ok(self.store.project_quotas(project).await?.ok_or(Absent::Quotas)?)
        };
        self.read(call, action, Object::Quotas(project.clone()), read).await
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
            self.change(call, action, of.clone(), change).await
        };
        self.attempt(call, action, of.clone(), changed).await
    }

    /// What a project may have of something where nothing was said of its quotas.
    pub(crate) fn limit(&self, counted: Counted) -> Limit {
        Limit(self.quotas.of(counted))
    }
}
