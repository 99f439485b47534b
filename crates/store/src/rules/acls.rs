//! ACLs of secrets and of containers.

use model::{Absent, Acl, AclChange, Guard, Guarded, Standing, Text, Timestamp};

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

/// Whether the project may read, and the users that an ACL is to name.
type Terms = (bool, Vec<Text>);

/// The terms of an ACL after a change; none if there is to be no ACL.
fn changed_terms(before: Option<&Acl>, change: &AclChange) -> Option<Terms> {
    match change {
        AclChange::Replace { project_access, users } => Some((*project_access, users.clone())),
        AclChange::Remove => None,
        AclChange::Amend { project_access: None, users: None } if before.is_none() => None,
        AclChange::Amend { project_access, users } => {
            let access = project_access.or(before.map(|acl| acl.project_access)).unwrap_or(true);
            let users = users.clone().or_else(|| before.map(|acl| acl.users.clone())).unwrap_or_default();
            Some((access, users))
        }
    }
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
        let terms = changed_terms(found.acl.as_ref(), change);
        let access = terms.as_ref().is_none_or(|(access, _)| *access);
        let guard = self.guard_with(of, &found, access, terms.as_ref(), guarding)?;
        self.witness()?;
        let users = terms.as_ref().map_or(&[][..], |(_, users)| users);
        self.here.set_acl_users(of, found.row, users)?;
        self.here.set_access(of, found.row, access, guard.as_ref())?;
        let times = terms.map(|_| (found.acl.as_ref().map_or(time, |acl| acl.created), time));
        self.here.set_acl_times(of, found.row, times)
    }

    /// The guard of something after a change of its ACL.
    fn guard_with(
        &self,
        of: Guarded,
        found: &AclRow,
        access: bool,
        terms: Option<&Terms>,
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
        let acl = AclStep {
            before: found.acl.as_ref().map(|acl| acl.users.as_slice()),
            after: terms.map(|(_, users)| users.as_slice()),
        };
        let after = Standing { project_access: access, ..before };
        Ok(guarding.make(&Regard { before, guard: found.guard.as_ref(), after, acl: Some(acl) })?)
    }
}
