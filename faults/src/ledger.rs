//! The acknowledged changes, and the comparison of a store with them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Result;
use crate::client::Client;

/// The content of one secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Content {
    pub(crate) payload: Option<String>,
    /// The value of its one pair of user metadata.
    pub(crate) label: Option<String>,
}

/// A state that a secret may have; `None` if it does not exist.
pub(crate) type State = Option<Content>;

/// The secrets of one store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// The possible states of each: one if every change was answered, more if an answer is missing.
    pub(crate) secrets: BTreeMap<String, Vec<State>>,
    /// Creates without an answer: each may have left a secret with an unknown id.
    pub(crate) unanswered: u64,
}

impl Ledger {
    /// Sets the state of a secret.
    pub(crate) fn set_state(&mut self, id: &str, state: State) {
        self.secrets.insert(id.to_owned(), vec![state]);
    }

    /// Adds a state that a secret may have, too.
    pub(crate) fn add_possible_state(&mut self, id: &str, state: State) {
        let states = self.secrets.entry(id.to_owned()).or_default();
        if !states.contains(&state) {
            states.push(state);
        }
    }

    /// The secrets with one possible state, in which they exist.
    pub(crate) fn certain_secrets(&self) -> impl Iterator<Item = (&String, &Content)> {
        self.secrets.iter().filter_map(|(id, states)| match states.as_slice() {
            [Some(kept)] => Some((id, kept)),
            _ => None,
        })
    }

    /// Compares the store with the ledger, and then keeps the state that was found.
    pub(crate) fn verify(&mut self, client: &Client) -> Result<()> {
        let mut there = 0;
        for (id, states) in &mut self.secrets {
            let found = read_state(client, id)?;
            if !states.contains(&found) {
                return Err(format!("secret {id} is {found:?}; acknowledged was {states:?}").into());
            }
            there += u64::from(found.is_some());
            *states = vec![found];
        }
        let (status, body) = client.get("/v1/secrets?limit=1")?;
        let total = serde_json::from_str::<Value>(&body).ok().and_then(|page| page.get("total")?.as_u64());
        match total {
            Some(total) if (there..=there + self.unanswered).contains(&total) => {
                self.unanswered = total - there;
                Ok(())
            }
            _ => Err(format!(
                "the list is {status} {body}; {there} secrets are known, {} creates were not answered",
                self.unanswered
            )
            .into()),
        }
    }
}

/// Reads the state of a secret.
fn read_state(client: &Client, id: &str) -> Result<State> {
    let (status, body) = client.get(&format!("/v1/secrets/{id}/metadata"))?;
    let label = match status {
        404 => return Ok(None),
        200 => serde_json::from_str::<Value>(&body)?
            .pointer("/metadata/label")
            .and_then(Value::as_str)
            .map(str::to_owned),
        _ => return Err(format!("the metadata of {id} is {status}: {body}").into()),
    };
    let payload = match client.get(&format!("/v1/secrets/{id}/payload"))? {
        (200, payload) => Some(payload),
        (404, _) => None,
        (status, body) => return Err(format!("the payload of {id} is {status}: {body}").into()),
    };
    Ok(Some(Content { payload, label }))
}
