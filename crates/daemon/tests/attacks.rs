//! Attacks on donjond in its real set-ups: with Keystone's tokens, with users whom polkit has not admitted, and as the
//! packaged unit under systemd.
//!
//! A generator (`attacks/hostile.rs`) makes the requests and prints its seed. `DONJON_TEST_ATTACKS` sets their number,
//! `DONJON_TEST_SEED` another seed. The message of a failure has the number of the harmful request.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails may panic"
)]

#[path = "attacks/hostile.rs"]
mod hostile;
#[path = "attacks/liar.rs"]
mod liar;
mod support;

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hostile::{Hostile, PAYLOAD_MARK, Pace, SMUGGLED, TOKEN_MARK, World};
use liar::Liar;
use support::{Client, PATIENCE, Server, process};

/// How many hostile requests there are, unless DONJON_TEST_ATTACKS says another number.
const ATTACKS: u64 = 4000;
/// And how many at the packaged unit.
const UNIT_ATTACKS: u64 = 500;
/// Attackers at once.
const ATTACKERS: usize = 12;
/// The honest client's token and its payload.
const HONEST: &str = "honest-tokmark7f3a";
const HONEST_PAYLOAD: &str = "the honest one's paymark9c1e";
const KNOWN: &[(&str, &str)] = &[("member-tokmark7f3a", "attacker"), (HONEST, "victim")];
/// The allowed statuses. 501 and 505 are for unknown codings and versions.
const STATUSES: &[u16] = &[
    100, 200, 201, 202, 204, 300, 400, 401, 403, 404, 405, 406, 408, 409, 413, 414, 415, 417, 431, 501, 503,
    505,
];
/// The most memory of the server under attack, without optimisation: 48 MiB were measured.
const RESIDENT_KIB_MAX: i64 = 128 * 1024;

