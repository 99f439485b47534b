//! Finds the lines about changes that the store does not have.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use serde_json::Value;

use super::note::{self, Event};
use super::parse::Parsed;

/// How many changes are listed one by one; of the others only the count is shown.
const TOLD_MAX: usize = 5;
/// The second line of a failed change comes before so many further changes: no more can wait for the writer.
const FAILED_WITHIN: usize = 4096;

/// Changes that a trail has as committed.
#[derive(Clone, Debug, Default)]
pub struct LostChanges {
    /// All such changes that were read, by number.
    pub numbers: Vec<u64>,
    /// The number of the first change.
    pub first: Vec<LostChange>,
    /// The time of the last change.
    pub until: String,
    recent: VecDeque<(String, u64)>,
}

/// One lost change.
#[derive(Clone, Debug)]
pub struct LostChange {
    /// Its number.
    pub number: u64,
    /// The time of the request.
    pub time: String,
    /// The id of the request.
    pub request: String,
    /// The requested action.
    pub action: String,
    /// The kind and id of the changed thing.
    pub of: String,
}

impl LostChanges {
    /// Collects the changes with numbers above `after`, up to `through`. Verifies nothing.
    pub fn find(mut trail: impl BufRead, after: u64, through: u64) -> io::Result<Self> {
        let mut found = Self::default();
        let mut line = Vec::new();
        while trail.read_until(b'\n', &mut line)? > 0 {
            let whole = line.strip_suffix(b"\n").unwrap_or(&line);
            if let Some(parsed) = Parsed::line(whole) {
                match parsed.change {
                    Some(number) if number > after && number <= through => found.add(number, whole),
                    None if parsed.is_of_service() => found.forget_declared(whole),
                    None if !found.numbers.is_empty() => found.forget_failed(whole),
                    _ => {}
                }
            }
            line.clear();
        }
        Ok(found)
    }

    fn add(&mut self, number: u64, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.numbers.push(number);
        self.until = text("time");
        if self.recent.len() == FAILED_WITHIN {
            self.recent.pop_front();
        }
        self.recent.push_back((text("request"), number));
        if self.first.len() < TOLD_MAX {
            let of = ["secret", "container", "order", "transport_key", "quotas_of"]
                .into_iter()
                .find_map(|name| Some(format!("{name} {}", line.get(name)?.as_str()?)))
                .unwrap_or_default();
            self.first.push(LostChange {
                number,
                time: text("time"),
                request: text("request"),
                action: text("action"),
                of,
            });
        }
    }

    /// Removes a change whose commit failed: the store never had it.
    fn forget_failed(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        if line.get("outcome").and_then(Value::as_str) != Some("failed") {
            return;
        }
        let request = line.get("request").and_then(Value::as_str).unwrap_or_default();
        if let Some((_, failed)) = self.recent.iter().find(|(recent, _)| recent == request) {
            let failed = *failed;
            self.retain(|number| number != failed);
        }
    }

    /// Removes the changes whose loss the operator has accepted.
    fn forget_declared(&mut self, line: &[u8]) {
        if let Some((_, Event::AcceptRollback { lost_after, .. })) = note::read(line) {
            self.retain(|number| number <= lost_after);
        }
    }

    fn retain(&mut self, keeps: impl Fn(u64) -> bool) {
        self.numbers.retain(|number| keeps(*number));
        self.first.retain(|change| keeps(change.number));
        self.recent.retain(|(_, number)| keeps(*number));
    }
}
