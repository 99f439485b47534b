//! Who may do what: one row a rule.
//!
//! The rules are Barbican's defaults up to release 22, in the names of its policy files. In project-header mode, the
//! only one there is yet, a caller without `X-Roles` is an admin of the project named.

use model::{Caller, ProjectId, Role, UserId};

/// What a caller wants to do; each is one rule of the policy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Create a secret.
    CreateSecret,
    /// List secrets.
    ListSecrets,
    /// Read what is known of a secret.
    ReadSecret,
    /// Read its payload.
    ReadPayload,
    /// Give it its payload.
    FillPayload,
    /// Define it again.
    DefineSecret,
    /// Give it another payload.
    SetPayload,
    /// Be told of what is done to secrets.
    FollowSecrets,
    /// Delete it.
    DeleteSecret,
    /// Read its user metadata.
    ReadMetadata,
    /// Add a pair.
    AddMetadatum,
    /// Replace pairs.
    ReplaceMetadata,
    /// Remove a pair.
    RemoveMetadatum,
    /// Read its ACL.
    ReadAcl,
    /// Set or remove its ACL.
    ChangeAcl,
    /// Read, add or remove its consumers.
    Consumers,
}

impl Action {
    /// The rule's name, which is also the action's in the audit trail.
    pub const fn as_str(self) -> &'static str {
        self.rule().0
    }

    /// The table.
    const fn rule(self) -> (&'static str, Rule) {
        use Who::{Acl, Creator, Owner};
        match self {
            Self::CreateSecret => ("secrets:post", Rule::Anywhere(&[ADMIN, CREATOR])),
            Self::ListSecrets => ("secrets:get", Rule::Anywhere(ALL_BUT_AUDIT)),
            Self::ReadSecret => ("secret:get", Rule::Of(&[Who::Shared(ALL), Owner, Who::Admin, Acl])),
            Self::ReadPayload => {
                ("secret:decrypt", Rule::Of(&[Who::Shared(ALL_BUT_AUDIT), Owner, Who::Admin, Acl]))
            }
            Self::FillPayload => ("secret:put", Rule::Of(&[Who::Admin, Creator])),
            // Barbican has no such rules; these are those for what comes nearest: metadata, payload, list.
            Self::DefineSecret => ("secret:define", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])])),
            Self::SetPayload => ("secret:set", Rule::Of(&[Who::Admin, Creator])),
            Self::FollowSecrets => ("secrets:follow", Rule::Anywhere(ALL_BUT_AUDIT)),
            Self::DeleteSecret => ("secret:delete", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])])),
            Self::ReadMetadata => ("secret_meta:get", Rule::Of(&[Who::Shared(ALL), Owner, Who::Admin, Acl])),
            Self::AddMetadatum => {
                ("secret_meta:post", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::ReplaceMetadata => {
                ("secret_meta:put", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::RemoveMetadatum => {
                ("secret_meta:delete", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::ReadAcl => ("secret_acls:get", Rule::Of(&[Who::Project(ALL_BUT_AUDIT)])),
            Self::ChangeAcl => {
                ("secret_acls:put_patch", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::Consumers => {
                ("secret_consumers:get", Rule::Of(&[Who::Shared(ALL), Owner, Who::Admin, Acl]))
            }
        }
    }
}

const ADMIN: Role = Role::ADMIN;
const CREATOR: Role = Role::CREATOR;
const ALL: &[Role] = &[ADMIN, Role::OBSERVER, CREATOR, Role::AUDIT, Role::SERVICE_ADMIN];
const ALL_BUT_AUDIT: &[Role] = &[ADMIN, Role::OBSERVER, CREATOR];

enum Rule {
    /// Any of these roles, whatever is asked for: it will be of the caller's own project.
    Anywhere(&'static [Role]),
    /// Any of these, of the secret asked for.
    Of(&'static [Who]),
}

enum Who {
    /// An admin of its project.
    Admin,
    /// A creator of its project.
    Creator,
    /// The creator of its project that made it.
    Owner,
    /// One of these roles in its project, whatever its ACL says.
    Project(&'static [Role]),
    /// One of these roles in its project, unless its ACL takes it from the project.
    Shared(&'static [Role]),
    /// A user its ACL names, from any project.
    Acl,
}

/// What a rule needs to know of a secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) project: &'a ProjectId,
    pub(crate) creator: Option<&'a UserId>,
    pub(crate) project_access: bool,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// It hangs on whether the ACL names the caller's user.
    AskAcl,
}

/// Looks the rule up. `subject` is absent for what is asked of no secret.
pub(crate) fn verdict(action: Action, caller: &Caller, subject: Option<Subject<'_>>) -> Verdict {
    match (action.rule().1, subject) {
        (Rule::Anywhere(roles), _) => allowed_if(has_one(caller, roles)),
        (Rule::Of(_), None) => Verdict::Denied,
        (Rule::Of(who), Some(subject)) => {
            who.iter().map(|who| one(who, caller, subject)).fold(Verdict::Denied, |so_far, next| {
                match (so_far, next) {
                    (Verdict::Allowed, _) | (_, Verdict::Allowed) => Verdict::Allowed,
                    (Verdict::AskAcl, _) | (_, Verdict::AskAcl) => Verdict::AskAcl,
                    (Verdict::Denied, Verdict::Denied) => Verdict::Denied,
                }
            })
        }
    }
}

fn one(who: &Who, caller: &Caller, subject: Subject<'_>) -> Verdict {
    let here = |roles| caller.project == *subject.project && has_one(caller, roles);
    match who {
        Who::Admin => allowed_if(here(&[ADMIN])),
        Who::Creator => allowed_if(here(&[CREATOR])),
        Who::Owner => {
            allowed_if(here(&[CREATOR]) && caller.user.is_some() && caller.user.as_ref() == subject.creator)
        }
        Who::Project(roles) => allowed_if(here(roles)),
        Who::Shared(roles) => allowed_if(subject.project_access && here(roles)),
        Who::Acl if caller.user.is_some() => Verdict::AskAcl,
        Who::Acl => Verdict::Denied,
    }
}

fn allowed_if(holds: bool) -> Verdict {
    if holds { Verdict::Allowed } else { Verdict::Denied }
}

fn has_one(caller: &Caller, roles: &[Role]) -> bool {
    caller.roles.iter().any(|role| roles.contains(role))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// `roles@project/user` asks for a secret of project `p` made by `owner`; `-` after the project's secret takes it
    /// from the project.
    fn check(action: Action, who: &str, project_access: bool, expect: Verdict) {
        let (roles, rest) = who.split_once('@').unwrap();
        let (project, user) = rest.split_once('/').unwrap();
        let caller = Caller {
            project: ProjectId::try_from(project).unwrap(),
            user: UserId::try_from(user).ok(),
            roles: Cow::Owned(roles.split(',').map(Role::from).collect()),
        };
        let (project, creator) = (ProjectId::try_from("p").unwrap(), UserId::try_from("owner").unwrap());
        let subject = Subject { project: &project, creator: Some(&creator), project_access };
        assert_eq!(verdict(action, &caller, Some(subject)), expect, "{action:?} by {who}");
    }

    #[test]
    fn rules_say_what_barbicans_earlier_defaults_say() {
        use Verdict::{Allowed, AskAcl, Denied};
        for (action, who, project_access, expect) in [
            (Action::CreateSecret, "creator@q/x", true, Allowed),
            (Action::CreateSecret, "observer@p/x", true, Denied),
            (Action::ListSecrets, "observer@p/x", true, Allowed),
            (Action::ListSecrets, "audit@p/x", true, Denied),
            (Action::ReadSecret, "audit@p/x", true, Allowed),
            (Action::ReadSecret, "key-manager:service-admin@p/x", true, Allowed),
            (Action::ReadSecret, "Audit@p/x", false, AskAcl),
            (Action::ReadSecret, "admin@q/x", true, AskAcl),
            (Action::ReadSecret, "admin@q/", true, Denied),
            (Action::ReadPayload, "audit@p/", true, Denied),
            (Action::ReadPayload, "observer@p/", true, Allowed),
            (Action::ReadPayload, "observer@p/", false, Denied),
            (Action::ReadPayload, "creator@p/owner", false, Allowed),
            (Action::ReadPayload, "creator@p/peer", false, AskAcl),
            (Action::ReadPayload, "admin@p/", false, Allowed),
            (Action::FillPayload, "creator@p/peer", false, Allowed),
            (Action::FillPayload, "observer@p/", true, Denied),
            (Action::DefineSecret, "creator@p/peer", false, Denied),
            (Action::DefineSecret, "admin@q/", true, Denied),
            (Action::SetPayload, "creator@p/peer", false, Allowed),
            (Action::SetPayload, "admin@q/", true, Denied),
            (Action::FollowSecrets, "observer@p/", true, Allowed),
            (Action::FollowSecrets, "audit@p/", true, Denied),
            (Action::DeleteSecret, "creator@p/peer", true, Allowed),
            (Action::DeleteSecret, "creator@p/peer", false, Denied),
            (Action::DeleteSecret, "admin@q/", true, Denied),
            (Action::ReadMetadata, "member@p/", true, Denied),
            (Action::AddMetadatum, "creator@p/owner", false, Allowed),
            (Action::ReadAcl, "observer@p/", false, Allowed),
            (Action::ReadAcl, "audit@p/", true, Denied),
        ] {
            check(action, who, project_access, expect);
        }
    }

    #[test]
    fn nobody_owns_what_nobody_made() {
        let caller = Caller {
            project: ProjectId::try_from("p").unwrap(),
            user: None,
            roles: Cow::Owned(vec![Role::CREATOR]),
        };
        let subject = Subject { project: &caller.project, creator: None, project_access: false };
        assert_eq!(verdict(Action::ReadPayload, &caller, Some(subject)), Verdict::Denied);
    }
}
