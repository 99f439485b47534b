//! The door itself: a request in, an answer out.
//!
//! ```text
//! /healthcheck        ─▶ answer
//! …                   ─▶ is it for this server, and from no page of another site? ─▶
//! OPTIONS             ─▶ 200, as Barbican's CORS filter does
//! /v1… ─▶ identify ─▶ microversion ─▶ place ─▶ method ─▶ Accept ─▶ body ─▶ handler ─▶ vault
//! /…   ────────────▶ microversion ─▶ place ─▶ method ─▶ Accept ─▶ list of versions
//! ```
//!
//! The order of these steps is Barbican's, and shows: whoever sends two mistakes learns of the first.
//!
//! An answer is given when the rest of the request has come, so that it says truly whether the connection goes on.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as HttpBody, Incoming};
use model::{Call, Guarded, RequestId};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{Instrument as _, debug, debug_span};
use transport::{
    Arriving, Authenticator, BadTarget, BodyError, Browsers, Cors, Foreign, HostName, Limits, Metrics,
    Origin, RequestBody, Service, Target, Unidentified, WebOrigin, serve_connection, set_request_id,
};
use vault::{Absent, Action, Error, Vault};

use crate::accept::Accept;
use crate::media_types;
use crate::metrics::CountedOperation;
use crate::microversion::{BadVersion, Microversion};
use crate::negotiate::{accept_header, choose};
use crate::page::{self, Page};
use crate::path::{self, App, Found, Path};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::{API_VERSION, Body, Reply};
use crate::request::{ApiRequest, JSON, content_type};
use crate::resources::versions;
use crate::routes::{self, VERSIONS};
use crate::table::{Owner, Remainder, Route, Verb};
use crate::write::Object;

/// When to come again while Keystone does not answer: it is tried once a second then.
const RETRY_AFTER_S: u8 = 1;

/// Barbican's methods, and the headers that its CORS filter exposes and takes alike.
const CORS: Cors = Cors {
    methods: &["GET", "PUT", "POST", "DELETE", "PATCH"],
    headers: "X-Auth-Token,X-Openstack-Request-Id,X-Project-Id,X-Identity-Status,X-User-Id,X-Storage-Token,\
              X-Domain-Id,X-User-Domain-Id,X-Project-Domain-Id,X-Roles",
};

/// How the door behaves.
#[derive(Clone, Debug, Default)]
pub struct DoorConfig {
    /// How callers are identified.
    pub auth: Authenticator,
    /// What references to this server begin with. Otherwise it is what the request was sent to.
    pub host_href: Option<String>,
    /// Names of this server, beside its addresses, `localhost` and that in [`Self::host_href`].
    pub hosts: Vec<HostName>,
    /// Pages of other sites that have access: `[cors] allowed_origins`.
    pub allowed_origins: Vec<WebOrigin>,
    /// What a request may cost.
    pub limits: Limits,
}

/// Barbican's REST API over a vault.
pub struct Door {
    vault: Arc<Vault>,
    auth: Authenticator,
    host_href: Option<String>,
    browsers: Browsers,
    limits: Limits,
    metrics: Metrics,
}

/// What the path, the method and the Accept header came to.
struct ChosenOperation<'p> {
    found: Found<'p>,
    route: &'static Route,
}

impl Door {
    /// A door to a vault.
    pub fn new(vault: Arc<Vault>, config: DoorConfig, metrics: Metrics) -> Self {
        let DoorConfig { auth, host_href, hosts, allowed_origins, limits } = config;
        let browsers = Browsers::new(&hosts, host_href.as_deref(), allowed_origins, CORS);
        Self { vault, auth, host_href, browsers, limits, metrics }
    }

    /// What the door counts.
    pub fn register_metrics(registry: &mut Registry) -> Metrics {
        Metrics::register::<CountedOperation>(registry, "donjon_http")
    }

    /// Serves one accepted connection until it ends: [`serve_connection`].
    pub async fn serve_connection<I>(
        self: Arc<Self>,
        io: I,
        here: SocketAddr,
        drain: impl Future<Output = ()>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _open = self.metrics.connection();
        let limits = self.limits;
        serve_connection(self, &limits, io, here, drain).await;
    }

