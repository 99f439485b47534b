//! The table of actions, with the policy rule of each: one row per rule.
//!
//! Names, and what they mean, are those of Barbican 23's policy, so that an operator's file for it is one for Donjon.
//! Each row has two checks, in the language of such files: that of 23's defaults ([`PolicySet::SecureRbac`]) and that of
//! the earlier ones ([`PolicySet::Legacy`]). Rows refer to helper rules as Barbican's do: a file that overrides a helper
//! changes what Barbican would change.

/// One of the policies that are built in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PolicySet {
    /// The defaults of Barbican 23: roles `reader`, `member` and `admin`.
    ///
    /// They let an admin of *any* project read the record of every secret, and delete it.
    SecureRbac,
    /// The defaults up to Barbican 22: roles `observer`, `audit`, `creator`, `admin` and `key-manager:service-admin`.
    Legacy,
}

impl PolicySet {
    /// The name in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecureRbac => "secure-rbac",
            Self::Legacy => "legacy",
        }
    }
}

/// The kind of thing that an action is about. A check sees the project, creator and ACL of that thing only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// No existing thing: the action concerns the caller's own project.
    Nothing,
    Secret,
    Container,
    Order,
    /// A secret, at a door whose callers have no roles. No rule of a policy exists for it, so callers at other doors may
    /// never do it.
    DoorOnly,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) action: Action,
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) kind: Kind,
    secure_rbac: &'static str,
    legacy: &'static str,
}

impl Row {
    pub(super) const fn check(&self, set: PolicySet) -> &'static str {
        match set {
            PolicySet::SecureRbac => self.secure_rbac,
            PolicySet::Legacy => self.legacy,
        }
    }
}

macro_rules! table {
    ($(#[doc = $about:literal] $action:ident: $name:literal of $kind:ident, $secure_rbac:expr, $legacy:expr;)+) => {
        /// An action of a caller. Each is one rule of the policy, except those that only hypervisors request.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Action { $(#[doc = $about] $action,)+ }

        /// All rows, in the order of the actions.
        pub(super) const ROWS: &[Row] = &[$(Row {
            action: Action::$action,
            name: $name,
            about: $about,
            kind: Kind::$kind,
            secure_rbac: $secure_rbac,
            legacy: $legacy,
        },)+];

        impl Action {
            /// The rule's name, which is also the action's in the audit trail.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$action => $name,)+ }
            }
        }
    };
}

