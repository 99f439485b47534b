//! One request to the API, from the caller to the answer.
//!
//! ```text
//! identify ─▶ microversion ─▶ path, method, Accept ─▶ body ─▶ handler
//! ```

use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::body::Body as HttpBody;
use model::{Call, Guarded, RequestId};
use tracing::{Instrument as _, debug, debug_span};
use transport::{Arriving, Authenticator, BodyError, Limits, Metrics, Origin, RequestBody, Unidentified};
use vault::{Absent, Action, Error, Vault};

use crate::accept::Accept;
use crate::media_types;
use crate::metrics::CountedOperation;
use crate::microversion::Microversion;
use crate::negotiate::choose;
use crate::page::{self, Page};
use crate::parameters::Owner;
use crate::path::{self, Found};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::{Body, Reply};
use crate::request::{ApiRequest, JSON, content_type};
use crate::routes;
use crate::table::{Route, Verb};
use crate::write::Object;

/// When to try again while Keystone does not answer: it is asked once a second then.
const RETRY_AFTER_S: u8 = 1;

/// The parts of the door that serve the API.
pub(crate) struct Api {
    pub vault: Arc<Vault>,
    pub auth: Authenticator,
    pub limits: Limits,
    pub metrics: Metrics,
}

/// An answer, the operation it is counted as, and the version that was agreed on.
pub(crate) struct Answered {
    pub asked: CountedOperation,
    pub spoken: Option<Microversion>,
    pub reply: Reply,
}

impl Answered {
    /// Adds the headers of every answer.
    pub(crate) fn finish(self, request: RequestId) -> (CountedOperation, Response<Body>) {
        (self.asked, self.reply.finish(self.spoken, request))
    }
}

/// One request to the API, before its caller is known.
pub(crate) struct Exchange<'r> {
    pub api: &'r Api,
    pub head: &'r Parts,
    pub accept: &'r Accept<'r>,
    pub origin: &'r Origin<'r>,
    pub request: RequestId,
}

