//! What a store and whoever has the keys say to each other about guards: bytes to the one, proofs to the other.

use std::fmt;

use model::{Access, Acl, Guard, Guarded, Standing, Text};

use crate::Error;

/// Something whose guard a change makes anew, as it is and as it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Regard<'a> {
    /// What decides about it now.
    pub before: Standing<'a>,
    /// What vouches for that.
    pub guard: Option<&'a Guard>,
    /// What is to decide about it.
    pub after: Standing<'a>,
    /// The users of its ACL, now and then, if the change is of that.
    pub acl: Option<AclStep<'a>>,
}

/// The users of an ACL before and after a change of it; absent where there is no ACL.
#[derive(Clone, Copy, Debug)]
pub struct AclStep<'a> {
    /// Now.
    pub before: Option<&'a [Text]>,
    /// Then.
    pub after: Option<&'a [Text]>,
}

/// What whoever has the keys says of it: the new guard, or why there is to be none.
type Answer = Result<Option<Guard>, Error>;

/// Called inside the transaction of a change that alters what a guard is of, before its witness. If it fails
/// ([`Error::Unguarded`]: what is there is not what was guarded), nothing was done.
pub struct Guarding(Box<dyn FnMut(&Regard<'_>) -> Answer + Send>);

impl Guarding {
    /// Asks this.
    pub fn by(make: impl FnMut(&Regard<'_>) -> Answer + Send + 'static) -> Self {
        Self(Box::new(make))
    }

    /// Leaves it without a guard, where nobody has keys.
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

/// An ACL, or that there is none, and the guard of what it belongs to, both of one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GuardedAcl {
    /// The ACL.
    pub acl: Option<Acl>,
    /// The guard.
    pub guard: Option<Guard>,
}

/// What has guards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Secrets.
    Secrets,
    /// Containers.
    Containers,
}

/// What decides about access to one of them, with the users of its ACL.
#[derive(Clone, Debug)]
pub struct Regarded {
    /// The secret or container.
    pub of: Guarded,
    /// What decides about access to it.
    pub access: Access,
    /// The users of its ACL, if it has one.
    pub acl: Option<Vec<Text>>,
}

/// One row of those that have guards.
#[derive(Debug)]
pub struct RegardedRow {
    /// Its number: rows come in the order of these.
    pub row: i64,
    /// What it is of, if that can be understood.
    pub of: Option<Guarded>,
    /// What it says, likewise.
    pub read: Result<Regarded, Error>,
}
