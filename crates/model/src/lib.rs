//! The nouns of Donjon: secrets, their callers, and queries for lists.
//!
//! Everything here is a plain value that is valid once it exists: text becomes a type at the edge, through
//! `TryFrom` or `FromStr`, and no later code checks it again. Nothing here reads a clock, a socket, a row or a
//! key, and nothing serialises itself: each protocol and each database has its own shape, converted by hand.
#![forbid(unsafe_code)]

mod acl;
mod call;
mod change;
mod consumer;
mod container;
mod content;
mod facets;
mod handle;
mod id;
mod order;
mod query;
mod quota;
mod refusal;
mod request_id;
mod secret;
mod standing;
mod timestamp;
mod transport_key;

pub use acl::{Acl, AclChange, Guarded};
pub use call::{Call, Caller, Door, Role, Roles};
pub use change::{ChangeCursor, ChangeKind, ChangeRow, Changes};
pub use consumer::{Consumer, Uses};
pub use container::{Container, ContainerQuery, ContainerSecret, ContainerType};
pub use content::{ContentType, PAYLOAD_BYTES_MAX};
pub use facets::{Encoding, Expect, Facet, FacetError, Facets, Usage, UsageType};
pub use handle::{Handle, Listed, Which};
pub use id::{
    ConsumerId, ContainerId, InvalidId, KeyVersion, OrderId, ProjectId, RequestId, SecretId, TransportKeyId,
    UserId,
};
pub use order::{Order, OrderFailure, OrderFailureKind, OrderOutcome, OrderQuery, OrderType};
pub use query::{
    Comparison, DateFilter, Direction, Filters, ListQuery, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Page, Pattern,
    Scope, SortKey, SortOrder, TypeFilter,
};
pub use quota::{Counted, PerCounted, ProjectQuotas, Quotas, UNLIMITED};
pub use refusal::{Absent, Conflict};
pub use secret::{
    Attributes, BitLength, InvalidBitLength, Metadatum, Secret, SecretType, Status, Text, TextTooLong,
};
pub use standing::{Access, Guard, Standing};
pub use timestamp::Timestamp;
pub use transport_key::TransportKey;
