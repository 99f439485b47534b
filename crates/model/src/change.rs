//! The change log: what was done to which secret, in the order it was committed.

use crate::{ProjectId, SecretId, Timestamp, Usage};

/// What was done to a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeKind {
    /// It was created, with or without a payload.
    Created,
    /// It got a payload, or another one.
    ValueChanged,
    /// Its facets changed.
    Redefined,
    /// It was deleted.
    Deleted,
}

impl ChangeKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Created, Self::ValueChanged, Self::Redefined, Self::Deleted];

    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::ValueChanged => "value",
            Self::Redefined => "redefined",
            Self::Deleted => "deleted",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

/// A place in the change log of one store, which alone knows what it means. Later places are greater.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ChangeCursor(u64);

impl ChangeCursor {
    /// Before the first row.
    pub const START: Self = Self(0);

    /// The place that a store numbers so.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, for the store that gave it.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// One row of the change log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangeRow {
    /// The place after it: rows come in the order of commit.
    pub cursor: ChangeCursor,
    /// Which secret.
    pub secret: SecretId,
    /// Whose.
    pub project: ProjectId,
    /// What was done.
    pub kind: ChangeKind,
    /// When the request came in.
    pub time: Timestamp,
    /// What the secret was used for after that; what it had been used for, if it was deleted.
    pub usage: Option<Usage>,
}

/// A piece of the change log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changes {
    /// What comes next, oldest first; nothing if there is no more yet.
    Rows(Vec<ChangeRow>),
    /// Some of what came next is not kept any more: whoever follows has a gap.
    Missed {
        /// Rows up to this place are gone.
        up_to: ChangeCursor,
    },
}

impl Changes {
    /// The rows, if none is missing.
    pub fn rows(self) -> Option<Vec<ChangeRow>> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Missed { .. } => None,
        }
    }
}
