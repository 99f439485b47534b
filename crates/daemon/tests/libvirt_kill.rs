//! kill -9 under load at the libvirt door, again and again: acknowledged secrets are there and open, undefined ones stay
//! away, ephemeral ones are gone, and no file with a value is left.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::process::{count_in, files};
use support::rpc::{self, Id, Raw};
use support::{DONJOND, Server};

/// How often the server is killed.
const KILLS: u64 = 25;
/// Clients that change secrets meanwhile, each its own.
const CLIENTS: u64 = 4;
/// Secrets that a client has at once.
const SECRETS: usize = 12;
/// The text that every value consists of.
const TEXT: &[u8] = b"hunter2 and a number, over and over: ";

/// The state of a secret; `None` if it does not exist.
type State = Option<Secret>;

#[derive(Clone, Debug, Eq, PartialEq)]
struct Secret {
    description: u64,
    private: bool,
    ephemeral: bool,
    value: Option<Value>,
}

/// Bytes that are as long as this and begin with a number: no other value is the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Value {
    number: u64,
    length: usize,
}

impl Value {
    fn bytes(self) -> Vec<u8> {
        let head = self.number.to_be_bytes();
        head.iter().chain(TEXT.iter().cycle()).copied().take(self.length).collect()
    }

    fn of(bytes: &[u8]) -> Self {
        let mut head = [0; 8];
        let known = bytes.len().min(8);
        head[..known].copy_from_slice(&bytes[..known]);
        Self { number: u64::from_be_bytes(head), length: bytes.len() }
    }
}

impl Secret {
    fn xml(&self, id: Id) -> String {
        let yes = |flag| if flag { "yes" } else { "no" };
        let attributes = format!("ephemeral='{}' private='{}'", yes(self.ephemeral), yes(self.private));
        let rest = format!(
            "<description>{}</description><usage type='ceph'><name>{}</name></usage>",
            self.description,
            rpc::text(id)
        );
        rpc::xml(id, &attributes, &rest)
    }

    /// The state that a server shows.
    fn read(client: &mut Raw, id: Id) -> Self {
        let xml = client.xml(id).unwrap().unwrap();
        let between = |from, to| xml.split_once(from).unwrap().1.split_once(to).unwrap().0;
        let value = match client.value(id).unwrap() {
            Ok(bytes) => {
                let value = Value::of(&bytes);
                assert_eq!(value.bytes(), bytes, "the value of {} is torn", rpc::text(id));
                Some(value)
            }
            Err(refused) => {
                assert_eq!(refused.code, 66, "{refused:?}");
                None
            }
        };
        Self {
            description: between("<description>", "<").parse().unwrap(),
            private: between("private='", "'") == "yes",
            ephemeral: between("ephemeral='", "'") == "yes",
            value,
        }
    }
}

/// Random enough, and the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The acknowledged secrets of one client, and its unanswered call.
struct Keeper {
    number: u64,
    dice: Dice,
    known: BTreeMap<Id, State>,
    pending: Option<(Id, State)>,
    next: u64,
    acknowledged: usize,
}

impl Keeper {
    fn new(number: u64) -> Self {
        Self {
            number,
            dice: Dice(0x9e37_79b9_7f4a_7c15 ^ (number + 1)),
            known: BTreeMap::new(),
            pending: None,
            next: 0,
            acknowledged: 0,
        }
    }

    /// Changes one thing after the other until the server is gone.
    fn run(&mut self, socket: &Path) {
        let Ok(mut client) = Raw::open(socket) else { return };
        while self.step(&mut client).is_ok() {
            self.acknowledged += 1;
        }
    }

    fn step(&mut self, client: &mut Raw) -> io::Result<()> {
        let alive: Vec<Id> =
            self.known.iter().filter(|(_, state)| state.is_some()).map(|(id, _)| *id).collect();
        if alive.len() < SECRETS && self.dice.roll(3) == 0 || alive.is_empty() {
            return self.define(client);
        }
        let id = alive[self.dice.roll(alive.len() as u64) as usize];
        let mut secret = self.known[&id].clone().unwrap();
        match self.dice.roll(8) {
            0 => {
                self.pending = Some((id, None));
                client.undefine(id)?.unwrap();
            }
            1 | 2 => {
                secret.description = self.dice.roll(u64::MAX);
                secret.private |= self.dice.roll(4) == 0;
                secret.ephemeral ^= self.dice.roll(4) == 0;
                self.pending = Some((id, Some(secret.clone())));
                client.define(&secret.xml(id))?.unwrap();
            }
            _ => {
                let length = match self.dice.roll(4) {
                    0 => 1 + self.dice.roll(16),
                    1 | 2 => 1 + self.dice.roll(4096),
                    _ => 1 + self.dice.roll(65_536),
                };
                let value = Value { number: self.dice.roll(u64::MAX), length: length as usize };
                let bytes = value.bytes();
                secret.value = Some(Value::of(&bytes)); // Of a short one only so much of the number is there.
                self.pending = Some((id, Some(secret)));
                client.set_value(id, &bytes)?.unwrap();
            }
        }
        self.settle();
        Ok(())
    }

