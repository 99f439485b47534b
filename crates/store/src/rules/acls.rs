//! ACLs of secrets and of containers.

use model::{Absent, Acl, AclChange, Guard, Guarded, Standing, Timestamp};

use super::tables::{AclRow, Answer, Tables};
use super::transaction::{Beside, Transaction};
use crate::{AclStep, Guarding, Regard};

/// What is missing where a secret or a container is not there.
fn absent(of: Guarded) -> Absent {
    match of {
        Guarded::Secret(id) => Absent::Secret(id),
        Guarded::Container(_) => Absent::Container,
    }
}

/// The ACL after a change, unless the change removes it.
fn changed_acl(before: Option<&Acl>, change: &AclChange, time: Timestamp) -> Option<Acl> {
    let (project_access, users) = match change {
        AclChange::Replace { project_access, users } => (*project_access, users.clone()),
        AclChange::Remove => return None,
        AclChange::Amend { project_access: None, users: None } if before.is_none() => return None,
        AclChange::Amend { project_access, users } => {
            let access = project_access.or(before.map(|acl| acl.project_access)).unwrap_or(true);
            let users = users.clone().or_else(|| before.map(|acl| acl.users.clone())).unwrap_or_default();
            (access, users)
        }
    };
    Some(Acl { project_access, users, created: before.map_or(time, |acl| acl.created), updated: time })
}

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    pub(super) fn set_acl(
        &mut self,
        of: Guarded,
        change: &AclChange,
        guarding: &mut Guarding,
        time: Timestamp,
    ) -> Answer<(), T> {
        let found = self.here.acl(of)?.ok_or_else(|| absent(of))?;
        let acl = changed_acl(found.acl.as_ref(), change, time);
        let guard = self.guard_with(of, &found, acl.as_ref(), guarding)?;
        self.witness()?;
        self.here.set_acl(of, found.row, acl.as_ref(), guard.as_ref())
    }

    /// The guard of something after a change of its ACL.
    fn guard_with<'a>(
        &self,
        of: Guarded,
        found: &'a AclRow,
        acl: Option<&'a Acl>,
        guarding: &mut Guarding,
    ) -> Answer<Option<Guard>, T> {
        let project = self.here.project_name(found.project)?;
        let before = Standing {
            of,
            project: &project,
            creator: found.creator.as_ref(),
            project_access: found.project_access,
            private: found.private,
            expiration: found.expiration,
        };
        let after = Standing { project_access: acl.is_none_or(|acl| acl.project_access), ..before };
        let users = |acl: Option<&'a Acl>| acl.map(|acl| acl.users.as_slice());
        let step = AclStep { before: users(found.acl.as_ref()), after: users(acl) };
        Ok(guarding.make(&Regard { before, guard: found.guard.as_ref(), after, acl: Some(step) })?)
    }
}