fn number_from(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// An honest client, beside the attackers.
struct Honest {
    client: Client,
    token: &'static str,
}

impl Honest {
    fn at(address: SocketAddr, token: &'static str) -> Self {
        Self { client: Client::connect(address).unwrap(), token }
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> support::Answer {
        let headers =
            format!("Content-Type: application/json\r\nAccept: */*\r\nX-Auth-Token: {}\r\n", self.token);
        self.client.ask_as(method, path, &headers, body.as_bytes()).unwrap()
    }

    /// The id of the created object.
    fn make(&mut self, path: &str, body: &str) -> String {
        let answer = self.ask("POST", path, body);
        assert!(matches!(answer.status, 201 | 202), "{path}: {}", answer.text());
        answer.text().rsplit('/').next().unwrap().trim_end_matches("\"}").to_owned()
    }

    /// One secret from its making to its end.
    fn go_round(&mut self) {
        let body = format!(
            r#"{{"name": "h", "payload": "{HONEST_PAYLOAD}", "payload_content_type": "text/plain"}}"#
        );
        let path = format!("/v1/secrets/{}", self.make("/v1/secrets", &body));
        assert_eq!(self.ask("GET", &format!("{path}/payload"), "").text(), HONEST_PAYLOAD);
        assert_eq!(self.ask("DELETE", &path, "").status, 204);
    }
}

/// A server with a lying Keystone, and the means of the attackers.
struct Place {
    folder: tempfile::TempDir,
    keystone: Liar,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keystone = Liar::start(KNOWN);
        let config = write_config(folder.path(), &keystone);
        let server = Server::start_with(folder.path(), &["--log", "trace", "--config", &config]);
        Self { folder, keystone, server }
    }

    /// The server's files, by name.
    fn told(&self) -> Vec<(String, Vec<u8>)> {
        let names = ["stderr.txt", "audit.log"].map(|name| self.folder.path().join(name));
        names.into_iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
    }
}

fn write_config(folder: &Path, keystone: &Liar) -> String {
    let path = folder.join("donjon.toml");
    let text = format!(
        "auth = \"keystone\"\npolicy = \"legacy\"\n[limits]\nheader_seconds = 1\nbody_seconds = 1\n[keystone]\n\
         auth_url = \"http://{}\"\nusername = \"donjond\"\nuser_domain_id = \"default\"\nproject_name = \"service\"\n\
         project_domain_name = \"Default\"\npassword = \"hunter22\"\n",
        keystone.address
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// Things of the attacker's own and of the victim's.
fn world(address: SocketAddr) -> World {
    let (mut attacker, mut victim) = (Honest::at(address, KNOWN[0].0), Honest::at(address, HONEST));
    let secret =
        |payload: &str| format!(r#"{{"payload": "{payload}", "payload_content_type": "text/plain"}}"#);
    let order = r#"{"type": "key", "meta": {"algorithm": "aes", "bit_length": 256}}"#;
    let mut world = World { secrets: Vec::new(), containers: Vec::new(), orders: Vec::new() };
    for _ in 0..8 {
        world.secrets.push(attacker.make("/v1/secrets", "{}"));
    }
    for (owner, payload) in [(&mut attacker, PAYLOAD_MARK), (&mut victim, HONEST_PAYLOAD)] {
        world.secrets.push(owner.make("/v1/secrets", &secret(payload)));
        world.containers.push(owner.make("/v1/containers", r#"{"type": "generic"}"#));
        world.orders.push(owner.make("/v1/orders", order));
    }
    world
}

/// Sends bytes, and returns all responses until the connection ends.
fn send(address: SocketAddr, attack: &Hostile) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    if attack.pace == Pace::Slowly {
        for piece in attack.bytes.chunks(attack.bytes.len().div_ceil(40).max(1)) {
            stream.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(2)); // The pace is what is tested.
        }
    } else {
        stream.write_all(&attack.bytes)?;
    }
    let mut answers = Vec::new();
    match attack.pace {
        Pace::ThenGone => return Ok(answers),
        // The response to a complete request comes before the rest is sent.
        Pace::ThenNoMore => {
            let mut some = [0; 65_536];
            stream.set_read_timeout(Some(Duration::from_millis(100)))?;
            loop {
                match stream.read(&mut some) {
                    Ok(0) => return Ok(answers),
                    Ok(count) => answers.extend(&some[..count]),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        break;
                    }
                    Err(error) => return ended(answers, error),
                }
                if stops_here(&answers) {
                    break;
                }
            }
            stream.set_read_timeout(Some(PATIENCE))?;
            let _ = stream.shutdown(Shutdown::Write);
        }
        Pace::AtOnce | Pace::Slowly => {}
    }
    match stream.read_to_end(&mut answers) {
        Ok(_) => Ok(answers),
        Err(error) => ended(answers, error),
    }
}

/// A reset counts as an end; silence does not.
fn ended(answers: Vec<u8>, error: std::io::Error) -> std::io::Result<Vec<u8>> {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) { Err(error) } else { Ok(answers) }
}

/// Whether the bytes so far are complete responses.
fn stops_here(answers: &[u8]) -> bool {
    !answers.is_empty() && read_answers(answers).is_ok_and(|(_, rest)| rest == 0)
}

/// The statuses and heads of some answers, and how many bytes of the last are there without the rest.
fn read_answers(mut bytes: &[u8]) -> Result<(Vec<(u16, String)>, usize), String> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok((answers, bytes.len()));
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("no status line: {head:?}"))?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        let rest = &bytes[end + 4..];
        // The answer to a HEAD has a length and no body.
        let is_without = rest.starts_with(b"HTTP/1.") || matches!(status, 100 | 204 | 304);
        let length = if is_without { 0 } else { length.unwrap_or(0) };
        answers.push((status, head));
        if length > rest.len() {
            return Ok((answers, if rest.is_empty() { 0 } else { rest.len() }));
        }
        bytes = &rest[length..];
    }
    Ok((answers, 0))
}

/// The faults in the responses to an attack.
fn wrong(answers: &[u8]) -> Option<String> {
    let (heads, _) = match read_answers(answers) {
        Ok(read) => read,
        Err(error) => return Some(error),
    };
    for (status, head) in &heads {
        if !STATUSES.contains(status) {
            return Some(format!("answered {status}: {head}"));
        }
        if head.lines().any(|line| line.to_ascii_lowercase().starts_with(SMUGGLED)) {
            return Some(format!("a header came in from outside: {head}"));
        }
    }
    let shows = |text: &str| process::count_in(answers, text.as_bytes()) > 0;
    if shows(HONEST_PAYLOAD) {
        return Some("a payload of another project".to_owned());
    }
    shows(HONEST).then(|| "another's token".to_owned())
}

/// The outcome of the attacks.
#[derive(Debug, Default)]
struct Tally {
    answers: std::collections::BTreeMap<u16, u64>,
    unanswered: u64,
}

/// Attacks an address while an honest client goes on, which fails if it is not served.
fn attack(address: SocketAddr, honest: impl FnMut() + Send) -> Tally {
    let seed = number_from("DONJON_TEST_SEED", 11);
    let count = number_from("DONJON_TEST_ATTACKS", ATTACKS);
    eprintln!("{count} attacks with DONJON_TEST_SEED={seed}");
    attack_with(address, seed, count, &world(address), honest)
}

