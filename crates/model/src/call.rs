//! One request, as every front-end gives it to the vault: the caller, the time and the request id.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use crate::{ProjectId, RequestId, Timestamp, UserId};

/// One request. It carries the time, so the code behind the front-ends reads no clock.
#[derive(Clone, Debug)]
pub struct Call {
    /// The caller.
    pub caller: Caller,
    /// When the request came in.
    pub time: Timestamp,
    /// Its name in answer, log and audit trail.
    pub request: RequestId,
    /// The front-end where it came in.
    pub door: Door,
}

/// The caller, as the front-end has identified it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The project they act in.
    pub project: ProjectId,
    /// The user, where the front-end knows one.
    pub user: Option<UserId>,
    /// Their roles in that project.
    pub roles: Roles,
}

/// The roles of a caller. Names the policy does not know are kept: an operator's own rules may.
#[derive(Clone, Debug)]
pub enum Roles {
    /// Always the same.
    Fixed(&'static [Role]),
    /// Given by the identity service. They are shared between the requests of a caller, so a clone copies nothing.
    Given(Arc<[Role]>),
}

impl Deref for Roles {
    type Target = [Role];

    fn deref(&self) -> &[Role] {
        match self {
            Self::Fixed(roles) => roles,
            Self::Given(roles) => roles,
        }
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self::Given(roles.into_iter().collect())
    }
}

/// One role. Keystone compares role names without regard to case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Role(Cow<'static, str>);

impl Role {
    /// Barbican's `admin`.
    pub const ADMIN: Self = Self(Cow::Borrowed("admin"));
    /// Barbican's `creator`.
    pub const CREATOR: Self = Self(Cow::Borrowed("creator"));
    /// Barbican's `observer`.
    pub const OBSERVER: Self = Self(Cow::Borrowed("observer"));
    /// Barbican's `audit`.
    pub const AUDIT: Self = Self(Cow::Borrowed("audit"));
    /// Barbican's `key-manager:service-admin`.
    pub const SERVICE_ADMIN: Self = Self(Cow::Borrowed("key-manager:service-admin"));

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Role {
    fn from(name: &str) -> Self {
        Self(Cow::Owned(name.to_lowercase()))
    }
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// Barbican's REST API.
    Rest,
    /// libvirt's secret API.
    Libvirt,
    /// The same, from one of libvirt's own daemons, which has proved to be one by the system token.
    LibvirtSystem,
    /// No front-end: the service itself, which deletes expired secrets.
    Upkeep,
}

impl Door {
    /// The name in the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Libvirt => "libvirt",
            Self::LibvirtSystem => "libvirt-system",
            Self::Upkeep => "upkeep",
        }
    }

    /// Whether callers have roles, so that the policy decides. At the other front-ends every admitted caller has access
    /// to its whole project.
    pub const fn has_roles(self) -> bool {
        match self {
            Self::Rest => true,
            Self::Libvirt | Self::LibvirtSystem | Self::Upkeep => false,
        }
    }

    /// Whether this front-end may return the values of private secrets, which are for hypervisors alone.
    pub const fn opens_private(self) -> bool {
        match self {
            Self::Rest | Self::Libvirt | Self::Upkeep => false,
            Self::LibvirtSystem => true,
        }
    }
}
