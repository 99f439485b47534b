//! ACLs: who may read a secret or a container besides its project.

use model::{Absent, Access, Acl, AclChange, Call, Guarded};
use store::Change;

use crate::audit::Object;
use crate::vault::TRIES;
use crate::{Action, Error, Vault};

impl Vault {
    /// The ACL of a secret or a container; without one, its project reads by its roles.
    pub async fn acl(&self, call: &Call, of: Guarded) -> Result<Option<Acl>, Error> {
        let action = match of {
            Guarded::Secret(_) => Action::ReadAcl,
            Guarded::Container(_) => Action::ReadContainerAcl,
        };
        let read = async {
            for _ in 0..TRIES {
                let Access { guard, .. } = self.reach(call, of, action).await?;
                if let Some(acl) = self.acl_under(of, guard.as_ref()).await? {
                    return Ok(acl);
                }
            }
            Err(Error::BUSY)
        };
        self.read(call, action, Object::from(of), read).await
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
            let Access { project, guard, .. } = self.reach(call, of, action).await?;
            let guarding = self.guarding(&project, guard.as_ref()).await?;
            let change = Change::SetAcl { of, change, guarding, time: call.time };
            self.change(call, action, of, change).await
        };
        self.attempt(call, action, Object::from(of), changed).await
    }

    /// What decides about a secret or a container that is there for this caller to do something with.
    pub(crate) async fn reach(&self, call: &Call, of: Guarded, action: Action) -> Result<Access, Error> {
        let absent = match of {
            Guarded::Secret(id) => Absent::Secret(id),
            Guarded::Container(_) => Absent::Container,
        };
        self.find(
            call,
            action,
            absent,
            || self.store.access(of),
            |found| (found.standing(of), found.guard.as_ref()),
        )
        .await
    }

    /// As [`Vault::refuse`], for what belongs to a secret or a container.
    pub async fn refuse_of(&self, call: &Call, action: Action, of: Guarded) -> Result<(), Error> {
        self.refuse_if_allowed(call, action, Object::from(of), self.reach(call, of, action)).await
    }
}