impl Exchange<'_> {
    /// Answers it: identifies the caller, chooses the operation, and lets its handler do it.
    pub(crate) async fn answer<B: HttpBody>(
        &self,
        rest: &str,
        body: &mut Arriving<'_, B>,
    ) -> (CountedOperation, Response<Body>) {
        let (request, head) = (self.request, self.head);
        let span = debug_span!("request", %request, method = %head.method, path = head.uri.path());
        let answered = self.ask_api(rest, body).instrument(span).await;
        debug!(%request, status = answered.reply.status.as_u16(), "answered");
        answered.finish(request)
    }

    async fn ask_api<B: HttpBody>(&self, rest: &str, body: &mut Arriving<'_, B>) -> Answered {
        let (rest, extension) = media_types::without_extension(rest);
        let found = path::v1(&rest);
        let verb = Verb::from_method(&self.head.method);
        // Before the caller is known: a request that is refused to a stranger is counted as its operation.
        let asked = match &found {
            Ok(found) => CountedOperation::of_resource(found.resource, verb),
            Err(_) => CountedOperation::elsewhere(verb),
        };
        let caller = match self.api.auth.identify(&self.head.headers).await {
            Ok(caller) => caller,
            Err(why) => return Answered { asked, spoken: None, reply: self.unidentified(why) },
        };
        let version = match Microversion::from_headers(&self.head.headers) {
            Ok(version) => version,
            Err(bad) => return Answered { asked, spoken: None, reply: self.page(&Page::from(&bad)) },
        };
        let time = SystemTime::now().into();
        let call = Call { caller, time, request: self.request, door: model::Door::Rest };
        let answered = match found {
            Ok(found) => self.serve(&found, verb, extension, body, version, &call).await,
            Err(problem) => Err(problem),
        };
        let reply = answered.unwrap_or_else(|problem| Reply::problem(&problem));
        Answered { asked, spoken: Some(version), reply }
    }

    /// The answer to a request without a known caller.
    fn unidentified(&self, why: Unidentified) -> Reply {
        self.api.metrics.unidentified();
        let challenge = || self.api.auth.challenge();
        match why {
            // The texts of Barbican and of keystonemiddleware, where they have one.
            Unidentified::MissingProject => self.page(&Page::BadRequest("Missing X-Project-Id".to_owned())),
            Unidentified::Repeated(_)
            | Unidentified::ProjectTooLong
            | Unidentified::UserTooLong
            | Unidentified::TooManyRoles
            | Unidentified::RoleTooLong => self.page(&Page::BadRequest(why.to_string())),
            Unidentified::Unauthenticated => {
                let message = "The request you have made requires authentication.";
                let mut error = Object::new();
                error.json("code", 401).text("title", "Unauthorized").text("message", message);
                let text = Object::new().json("error", error.end()).end();
                Reply { challenge: challenge(), ..Reply::json(StatusCode::UNAUTHORIZED, text) }
            }
            Unidentified::NoProject => Reply { challenge: challenge(), ..self.page(&Page::Unauthorized) },
            Unidentified::Unavailable => {
                let reason = "The Keystone service is temporarily unavailable.".to_owned();
                Reply { retry_after_s: Some(RETRY_AFTER_S), ..self.page(&Page::Unavailable(reason)) }
            }
        }
    }

    /// A page, without its text when only the head is asked for. An empty Accept header counts as no header here.
    fn page(&self, page: &Page) -> Reply {
        let reply = match self.accept.as_sent() {
            Some("") => page.reply(&Accept::Absent),
            _ => page.reply(self.accept),
        };
        if self.head.method == Method::HEAD { page::without_body(reply) } else { reply }
    }

    /// Chooses the operation, receives its body, and lets the handler answer.
    async fn serve<B: HttpBody>(
        &self,
        found: &Found<'_>,
        verb: Option<Verb>,
        extension: Option<&str>,
        body: &mut Arriving<'_, B>,
        version: Microversion,
        call: &Call,
    ) -> Result<Reply, Problem> {
        let route = choose(found.resource, found.rest, verb, self.accept, extension);
        let query = Query::parse(self.head.uri.query()).map_err(|_| Problem::bad_request(""));
        let (route, query) = match route.and_then(|route| Ok((route, query?))) {
            Ok(chosen) => chosen,
            Err(problem) => return Err(self.unless_hidden(found, call, problem).await),
        };
        let body = self.body(found, route, body, call).await?;
        let api_request = ApiRequest {
            vault: &self.api.vault,
            call,
            route,
            headers: &self.head.headers,
            accept: self.accept,
            query: &query,
            version,
            origin: self.origin,
            body: &body.bytes,
        };
        let handled = routes::handle(found.path, route.verb, &api_request).await;
        handled.unwrap_or_else(|| Err(Problem::method_not_allowed(None))) // The route is of this resource, so there is one.
    }

    /// The problem of a request that no handler gets. Barbican looks for the resource before anything else, so the 404 of
    /// an absent one comes first. Only callers who may read a payload learn that it cannot be written to.
    async fn unless_hidden(&self, found: &Found<'_>, call: &Call, problem: Problem) -> Problem {
        let Some(owner) = found.path.owner() else { return problem };
        let hides = found.resource.rules.hides_methods && problem.status == StatusCode::METHOD_NOT_ALLOWED;
        let vault = &self.api.vault;
        let refused = match owner {
            Owner::Secret(id) if hides => vault.refuse(call, Action::ReadPayload, Some(id)).await,
            Owner::Secret(id) => vault.refuse(call, Action::ReadSecret, Some(id)).await,
            Owner::Container(id) => {
                vault.refuse_of(call, Action::ReadContainer, Guarded::Container(id)).await
            }
            Owner::Order(id) => vault.refuse_order(call, Action::ReadOrder, id).await,
        };
        let name = found.resource.routes.first().map_or("", |route| route.name);
        match refused {
            Err(error @ Error::Absent(Absent::Secret(_) | Absent::Container | Absent::Order)) => {
                Problem::of_vault(name, &error)
            }
            Err(error @ Error::Denied(_)) if hides => Problem::of_vault(name, &error),
            Ok(()) | Err(_) => problem,
        }
    }

    /// The body, for operations that look at one. A body that is called JSON has to be UTF-8, or Barbican answers before
    /// anything else is looked at, with an empty description; here it says why.
    async fn body<B: HttpBody>(
        &self,
        found: &Found<'_>,
        route: &Route,
        body: &mut Arriving<'_, B>,
        call: &Call,
    ) -> Result<RequestBody, Problem> {
        if route.verb == Verb::Get {
            return Ok(RequestBody::empty());
        }
        let body = body.receive(&self.api.limits).await.map_err(|error| match error {
            BodyError::TimedOut => Problem::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::Broken => Problem::bad_request(error.to_string()),
        })?;
        if content_type(&self.head.headers) == JSON && !body.is_utf8() {
            return Err(self.unless_hidden(found, call, Problem::malformed_json()).await);
        }
        Ok(body)
    }
}
