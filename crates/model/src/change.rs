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

/// One row of the change log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangeRow {
    /// Its place: rows are numbered upwards in the order of commit, with gaps allowed.
    pub number: u64,
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
        /// Rows up to this number are gone.
        up_to: u64,
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