table! {
    /// Create a secret.
    CreateSecret: "secrets:post" of Nothing, MEMBER, ADMIN_OR_CREATOR;
    /// List the secrets of the project.
    ListSecrets: "secrets:get" of Nothing, MEMBER, ALL_BUT_AUDIT;
    /// Read the record of a secret.
    ReadSecret: "secret:get" of Secret, secure::ANY_ADMIN_OR_READER, earlier::READ;
    /// Read the payload of a secret.
    ReadPayload: "secret:decrypt" of Secret, secure::READ, earlier::DECRYPT;
    /// Give a secret its payload, once.
    FillPayload: "secret:put" of Secret, secure::CHANGE, "rule:admin_or_creator and rule:secret_project_match";
    /// Delete a secret.
    DeleteSecret: "secret:delete" of Secret, secure::ANY_ADMIN_OR_CHANGER, earlier::DELETE;
    /// Read the user metadata of a secret.
    ReadMetadata: "secret_meta:get" of Secret, secure::READ, earlier::READ;
    /// Add a pair to the user metadata of a secret.
    AddMetadatum: "secret_meta:post" of Secret, secure::CHANGE, earlier::CHANGE;
    /// Replace user metadata of a secret.
    ReplaceMetadata: "secret_meta:put" of Secret, secure::CHANGE, earlier::CHANGE;
    /// Remove a pair from the user metadata of a secret.
    RemoveMetadatum: "secret_meta:delete" of Secret, secure::CHANGE, earlier::CHANGE;
    /// Read the ACL of a secret.
    ReadAcl: "secret_acls:get" of Secret, secure::CHANGE, "rule:all_but_audit and rule:secret_project_match";
    /// Set or change the ACL of a secret.
    ChangeAcl: "secret_acls:put_patch" of Secret, secure::CHANGE, earlier::CHANGE;
    /// Remove the ACL of a secret.
    DeleteAcl: "secret_acls:delete" of Secret, secure::CHANGE, earlier::CHANGE;
    /// List the consumers of a secret.
    ReadConsumers: "secret_consumers:get" of Secret, secure::READ, earlier::READ;
    /// Register a consumer of a secret.
    AddConsumer: "secret_consumers:post" of Secret, secure::READ, earlier::READ;
    /// Remove a consumer of a secret.
    RemoveConsumer: "secret_consumers:delete" of Secret, secure::READ, earlier::READ;
    /// Read one consumer of a secret. The rule is the one for containers, so it knows nothing of the secret.
    ReadConsumer: "consumer:get" of Secret, container::ANY_ADMIN_OR_READER, container::READ_CONSUMER;

    /// Create a container.
    CreateContainer: "containers:post" of Nothing, MEMBER, ADMIN_OR_CREATOR;
    /// List the containers of the project.
    ListContainers: "containers:get" of Nothing, MEMBER, ALL_BUT_AUDIT;
    /// Read a container.
    ReadContainer: "container:get" of Container, container::READ, container::READ_EARLIER;
    /// Delete a container.
    DeleteContainer: "container:delete" of Container, container::CHANGE, container::DELETE_EARLIER;
    /// Put a secret into a container.
    AddContainerSecret: "container_secret:post" of Container, container::CHANGE, container::CHANGE_EARLIER;
    /// Take a secret out of a container.
    RemoveContainerSecret: "container_secret:delete" of Container, container::CHANGE, container::CHANGE_EARLIER;
    /// Read the ACL of a container.
    ReadContainerAcl: "container_acls:get" of Container, container::CHANGE,
        "rule:all_but_audit and rule:container_project_match";
    /// Set or change the ACL of a container.
    ChangeContainerAcl: "container_acls:put_patch" of Container, container::CHANGE, container::CHANGE_EARLIER;
    /// Remove the ACL of a container.
    DeleteContainerAcl: "container_acls:delete" of Container, container::CHANGE, container::CHANGE_EARLIER;
    /// List the consumers of a container.
    ReadContainerConsumers: "container_consumers:get" of Container, container::READ, container::READ_EARLIER;
    /// Register a consumer of a container.
    AddContainerConsumer: "container_consumers:post" of Container, container::READ, container::READ_EARLIER;
    /// Remove a consumer of a container.
    RemoveContainerConsumer: "container_consumers:delete" of Container, container::READ, container::READ_EARLIER;
    /// Read one consumer of a container.
    ReadContainerConsumer: "consumer:get" of Container, container::ANY_ADMIN_OR_READER, container::READ_CONSUMER;

    /// Place an order.
    CreateOrder: "orders:post" of Nothing, MEMBER, ADMIN_OR_CREATOR;
    /// List the orders of the project.
    ListOrders: "orders:get" of Nothing, MEMBER, ALL_BUT_AUDIT;
    /// Change an order. Barbican no longer does this.
    ChangeOrder: "orders:put" of Nothing, MEMBER, ADMIN_OR_CREATOR;
    /// Read an order.
    ReadOrder: "order:get" of Order, "rule:order_project_member",
        "rule:all_users and project_id:%(target.order.project_id)s";
    /// Delete an order.
    DeleteOrder: "order:delete" of Order, "rule:order_project_member",
        "rule:admin and project_id:%(target.order.project_id)s";

    /// Read the quotas of one's own project.
    ReadQuotas: "quotas:get" of Nothing, READER, ALL_USERS;
    /// Read the quotas of any project.
    ReadProjectQuotas: "project_quotas:get" of Nothing, ADMIN, SERVICE_ADMIN;
    /// Set the quotas of any project.
    SetProjectQuotas: "project_quotas:put" of Nothing, ADMIN, SERVICE_ADMIN;
    /// Remove the quotas of any project.
    DeleteProjectQuotas: "project_quotas:delete" of Nothing, ADMIN, SERVICE_ADMIN;

    /// List the secret stores.
    ListSecretStores: "secretstores:get" of Nothing, READER, ALL_USERS;
    /// Read which secret store is the default of all projects.
    ReadGlobalDefaultStore: "secretstores:get_global_default" of Nothing, READER, ALL_USERS;
    /// Read which secret store the project prefers.
    ReadPreferredStore: "secretstores:get_preferred" of Nothing, READER, ALL_USERS;
    /// Read one secret store.
    ReadSecretStore: "secretstore:get" of Nothing, READER, ALL_USERS;
    /// Choose the secret store that the project prefers.
    SetPreferredStore: "secretstore_preferred:post" of Nothing, ADMIN, "rule:admin";
    /// Prefer no secret store any more.
    UnsetPreferredStore: "secretstore_preferred:delete" of Nothing, ADMIN, "rule:admin";

    /// List the transport keys.
    ListTransportKeys: "transport_keys:get" of Nothing, READER, ALL_USERS;
    /// Add a transport key.
    CreateTransportKey: "transport_keys:post" of Nothing, ADMIN, SERVICE_ADMIN;
    /// Read a transport key.
    ReadTransportKey: "transport_key:get" of Nothing, READER, ALL_USERS;
    /// Delete a transport key.
    DeleteTransportKey: "transport_key:delete" of Nothing, ADMIN, SERVICE_ADMIN;

    /// Define a secret, again.
    DefineSecret: "secret:define" of DoorOnly, "!", "!";
    /// Give a secret another payload.
    SetPayload: "secret:set" of DoorOnly, "!", "!";
    /// Follow the changes of secrets.
    FollowSecrets: "secrets:follow" of DoorOnly, "!", "!";
}

