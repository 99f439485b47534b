//! Sets the wall clock of a running server, and of one that starts.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::calls::check_recovery;
use crate::control::Control;
use crate::progress::{Progress, Tally};
use crate::server::{Server, Started, check};
use crate::workload::{Outcome, Workload};
use crate::{Options, Result};

/// Requests at each time.
const STEPS: usize = 25;
/// The first second of the year 10000, which RFC 3339 and HTTP dates cannot express.
const YEAR_10000: i64 = 253_402_300_800;
const DAY: i64 = 86_400;

pub(crate) fn run(options: &Options) -> Result<Tally> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let steps = [
        ("an hour ahead", 3600),
        ("an hour back", -3600),
        ("to and fro by a second", 1),
        ("ten years ahead", 3653 * DAY),
        ("to 2001", 978_307_200 - now),
        ("to the end of the year 9999", YEAR_10000 - 5 - now),
        ("beyond the year 9999", YEAR_10000 + DAY - now),
        ("to the day after the epoch", DAY - now),
        ("before the epoch", -DAY - now),
    ];
    let mut progress = Progress::new("clock", 2 * steps.len());
    for (name, ahead) in steps {
        progress.add_case(&format!("set {name} under load"), stepped(options, ahead));
        progress.add_case(&format!("set {name} before the start"), started(options, ahead));
    }
    Ok(progress.tally)
}

/// Sets the clock of a running server, and then resets it.
fn stepped(options: &Options, ahead: i64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let control = Control::new(folder.path())?;
    let Started::Listening(mut server) = Server::start(folder.path(), Some(&control), None)? else {
        return Err("it does not start".into());
    };
    let client = server.client();
    let mut workload = Workload::new(options.seed);
    for clock in [0, ahead, 0, ahead, 0] {
        control.set_clock(clock)?;
        for _ in 0..STEPS {
            if workload.step(&client)? == Outcome::Unanswered {
                return Err(format!("a request was not answered: {}", server.stderr()?).into());
            }
        }
        server.check_running()?;
    }
    server.stop()?;
    check_afterwards(folder.path(), workload)
}

/// Starts a server at that time. It may refuse, with a reason.
fn started(options: &Options, ahead: i64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let control = Control::new(folder.path())?;
    control.set_clock(ahead)?;
    let mut workload = Workload::new(options.seed);
    if let Started::Listening(mut server) = Server::start(folder.path(), Some(&control), None)? {
        let client = server.client();
        for _ in 0..STEPS {
            if workload.step(&client)? == Outcome::Unanswered {
                return Err(format!("a request was not answered: {}", server.stderr()?).into());
            }
        }
        server.check_running()?;
        control.set_clock(0)?;
        check_recovery(&server, &mut workload)?;
        server.stop()?;
    }
    check_afterwards(folder.path(), workload)
}

/// Checks that everything is there once the clock is reset.
fn check_afterwards(folder: &std::path::Path, mut workload: Workload) -> Result<()> {
    let server = Server::start_well(folder)?;
    workload.ledger.verify(&server.client())?;
    server.stop()?;
    check(folder, &[])?;
    check(folder, &["--audit"])
}
