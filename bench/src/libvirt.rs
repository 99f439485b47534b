//! The libvirt door, beside libvirtd itself: the same calls of the same client, by turns.
//!
//! Both daemons run with their defaults, ours with its audit trail and metrics, and the client runs on the same cores. CPU
//! time is that of the measured daemon alone; on a busy machine it says more than the rate.

use std::fmt::{self, Display};

use crate::libvirtd::{Daemon, Kind, folder};
use crate::load::{Load, LoadClient};
use crate::{Options, Result, median};

const FEW: u64 = 10;
const SOME: u64 = 1_000;
const MANY: u64 = 10_000;
/// The length of a measurement: a clock tick is 10 ms, and a daemon that waits for the disk uses few.
const SECONDS_DEFAULT: u64 = 2;
/// The most cost of a call with many secrets, as a multiple of that with few, that counts as constant.
const FLAT: f64 = 1.25;

/// An operation, with the numbers of secrets and of connections.
struct Case {
    operation: &'static str,
    secrets: &'static [u64],
    connections: &'static [usize],
}

const CASES: &[Case] = &[
    Case { operation: "get-value", secrets: &[FEW, SOME, MANY], connections: &[1, 4] },
    Case { operation: "lookup-usage", secrets: &[FEW, SOME, MANY], connections: &[1, 4] },
    Case { operation: "num", secrets: &[FEW, SOME, MANY], connections: &[1, 4] },
    Case { operation: "list-all", secrets: &[FEW, SOME, MANY], connections: &[1, 4] },
    Case { operation: "set-value", secrets: &[SOME, MANY], connections: &[1, 4, 16] },
    Case { operation: "redefine", secrets: &[SOME, MANY], connections: &[1, 4, 16] },
    Case { operation: "define-undefine", secrets: &[SOME, MANY], connections: &[1, 4] },
    Case { operation: "connect", secrets: &[SOME], connections: &[1, 4] },
];

/// The goals of donjond as shares of libvirtd's values: the most CPU time, and the least rate.
#[derive(Default)]
struct Goals {
    cpu: Option<f64>,
    rate: Option<f64>,
}

fn goals(operation: &str, secrets: u64, connections: usize) -> Goals {
    match (operation, secrets, connections) {
        ("get-value", ..) => Goals { cpu: Some(0.25), rate: Some(1.0) },
        ("list-all", MANY, _) => Goals { cpu: Some(0.25), rate: None },
        ("set-value" | "redefine", _, 16) => Goals { cpu: None, rate: Some(5.0) },
        _ => Goals::default(),
    }
}

/// libvirtd and donjond with the same number of secrets.
struct Pair {
    secrets: u64,
    libvirtd: Daemon,
    donjond: Daemon,
}

impl Pair {
    fn start(secrets: u64, client: &LoadClient) -> Result<Self> {
        let start = |kind| Daemon::start(kind, secrets, client);
        Ok(Self { secrets, libvirtd: start(Kind::Libvirtd)?, donjond: start(Kind::Donjond)? })
    }
}

/// The loads of one round.
#[derive(Clone, Copy)]
struct Round {
    libvirtd: Load,
    donjond: Load,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    println!("\n# the libvirt door, beside libvirtd with the secret driver alone");
    let client = LoadClient::compile(&folder()?)?;
    for secrets in [FEW, SOME, MANY] {
        for kind in [Kind::Libvirtd, Kind::Donjond] {
            Daemon::prepare(kind, secrets, &client)?;
        }
    }
    starts(options, &client)?;
    let pairs: Vec<Pair> =
        [FEW, SOME, MANY].into_iter().map(|secrets| Pair::start(secrets, &client)).collect::<Result<_>>()?;
    memory("idle", &pairs)?;
    for case in CASES {
        for connections in case.connections {
            measure(options, &client, case, *connections, &pairs)?;
        }
    }
    memory("after all of this", &pairs)
}

