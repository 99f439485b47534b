//! Quotas limit how many secrets, containers, orders and consumers a project may have.

use model::{Absent, Call, Counted, ProjectId, ProjectQuotas, Quotas};
use store::{Change, Limit, Slice, Sliced};

use crate::audit::Object;
use crate::{Action, Error, Vault};

impl Vault {
    /// The quotas that hold for the caller's project.
    pub async fn own_quotas(&self, call: &Call) -> Result<Quotas, Error> {
        let action = Action::ReadQuotas;
        let read = async {
            self.may(call, action)?;
            Ok(self.store.project_quotas(&call.caller.project).await?)
        };
        let own = self.read(call, action, None, read).await?;
        Ok(own.unwrap_or_default().or(self.quotas))
    }

    /// Lists the projects that have quotas of their own.
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

    /// The quotas that were set for a project.
    pub async fn project_quotas(&self, call: &Call, project: &ProjectId) -> Result<ProjectQuotas, Error> {
        let action = Action::ReadProjectQuotas;
        let read = async {
            self.may(call, action)?;
            Ok(self.store.project_quotas(project).await?.ok_or(Absent::Quotas)?)
        };
        self.read(call, action, Object::Quotas(project.clone()), read).await
    }

    /// Sets quotas of a project; those that are left out stay as they were.
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

    /// The default limit for one kind of thing.
    pub(crate) fn limit(&self, counted: Counted) -> Limit {
        Limit(self.quotas.of(counted))
    }
}
