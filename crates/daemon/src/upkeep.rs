//! Upkeep while the server runs: what has expired, and orders that have nothing to show, are taken away in the background.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::MissedTickBehavior;
use vault::Vault;

use crate::config::numbers::Upkeep;

/// Time for everybody else between two pieces of the work.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks now and then, and works until nothing is left.
pub(crate) async fn now_and_then(vault: Arc<Vault>, upkeep: Upkeep) {
    let mut ticks = tokio::time::interval(upkeep.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        loop {
            match vault.reap(SystemTime::now().into(), upkeep.grace).await {
                Ok(true) => tokio::time::sleep(PAUSE).await,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "what has expired was not taken away; it is tried again later");
                    break;
                }
            }
        }
    }
}
