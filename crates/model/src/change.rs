//! The change log lists the changes of secrets in the order of commit.

use crate::{ProjectId, SecretId, Timestamp, Usage};

/// The kind of a change of a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeKind {
    /// It was created, with or without a payload.
    Created,
    /// It got its first payload or another payload.
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
    /// The changed secret.
    pub secret: SecretId,
    /// The project of the secret.
    pub project: ProjectId,
    /// The kind of change.
    pub kind: ChangeKind,
    /// When the request came in.
    pub time: Timestamp,
    /// The usage of the secret after the change; for a deleted secret, its last usage.
    pub usage: Option<Usage>,
}

/// A piece of the change log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changes {
    /// The next rows, oldest first; empty if there are none yet.
    Rows(Vec<ChangeRow>),
    /// Some of the next rows were deleted already, so the follower has a gap.
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