    /// Answers one request, which came in at an address of this machine. There is an answer to every one, and no request
    /// panics.
    pub async fn answer<B: HttpBody>(&self, request: Request<B>, here: SocketAddr) -> Response<Body> {
        let started = Instant::now();
        let _busy = self.metrics.in_flight();
        let (head, body) = request.into_parts();
        let body = pin!(body);
        let mut body = Arriving::new(body);
        let (asked, mut response) = self.respond(&head, &mut body, here).await;
        if !body.finish(head.headers.contains_key(header::EXPECT), &self.limits).await {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.metrics.answered(&asked, response.status(), started.elapsed());
        response
    }

    async fn respond<B: HttpBody>(
        &self,
        head: &Parts,
        body: &mut Arriving<'_, B>,
        here: SocketAddr,
    ) -> (CountedOperation, Response<Body>) {
        let elsewhere = CountedOperation::elsewhere(Verb::from_method(&head.method));
        let path = Path::parse(head.uri.path());
        let app = path.as_ref().map(Path::app);
        let accept = accept_header(&head.headers);
        let accept = Accept::parse(accept.as_deref());
        let target = match (Target::of_request(head), app) {
            (Ok(target), _) => target,
            // A probe may know no name, and the answer holds none.
            (Err(BadTarget::NoHost), Ok(App::Healthcheck)) => Target::default(),
            (Err(bad), _) => return (elsewhere, refused(StatusCode::BAD_REQUEST, &bad)),
        };
        if app == Ok(App::Healthcheck) {
            return (elsewhere, versions::healthcheck(&head.method, &accept).into_response());
        }
        let (asked, mut response) = match self.keep_out(head, &target) {
            Err(foreign) => (elsewhere, refused(StatusCode::FORBIDDEN, &foreign_text(foreign))),
            Ok(()) if head.method == Method::OPTIONS => (elsewhere, Response::default()),
            Ok(()) => match app {
                Ok(App::V1(rest)) => {
                    let origin = self.origin(head, &target, here);
                    let turn = Turn {
                        door: self,
                        head,
                        accept: &accept,
                        origin: &origin,
                        request: RequestId::next(),
                    };
                    turn.answer(rest, body).await
                }
                Ok(App::Versions(rest)) => {
                    let origin = self.origin(head, &target, here);
                    self.versions(head, &accept, &origin, rest).finish(RequestId::next())
                }
                Ok(App::Healthcheck) => (elsewhere, Response::default()), // Answered above.
                Err(bad) => (elsewhere, refused(StatusCode::BAD_REQUEST, bad)),
            },
        };
        self.browsers.add_cors_headers(head, &mut response);
        (asked, response)
    }

    /// Where callers are believed, pages of other sites are kept out; whoever has a token of Keystone's is no page.
    fn keep_out(&self, head: &Parts, target: &Target<'_>) -> Result<(), Foreign> {
        match self.auth {
            Authenticator::ProjectHeader => self.browsers.check(&head.headers, target.host.as_ref()),
            Authenticator::Keystone(_) => Ok(()),
        }
    }

    /// The part before the API: a list of versions, for anybody.
    fn versions(&self, head: &Parts, accept: &Accept<'_>, origin: &Origin<'_>, rest: &str) -> Answered {
        let elsewhere = CountedOperation::elsewhere(Verb::from_method(&head.method));
        let answered = match Microversion::from_headers(&head.headers) {
            Err(bad) => Answered { asked: elsewhere, spoken: None, reply: bad_version(&bad, accept) },
            Ok(version) => {
                let (asked, reply) = self.versions_in(head, accept, origin, rest, version);
                Answered { asked: asked.unwrap_or(elsewhere), spoken: Some(version), reply }
            }
        };
        let status = answered.reply.status;
        let is_page = status.is_client_error() || status.is_redirection();
        if head.method == Method::HEAD && is_page && status != StatusCode::MULTIPLE_CHOICES {
            return Answered { reply: page::without_body(answered.reply), ..answered };
        }
        answered
    }

    fn versions_in(
        &self,
        head: &Parts,
        accept: &Accept<'_>,
        origin: &Origin<'_>,
        rest: &str,
        version: Microversion,
    ) -> (Option<CountedOperation>, Reply) {
        let (rest, extension) = media_types::without_extension(rest);
        let behind = path::versions(&rest);
        let verb = Verb::from_method(&head.method);
        let asked = (behind == Remainder::Nothing).then(|| CountedOperation::of_resource(&VERSIONS, verb));
        if let Err(problem) = choose(&VERSIONS, behind, verb, accept, extension) {
            return (asked, versions_page(&problem, &head.method, accept));
        }
        let Ok(query) = Query::parse(head.uri.query()) else {
            return (asked, Page::BadRequest(String::new()).reply_of_versions(accept, Some("")));
        };
        let reply = versions::list_versions(version, origin, accept, &query)
            .unwrap_or_else(|url| Page::Found(url).reply(accept));
        (asked, reply)
    }

    fn origin<'r>(&'r self, head: &Parts, target: &Target<'r>, here: SocketAddr) -> Origin<'r> {
        Origin::new(self.host_href.as_deref(), self.browsers.names(), &head.headers, target, here)
    }
}

/// An answer, what it counts as, and the version that was agreed on.
struct Answered {
    asked: CountedOperation,
    spoken: Option<Microversion>,
    reply: Reply,
}

impl Answered {
    fn finish(self, request: RequestId) -> (CountedOperation, Response<Body>) {
        (self.asked, finish(self.reply, self.spoken, request))
    }
}

impl Service for Door {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, here: SocketAddr) -> Response<Body> {
        Self::answer(self, request, here).await
    }
}

