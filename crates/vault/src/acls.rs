//! ACLs let users of any project read a secret or a container.

use model::{Absent, Access, Acl, AclChange, Call, Guarded};
use store::Change;

use crate::audit::Object;
use crate::vault::TRIES;
use crate::{Action, Error, Vault};

impl Vault {
    /// Reads the ACL of a secret or a container. Without an ACL, the roles of its project decide.
    pub async fn acl(&self, call: &Call, of: Guarded) -> Result<Option<Acl>, Error> {
        let action = action_on(of, Action::ReadAcl, Action::ReadContainerAcl);
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

    /// Changes the ACL of a secret or a container.
    pub async fn change_acl(&self, call: &Call, of: Guarded, change: AclChange) -> Result<(), Error> {
        let action = match change {
            AclChange::Remove => action_on(of, Action::DeleteAcl, Action::DeleteContainerAcl),
            AclChange::Replace { .. } | AclChange::Amend { .. } => {
                action_on(of, Action::ChangeAcl, Action::ChangeContainerAcl)
            }
        };
        let changed = async {
            let Access { project, guard, .. } = self.reach(call, of, action).await?;
            let guarding = self.guarding(&project, guard.as_ref()).await?;
            let change = Change::SetAcl { of, change, guarding, time: call.time };
            self.change(call, action, of, change).await
        };
        self.attempt(call, action, Object::from(of), changed).await
    }

    /// Finds a secret or a container that this caller may use, and returns its access data.
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

    /// As [`Vault::refuse`], for the ACL or the consumers of a secret or a container.
    pub async fn refuse_of(&self, call: &Call, action: Action, of: Guarded) -> Result<(), Error> {
        self.refuse_if_allowed(call, action, Object::from(of), self.reach(call, of, action)).await
    }
}

/// The action on a secret or a container.
pub(crate) fn action_on(of: Guarded, secret: Action, container: Action) -> Action {
    match of {
        Guarded::Secret(_) => secret,
        Guarded::Container(_) => container,
    }
}
