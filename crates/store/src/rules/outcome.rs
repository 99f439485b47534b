//! The outcome of a change: why it was not done, or what the store has to do besides writing its rows.

use model::{Absent, Conflict};

use crate::{Error, Failure};

/// Why a change was not done.
#[derive(Debug)]
pub enum NotDone<E> {
    /// The rules refuse it, or one row cannot be understood. The rest of the transaction is done.
    Refused(Error),
    /// The keeper of the rows failed, and with it the whole transaction.
    Keeper(E),
}

macro_rules! refused {
    ($($error:ty),+) => {
        $(impl<E> From<$error> for NotDone<E> {
            fn from(error: $error) -> Self {
                Self::Refused(error.into())
            }
        })+
    };
}
refused!(Error, Absent, Conflict, Failure);

impl<E> NotDone<E> {
    /// The same failure where the keeper's errors are of another type.
    pub fn map<F>(self, convert: impl FnOnce(E) -> F) -> NotDone<F> {
        match self {
            Self::Refused(error) => NotDone::Refused(error),
            Self::Keeper(error) => NotDone::Keeper(convert(error)),
        }
    }
}

/// Refuses a change unless a condition holds.
pub(crate) fn require(holds: bool, otherwise: impl Into<Error>) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// What a transaction did besides writing rows.
#[derive(Debug)]
pub struct Effects {
    /// The number of the newest row of the change log.
    pub newest_change: u64,
    /// Ciphertext was deleted. It has to be gone before the change is acknowledged.
    pub deleted: bool,
    /// Ciphertext was replaced. It has to be gone soon.
    pub replaced: bool,
    /// A secret went from memory to the durable tables.
    pub departed: bool,
}

impl Effects {
    /// None yet, after a change log up to this number.
    pub fn after(newest_change: u64) -> Self {
        Self { newest_change, deleted: false, replaced: false, departed: false }
    }
}
