//! The decoders of outside bytes, for the fuzz targets. Not an interface: it changes with the decoders.

use std::borrow::Cow;

use model::{Caller, ListQuery, ProjectId, Timestamp, UserId};
use vault::NewSecret;

use crate::accept::Accept;
use crate::query::Query;
use crate::{dates, list, media_types, new_secret, path};

/// The body of a new secret.
pub fn new_secret(body: &[u8]) -> Option<NewSecret> {
    let now = Timestamp::from_micros(1_800_000_000_000_000); // Fixed, so that a finding stays one.
    new_secret::parse(body, now).ok().map(|request| request.secret)
}

/// A query string.
pub fn list_query(raw: &str) -> Option<ListQuery> {
    let project = ProjectId::try_from("p").ok()?;
    let user = UserId::try_from("u").ok();
    let query = Query::parse(Some(raw)).ok()?;
    let _ = query.of_page(10, 10);
    list::parse(&query, &Caller { project, user, roles: Cow::Borrowed(&[]) }).ok()
}

/// A date.
pub fn date(text: &str) -> Option<Timestamp> {
    dates::parse(text).and_then(dates::ParsedDate::utc).ok()
}

/// An Accept header: how much JSON is liked.
pub fn accept(header: &str) -> u16 {
    Accept::parse(Some(header)).quality("application/json")
}

/// A path. Whether it leads somewhere.
pub fn path(raw: &str) -> bool {
    let Some(path) = path::Path::parse(raw) else { return false };
    match path.app() {
        path::App::Healthcheck => true,
        path::App::V1(rest) => path::v1(&media_types::without_extension(rest).0).is_ok(),
        path::App::Versions(rest) => path::versions(rest).rest == path::Rest::Nothing,
    }
}
