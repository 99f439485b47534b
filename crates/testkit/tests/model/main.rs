//! Random sequences of changes end the same on the plain tables and on the embedded store: each change is done or refused
//! for the same reason, and everything that can be read afterwards is the same.
//!
//! `DONJON_TEST_SEQUENCES` says how many sequences are tried, by default a few.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod changes;
mod model_store;
mod view;

use changes::{Step, any_step};
use model_store::ModelStore;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::sqlite::Purpose;
use store::{Error, Failure, SqliteStore, Store, Unwitnessed, Witness};

/// Changes in one sequence at the most.
const STEPS_MAX: usize = 100;
/// Everything is read after so many changes, and after the last.
const READ_EVERY: usize = 16;

/// Why a change was refused. Whatever a keeper cannot write is one reason: each has its own words for it.
fn reason(error: &Error) -> String {
    match error {
        Error::Failed(Failure::Unavailable(_)) => "the keeper failed".to_owned(),
        other => format!("{other:?}"),
    }
}

async fn check_sequence(steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let embedded = SqliteStore::open(&folder.path().join("donjon.db"), Purpose::Serve).unwrap();
    let mut plain = ModelStore::default();
    for (place, step) in steps.iter().enumerate() {
        let agrees = step.agrees;
        // Ids of secrets that are created are random, so nobody has them.
        if step.creates().any(|id| plain.has_secret(id)) {
            continue;
        }
        let witness: Witness = Box::new(move |_| if agrees { Ok(()) } else { Err(Unwitnessed) });
        let done = embedded.apply(step.change(), witness).await.map_err(|error| reason(&error));
        let expected = plain.apply(&mut step.change(), agrees);
        assert_eq!(done, expected, "change {place} of {steps:#?}");
        if place % READ_EVERY == 0 {
            check_reads(&embedded, &plain, steps).await;
        }
    }
    check_reads(&embedded, &plain, steps).await;
}

async fn check_reads(embedded: &SqliteStore, plain: &ModelStore, steps: &[Step]) {
    let (found, expected) = (view::of_store(embedded).await, view::of_model(plain));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "within {steps:#?}");
    }
}

#[test]
fn every_sequence_of_changes_ends_the_same_on_plain_tables_and_on_the_embedded_store() {
    let cases = std::env::var("DONJON_TEST_SEQUENCES").map_or(60, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let sequences = prop::collection::vec(any_step(), 1..STEPS_MAX);
    TestRunner::new(config)
        .run(&sequences, |steps| {
            runtime.block_on(check_sequence(&steps));
            Ok(())
        })
        .unwrap();
}
