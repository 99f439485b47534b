//! A request to the API whose caller and operation are known: the argument of every handler.

use http::{HeaderMap, header};
use model::{Call, ContainerId, Guarded, SecretId};
use tracing::error;
use transport::Origin;
use vault::{Action, Error, Vault};

use crate::accept::Accept;
use crate::microversion::Microversion;
use crate::problem::Problem;
use crate::query::Query;
use crate::table::Route;

/// The content type of every JSON body.
pub(crate) const JSON: &str = "application/json";

/// One request.
pub(crate) struct ApiRequest<'r> {
    /// The vault that serves it.
    pub vault: &'r Vault,
    /// The caller, and the time.
    pub call: &'r Call,
    /// Its row of the table.
    pub route: &'static Route,
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// The types of answer that it accepts.
    pub accept: &'r Accept<'r>,
    /// Its query string.
    pub query: &'r Query<'r>,
    /// The revision of the API it is written for.
    pub version: Microversion,
    /// The beginning of references to this server.
    pub origin: &'r Origin<'r>,
    /// Its body, up to the limit.
    pub body: &'r [u8],
}

impl ApiRequest<'_> {
    /// The problem that an error of the vault is to the caller. What failed inside goes to the log.
    pub(crate) fn failed(&self, error: &Error) -> Problem {
        let problem = Problem::of_vault(self.route.name, error);
        if problem.status.is_server_error() {
            error!(request = %self.call.request, operation = self.route.name, %error, "request failed");
        }
        problem
    }

    /// The result of the vault, its error as a problem.
    pub(crate) fn or_problem<T>(&self, given: Result<T, Error>) -> Result<T, Problem> {
        given.map_err(|error| self.failed(&error))
    }

    /// The problem of a request that is wrong in itself. If its caller may not make such a request, that comes first, and
    /// the attempt is written down.
    pub(crate) async fn refuse(&self, action: Action, id: Option<SecretId>, problem: Problem) -> Problem {
        self.vault.refuse(self.call, action, id).await.map_or_else(|error| self.failed(&error), |()| problem)
    }

    /// The same, for what belongs to a secret or a container.
    pub(crate) async fn refuse_of(&self, action: Action, of: Guarded, problem: Problem) -> Problem {
        self.vault
            .refuse_of(self.call, action, of)
            .await
            .map_or_else(|error| self.failed(&error), |()| problem)
    }

    /// The typed request, or the problem of one that is wrong in itself, by [`Self::refuse`].
    pub(crate) async fn or_refuse<T>(
        &self,
        action: Action,
        id: Option<SecretId>,
        typed: Result<T, Problem>,
    ) -> Result<T, Problem> {
        match typed {
            Ok(typed) => Ok(typed),
            Err(problem) => Err(self.refuse(action, id, problem).await),
        }
    }

    /// The same, for what belongs to a secret or a container.
    pub(crate) async fn or_refuse_of<T>(
        &self,
        action: Action,
        of: Guarded,
        typed: Result<T, Problem>,
    ) -> Result<T, Problem> {
        match typed {
            Ok(typed) => Ok(typed),
            Err(problem) => Err(self.refuse_of(action, of, problem).await),
        }
    }

    /// A mistake in this operation.
    pub(crate) fn issue(&self, status: http::StatusCode, reason: &str) -> Problem {
        Problem::issue(status, self.route.name, reason)
    }

    /// The media type of the body, without parameters: compared exactly, as Barbican does.
    pub(crate) fn content_type(&self) -> &str {
        content_type(self.headers)
    }

    /// The body of a request that says it is JSON, or 415.
    pub(crate) fn json_body(&self) -> Result<&[u8], Problem> {
        match self.content_type() {
            JSON => Ok(self.body),
            _ => Err(Problem::unsupported_type("['application/json']")),
        }
    }

    /// The URL of a path behind `/v1/`.
    pub(crate) fn url(&self, path: impl std::fmt::Display) -> String {
        format!("{}/v1/{path}", self.origin.url())
    }

    /// A reference to a secret.
    pub(crate) fn secret_ref(&self, id: SecretId) -> String {
        self.url(format_args!("secrets/{id}"))
    }

    /// A reference to a container.
    pub(crate) fn container_ref(&self, id: ContainerId) -> String {
        self.url(format_args!("containers/{id}"))
    }

    /// A reference to a secret or a container.
    pub(crate) fn guarded_ref(&self, of: Guarded) -> String {
        match of {
            Guarded::Secret(id) => self.secret_ref(id),
            Guarded::Container(id) => self.container_ref(id),
        }
    }
}

/// The media type of a body, without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split_once(';').map_or(value, |(media_type, _)| media_type)
}
