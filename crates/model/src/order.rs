//! Orders ask the server to make keys.

use crate::{ContainerId, OrderId, ProjectId, SecretId, Timestamp, UserId};

/// An order. It is done as soon as it exists.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// Its name in references.
    pub id: OrderId,
    /// The project it belongs to, for good.
    pub project: ProjectId,
    /// Who created it; unknown if the caller had no user.
    pub creator: Option<UserId>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was done.
    pub updated: Timestamp,
    /// The kind of the ordered key.
    pub order_type: OrderType,
    /// The description of the ordered key, as its front-end writes and reads it. Never a passphrase.
    pub meta: String,
    /// Its outcome.
    pub outcome: OrderOutcome,
}

/// The kinds of keys that can be ordered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OrderType {
    /// A symmetric key.
    Key,
    /// A key pair.
    Asymmetric,
}

impl OrderType {
    /// Every type, in the order in which Barbican lists them in its error text.
    pub const ALL: [Self; 2] = [Self::Key, Self::Asymmetric];

    /// The name in requests, answers and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Asymmetric => "asymmetric",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

/// The outcome of an order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OrderOutcome {
    /// A secret, which may have been deleted since.
    Secret(SecretId),
    /// A container with a key pair, which may have been deleted since.
    Container(ContainerId),
    /// No key, for this reason.
    Failed(OrderFailure),
}

/// Why an order made no key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrderFailure {
    /// Whose fault it is.
    pub kind: OrderFailureKind,
    /// A sentence for people, in the words of the front-end that took the order.
    pub reason: String,
}

/// Whose fault it is that an order made no key. Front-ends have a status for each, stores a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OrderFailureKind {
    /// The order asks for a key that is not made here.
    Unsupported,
    /// The server did not make the key.
    Server,
    /// Another version of this program stored the order with this number, which this version does not know.
    Unknown(u16),
}

/// Which orders of a project a list shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrderQuery {
    /// The project.
    pub project: ProjectId,
    /// A part of [`Order::meta`].
    pub meta: Option<String>,
    /// Matches to pass over.
    pub offset: u64,
    /// The most to show.
    pub limit: u32,
}
