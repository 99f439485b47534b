//! kill -9 under load, again and again on one store.

use std::time::Duration;

use crate::ledger::Ledger;
use crate::progress::{Progress, Tally};
use crate::server::{Server, check};
use crate::workload::{Outcome, Workload};
use crate::{Options, Result};

/// Clients at once.
const CLIENTS: u64 = 4;
/// The longest a server lives.
const LIFE_MS_MAX: u64 = 400;

pub(crate) fn run(options: &Options) -> Result<Tally> {
    let folder = tempfile::tempdir()?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let rounds = options.cases.map_or(if options.short { 8 } else { 200 }, |cases| cases.div_ceil(10));
    let mut progress = Progress::new("kills", rounds);
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        let life = Duration::from_millis(rng.u64(1..LIFE_MS_MAX));
        let outcome = run_round(folder.path(), &mut ledger, options.seed ^ (round as u64) << 8, life);
        let found = outcome.is_err();
        progress.add_case(&format!("round {round}, killed after {life:?}"), outcome);
        if found {
            break; // Later rounds would find the same.
        }
    }
    progress.add_case(
        &"the store after all",
        check(folder.path(), &[]).and_then(|()| check(folder.path(), &["--audit"])),
    );
    Ok(progress.tally)
}

/// Starts a server, compares the store with the ledger, loads the server from several clients and kills it.
fn run_round(folder: &std::path::Path, ledger: &mut Ledger, seed: u64, life: Duration) -> Result<()> {
    let server = Server::start_well(folder)?;
    ledger.verify(&server.client())?;
    let shares = split_ledger(ledger);
    let worked: Vec<Result<Ledger>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .zip(shares)
            .map(|(number, share)| {
                let client = server.client();
                scope.spawn(move || {
                    let mut workload = Workload::resume(seed ^ number, share);
                    while workload.step(&client)? != Outcome::Unanswered {}
                    Ok(workload.ledger)
                })
            })
            .collect();
        std::thread::sleep(life);
        let killed = server.kill();
        let mut worked: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a client panicked".into())))
            .collect();
        worked.extend(killed.err().map(Err));
        worked
    });
    for share in worked {
        let share = share?;
        ledger.unanswered += share.unanswered;
        ledger.secrets.extend(share.secrets);
    }
    Ok(())
}

/// Gives each client secrets of its own, so that each knows its own changes.
fn split_ledger(ledger: &Ledger) -> Vec<Ledger> {
    let mut shares: Vec<_> = (0..CLIENTS).map(|_| Ledger::default()).collect();
    for (number, (id, states)) in ledger.secrets.iter().enumerate() {
        let at = number % shares.len();
        if let Some(share) = shares.get_mut(at) {
            share.secrets.insert(id.clone(), states.clone());
        }
    }
    shares
}
