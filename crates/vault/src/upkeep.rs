//! Upkeep: what is not there for anybody any more is taken away.

use std::time::Duration;

use model::Timestamp;
use store::{Change, unwitnessed};

use crate::{Error, Vault};

/// How long what is not there for anybody any more is kept all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grace {
    /// A secret, after it has expired. A clock that was wrong for so long destroys nothing.
    pub expired: Duration,
    /// An order that failed, or whose outcome was deleted, after it was given.
    pub orders: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self { expired: Duration::from_secs(24 * 3600), orders: Duration::from_secs(7 * 24 * 3600) }
    }
}

impl Vault {
    /// Takes some of it away, no more than keeps others waiting for a moment. Whether there may be more.
    pub async fn reap(&self, now: Timestamp, grace: Grace) -> Result<bool, Error> {
        let before = |age: Duration| now.plus_micros(-i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let (expired_by, orders_before) = (before(grace.expired), before(grace.orders));
        if !self.store.is_reaping_due(expired_by, orders_before).await? {
            return Ok(false);
        }
        self.store.apply(Change::Reap { expired_by, orders_before }, unwitnessed()).await?;
        Ok(true)
    }
}
