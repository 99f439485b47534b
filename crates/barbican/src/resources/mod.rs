//! The resources of the API: one file for each, with its handlers. A handler takes an [`ApiRequest`](crate::request::ApiRequest), makes one call of
//! the vault, and gives a [`Reply`](crate::reply::Reply); it sees no connection.

pub(crate) mod acls;
pub(crate) mod consumers;
pub(crate) mod containers;
pub(crate) mod facets;
pub(crate) mod list;
pub(crate) mod metadata;
pub(crate) mod new_secret;
pub(crate) mod orders;
pub(crate) mod payload;
pub(crate) mod quotas;
pub(crate) mod secrets;
pub(crate) mod stores;
pub(crate) mod transport_keys;
pub(crate) mod versions;