fn attack_with(
    address: SocketAddr,
    seed: u64,
    count: u64,
    world: &World,
    mut honest: impl FnMut() + Send,
) -> Tally {
    let (next, over, tally) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Tally::default()));
    let slowest = std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                honest();
                slowest = slowest.max(begin.elapsed());
            }
            slowest
        });
        let attackers: Vec<_> = (0..ATTACKERS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count || over.load(Ordering::Relaxed) {
                            break;
                        }
                        let attack = hostile::hostile(seed, number, world);
                        let answers = match send(address, &attack) {
                            Ok(answers) => answers,
                            Err(error)
                                if matches!(
                                    error.kind(),
                                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                                ) =>
                            {
                                Vec::new()
                            }
                            Err(error) => {
                                panic!("attack {number}: {error}: {}", hostile::shown(&attack.bytes))
                            }
                        };
                        if let Some(wrong) = wrong(&answers) {
                            panic!(
                                "attack {number} ({:?}): {wrong}\n{}",
                                attack.pace,
                                hostile::shown(&attack.bytes)
                            );
                        }
                        let mut tally = tally.lock().unwrap();
                        let (heads, _) = read_answers(&answers).unwrap();
                        tally.unanswered += u64::from(heads.is_empty());
                        for (status, _) in heads {
                            *tally.answers.entry(status).or_default() += 1;
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = attackers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        let slowest = one.join().expect("the honest client is served");
        for ended in ended {
            ended.expect("the attack did no harm");
        }
        slowest
    });
    let tally = tally.into_inner().unwrap();
    eprintln!("{tally:?}; an honest round took {slowest:?} at most");
    tally
}

#[test]
fn hostile_requests_in_keystone_mode_harm_nobody() {
    let mut place = Place::new();
    let address = place.server.address;
    let mut honest = Honest::at(address, HONEST);
    honest.go_round();
    let tally = attack(address, || honest.go_round());
    assert!(place.server.is_running());
    honest.go_round();

    // The generator reaches every part of the API.
    for status in [200, 201, 204, 400, 401, 403, 404, 405, 503] {
        assert!(tally.answers.contains_key(&status), "{status} never came: {tally:?}");
    }
    for (file, told) in place.told() {
        for mark in [TOKEN_MARK, PAYLOAD_MARK] {
            let at = told.windows(mark.len()).position(|bytes| bytes == mark.as_bytes());
            let around = at.map(|at| {
                String::from_utf8_lossy(&told[at.saturating_sub(400)..at + mark.len()]).into_owned()
            });
            assert_eq!(around, None, "{mark} is in {file}");
        }
    }
    let log = String::from_utf8_lossy(&place.told()[0].1).into_owned();
    let panicked: Vec<_> = log.lines().filter(|line| line.contains("panic")).collect();
    assert_eq!(panicked, Vec::<&str>::new());
    let (resident, peak) = (process::resident_kib(place.server.pid()), peak_kib(place.server.pid()));
    let counts = &place.keystone.counts;
    eprintln!(
        "{resident} KiB, {peak} at most; Keystone was asked {} times over {} connections; {} bytes of log",
        counts.validations.load(Ordering::SeqCst),
        counts.connections_max.load(Ordering::SeqCst),
        log.len()
    );
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
    assert!(
        counts.connections_max.load(Ordering::SeqCst) <= 64,
        "as many as questions are allowed at once, and as many again"
    );
}

/// polkit and the system bus are the real ones, in namespaces: see `polkit.py`.
#[test]
fn hostile_frames_of_unauthorised_users_harm_nobody() {
    let data = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/polkit_attacks.py");
    let output = std::process::Command::new("python3")
        .arg(script)
        .args(["--", support::DONJOND, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off"])
        .args(["--libvirt-socket", "/run/libvirt/virtsecretd-sock", "--libvirt-socket-mode", "0666"])
        .args(["--libvirt-auth", "polkit", "--data-dir"])
        .arg(data.path())
        .output()
        .expect("python3 is not installed: run `cargo xtask test`, which installs it");
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// systemd is the first process of a container there: see `unit.py`.
#[test]
fn the_packaged_unit_keeps_its_promises_under_attack() {
    let folder = tempfile::tempdir().unwrap();
    let keystone = Liar::start(KNOWN);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut script = std::process::Command::new("python3")
        .arg(tests.join("unit.py"))
        .args(["--config", &write_config(folder.path(), &keystone), "--packaging"])
        .arg(tests.join("../../../packaging"))
        .args(["--", support::DONJOND])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is not installed: run `cargo xtask test`, which installs it");
    for line in BufReader::new(script.stdout.take().unwrap()).lines().map(Result::unwrap) {
        eprintln!("{line}");
        if let Some(address) = line.strip_prefix("attack ") {
            let address = address.parse().unwrap();
            let (seed, mut honest) = (number_from("DONJON_TEST_SEED", 11), Honest::at(address, HONEST));
            attack_with(address, seed, UNIT_ATTACKS, &world(address), || honest.go_round());
            script.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        }
    }
    assert!(script.wait().unwrap().success(), "it says above what failed");
}

/// The most memory that a process had, in KiB.
fn peak_kib(pid: u32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
