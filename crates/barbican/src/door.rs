//! The door itself: a request in, an answer out.
//!
//! ```text
//! /healthcheck        ─▶ answer
//! …                   ─▶ is it for this server, and from no page of another site? ─▶
//! OPTIONS             ─▶ 200, as Barbican's CORS filter does
//! /v1… ─▶ identify ─▶ microversion ─▶ path ─▶ method ─▶ Accept ─▶ body ─▶ handler ─▶ vault
//! /…   ────────────▶ microversion ─▶ path ─▶ method ─▶ Accept ─▶ list of versions
//! ```
//!
//! The order of these steps is Barbican's, and clients see it: a request with two mistakes is answered for the first.
//!
//! An answer is given after the rest of the request has come, so that it says truly whether the connection stays open.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as HttpBody, Incoming};
use model::RequestId;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use transport::{
    Arriving, Authenticator, BadTarget, Browsers, Cors, Foreign, HostName, Limits, Metrics, Origin, Service,
    Target, WebOrigin, serve_connection,
};
use vault::Vault;

use crate::accept::Accept;
use crate::exchange::{Answered, Api, Exchange};
use crate::media_types;
use crate::metrics::CountedOperation;
use crate::microversion::Microversion;
use crate::negotiate::{accept_header, choose};
use crate::page::{self, Page};
use crate::path::{self, App, Path};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::{Body, Reply};
use crate::resources::versions;
use crate::routes::VERSIONS;
use crate::table::{Remainder, Verb};

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
    /// The beginning of references to this server. By default it is the target of the request.
    pub host_href: Option<String>,
    /// Names of this server, beside its addresses, `localhost` and that in [`Self::host_href`].
    pub hosts: Vec<HostName>,
    /// Pages of other sites that have access: `[cors] allowed_origins`.
    pub allowed_origins: Vec<WebOrigin>,
    /// The limits of requests.
    pub limits: Limits,
}

/// Barbican's REST API over a vault.
pub struct Door {
    api: Api,
    host_href: Option<String>,
    browsers: Browsers,
}

impl Door {
    /// A door to a vault.
    pub fn new(vault: Arc<Vault>, config: DoorConfig, metrics: Metrics) -> Self {
        let DoorConfig { auth, host_href, hosts, allowed_origins, limits } = config;
        let browsers = Browsers::new(&hosts, host_href.as_deref(), allowed_origins, CORS);
        Self { api: Api { vault, auth, limits, metrics }, host_href, browsers }
    }

    /// The counters of the door.
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
        let _open = self.api.metrics.connection();
        let limits = self.api.limits;
        serve_connection(self, &limits, io, here, drain).await;
    }

    /// Answers one request, which came in at an address of this machine. Every request is answered, and none panics.
    pub async fn answer<B: HttpBody>(&self, request: Request<B>, here: SocketAddr) -> Response<Body> {
        let started = Instant::now();
        let _busy = self.api.metrics.in_flight();
        let (head, body) = request.into_parts();
        let body = pin!(body);
        let mut body = Arriving::new(body);
        let (asked, mut response) = self.respond(&head, &mut body, here).await;
        if !body.finish(head.headers.contains_key(header::EXPECT), &self.api.limits).await {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.api.metrics.answered(&asked, response.status(), started.elapsed());
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
        let names = self.browsers.names();
        let origin = Origin::new(self.host_href.as_deref(), names, &head.headers, &target, here);
        let request = RequestId::next();
        let exchange = Exchange { api: &self.api, head, accept: &accept, origin: &origin, request };
        let (asked, mut response) = match (self.keep_out(head, &target), app) {
            (Err(foreign), _) => (elsewhere, refused(StatusCode::FORBIDDEN, &foreign_text(foreign))),
            (Ok(()), _) if head.method == Method::OPTIONS => (elsewhere, Response::default()),
            (Ok(()), Ok(App::V1(rest))) => exchange.answer(rest, body).await,
            (Ok(()), Ok(App::Versions(rest))) => versions_part(&exchange, rest).finish(request),
            (Ok(()), Ok(App::Healthcheck)) => (elsewhere, Response::default()), // Answered above.
            (Ok(()), Err(bad)) => (elsewhere, refused(StatusCode::BAD_REQUEST, bad)),
        };
        self.browsers.add_cors_headers(head, &mut response);
        (asked, response)
    }

    /// Where headers name the caller, pages of other sites are kept out. A page has no token of Keystone.
    fn keep_out(&self, head: &Parts, target: &Target<'_>) -> Result<(), Foreign> {
        match self.api.auth {
            Authenticator::ProjectHeader => self.browsers.check(&head.headers, target.host.as_ref()),
            Authenticator::Keystone(_) => Ok(()),
        }
    }
}

impl Service for Door {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>, here: SocketAddr) -> Response<Body> {
        Self::answer(self, request, here).await
    }
}

/// The part before the API: a list of versions, for anybody.
fn versions_part(exchange: &Exchange<'_>, rest: &str) -> Answered {
    let Exchange { head, accept, .. } = exchange;
    let elsewhere = CountedOperation::elsewhere(Verb::from_method(&head.method));
    let answered = match Microversion::from_headers(&head.headers) {
        Err(bad) => Answered { asked: elsewhere, spoken: None, reply: Page::from(&bad).reply(accept) },
        Ok(version) => {
            let (asked, reply) = list_of_versions(exchange, rest, version);
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

fn list_of_versions(
    exchange: &Exchange<'_>,
    rest: &str,
    version: Microversion,
) -> (Option<CountedOperation>, Reply) {
    let Exchange { head, accept, origin, .. } = exchange;
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

/// The page of a problem in the versions part.
fn versions_page(problem: &Problem, method: &Method, accept: &Accept<'_>) -> Reply {
    let page = match problem.status {
        StatusCode::METHOD_NOT_ALLOWED => Page::MethodNotAllowed(method.to_string()),
        StatusCode::NOT_ACCEPTABLE => Page::NotAcceptable(String::new()),
        _ => Page::NotFound,
    };
    page.reply_of_versions(accept, problem.description.as_ref().map(|_| ""))
}

/// The answer to a request that no part of the server takes.
fn refused(status: StatusCode, why: &dyn std::fmt::Display) -> Response<Body> {
    Reply::problem(&Problem::new(status, why.to_string())).finish(None, RequestId::next())
}
