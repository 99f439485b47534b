//! Upkeep while the server runs: what has expired, and orders that have nothing to show, are taken away in the background.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior};
use vault::{Reaped, Vault};

use crate::config::Upkeep;

/// Time for everybody else between two pieces of the work.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks now and then, and works until nothing is left. The first time is not at the start, when a clock may not have been
/// set yet.
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
                    tracing::warn!(%error, "what has expired was not taken away; it is tried again later");
                    break;
                }
            }
        }
        if !all.is_nothing() {
            tracing::info!(secrets = all.secrets, orders = all.orders, "what had expired was taken away");
        }
    }
}