    fn define(&mut self, client: &mut Raw) -> io::Result<()> {
        // Some ids come back: a secret that was undefined may be defined again, and has no value then.
        let gone: Vec<Id> =
            self.known.iter().filter(|(_, state)| state.is_none()).map(|(id, _)| *id).collect();
        let id = if self.dice.roll(2) == 0 && !gone.is_empty() {
            gone[self.dice.roll(gone.len() as u64) as usize]
        } else {
            self.next += 1;
            rpc::id(self.number << 32 | self.next)
        };
        let secret = Secret {
            description: self.dice.roll(u64::MAX),
            private: self.dice.roll(6) == 0,
            ephemeral: self.dice.roll(6) == 0,
            value: None,
        };
        self.pending = Some((id, Some(secret.clone())));
        client.define(&secret.xml(id))?.unwrap();
        self.settle();
        Ok(())
    }

    fn settle(&mut self) {
        let (id, state) = self.pending.take().unwrap();
        self.known.insert(id, state);
    }

    /// Compares the secrets after a kill with the acknowledged ones. The unanswered call may be done or not.
    fn check(&mut self, client: &mut Raw, listed: &[Id]) -> usize {
        let on_disk = |state: State| state.filter(|secret| !secret.ephemeral);
        let pending = self.pending.take();
        if let Some((id, _)) = &pending {
            self.known.entry(*id).or_default();
        }
        for (id, state) in &mut self.known {
            let found = listed.contains(id).then(|| Secret::read(client, *id));
            let asked = pending.as_ref().filter(|(asked, _)| asked == id).map(|(_, state)| state.clone());
            let expected = on_disk(state.take());
            let is_right = found == expected || asked.clone().is_some_and(|asked| found == on_disk(asked));
            assert!(is_right, "{}: found {found:?}, not {expected:?} or {asked:?}", rpc::text(*id));
            *state = found;
        }
        self.known.values().flatten().count()
    }
}

/// Opened as one of libvirt's daemons, which may read private values too.
fn open_with_token(server: &Server, data: &Path) -> Raw {
    let mut client = Raw::open(server.socket()).unwrap();
    let token = std::fs::read_to_string(data.join("common/system.token")).unwrap();
    client.identify(None, Some(&token)).unwrap().unwrap();
    client
}

/// The allowed files, and the text that must not be in them.
fn check_files(data: &Path) {
    const KNOWN: [&str; 7] = [
        "audit.log",
        "common/system.token",
        "donjon.db",
        "donjon.db-wal",
        "donjon.db.lock",
        "master.key",
        "stderr.txt",
    ];
    for (name, bytes) in files(data) {
        assert!(KNOWN.iter().any(|known| data.join(known) == Path::new(&name)), "{name} was left behind");
        for clear in [&TEXT[..16], b"aHVudGVyMi"] {
            assert_eq!(count_in(&bytes, clear), 0, "a value is in {name} in the clear");
        }
    }
}

#[test]
fn acknowledged_changes_survive_kills_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut keepers: Vec<Keeper> = (0..CLIENTS).map(Keeper::new).collect();
    let mut dice = Dice(4711);
    let begin = Instant::now();
    for kill in 0..KILLS {
        let server = Server::start(folder.path());
        verify(&server, folder.path(), &mut keepers);
        std::thread::scope(|scope| {
            for keeper in &mut keepers {
                let socket = server.socket().to_owned();
                scope.spawn(move || keeper.run(&socket));
            }
            // The server is killed at another moment of the load each time.
            std::thread::sleep(Duration::from_millis(100 + dice.roll(500)));
            server.kill();
        });
        if kill % 5 == 0 {
            check_files(folder.path());
        }
    }
    let server = Server::start(folder.path());
    let alive = verify(&server, folder.path(), &mut keepers);
    let acknowledged: usize = keepers.iter().map(|keeper| keeper.acknowledged).sum();
    eprintln!("{acknowledged} acknowledged changes, {KILLS} kills, {alive} secrets, {:?}", begin.elapsed());
    assert!(acknowledged > 20 * KILLS as usize, "{acknowledged} changes in all: the load did not run");
    drop(server);
    check_files(folder.path());
    for more in [&[][..], &["--audit"]] {
        let check =
            Command::new(DONJOND).arg("check").args(more).arg("--data-dir").arg(folder.path()).output();
        let check = check.unwrap();
        assert!(check.status.success(), "{more:?}: {}", String::from_utf8_lossy(&check.stderr));
    }
}

/// Checks the secrets and their number.
fn verify(server: &Server, data: &Path, keepers: &mut [Keeper]) -> usize {
    let mut client = open_with_token(server, data);
    let listed = client.list().unwrap();
    let kept: usize = keepers.iter_mut().map(|keeper| keeper.check(&mut client, &listed)).sum();
    assert_eq!(kept, listed.len(), "secrets that nobody has defined");
    assert_eq!(kept, usize::try_from(client.count().unwrap()).unwrap());
    kept
}
