//! The decoders of outside bytes, for the fuzz targets. Not an interface: it changes with the decoders.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use model::{
    Caller, ContainerId, Facet, Guarded, ListQuery, Metadatum, ProjectId, Roles, SecretId, Timestamp, UserId,
};
use transport::{Browsers, Origin, Target, host_of_url};
use vault::{NewSecret, Payload};

use crate::accept::Accept;
use crate::microversion::Microversion;
use crate::python::base64;
use crate::query::Query;
use crate::resources::{
    acls, consumers, containers, list, metadata, new_secret, orders, quotas, transport_keys,
};
use crate::table::Remainder;
use crate::{media_types, path};

/// The time of all requests, so that a finding stays one.
const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// The body of a new secret.
pub fn new_secret(body: &[u8]) -> Option<NewSecret> {
    new_secret::parse(body, NOW).ok().map(|request| request.secret)
}

/// The body of a `PUT …/metadata`: the users' pairs, and libvirt's.
pub fn metadata(body: &[u8]) -> Option<(Vec<Metadatum>, Vec<Facet>)> {
    metadata::parse_all(body).ok()
}

/// The body of one pair of metadata, and whether it is one of libvirt's.
pub fn metadatum(body: &[u8]) -> Option<(Metadatum, bool)> {
    metadata::parse_one(body).ok().map(|(pair, facet)| (pair, facet.is_some()))
}

/// The body of a new order: its meta, if it can be understood.
pub fn order(body: &[u8]) -> Option<String> {
    orders::parse(body, NOW).ok().map(|order| order.meta)
}

/// The bodies of ACLs, consumers, containers, quotas and transport keys. Returns how many of the readers understood it.
pub fn belongings(body: &[u8]) -> usize {
    let guarded = [Guarded::Secret(SecretId::NIL), Guarded::Container(ContainerId::from_bytes([0; 16]))];
    let consumers = guarded.into_iter().filter(|of| consumers::parse(body, *of).is_ok()).count();
    let others = [
        acls::parse(body).is_ok(),
        containers::parse(body, |reference| host_of_url(reference).is_some()).is_ok(),
        containers::parse_part(body).is_ok(),
        quotas::parse(body).is_ok(),
        transport_keys::parse(body).is_ok(),
    ];
    consumers + others.into_iter().filter(|understood| *understood).count()
}

/// A payload in base64.
pub fn encoded(text: &[u8]) -> Option<Payload> {
    base64::decode(text).ok()
}

/// The headers that are read in every request, one a line: the caller, if caller and version can be understood, and
/// the beginning of references to this server.
pub fn headers(lines: &[u8]) -> (Option<Caller>, String) {
    let mut headers = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let version = Microversion::from_headers(&headers).map_err(|error| error.to_string());
    let caller = transport::fuzzing::caller(&headers).map_err(|error| error.to_string());
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.headers = headers;
    let browsers = Browsers::default();
    let target = Target::of_request(&head).unwrap_or_default();
    let _ = browsers.check(&head.headers, target.host.as_ref());
    let here = SocketAddr::from(([127, 0, 0, 1], 9311));
    let origin = Origin::new(None, browsers.names(), &head.headers, &target, here).url().into_owned();
    (version.and(caller).ok(), origin)
}

/// A query string.
pub fn list_query(raw: &str) -> Option<ListQuery> {
    let project = ProjectId::try_from("p").ok()?;
    let user = UserId::try_from("u").ok();
    let query = Query::parse(Some(raw)).ok()?;
    let _ = query.of_page(10, 10);
    list::parse(&query, &Caller { project, user, roles: Roles::Fixed(&[]) }).ok()
}

/// An Accept header: how much JSON is liked.
pub fn accept(header: &str) -> u16 {
    Accept::parse(Some(header)).quality("application/json")
}

/// A path. Whether it leads somewhere.
pub fn path(raw: &str) -> bool {
    let Ok(path) = path::Path::parse(raw) else { return false };
    match path.app() {
        path::App::Healthcheck => true,
        path::App::V1(rest) => path::v1(&media_types::without_extension(rest).0).is_ok(),
        path::App::Versions(rest) => path::versions(rest) == Remainder::Nothing,
    }
}
