//! ACLs: who may read a secret or a container besides its project.

use model::{Acl, AclChange, Call, Guard, Guarded, ProjectId};
use store::Change;

use crate::audit::{Object, Outcome};
use crate::consumers::about_guarded;
use crate::vault::TRIES;
use crate::{Action, Error, Vault};

/// A secret or a container that is there for a caller.
pub(crate) struct Reached {
    /// Whose.
    pub(crate) project: ProjectId,
    /// Its guard, checked.
    guard: Option<Guard>,
}

impl Vault {
    /// The ACL of a secret or a container; without one, its project reads by its roles.
    pub async fn acl(&self, call: &Call, of: Guarded) -> Result<Option<Acl>, Error> {
        let action = match of {
            Guarded::Secret(_) => Action::ReadAcl,
            Guarded::Container(_) => Action::ReadContainerAcl,
        };
        let read = async {
            for _ in 0..TRIES {
                let Reached { guard, .. } = self.reach(call, of, action).await?;
                if let Some(acl) = self.acl_under(of, guard.as_ref()).await? {
                    return Ok(acl);
                }
            }
            Err(Error::Busy)
        };
        let acl = self.written(call, action, Object::from(of), read.await).await?;
        self.record(call, action, Object::from(of), Outcome::Done).await?;
        Ok(acl)
    }

    /// Changes it.
    pub async fn change_acl(&self, call: &Call, of: Guarded, change: AclChange) -> Result<(), Error> {
        let action = match (of, &change) {
            (Guarded::Secret(_), AclChange::Remove) => Action::DeleteAcl,
            (Guarded::Secret(_), _) => Action::ChangeAcl,
            (Guarded::Container(_), AclChange::Remove) => Action::DeleteContainerAcl,
            (Guarded::Container(_), _) => Action::ChangeContainerAcl,
        };
        let changed = async {
            let Reached { project, guard } = self.reach(call, of, action).await?;
            let guarding = self.guarding(&project, guard.as_ref()).await?;
            let change = Change::SetAcl { of, change, guarding, time: call.time };
            self.change(call, action, of, change).await.map_err(|error| about_guarded(of, error))
        };
        self.written(call, action, Object::from(of), changed.await).await
    }

    /// Whether a secret or a container is there for this caller to do something with, and whose it is.
    pub(crate) async fn reach(&self, call: &Call, of: Guarded, action: Action) -> Result<Reached, Error> {
        let (project, guard) = match of {
            Guarded::Secret(id) => {
                let found = self.accessible(call, id, action).await?;
                (found.project, found.guard)
            }
            Guarded::Container(id) => {
                let found = self.accessible_container(call, id, action).await?;
                (found.project, found.guard)
            }
        };
        Ok(Reached { project, guard })
    }

    /// As [`Vault::refuse`], for what belongs to a secret or a container.
    pub async fn refuse_of(&self, call: &Call, action: Action, of: Guarded) -> Result<(), Error> {
        let checked = self.reach(call, of, action).await.map(drop);
        self.written(call, action, Object::from(of), checked).await?;
        self.record(call, action, Object::from(of), Outcome::Refused).await
    }
}
