//! How a store asks the owner of the keys for guards. To the store a guard is bytes; to the owner of the keys it is a proof.

use std::fmt;

use model::{Access, Acl, Guard, Guarded, Standing, Text};

use crate::Error;

/// A secret or a container whose guard a change replaces, before and after the change.
#[derive(Clone, Copy, Debug)]
pub struct Regard<'a> {
    /// The facts that decide about it now.
    pub before: Standing<'a>,
    /// The guard that vouches for them.
    pub guard: Option<&'a Guard>,
    /// The facts after the change.
    pub after: Standing<'a>,
    /// The users of its ACL, if the change is one of the ACL.
    pub acl: Option<AclStep<'a>>,
}

/// The users of an ACL before and after a change of it; absent where there is no ACL.
#[derive(Clone, Copy, Debug)]
pub struct AclStep<'a> {
    /// Before the change.
    pub before: Option<&'a [Text]>,
    /// After the change.
    pub after: Option<&'a [Text]>,
}

/// The new guard, none where no guards are made, or why the change must not be done.
type Answer = Result<Option<Guard>, Error>;

/// Called inside the transaction of a change of guarded facts, before the witness. If it fails
/// ([`crate::Failure::Unguarded`]: the facts are not those that were guarded), nothing was done.
pub struct Guarding(Box<dyn FnMut(&Regard<'_>) -> Answer + Send>);

impl Guarding {
    /// Makes guards by a function.
    pub fn by(make: impl FnMut(&Regard<'_>) -> Answer + Send + 'static) -> Self {
        Self(Box::new(make))
    }

    /// Makes no guards, for callers without keys.
    pub fn none() -> Self {
        Self::by(|_| Ok(None))
    }

    pub(crate) fn make(&mut self, regard: &Regard<'_>) -> Answer {
        (self.0)(regard)
    }
}

impl fmt::Debug for Guarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarding")
    }
}

/// An ACL, if there is one, and the guard of its secret or container, read together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GuardedAcl {
    /// The ACL.
    pub acl: Option<Acl>,
    /// The guard.
    pub guard: Option<Guard>,
}

/// The kinds of things that have guards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Secrets.
    Secrets,
    /// Containers.
    Containers,
}

/// The facts that decide about access to a secret or a container, with the users of its ACL.
#[derive(Clone, Debug)]
pub struct Regarded {
    /// The secret or container.
    pub of: Guarded,
    /// The facts that decide about access.
    pub access: Access,
    /// The users of its ACL, if it has one.
    pub acl: Option<Vec<Text>>,
}

/// One row of a secret or a container.
#[derive(Debug)]
pub struct RegardedRow {
    /// Its number, which is the order of rows.
    pub row: i64,
    /// Its id, unless that cannot be understood.
    pub of: Option<Guarded>,
    /// Its facts, or why they cannot be understood.
    pub read: Result<Regarded, Error>,
}