const MEMBER: &str = "role:member";
const READER: &str = "role:reader";
const ADMIN: &str = "role:admin";
const ADMIN_OR_CREATOR: &str = "rule:admin_or_creator";
const ALL_USERS: &str = "rule:all_users";
const ALL_BUT_AUDIT: &str = "rule:all_but_audit";
const SERVICE_ADMIN: &str = "rule:service_admin";

// The most frequent case stands first, so that a verdict is found sooner.

/// The checks for secrets in the defaults of Barbican 23.
mod secure {
    pub(super) const CHANGE: &str = "rule:secret_project_member and \
                                     (rule:secret_is_not_private or rule:secret_owner) or rule:secret_project_admin";
    pub(super) const READ: &str = "rule:secret_project_member and (rule:secret_is_not_private or rule:secret_owner) or \
                                   rule:secret_project_admin or rule:secret_acl_read";
    pub(super) const ANY_ADMIN_OR_READER: &str = "rule:secret_project_member and (rule:secret_is_not_private or rule:secret_owner) or \
         rule:secret_project_admin or role:admin or rule:secret_acl_read";
    pub(super) const ANY_ADMIN_OR_CHANGER: &str = "rule:secret_project_member and (rule:secret_is_not_private or rule:secret_owner) or \
         rule:secret_project_admin or role:admin";
}

/// The checks for secrets in the earlier defaults.
mod earlier {
    pub(super) const READ: &str = "rule:secret_non_private_read or rule:secret_project_admin or \
                                   rule:secret_project_creator or rule:secret_acl_read";
    pub(super) const DECRYPT: &str = "rule:secret_decrypt_non_private_read or rule:secret_project_admin or \
                                      rule:secret_project_creator or rule:secret_acl_read";
    pub(super) const CHANGE: &str = "rule:secret_project_admin or rule:secret_project_creator or \
                                     rule:secret_non_private_read and rule:secret_project_creator_role";
    pub(super) const DELETE: &str = "rule:secret_project_admin or rule:secret_project_creator or \
                                     rule:secret_project_creator_role and not rule:secret_private_read";
}

/// The checks for containers in both.
mod container {
    pub(super) const CHANGE: &str = "rule:container_project_admin or rule:container_project_member and \
                                     (rule:container_is_not_private or rule:container_owner)";
    pub(super) const READ: &str = "rule:container_acl_read or rule:container_project_admin or \
                                   rule:container_project_member and \
                                   (rule:container_is_not_private or rule:container_owner)";
    pub(super) const ANY_ADMIN_OR_READER: &str = "role:admin or rule:container_acl_read or \
         rule:container_project_member and (rule:container_is_not_private or rule:container_owner)";
    pub(super) const READ_EARLIER: &str = "rule:container_project_admin or rule:container_project_creator or \
         rule:container_non_private_read or rule:container_acl_read";
    /// As in Barbican, nearly everybody: the id has to be known, and nothing tells it.
    pub(super) const READ_CONSUMER: &str = "rule:admin or rule:observer or rule:creator or rule:audit or rule:container_project_admin or \
         rule:container_project_creator or rule:container_non_private_read or rule:container_acl_read";
    pub(super) const CHANGE_EARLIER: &str = "rule:container_project_admin or rule:container_project_creator or \
         rule:container_non_private_read and rule:container_project_creator_role";
    pub(super) const DELETE_EARLIER: &str = "rule:container_project_admin or rule:container_project_creator";
}

