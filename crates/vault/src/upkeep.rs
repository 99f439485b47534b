//! Upkeep: what is not there for anybody any more is taken away.

use std::time::Duration;

use model::{Call, Caller, Door, ProjectId, RequestId, Roles, SecretId, Timestamp};
use store::{Change, unwitnessed};

use crate::audit::{Object, Outcome};
use crate::{Action, Error, Vault};

/// Secrets in one piece of the work.
const AT_ONCE: u32 = 256;
/// Those that may be taken away together: each has up to some thousands of rows that go with it, and others wait that
/// long.
const IN_ONE_TRANSACTION: usize = 8;

/// How long what is not there for anybody any more is kept all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grace {
    /// A secret, after it has expired. A clock that is fast by less destroys nothing.
    pub expired: Duration,
    /// An order that failed, or whose outcome was deleted, after it was given.
    pub orders: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self { expired: Duration::from_secs(24 * 3600), orders: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reaped {
    /// Secrets that had expired.
    pub secrets: u64,
    /// Orders with nothing to show for them.
    pub orders: u64,
}

impl Reaped {
    /// Whether there was nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Vault {
    /// Takes some of it away, no more than keeps others waiting for a moment; nothing if nothing is left. Each secret is
    /// written down in the audit trail like one that was deleted, before it is gone.
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

    /// Whether it was still there.
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
            Err(Error::Absent(_)) => Ok(false), // Somebody was faster.
            Err(error) => {
                self.record(&call, Action::DeleteSecret, Object::Secret(id), Outcome::Failed).await?;
                Err(error)
            }
        }
    }
}
