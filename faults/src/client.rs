//! A client of the REST door with one connection.

use std::time::Duration;

use ureq::Agent;
use ureq::http::Request;

use crate::Result;

/// The longest wait for a response: then the server hangs.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// The status and the body of a response.
pub(crate) type Answer = (u16, String);

/// A client of project `p`.
pub(crate) struct Client {
    agent: Agent,
    url: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER_MAX)).build();
        Self { agent: config.into(), url: url.to_owned() }
    }

    /// Sends a request. Fails if the connection ends or no response comes in time.
    pub(crate) fn ask(&self, method: &str, path: &str, content_type: &str, body: &str) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("X-Project-Id", "p")
            .header("Content-Type", content_type)
            .body(body.to_owned())?;
        let mut answer = self.agent.run(request)?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), text))
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        let request = Request::builder()
            .uri(format!("{}{path}", self.url))
            .header("X-Project-Id", "p")
            .header("Accept", if path.ends_with("/payload") { "text/plain" } else { "application/json" })
            .body(())?;
        let mut answer = self.agent.run(request)?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), text))
    }
}