/// One request to the API, before it is known whose it is.
struct Turn<'r> {
    door: &'r Door,
    head: &'r Parts,
    accept: &'r Accept<'r>,
    origin: &'r Origin<'r>,
    request: RequestId,
}

impl Turn<'_> {
    async fn answer<B: HttpBody>(
        &self,
        rest: &str,
        body: &mut Arriving<'_, B>,
    ) -> (CountedOperation, Response<Body>) {
        let (request, head) = (self.request, self.head);
        let span = debug_span!("request", %request, method = %head.method, path = head.uri.path());
        let answered = self.api(rest, body).instrument(span).await;
        debug!(%request, status = answered.reply.status.as_u16(), "answered");
        answered.finish(request)
    }

    async fn api<B: HttpBody>(&self, rest: &str, body: &mut Arriving<'_, B>) -> Answered {
        let (rest, extension) = media_types::without_extension(rest);
        let found = path::v1(&rest);
        let verb = Verb::from_method(&self.head.method);
        // Before it is known whose it is: what is refused to a stranger counts as what was asked for.
        let asked = match &found {
            Ok(found) => CountedOperation::of_resource(found.resource, verb),
            Err(_) => CountedOperation::elsewhere(verb),
        };
        let caller = match self.door.auth.identify(&self.head.headers).await {
            Ok(caller) => caller,
            Err(why) => return Answered { asked, spoken: None, reply: self.unidentified(why) },
        };
        let version = match Microversion::from_headers(&self.head.headers) {
            Ok(version) => version,
            Err(bad) => return Answered { asked, spoken: None, reply: self.page(&bad_version_page(&bad)) },
        };
        let time = SystemTime::now().into();
        let call = Call { caller, time, request: self.request, door: model::Door::Rest };
        let answered = match found {
            Ok(found) => self.aimed(&found, verb, extension, body, version, &call).await,
            Err(problem) => Err(problem),
        };
        let reply = answered.unwrap_or_else(|problem| Reply::problem(&problem));
        Answered { asked, spoken: Some(version), reply }
    }

    /// The answer to nobody.
    fn unidentified(&self, why: Unidentified) -> Reply {
        self.door.metrics.unidentified();
        let challenge = || self.door.auth.challenge();
        match why {
            Unidentified::MissingProject
            | Unidentified::Repeated(_)
            | Unidentified::ProjectTooLong
            | Unidentified::UserTooLong
            | Unidentified::TooManyRoles
            | Unidentified::RoleTooLong => self.page(&Page::BadRequest(unidentified_text(why))),
            Unidentified::Unauthenticated => {
                let mut error = Object::new();
                error
                    .json("code", 401)
                    .text("title", "Unauthorized")
                    .text("message", &unidentified_text(why));
                let mut body = Object::new();
                body.json("error", error.end());
                Reply { challenge: challenge(), ..Reply::json(StatusCode::UNAUTHORIZED, body.end()) }
            }
            Unidentified::NoProject => Reply { challenge: challenge(), ..self.page(&Page::Unauthorized) },
            Unidentified::Unavailable => {
                let page = self.page(&Page::Unavailable(unidentified_text(why)));
                Reply { retry_after_s: Some(RETRY_AFTER_S), ..page }
            }
        }
    }

    /// A page without a text when only the head is asked for; an empty Accept header is none here.
    fn page(&self, page: &Page) -> Reply {
        let reply = match self.accept.as_sent() {
            Some("") => page.reply(&Accept::Absent),
            _ => page.reply(self.accept),
        };
        if self.head.method == Method::HEAD { page::without_body(reply) } else { reply }
    }

    async fn aimed<B: HttpBody>(
        &self,
        found: &Found<'_>,
        verb: Option<Verb>,
        extension: Option<&str>,
        body: &mut Arriving<'_, B>,
        version: Microversion,
        call: &Call,
    ) -> Result<Reply, Problem> {
        let (aim, query) = match self.aim(found, verb, extension) {
            Ok(aim) => aim,
            Err(problem) => return Err(self.unless_hidden(found, call, problem).await),
        };
        let body = self.body(&aim, body, call).await?;
        self.handle(aim, &query, &body, version, call).await
    }

    /// What the request is aimed at, and its parameters.
    fn aim<'p>(
        &self,
        found: &Found<'p>,
        verb: Option<Verb>,
        extension: Option<&str>,
    ) -> Result<(ChosenOperation<'p>, Query<'_>), Problem> {
        let route = choose(found.resource, found.rest, verb, self.accept, extension)?;
        let query = Query::parse(self.head.uri.query()).map_err(|_| Problem::bad_request(""))?;
        Ok((ChosenOperation { found: *found, route }, query))
    }

    /// The problem of a request that no handler gets. Barbican looks for what is asked of before anything else, so what is
    /// not there comes first; and only who may read a payload learns that it cannot be written to.
    async fn unless_hidden(&self, found: &Found<'_>, call: &Call, problem: Problem) -> Problem {
        let Some(owner) = found.path.owner() else { return problem };
        let hides = found.resource.rules.hides_methods && problem.status == StatusCode::METHOD_NOT_ALLOWED;
        let vault = &self.door.vault;
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

    /// The body, for operations that look at one. What is said to be JSON has to be UTF-8, or Barbican answers before
    /// anything else is looked at, with an empty description; here it says why.
    async fn body<B: HttpBody>(
        &self,
        aim: &ChosenOperation<'_>,
        body: &mut Arriving<'_, B>,
        call: &Call,
    ) -> Result<RequestBody, Problem> {
        if aim.route.verb == Verb::Get {
            return Ok(RequestBody::empty());
        }
        let body = body.receive(&self.door.limits).await.map_err(|error| match error {
            BodyError::TimedOut => Problem::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::Broken => Problem::bad_request(error.to_string()),
        })?;
        if content_type(&self.head.headers) == JSON && !body.is_utf8() {
            return Err(self.unless_hidden(&aim.found, call, Problem::malformed_json()).await);
        }
        Ok(body)
    }

    async fn handle(
        &self,
        aim: ChosenOperation<'_>,
        query: &Query<'_>,
        body: &RequestBody,
        version: Microversion,
        call: &Call,
    ) -> Result<Reply, Problem> {
        let api_request = ApiRequest {
            vault: &self.door.vault,
            call,
            route: aim.route,
            headers: &self.head.headers,
            accept: self.accept,
            query,
            version,
            origin: self.origin,
            body: &body.bytes,
        };
        let handled = routes::handle(aim.found.path, aim.route.verb, &api_request).await;
        handled.unwrap_or_else(|| Err(Problem::method_not_allowed(None))) // The place has the row, so there is one.
    }
}

