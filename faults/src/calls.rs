//! The n-th call to the operating system fails.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::control::{self, Control, Fault};
use crate::ledger::Ledger;
use crate::progress::{Progress, Tally};
use crate::server::{Server, Started, check};
use crate::workload::{Outcome, Workload};
use crate::{Options, Result};

/// Requests of a run, besides its start and its end.
const STEPS: usize = 30;
/// Secrets in the store before a run.
const BEFORE: usize = 8;
/// How long a server may take to recover once a fault is over.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// Linux's error numbers, with the kinds of calls that can fail with each.
const ERRORS: [(&str, i32, u64); 4] = [
    ("EIO", 5, control::ALL),
    ("ENOSPC", 28, control::GROWS | control::OPEN),
    ("EDQUOT", 122, control::GROWS | control::OPEN),
    ("EROFS", 30, control::GROWS | control::OPEN),
];

/// One case.
struct Case {
    number: u64,
    name: &'static str,
    fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.fault.stays, self.fault.halve) {
            (false, false) => "once",
            (false, true) => "once, after half",
            (true, _) => "from then on",
        };
        write!(f, "{} at call {} {how}", self.name, self.number)
    }
}

pub(crate) fn run(options: &Options) -> Result<Tally> {
    let folder = tempfile::tempdir()?;
    let template = folder.path().join("template");
    let before = make_store(&template, options.seed)?;
    let cases = cases(options, &template, &before, folder.path())?;
    let mut progress = Progress::new("calls", cases.len());
    for case in cases {
        let place = folder.path().join("case");
        copy_folder(&template, &place)?;
        let control = Control::new(folder.path())?;
        let outcome = run_case(&place, &control, &before, options.seed, case.fault);
        progress.add_case(&case, outcome);
        std::fs::remove_dir_all(&place)?;
    }
    Ok(progress.tally)
}

/// Makes a store with a few secrets.
pub(crate) fn make_store(place: &Path, seed: u64) -> Result<Ledger> {
    std::fs::create_dir_all(place)?;
    let server = Server::start_well(place)?;
    let client = server.client();
    let mut workload = Workload::new(seed ^ 1);
    for _ in 0..BEFORE {
        workload.step(&client)?;
    }
    server.stop()?;
    Ok(workload.ledger)
}

/// Every call of a run by its number, with each kind of fault by turns. If there are more calls than wanted cases, the cases
/// are spread evenly.
fn cases(options: &Options, template: &Path, before: &Ledger, folder: &Path) -> Result<Vec<Case>> {
    let wanted = options.cases(1000, 24);
    let mut cases = Vec::new();
    for (turn, (name, error, kinds)) in ERRORS.into_iter().enumerate() {
        let place = folder.join("count");
        copy_folder(template, &place)?;
        let control = Control::new(folder)?;
        let none = Fault { at: 0, error, stays: false, halve: false, kinds };
        run_case(&place, &control, before, options.seed, none)
            .map_err(|error| format!("without a fault: {error}"))?;
        std::fs::remove_dir_all(&place)?;
        let calls = control.calls()?;
        // Any call can fail with EIO, so half of the cases have it.
        let share = u64::try_from(if turn == 0 { wanted / 2 } else { wanted / 6 })?.clamp(1, calls);
        cases.extend((0..share).map(|n| {
            let number = 1 + n * calls / share;
            let (stays, halve) = (n % 2 == 1, n % 4 == 2);
            Case { number, name, fault: Fault { at: number, error, stays, halve, kinds } }
        }));
    }
    Ok(cases)
}

/// Runs a server with this fault, and checks the store afterwards.
fn run_case(place: &Path, control: &Control, before: &Ledger, seed: u64, fault: Fault) -> Result<()> {
    control.set_fault(fault)?;
    let mut workload = Workload::resume(seed, before.clone());
    match Server::start(place, Some(control), None)? {
        Started::Refused(_) => control.lift()?,
        Started::Listening(mut server) => {
            let client = server.client();
            for _ in 0..STEPS {
                if workload.step(&client)? == Outcome::Unanswered {
                    return Err("a request was not answered".into());
                }
            }
            server.check_running()?;
            control.lift()?;
            check_recovery(&server, &mut workload)?;
            server.stop()?;
        }
    }
    let server = Server::start_well(place)?;
    workload.ledger.verify(&server.client())?;
    server.stop()?;
    check(place, &[])?;
    check(place, &["--audit"])
}

/// Checks that the server accepts changes again once the fault is over, without help.
pub(crate) fn check_recovery(server: &Server, workload: &mut Workload) -> Result<()> {
    let (client, begin) = (server.client(), Instant::now());
    let mut done = 0;
    while done < 5 {
        match workload.step(&client)? {
            Outcome::Done => done += 1,
            Outcome::Refused if begin.elapsed() < RECOVERY_MAX => {
                std::thread::sleep(Duration::from_millis(20))
            }
            outcome => {
                return Err(
                    format!("the fault is over, and a request is {outcome:?}: {}", server.stderr()?).into()
                );
            }
        }
    }
    Ok(())
}

/// Copies a folder with its files and folders, but no sockets.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
