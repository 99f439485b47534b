//! Upkeep deletes expired secrets and spent orders.

use std::time::Duration;

use model::{Call, Caller, Door, ProjectId, RequestId, Roles, SecretId, Timestamp};
use store::{Change, unwitnessed};

use crate::audit::{Object, Outcome};
use crate::{Action, Error, Vault};

/// How many secrets one call of [`Vault::reap`] deletes at most.
const AT_ONCE: u32 = 256;
/// How many secrets are deleted together. Each has up to some thousands of rows, and other requests wait meanwhile.
const IN_ONE_TRANSACTION: usize = 8;

/// How long upkeep waits before it deletes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grace {
    /// After a secret has expired. A clock that is wrong by less destroys nothing.
    pub expired: Duration,
    /// After an order was created that failed, or whose secret or container was deleted.
    pub orders: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self { expired: Duration::from_secs(24 * 3600), orders: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// How much one call of [`Vault::reap`] has deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reaped {
    /// Expired secrets.
    pub secrets: u64,
    /// Orders that failed, or whose secret or container was deleted.
    pub orders: u64,
}

impl Reaped {
    /// Whether nothing was deleted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Vault {
    /// Deletes expired secrets and spent orders, but only so many that other requests wait no longer than a moment. The
    /// audit trail has a line for each secret before it is deleted.
    pub async fn reap(&self, now: Timestamp, grace: Grace) -> Result<Reaped, Error> {
        let before = |age: Duration| now.plus_micros(-i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let (by, orders_before) = (before(grace.expired), before(grace.orders));
        let mut reaped = Reaped::default();
        for some in self.store.expired(by, AT_ONCE).await?.chunks(IN_ONE_TRANSACTION) {
            let each = some.iter().map(|(id, project)| self.reap_secret(*id, project.clone(), by, now));
            for done in futures_util::future::join_all(each).await {
                reaped.secrets += u64::from(done?);
            }
        }
        let orders = self.store.spent_orders(orders_before).await?;
        if orders > 0 {
            self.store.apply(Change::ReapOrders { before: orders_before }, unwitnessed()).await?;
        }
        reaped.orders = orders.into();
        Ok(reaped)
    }

    /// Deletes one secret. Returns false if somebody else has deleted it first.
    async fn reap_secret(
        &self,
        id: SecretId,
        project: ProjectId,
        by: Timestamp,
        time: Timestamp,
    ) -> Result<bool, Error> {
        let caller = Caller { project, user: None, roles: Roles::Fixed(&[]) };
        let call = Call { caller, time, request: RequestId::random(), door: Door::Upkeep };
        match self.change(&call, Action::DeleteSecret, id, Change::ReapSecret { id, by, time }).await {
            Ok(()) => Ok(true),
            Err(Error::Absent(_)) => Ok(false),
            Err(error) => {
                self.record(&call, Action::DeleteSecret, Object::Secret(id), Outcome::Failed).await?;
                Err(error)
            }
        }
    }
}