/// The description of a 403.
fn foreign_text(foreign: Foreign) -> &'static str {
    match foreign {
        Foreign::Host => {
            "the request is for a host that is none of this server's: use an IP address, localhost or the host of host_href, \
             or list the name in the setting hosts"
        }
        Foreign::Page => {
            "the request was sent by a web page of another site: if it is to have access, list its origin in \
             allowed_origins of [cors]"
        }
    }
}

/// The texts of Barbican and of keystonemiddleware, where they have one.
fn unidentified_text(why: Unidentified) -> String {
    match why {
        Unidentified::MissingProject => "Missing X-Project-Id".to_owned(),
        Unidentified::Unauthenticated => "The request you have made requires authentication.".to_owned(),
        Unidentified::Unavailable => "The Keystone service is temporarily unavailable.".to_owned(),
        Unidentified::Repeated(_)
        | Unidentified::ProjectTooLong
        | Unidentified::UserTooLong
        | Unidentified::TooManyRoles
        | Unidentified::RoleTooLong
        | Unidentified::NoProject => why.to_string(),
    }
}

fn bad_version_page(bad: &BadVersion) -> Page {
    match bad {
        BadVersion::Malformed(..) => Page::BadRequest(bad.to_string()),
        BadVersion::Unacceptable(_) => Page::NotAcceptable(bad.to_string()),
    }
}

fn bad_version(bad: &BadVersion, accept: &Accept<'_>) -> Reply {
    bad_version_page(bad).reply(accept)
}

/// A problem of the versions part, as the page that it is there.
fn versions_page(problem: &Problem, method: &Method, accept: &Accept<'_>) -> Reply {
    let page = match problem.status {
        StatusCode::METHOD_NOT_ALLOWED => Page::MethodNotAllowed(method.to_string()),
        StatusCode::NOT_ACCEPTABLE => Page::NotAcceptable(String::new()),
        _ => Page::NotFound,
    };
    page.reply_of_versions(accept, problem.description.as_ref().map(|_| ""))
}

/// The answer to a request that is looked at no further.
fn refused(status: StatusCode, why: &dyn std::fmt::Display) -> Response<Body> {
    finish(Reply::problem(&Problem::new(status, why.to_string())), None, RequestId::next())
}

/// Adds what every answer has: the request id, and the version if one was agreed on.
fn finish(reply: Reply, spoken: Option<Microversion>, request: RequestId) -> Response<Body> {
    let mut response = reply.into_response();
    let headers = response.headers_mut();
    set_request_id(headers, request);
    if let Some(version) = spoken {
        headers.insert(API_VERSION, version.header());
        headers.insert(header::VARY, HeaderValue::from_static("openstack-api-version"));
    }
    response
}
