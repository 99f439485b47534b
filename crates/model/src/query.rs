//! Parsed queries for lists of secrets. The text of a query string stays at the door.

use crate::{ProjectId, Secret, SecretType, Timestamp, UserId};

/// The number of secrets on a page if the caller names none (Barbican's `default_limit_paging`).
pub const PAGE_LIMIT_DEFAULT: u32 = 10;
/// The largest number of secrets on a page (Barbican's `max_limit_paging`).
pub const PAGE_LIMIT_MAX: u32 = 100;

/// One page of a list.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The owner of the listed secrets.
    pub scope: Scope,
    /// The conditions that they meet.
    pub filters: Filters,
    /// The sort keys; none occurs twice. Without a key the list is in order of creation. Ties are in order of
    /// creation too, in the direction of the last key.
    pub sort: Vec<SortOrder>,
    /// The number of matches to skip.
    pub offset: u64,
    /// The number of secrets on the page, 1 to [`PAGE_LIMIT_MAX`].
    pub limit: u32,
}

/// Whose secrets are listed.
#[derive(Clone, Debug)]
pub enum Scope {
    /// All secrets of a project.
    Project(ProjectId),
    /// Secrets of any project whose ACL names this user.
    AclOf(UserId),
}

/// Conditions on the listed secrets. An absent condition holds for every secret.
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

/// The secret type of a query, whose text may name no known type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TypeFilter {
    /// Secrets of this type.
    Is(SecretType),
    /// No type has this name, so no secret matches.
    Unknown,
}

/// A text in which `%` matches any text. Every other character matches itself, `_` and `\` too; letters A–Z match
/// either case. In Barbican, which gives the text to SQL's LIKE, `_` matches any character, so a client that deletes all
/// listed secrets may delete too many.
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

    /// Whether it has no wildcard, so that an index finds its matches.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('%')
    }
}

/// One bound on a date.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DateFilter {
    /// The comparison.
    pub comparison: Comparison,
    /// The date to compare with.
    pub with: Timestamp,
}

/// A comparison of dates.
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

/// One sort key with its direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SortOrder {
    /// The key.
    pub key: SortKey,
    /// The direction. Absent values come first in ascending order, and last in descending order.
    pub direction: Direction,
}

/// The keys that a list can be sorted by.
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

/// The direction of a sort.
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
    /// The secrets, sorted as the query says.
    pub secrets: Vec<Secret>,
    /// The number of all matches.
    pub total: u64,
}
