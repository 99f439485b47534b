//! The wall clock is set while requests are answered.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::calls::goes_on;
use crate::control::Control;
use crate::progress::{Progress, Tally};
use crate::server::{Server, Started, check};
use crate::workload::{Outcome, Workload};
use crate::{Options, Result};

/// What a server is asked for at each hour.
const STEPS: usize = 25;
/// The first second of the year 10000, which RFC 3339 and HTTP dates cannot say.
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
        progress.case(&format!("set {name} under load"), stepped(options, ahead));
        progress.case(&format!("set {name} before the start"), started(options, ahead));
    }
    Ok(progress.tally)
}

/// Sets the clock of a running server, and sets it right again.
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
                return Err(format!("a request was not answered: {}", server.told()?).into());
            }
        }
        server.is_well()?;
    }
    server.stop()?;
    after(folder.path(), workload)
}

/// Starts at that time. It may refuse to, with a reason.
fn started(options: &Options, ahead: i64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let control = Control::new(folder.path())?;
    control.set_clock(ahead)?;
    let mut workload = Workload::new(options.seed);
    if let Started::Listening(mut server) = Server::start(folder.path(), Some(&control), None)? {
        let client = server.client();
        for _ in 0..STEPS {
            if workload.step(&client)? == Outcome::Unanswered {
                return Err(format!("a request was not answered: {}", server.told()?).into());
            }
        }
        server.is_well()?;
        control.set_clock(0)?;
        goes_on(&server, &mut workload)?;
        server.stop()?;
    }
    after(folder.path(), workload)
}

/// With the clock right again, everything is there.
fn after(folder: &std::path::Path, mut workload: Workload) -> Result<()> {
    let server = Server::start_well(folder)?;
    workload.ledger.verify(&server.client())?;
    server.stop()?;
    check(folder, &[])?;
    check(folder, &["--audit"])
}