/// A rule that no request asks for, only other rules. The same in both sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Helper {
    pub(super) name: &'static str,
    pub(super) check: &'static str,
}

const fn helper(name: &'static str, check: &'static str) -> Helper {
    Helper { name, check }
}

/// All helper rules, by Barbican's names.
pub(super) const HELPERS: &[Helper] = &[
    helper("secret_project_match", "project_id:%(target.secret.project_id)s"),
    helper("secret_project_reader", "role:reader and rule:secret_project_match"),
    helper("secret_project_member", "role:member and rule:secret_project_match"),
    helper("secret_project_admin", "role:admin and rule:secret_project_match"),
    helper("secret_owner", "user_id:%(target.secret.creator_id)s"),
    helper("secret_is_not_private", "True:%(target.secret.read_project_access)s"),
    helper("secret_acl_read", "'read':%(target.secret.read)s"),
    helper("container_project_match", "project_id:%(target.container.project_id)s"),
    helper("container_project_member", "role:member and rule:container_project_match"),
    helper("container_project_admin", "role:admin and rule:container_project_match"),
    helper("container_owner", "user_id:%(target.container.creator_id)s"),
    helper("container_is_not_private", "True:%(target.container.read_project_access)s"),
    helper("container_acl_read", "'read':%(target.container.read)s"),
    helper("order_project_match", "project_id:%(target.order.project_id)s"),
    helper("order_project_member", "role:member and rule:order_project_match"),
    // The rest belongs to the earlier defaults.
    helper("admin", "role:admin"),
    helper("observer", "role:observer"),
    helper("creator", "role:creator"),
    helper("audit", "role:audit"),
    helper("service_admin", "role:key-manager:service-admin"),
    helper("all_users", "rule:admin or rule:observer or rule:creator or rule:audit or rule:service_admin"),
    helper("all_but_audit", "rule:admin or rule:observer or rule:creator"),
    helper("admin_or_creator", "rule:admin or rule:creator"),
    helper("secret_creator_user", "user_id:%(target.secret.creator_id)s"),
    helper("secret_private_read", "'False':%(target.secret.read_project_access)s"),
    helper(
        "secret_non_private_read",
        "rule:secret_project_match and rule:all_users and not rule:secret_private_read",
    ),
    helper(
        "secret_decrypt_non_private_read",
        "rule:secret_project_match and rule:all_but_audit and not rule:secret_private_read",
    ),
    helper(
        "secret_project_creator",
        "rule:creator and rule:secret_project_match and rule:secret_creator_user",
    ),
    helper("secret_project_creator_role", "rule:creator and rule:secret_project_match"),
    helper("container_creator_user", "user_id:%(target.container.creator_id)s"),
    helper("container_private_read", "'False':%(target.container.read_project_access)s"),
    helper(
        "container_non_private_read",
        "rule:container_project_match and rule:all_users and not rule:container_private_read",
    ),
    helper(
        "container_project_creator",
        "rule:creator and rule:container_project_match and rule:container_creator_user",
    ),
    helper("container_project_creator_role", "rule:creator and rule:container_project_match"),
];

/// Rules of earlier releases of Barbican, which ask for nothing any more. A file may have them.
const RETIRED: &[&str] = &[
    "version:get",
    "consumers:get",
    "consumers:post",
    "consumers:delete",
    "order:put",
    "admin_or_user",
    "admin_or_user_does_not_work",
    "default", // oslo.policy asks for it where a rule is not defined, which is refused here.
];
/// Certificate authorities are gone from the API, with a dozen rules.
const RETIRED_BEGINNING: &str = "certificate_authorit";

pub(super) fn is_retired(name: &str) -> bool {
    RETIRED.contains(&name) || name.starts_with(RETIRED_BEGINNING)
}

/// The rules of the policy: the rows that are some, each name once.
pub(super) fn rules() -> impl Iterator<Item = &'static Row> {
    let is_second = |row: &Row| row.action == Action::ReadContainerConsumer;
    ROWS.iter().filter(move |row| row.kind != Kind::DoorOnly && !is_second(row))
}

/// Every name that a file may override.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    HELPERS.iter().map(|helper| helper.name).chain(rules().map(|row| row.name))
}
