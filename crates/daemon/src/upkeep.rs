//! Upkeep: the running server deletes expired secrets and spent orders in the background.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior};
use vault::{Reaped, Vault};

use crate::config::Upkeep;

/// The pause between two pieces of the work, for everybody else.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs upkeep in rounds, each until nothing is left to delete. The first round is not at the start, when the clock may be
/// wrong.
pub(crate) async fn now_and_then(vault: Arc<Vault>, upkeep: Upkeep) {
    let mut ticks = tokio::time::interval_at(Instant::now() + upkeep.every_seconds, upkeep.every_seconds);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut all = Reaped::default();
        loop {
            match vault.reap(SystemTime::now().into(), upkeep.grace()).await {
                Ok(reaped) if reaped.is_nothing() => break,
                Ok(Reaped { secrets, orders }) => {
                    all = Reaped { secrets: all.secrets + secrets, orders: all.orders + orders };
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "expired secrets were not deleted; the next round tries again");
                    break;
                }
            }
        }
        if !all.is_nothing() {
            tracing::info!(
                secrets = all.secrets,
                orders = all.orders,
                "expired secrets and spent orders were deleted"
            );
        }
    }
}
