//! What a list of secrets may be asked for, already understood: no text of a query string gets further than the door.

use crate::{ProjectId, Secret, SecretType, Timestamp, UserId};

/// Secrets on a page if the caller does not say (Barbican's `default_limit_paging`).
pub const PAGE_LIMIT_DEFAULT: u32 = 10;
/// Secrets on a page at the most (Barbican's `max_limit_paging`).
pub const PAGE_LIMIT_MAX: u32 = 100;

/// One page of a list.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Whose secrets.
    pub scope: Scope,
    /// Which of them.
    pub filters: Filters,
    /// In which order; no key is named twice. Without a key the list is in order of creation. Ties are in order of
    /// creation too, in the direction of the last key.
    pub sort: Vec<SortOrder>,
    /// How many to pass over.
    pub offset: u64,
    /// How many to give, 1 to [`PAGE_LIMIT_MAX`].
    pub limit: u32,
}

/// Whose secrets are listed.
#[derive(Clone, Debug)]
pub enum Scope {
    /// All of a project.
    Project(ProjectId),
    /// Those of any project whose ACL names this user.
    AclOf(UserId),
}

/// Which secrets are listed. What is absent does not filter.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// By name.
    pub name: Option<Pattern>,
    /// By algorithm.
    pub algorithm: Option<Pattern>,
    /// By mode.
    pub mode: Option<Pattern>,
    /// By length of the key, exactly.
    pub bit_length: Option<u32>,
    /// By type.
    pub secret_type: Option<TypeFilter>,
    /// By time of creation; all must hold.
    pub created: Vec<DateFilter>,
    /// By time of the last change; all must hold.
    pub updated: Vec<DateFilter>,
    /// By expiration; all must hold.
    pub expiration: Vec<DateFilter>,
}

/// A secret type asked for by text that may name none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TypeFilter {
    /// Secrets of this type.
    Is(SecretType),
    /// No type has the name asked for, so nothing matches.
    Unknown,
}

/// A text in which `%` is any text. Every other character is itself, `_` and `\` too, and letters A–Z match either
/// case. Barbican hands it to SQL's LIKE, where `_` is any character: whoever deletes what such a list names deletes
/// somebody else's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// A pattern from a text of any content.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has no wildcard, so that an index finds what it matches.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('%')
    }
}

/// One bound on a date.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DateFilter {
    /// How to compare.
    pub comparison: Comparison,
    /// With what.
    pub with: Timestamp,
}

/// How a date is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Comparison {
    /// The same moment.
    Equal,
    /// Later.
    Greater,
    /// Later or the same.
    GreaterOrEqual,
    /// Earlier.
    Less,
    /// Earlier or the same.
    LessOrEqual,
}

/// What a list is sorted by, and which way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SortOrder {
    /// By what.
    pub key: SortKey,
    /// Which way. What is absent comes first upwards and last downwards.
    pub direction: Direction,
}

/// What a list may be sorted by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SortKey {
    /// `algorithm`.
    Algorithm,
    /// `bit_length`.
    BitLength,
    /// `created`.
    Created,
    /// `expiration`.
    Expiration,
    /// `mode`.
    Mode,
    /// `name`.
    Name,
    /// `secret_type`.
    SecretType,
    /// `status`.
    Status,
    /// `updated`.
    Updated,
}

impl SortKey {
    /// Every key.
    pub const ALL: [Self; 9] = [
        Self::Algorithm,
        Self::BitLength,
        Self::Created,
        Self::Expiration,
        Self::Mode,
        Self::Name,
        Self::SecretType,
        Self::Status,
        Self::Updated,
    ];

    /// The name in query strings, and of the column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Algorithm => "algorithm",
            Self::BitLength => "bit_length",
            Self::Created => "created",
            Self::Expiration => "expiration",
            Self::Mode => "mode",
            Self::Name => "name",
            Self::SecretType => "secret_type",
            Self::Status => "status",
            Self::Updated => "updated",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

/// Which way a list is sorted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// One page of secrets.
#[derive(Clone, Debug)]
pub struct Page {
    /// The secrets, in the order asked for.
    pub secrets: Vec<Secret>,
    /// How many match in all.
    pub total: u64,
}
