//! The requests of clients while something breaks: secrets are created, filled, labelled, read and deleted.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::Result;
use crate::client::{Answer, Client};
use crate::ledger::{Content, Ledger, State};

/// The most bytes of a payload: several pages of the database, and less than Barbican's limit.
const PAYLOAD_MAX: usize = 12_000;

/// The outcome of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Done,
    /// 503.
    Refused,
    /// The connection ended, or no response came.
    Unanswered,
}

/// The requests of one client.
pub(crate) struct Workload {
    rng: Rng,
    pub(crate) ledger: Ledger,
    /// The outcomes, counted.
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
}

impl Workload {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), ledger: Ledger::default(), outcomes: BTreeMap::new() }
    }

    /// Goes on with the ledger of an earlier run.
    pub(crate) fn resume(seed: u64, ledger: Ledger) -> Self {
        Self { ledger, ..Self::new(seed) }
    }

    /// Sends one request. A response that is not allowed is an error.
    pub(crate) fn step(&mut self, client: &Client) -> Result<Outcome> {
        let count = self.ledger.certain_secrets().count();
        let chosen = self.ledger.certain_secrets().nth(self.rng.usize(..count.max(1)));
        let Some((id, kept)) = chosen.map(|(id, kept)| (id.clone(), kept.clone())) else {
            return self.create(client);
        };
        let outcome = match self.rng.u8(..10) {
            0..4 => return self.create(client),
            4 | 5 if kept.payload.is_none() => {
                let payload = self.payload();
                let path = format!("/v1/secrets/{id}");
                let answer = client.ask("PUT", &path, "text/plain", &payload);
                let filled = Content { payload: Some(payload), ..kept.clone() };
                self.note_change(answer, &id, Some(filled), false)?
            }
            6 | 7 => {
                let label = format!("label-{}", self.rng.u32(..));
                let path = format!("/v1/secrets/{id}/metadata");
                let body = format!("{{\"metadata\": {{\"label\": \"{label}\"}}}}");
                let answer = client.ask("PUT", &path, "application/json", &body);
                self.note_change(answer, &id, Some(Content { label: Some(label), ..kept.clone() }), false)?
            }
            8 => {
                let answer = client.ask("DELETE", &format!("/v1/secrets/{id}"), "text/plain", "");
                // A deletion with 503 may be done: only emptying the log has failed.
                self.note_change(answer, &id, None, true)?
            }
            _ => self.read(client, &id, &kept)?,
        };
        Ok(outcome)
    }

    fn payload(&mut self) -> String {
        let length =
            if self.rng.u8(..4) == 0 { self.rng.usize(1..PAYLOAD_MAX) } else { self.rng.usize(1..200) };
        std::iter::repeat_with(|| self.rng.alphanumeric()).take(length).collect()
    }

    fn create(&mut self, client: &Client) -> Result<Outcome> {
        let payload = (self.rng.u8(..3) > 0).then(|| self.payload());
        let body = match &payload {
            Some(payload) => {
                format!("{{\"payload\": \"{payload}\", \"payload_content_type\": \"text/plain\"}}")
            }
            None => "{\"name\": \"empty\"}".to_owned(),
        };
        match client.ask("POST", "/v1/secrets", "application/json", &body) {
            Ok((201, body)) => {
                let reference: serde_json::Value = serde_json::from_str(&body)?;
                let id = reference
                    .get("secret_ref")
                    .and_then(serde_json::Value::as_str)
                    .and_then(|href| href.rsplit('/').next());
                let id = id.ok_or("a create without a reference")?;
                self.ledger.set_state(id, Some(Content { payload, label: None }));
                Ok(self.count(Outcome::Done))
            }
            Ok((503, _)) => Ok(self.count(Outcome::Refused)),
            Ok((status, body)) => Err(format!("a create is {status}: {body}").into()),
            Err(_) => {
                self.ledger.unanswered += 1;
                Ok(self.count(Outcome::Unanswered))
            }
        }
    }

    fn read(&mut self, client: &Client, id: &str, kept: &Content) -> Result<Outcome> {
        let Ok((status, body)) = client.get(&format!("/v1/secrets/{id}/payload")) else {
            return Ok(self.count(Outcome::Unanswered));
        };
        match (status, &kept.payload) {
            (200, Some(payload)) if *payload == body => Ok(self.count(Outcome::Done)),
            (404, None) => Ok(self.count(Outcome::Done)),
            (503, _) => Ok(self.count(Outcome::Refused)),
            _ => Err(format!("a read of {id} is {status}: {body}; acknowledged was {kept:?}").into()),
        }
    }

    /// Notes the outcome of a change of one secret.
    fn note_change(
        &mut self,
        answer: Result<Answer>,
        id: &str,
        state: State,
        refused_may_be_done: bool,
    ) -> Result<Outcome> {
        let outcome = match answer {
            Ok((200..=299, _)) => {
                self.ledger.set_state(id, state);
                Outcome::Done
            }
            Ok((503, _)) => {
                if refused_may_be_done {
                    self.ledger.add_possible_state(id, state);
                }
                Outcome::Refused
            }
            Ok((status, body)) => return Err(format!("a change of {id} is {status}: {body}").into()),
            Err(_) => {
                self.ledger.add_possible_state(id, state);
                Outcome::Unanswered
            }
        };
        Ok(self.count(outcome))
    }

    fn count(&mut self, outcome: Outcome) -> Outcome {
        let name = match outcome {
            Outcome::Done => "done",
            Outcome::Refused => "503",
            Outcome::Unanswered => "unanswered",
        };
        *self.outcomes.entry(name).or_default() += 1;
        outcome
    }
}