/// Measures starts, from exec to the first answered call.
fn starts(options: &Options, client: &LoadClient) -> Result<()> {
    for secrets in [FEW, SOME, MANY] {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            theirs.push(Daemon::start(Kind::Libvirtd, secrets, client)?.process.started_in);
            ours.push(Daemon::start(Kind::Donjond, secrets, client)?.process.started_in);
        }
        let (theirs, ours) = (median(theirs).unwrap_or_default(), median(ours).unwrap_or_default());
        println!(
            "start with {secrets:5} secrets: libvirtd {theirs:8.1?}   donjond {ours:8.1?}{}",
            if secrets == MANY { " (goal 100 ms)" } else { "" }
        );
    }
    Ok(())
}

fn memory(when: &str, pairs: &[Pair]) -> Result<()> {
    for Pair { secrets, libvirtd, donjond } in pairs {
        println!(
            "memory {when}, {secrets:5} secrets: libvirtd {:4.1} MiB resident, {:4.1} of it anonymous   \
             donjond {:4.1}, {:4.1}",
            libvirtd.process.mebibytes("VmRSS:")?,
            libvirtd.process.mebibytes("RssAnon:")?,
            donjond.process.mebibytes("VmRSS:")?,
            donjond.process.mebibytes("RssAnon:")?
        );
    }
    Ok(())
}

/// Measures an operation on some connections. All sizes and both daemons take turns in each round.
fn measure(
    options: &Options,
    client: &LoadClient,
    case: &Case,
    connections: usize,
    pairs: &[Pair],
) -> Result<()> {
    let seconds = options.seconds.unwrap_or(SECONDS_DEFAULT);
    let pairs: Vec<&Pair> = pairs.iter().filter(|pair| case.secrets.contains(&pair.secrets)).collect();
    let mut rounds = vec![Vec::new(); pairs.len()];
    for _ in 0..options.rounds {
        for (pair, rounds) in pairs.iter().zip(&mut rounds) {
            let load = |daemon: &Daemon| daemon.measure(client, case.operation, connections, seconds);
            rounds.push(Round { libvirtd: load(&pair.libvirtd)?, donjond: load(&pair.donjond)? });
        }
    }
    for (pair, rounds) in pairs.iter().zip(&rounds) {
        print_case(case.operation, pair.secrets, connections, rounds);
    }
    if let ("lookup-usage" | "num", [few, .., many]) = (case.operation, rounds.as_slice()) {
        print_growth(case.operation, connections, few, many);
    }
    Ok(())
}

fn print_case(operation: &str, secrets: u64, connections: usize, rounds: &[Round]) {
    let median_of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect()).unwrap_or(0.0);
    let goals = goals(operation, secrets, connections);
    println!(
        "{operation:15} {secrets:5} secrets {connections:2} conn.   \
         libvirtd {:6.0}/s p50 {:6.0} µs CPU {:7.1} µs   donjond {:6.0}/s p50 {:6.0} µs CPU {:7.1} µs   \
         rate × {:.2}{}, CPU × {:.3}{}",
        median_of(|round| round.libvirtd.per_second),
        median_of(|round| round.libvirtd.p50_us),
        median_of(|round| round.libvirtd.cpu_us),
        median_of(|round| round.donjond.per_second),
        median_of(|round| round.donjond.p50_us),
        median_of(|round| round.donjond.cpu_us),
        median_of(|round| round.donjond.per_second / round.libvirtd.per_second),
        Goal(goals.rate),
        median_of(|round| round.donjond.cpu_us / round.libvirtd.cpu_us),
        Goal(goals.cpu),
    );
}

/// Prints the cost of a call with many secrets as a multiple of that with few in the same round.
fn print_growth(operation: &str, connections: usize, few: &[Round], many: &[Round]) {
    let growth = |cpu: fn(&Round) -> f64| {
        let ratios = few.iter().zip(many).map(|(few, many)| cpu(many) / cpu(few));
        median(ratios.collect()).unwrap_or(0.0)
    };
    println!(
        "{operation:15} {MANY} secrets to {FEW}, {connections} conn.: CPU × {:.2} at donjond (goal 1, {FLAT} at the most), \
         × {:.2} at libvirtd",
        growth(|round| round.donjond.cpu_us),
        growth(|round| round.libvirtd.cpu_us),
    );
}

/// Prints a goal, if there is one.
pub(crate) struct Goal(pub(crate) Option<f64>);

impl Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |goal| write!(f, " (goal {goal})"))
    }
}
