//! Checks everything in a store: pages, indexes, rows, and every payload, which is opened and wiped.
//!
//! `donjond check` does this on a store without a server, and a server does it on request. A [`Watch`] gets the progress.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use model::{Guarded, SecretId};
use store::sqlite::{Look, Swept};
use store::{CopyError, CopyProgress, Kind, SqliteStore};
use tokio::runtime::Handle;
use vault::Opener;

use crate::admin::protocol::{Finding, Inspected, Progress, Step};
use crate::error::{BackupError, Error};

/// Damaged secrets that are remembered, so that each is reported once. Beyond that, some may be reported twice.
const TOLD_MAX: usize = 100_000;

/// Follows the progress, and decides whether to go on.
pub(crate) trait Watch: Send + Sync + 'static {
    /// Reports the progress. It is called often, so most reports may be dropped.
    fn progress(&self, progress: Progress);

    /// A damaged secret.
    fn found(&self, finding: Finding);

    /// Whether the result is still wanted.
    fn goes_on(&self) -> bool;
}

/// Checks everything. Damage is reported and counted; only a check that could not run is an error.
pub(crate) fn inspect(
    store: &SqliteStore,
    opener: &Opener,
    watch: &Arc<dyn Watch>,
    runtime: &Handle,
) -> Result<Inspected, Error> {
    let pages = Progress { step: Step::Pages, done: 0, of: 0 };
    watch.progress(pages);
    let told = Arc::clone(watch);
    let complaints = store.integrity_while(move || {
        told.progress(pages);
        told.goes_on()
    });
    let mut found = Inspected { complaints: or_stopped(complaints, watch)?, ..Inspected::default() };
    let mut look = store.look()?;
    // A damaged database may not let its rows be counted or read.
    match look.counted().and_then(|(secrets, projects)| {
        (found.secrets, found.projects) = (secrets, projects);
        let told = sweep(&mut look, store, opener, watch, runtime, &mut found)?;
        guards(&mut look, store, opener, watch, runtime, (&mut found, &told))
    }) {
        Err(store::Error::Failed(store::Failure::TookTooLong)) => Err(Error::Interrupted),
        Err(error) if found.complaints.is_empty() => Err(error.into()),
        Err(error) => {
            found.complaints.push(error.to_string());
            Ok(found)
        }
        Ok(()) => Ok(found),
    }
}

/// A stopped check is not a fault of the store.
fn or_stopped<T>(done: Result<T, store::Error>, watch: &Arc<dyn Watch>) -> Result<T, Error> {
    done.map_err(|error| if watch.goes_on() { error.into() } else { Error::Interrupted })
}

/// Copies a store to a new file. Returns its length.
pub(crate) fn copy(store: &SqliteStore, to: &Path, watch: &Arc<dyn Watch>) -> Result<u64, Error> {
    let copied = store.copy_to(to, |CopyProgress { done, all }| {
        watch.progress(Progress { step: Step::Copy, done, of: all });
        if watch.goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    match copied {
        Ok(copied) => Ok(copied.bytes),
        Err(CopyError::Stopped) => Err(Error::Interrupted),
        Err(CopyError::File { path, source }) => Err(BackupError::File { path, source }.into()),
        Err(CopyError::Store(error)) => Err(error.into()),
    }
}

/// Opens each payload. Returns the damaged secrets that were reported.
fn sweep(
    look: &mut Look,
    store: &SqliteStore,
    opener: &Opener,
    watch: &Arc<dyn Watch>,
    runtime: &Handle,
    found: &mut Inspected,
) -> Result<HashSet<SecretId>, store::Error> {
    let (mut seq, mut seen, mut told) = (0, 0, HashSet::new());
    loop {
        let swept = look.sweep(seq)?;
        let Some(last) = swept.last() else { return Ok(told) };
        seq = last.seq;
        for Swept { seq, id, row } in swept {
            let why = match (id, row) {
                (Some(id), Ok(row)) => match runtime.block_on(opener.opens(store, id, &row)) {
                    Ok(had_one) => {
                        found.opened += u64::from(had_one);
                        None
                    }
                    Err(error) if is_damage(&error) => Some(reason(&error)),
                    Err(error) => return Err(unopened(error)),
                },
                (_, Err(error)) => Some(error.to_string()), // Only this row is damaged.
                (None, Ok(_)) => Some("its row does not say whose it is".to_owned()),
            };
            seen += 1;
            if let Some(why) = why {
                found.damaged += 1;
                told.extend(id.filter(|_| told.len() < TOLD_MAX));
                let secret = id.as_ref().map(SecretId::to_string);
                watch.found(Finding { secret, row: seq, why });
            }
        }
        watch.progress(Progress { step: Step::Payloads, done: seen, of: found.secrets.max(seen) });
        if !watch.goes_on() {
            return Err(store::Failure::TookTooLong.into());
        }
    }
}

fn is_damage(error: &vault::Error) -> bool {
    matches!(error, vault::Error::Failed(failure) if failure.is_of_damaged_data())
}

/// Why the check cannot go on.
fn unopened(error: vault::Error) -> store::Error {
    match error {
        vault::Error::Failed(vault::Failure::Store(failure)) => failure.into(),
        other => store::Failure::Unavailable(other.to_string()).into(),
    }
}

/// Checks the guard of each secret and container, except for secrets that were reported already.
fn guards(
    look: &mut Look,
    store: &SqliteStore,
    opener: &Opener,
    watch: &Arc<dyn Watch>,
    runtime: &Handle,
    (found, told): (&mut Inspected, &HashSet<SecretId>),
) -> Result<(), store::Error> {
    let unavailable = |error: vault::OpenError| store::Failure::Unavailable(error.to_string());
    if !runtime.block_on(opener.has_guards(store)).map_err(unavailable)? {
        return Ok(()); // A start adds them.
    }
    for kind in [Kind::Secrets, Kind::Containers] {
        let mut after = i64::MIN;
        loop {
            let some = look.regarded(kind, after)?;
            let Some(last) = some.last() else { break };
            after = last.row;
            for row in some {
                let (number, of) = (u64::try_from(row.row).unwrap_or(0), row.of);
                if matches!(of, Some(Guarded::Secret(id)) if told.contains(&id)) {
                    continue;
                }
                match runtime.block_on(opener.vouches(store, row)) {
                    Ok(()) => {}
                    Err(error) if is_damage(&error) => {
                        found.damaged += 1;
                        watch.found(unguarded(number, of, &error));
                    }
                    Err(error) => return Err(unopened(error)),
                }
            }
            if !watch.goes_on() {
                return Err(store::Failure::TookTooLong.into());
            }
        }
    }
    Ok(())
}

fn unguarded(row: u64, of: Option<Guarded>, error: &vault::Error) -> Finding {
    let why = match error {
        vault::Error::Failed(vault::Failure::Corrupt { source, .. }) => source.to_string(),
        other => other.to_string(),
    };
    match of {
        Some(Guarded::Secret(id)) => Finding { secret: Some(id.to_string()), row, why },
        Some(container) => Finding { secret: None, row, why: format!("{container}: {why}") },
        None => Finding { secret: None, row, why },
    }
}

/// The reason, without the id, which stands beside it.
fn reason(error: &vault::Error) -> String {
    match error {
        vault::Error::Failed(vault::Failure::Corrupt { source, .. }) => format!("its payload {source}"),
        vault::Error::Failed(vault::Failure::Keys(source)) => format!("the key of its project {source}"),
        other => other.to_string(),
    }
}
