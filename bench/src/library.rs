//! The C library, beside libvirt's own: the same compiled client on the same donjond, by turns.
//!
//! The client is linked with libvirt's library and finds ours in its place, by LD_LIBRARY_PATH. CPU time is the client's
//! alone, from the first call to the last; it says more than rates do where the daemon is the slower of the two.

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
/// The wall time of a short program, of what it is with libvirt's library, at the most.
const START_GOAL: f64 = 0.5;
/// The first that load.c makes.
const SECRET: &str = "10ad0000-0000-4000-8000-000000000000";
const LIBRARY: &str = "libvirt.so.0";

/// What is called on how many connections, and what rate is wanted of ours, as a share of libvirt's.
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

/// What both did in one round.
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

/// Where xtask has installed ours as libvirt's.
fn stage() -> Result<PathBuf> {
    let folder = crate::target()?.join("library/stage/usr/lib");
    if folder.join(LIBRARY).exists() {
        Ok(folder)
    } else {
        Err(format!("{} is not in {}: run cargo xtask bench library", LIBRARY, folder.display()).into())
    }
}

/// How large each library is and what it loads.
fn sizes(program: &Path, stage: &Path) -> Result<()> {
    let theirs = Loaded::by(&mut Command::new("ldd"), program)?;
    let ours = Loaded::by(Command::new("ldd").env("LD_LIBRARY_PATH", stage), program)?;
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

/// What the dynamic linker loads for a program.
struct Loaded {
    library: PathBuf,
    count: usize,
}

impl Loaded {
    fn by(ldd: &mut Command, program: &Path) -> Result<Self> {
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

/// From fork to exit of a program that gets one value.
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

/// One operation on so many connections. Both libraries take turns in each round.
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
    tell(case, connections, &rounds);
    Ok(())
}

fn tell(case: &Case, connections: usize, rounds: &[Round]) {
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect()).unwrap_or(0.0);
    println!(
        "{:9} {connections} conn.   libvirt's {:6.0}/s p50 {:6.0} µs client CPU {:6.1} µs   \
         libvirsecret {:6.0}/s p50 {:6.0} µs client CPU {:6.1} µs   rate × {:.2}{}, client CPU × {:.3}",
        case.operation,
        of(|round| round.theirs.per_second),
        of(|round| round.theirs.p50_us),
        of(|round| round.theirs.client_cpu_us),
        of(|round| round.ours.per_second),
        of(|round| round.ours.p50_us),
        of(|round| round.ours.client_cpu_us),
        of(|round| round.ours.per_second / round.theirs.per_second),
        Goal(case.goal),
        of(|round| round.ours.client_cpu_us / round.theirs.client_cpu_us),
    );
}
