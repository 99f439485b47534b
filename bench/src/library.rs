//! The C library, beside libvirt's own: the same compiled client on the same donjond, by turns.
//!
//! The client is linked with libvirt's library, and LD_LIBRARY_PATH puts ours in its place. CPU time is the client's alone,
//! from the first call to the last. It says more than the rate if the daemon is slower than the client.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::libvirt::Goal;
use crate::libvirtd::{Daemon, Kind, folder};
use crate::load::{Load, LoadClient, compile};
use crate::{Options, Result, median};

const SECRETS: u64 = 1_000;
const SECONDS_DEFAULT: u64 = 2;
/// How often a program is started with each library.
const STARTS: usize = 200;
/// The most wall time of a short program, as a share of that with libvirt's library.
const START_GOAL: f64 = 0.5;
/// The first secret of load.c.
const SECRET: &str = "10ad0000-0000-4000-8000-000000000000";
const LIBRARY: &str = "libvirt.so.0";

/// An operation, the numbers of connections, and the goal: our rate as a share of libvirt's.
struct Case {
    operation: &'static str,
    connections: &'static [usize],
    goal: Option<f64>,
}

const CASES: &[Case] = &[
    Case { operation: "get-value", connections: &[1, 4], goal: Some(1.3) },
    Case { operation: "set-value", connections: &[1, 4], goal: None },
    Case { operation: "list-all", connections: &[1, 4], goal: None },
    Case { operation: "connect", connections: &[1, 4], goal: None },
];

/// The loads of one round.
#[derive(Clone, Copy)]
struct Round {
    theirs: Load,
    ours: Load,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    println!("\n# the C library, beside libvirt's own");
    let stage = stage()?;
    let theirs = LoadClient::compile(&folder()?)?;
    let ours = theirs.with_libraries(&stage);
    let once = compile(&folder()?, "once", include_str!("once.c"))?;
    sizes(&once, &stage)?;
    Daemon::prepare(Kind::Donjond, SECRETS, &theirs)?;
    let daemon = Daemon::start(Kind::Donjond, SECRETS, &theirs)?;
    starts(&once, &stage, daemon.uri())?;
    for case in CASES {
        for connections in case.connections {
            measure(options, case, *connections, &daemon, (&theirs, &ours))?;
        }
    }
    Ok(())
}

/// The folder in which xtask installed our library as libvirt's.
fn stage() -> Result<PathBuf> {
    let folder = crate::target()?.join("library/stage/usr/lib");
    if folder.join(LIBRARY).exists() {
        Ok(folder)
    } else {
        Err(format!("{} is not in {}: run cargo xtask bench library", LIBRARY, folder.display()).into())
    }
}

/// Prints the size of each library, and the libraries that it loads.
fn sizes(program: &Path, stage: &Path) -> Result<()> {
    let theirs = Loaded::list(&mut Command::new("ldd"), program)?;
    let ours = Loaded::list(Command::new("ldd").env("LD_LIBRARY_PATH", stage), program)?;
    if !ours.library.starts_with(stage) {
        return Err(format!("LD_LIBRARY_PATH does not lead to {}", stage.display()).into());
    }
    for (name, loaded) in [("libvirt's", theirs), ("libvirsecret", ours)] {
        let bytes = std::fs::metadata(&loaded.library)?.len();
        println!(
            "{name:12} {:7.1} kB, {:2} libraries loaded, needs {}",
            bytes as f64 / 1e3,
            loaded.count,
            needed(&loaded.library)?
        );
    }
    Ok(())
}

/// The libraries that the dynamic linker loads for a program.
struct Loaded {
    library: PathBuf,
    count: usize,
}

impl Loaded {
    fn list(ldd: &mut Command, program: &Path) -> Result<Self> {
        let listed = String::from_utf8(ldd.arg(program).output()?.stdout)?;
        let found = listed.lines().find_map(|line| line.trim().strip_prefix(LIBRARY)?.strip_prefix(" => "));
        let library = found.and_then(|rest| rest.split(' ').next()).ok_or("ldd finds no libvirt.so.0")?;
        Ok(Self { library: library.into(), count: listed.lines().filter(|line| line.contains('/')).count() })
    }
}

fn needed(library: &Path) -> Result<String> {
    let output =
        Command::new("readelf").args(["--dynamic", "--wide"]).arg(library).env("LC_ALL", "C").output()?;
    let listed = String::from_utf8(output.stdout)?;
    let name =
        |line: &str| Some(line.split_once("(NEEDED)")?.1.split_once('[')?.1.trim_end_matches(']').to_owned());
    Ok(listed.lines().filter_map(name).collect::<Vec<_>>().join(" "))
}

/// Measures a program that gets one value, from fork to exit.
fn starts(program: &Path, stage: &Path, uri: &str) -> Result<()> {
    let run = |libraries: Option<&Path>| -> Result<Duration> {
        let mut command = Command::new(program);
        command.args([uri, SECRET]).stdin(Stdio::null()).env_remove("LD_LIBRARY_PATH");
        if let Some(libraries) = libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let begin = Instant::now();
        let status = command.status()?;
        let took = begin.elapsed();
        if status.success() { Ok(took) } else { Err(format!("{command:?}: {status}").into()) }
    };
    let (mut theirs, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let (their, our) = (run(None)?, run(Some(stage))?);
        ratios.push(our.as_secs_f64() / their.as_secs_f64());
        theirs.push(their);
        ours.push(our);
    }
    println!(
        "a program that gets one value, {STARTS} times: libvirt's {:.2?}   libvirsecret {:.2?}   × {:.3}{}",
        median(theirs).unwrap_or_default(),
        median(ours).unwrap_or_default(),
        median(ratios).unwrap_or(0.0),
        Goal(Some(START_GOAL))
    );
    Ok(())
}

/// Measures an operation on some connections. Both libraries take turns in each round.
fn measure(
    options: &Options,
    case: &Case,
    connections: usize,
    daemon: &Daemon,
    (theirs, ours): (&LoadClient, &LoadClient),
) -> Result<()> {
    let seconds = options.seconds.unwrap_or(SECONDS_DEFAULT);
    let load = |client| daemon.measure(client, case.operation, connections, seconds);
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        rounds.push(Round { theirs: load(theirs)?, ours: load(ours)? });
    }
    print_case(case, connections, &rounds);
    Ok(())
}

fn print_case(case: &Case, connections: usize, rounds: &[Round]) {
    let median_of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect()).unwrap_or(0.0);
    println!(
        "{:9} {connections} conn.   libvirt's {:6.0}/s p50 {:6.0} µs client CPU {:6.1} µs   \
         libvirsecret {:6.0}/s p50 {:6.0} µs client CPU {:6.1} µs   rate × {:.2}{}, client CPU × {:.3}",
        case.operation,
        median_of(|round| round.theirs.per_second),
        median_of(|round| round.theirs.p50_us),
        median_of(|round| round.theirs.client_cpu_us),
        median_of(|round| round.ours.per_second),
        median_of(|round| round.ours.p50_us),
        median_of(|round| round.ours.client_cpu_us),
        median_of(|round| round.ours.per_second / round.theirs.per_second),
        Goal(case.goal),
        median_of(|round| round.ours.client_cpu_us / round.theirs.client_cpu_us),
    );
}
