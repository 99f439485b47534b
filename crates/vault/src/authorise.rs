//! Who may do what: one row a rule.
//!
//! The rules are Barbican's defaults up to release 22, in the names of its policy files. In project-header mode, the
//! only one there is yet, a caller without `X-Roles` is an admin of the project named.

use model::{Caller, Guarded, ProjectId, Role, UserId};

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
    /// Set its ACL.
    ChangeAcl,
    /// Remove its ACL.
    DeleteAcl,
    /// Read its consumers.
    ReadConsumers,
    /// Register a consumer of it.
    AddConsumer,
    /// Remove a consumer of it.
    RemoveConsumer,
    /// Create a container.
    CreateContainer,
    /// List containers.
    ListContainers,
    /// Read a container.
    ReadContainer,
    /// Delete a container.
    DeleteContainer,
    /// Put a secret into a container.
    AddContainerSecret,
    /// Take a secret out of a container.
    RemoveContainerSecret,
    /// Read a container's ACL.
    ReadContainerAcl,
    /// Set a container's ACL.
    ChangeContainerAcl,
    /// Remove a container's ACL.
    DeleteContainerAcl,
    /// Read a container's consumers.
    ReadContainerConsumers,
    /// Register a consumer of a container.
    AddContainerConsumer,
    /// Remove a consumer of a container.
    RemoveContainerConsumer,
    /// Give an order.
    CreateOrder,
    /// Change orders, which nothing can.
    UpdateOrders,
    /// List orders.
    ListOrders,
    /// Read an order.
    ReadOrder,
    /// Delete an order.
    DeleteOrder,
    /// Read what the own project may have.
    ReadQuotas,
    /// Read what was said of any project's quotas.
    ReadProjectQuotas,
    /// Say how much a project may have.
    SetProjectQuotas,
    /// Give a project the default quotas.
    DeleteProjectQuotas,
    /// List secret stores.
    ListSecretStores,
    /// Read of one secret store.
    ReadSecretStore,
    /// Read which secret store is everybody's.
    ReadGlobalDefaultStore,
    /// Read which secret store the project prefers.
    ReadPreferredStore,
    /// Choose a secret store for the project.
    SetPreferredStore,
    /// Take that choice back.
    UnsetPreferredStore,
    /// List transport keys.
    ListTransportKeys,
    /// Register a transport key.
    CreateTransportKey,
    /// Read a transport key.
    ReadTransportKey,
    /// Delete a transport key.
    DeleteTransportKey,
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
            Self::ReadSecret => ("secret:get", READ),
            Self::ReadPayload => {
                ("secret:decrypt", Rule::Of(&[Who::Shared(ALL_BUT_AUDIT), Owner, Who::Admin, Acl]))
            }
            Self::FillPayload => ("secret:put", Rule::Of(&[Who::Admin, Creator])),
            // Barbican has no such rules; these are those for what comes nearest: metadata, payload, list.
            Self::DefineSecret => ("secret:define", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])])),
            Self::SetPayload => ("secret:set", Rule::Of(&[Who::Admin, Creator])),
            Self::FollowSecrets => ("secrets:follow", Rule::Anywhere(ALL_BUT_AUDIT)),
            Self::DeleteSecret => ("secret:delete", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])])),
            Self::ReadMetadata => ("secret_meta:get", READ),
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
            Self::DeleteAcl => {
                ("secret_acls:delete", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::ReadConsumers => ("secret_consumers:get", READ),
            Self::AddConsumer => ("secret_consumers:post", READ),
            Self::RemoveConsumer => ("secret_consumers:delete", READ),
            Self::CreateContainer => ("containers:post", Rule::Anywhere(&[ADMIN, CREATOR])),
            Self::ListContainers => ("containers:get", Rule::Anywhere(ALL_BUT_AUDIT)),
            Self::ReadContainer => ("container:get", READ),
            Self::DeleteContainer => ("container:delete", Rule::Of(&[Who::Admin, Owner])),
            Self::AddContainerSecret => {
                ("container_secret:post", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::RemoveContainerSecret => {
                ("container_secret:delete", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::ReadContainerAcl => ("container_acls:get", Rule::Of(&[Who::Project(ALL_BUT_AUDIT)])),
            Self::ChangeContainerAcl => {
                ("container_acls:put_patch", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::DeleteContainerAcl => {
                ("container_acls:delete", Rule::Of(&[Who::Admin, Owner, Who::Shared(&[CREATOR])]))
            }
            Self::ReadContainerConsumers => ("container_consumers:get", READ),
            Self::AddContainerConsumer => ("container_consumers:post", READ),
            Self::RemoveContainerConsumer => ("container_consumers:delete", READ),
            Self::CreateOrder => ("orders:post", Rule::Anywhere(&[ADMIN, CREATOR])),
            Self::UpdateOrders => ("orders:put", Rule::Anywhere(&[ADMIN, CREATOR])),
            Self::ListOrders => ("orders:get", Rule::Anywhere(ALL_BUT_AUDIT)),
            Self::ReadOrder => ("order:get", Rule::Of(&[Who::Project(ALL)])),
            Self::DeleteOrder => ("order:delete", Rule::Of(&[Who::Admin])),
            Self::ReadQuotas => ("quotas:get", Rule::Anywhere(ALL)),
            Self::ReadProjectQuotas => ("project_quotas:get", Rule::Anywhere(&[Role::SERVICE_ADMIN])),
            Self::SetProjectQuotas => ("project_quotas:put", Rule::Anywhere(&[Role::SERVICE_ADMIN])),
            Self::DeleteProjectQuotas => ("project_quotas:delete", Rule::Anywhere(&[Role::SERVICE_ADMIN])),
            Self::ListSecretStores => ("secretstores:get", Rule::Anywhere(ALL)),
            Self::ReadSecretStore => ("secretstore:get", Rule::Anywhere(ALL)),
            Self::ReadGlobalDefaultStore => ("secretstores:get_global_default", Rule::Anywhere(ALL)),
            Self::ReadPreferredStore => ("secretstores:get_preferred", Rule::Anywhere(ALL)),
            Self::SetPreferredStore => ("secretstore_preferred:post", Rule::Anywhere(&[ADMIN])),
            Self::UnsetPreferredStore => ("secretstore_preferred:delete", Rule::Anywhere(&[ADMIN])),
            Self::ListTransportKeys => ("transport_keys:get", Rule::Anywhere(ALL)),
            Self::CreateTransportKey => ("transport_keys:post", Rule::Anywhere(&[Role::SERVICE_ADMIN])),
            Self::ReadTransportKey => ("transport_key:get", Rule::Anywhere(ALL)),
            Self::DeleteTransportKey => ("transport_key:delete", Rule::Anywhere(&[Role::SERVICE_ADMIN])),
        }
    }
}

const ADMIN: Role = Role::ADMIN;
const CREATOR: Role = Role::CREATOR;
const ALL: &[Role] = &[ADMIN, Role::OBSERVER, CREATOR, Role::AUDIT, Role::SERVICE_ADMIN];
const ALL_BUT_AUDIT: &[Role] = &[ADMIN, Role::OBSERVER, CREATOR];

const READ: Rule = Rule::Of(&[Who::Shared(ALL), Who::Owner, Who::Admin, Who::Acl]);

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
    /// Whose ACL can decide, if it has one.
    pub(crate) guarded: Option<Guarded>,
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
    use model::Roles;

    use super::*;

    /// `roles@project/user` asks for a secret of project `p` made by `owner`; `-` after the project's secret takes it
    /// from the project.
    fn check(action: Action, who: &str, project_access: bool, expect: Verdict) {
        let (roles, rest) = who.split_once('@').unwrap();
        let (project, user) = rest.split_once('/').unwrap();
        let caller = Caller {
            project: ProjectId::try_from(project).unwrap(),
            user: UserId::try_from(user).ok(),
            roles: roles.split(',').map(Role::from).collect(),
        };
        let (project, creator) = (ProjectId::try_from("p").unwrap(), UserId::try_from("owner").unwrap());
        let subject = Subject { guarded: None, project: &project, creator: Some(&creator), project_access };
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
            roles: Roles::Fixed(&[Role::CREATOR]),
        };
        let subject =
            Subject { guarded: None, project: &caller.project, creator: None, project_access: false };
        assert_eq!(verdict(Action::ReadPayload, &caller, Some(subject)), Verdict::Denied);
    }
}
