//! Which operation a request gets, if any: its path, its method and the types it accepts, held against the table.
//!
//! An operation for JSON and a 405 are held against the Accept header here. A payload has rules of its own, in
//! `payload.rs`: here it only has to be asked for as some type that is known.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode, header};

use crate::accept::Accept;
use crate::media_types;
use crate::problem::Problem;
use crate::table::{Offers, Remainder, Resource, Route, Verb};

/// The Accept header; several lines of it are one list.
pub(crate) fn accept_header(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut lines = headers.get_all(header::ACCEPT).iter();
    let first = String::from_utf8_lossy(lines.next()?.as_bytes());
    let Some(second) = lines.next() else { return Some(first) };
    let rest = [second].into_iter().chain(lines).map(|line| String::from_utf8_lossy(line.as_bytes()));
    Some(std::iter::once(first.clone()).chain(rest).collect::<Vec<_>>().join(", ").into())
}

/// The operation, if the path ends where it should, the place has the method, and the answer can be in a type that is
/// acceptable. Which of these fails first is the framework's choice.
pub(crate) fn choose<R>(
    resource: &'static Resource<R>,
    rest: Remainder,
    verb: Option<Verb>,
    accept: &Accept<'_>,
    extension: Option<&str>,
) -> Result<&'static Route, Problem> {
    let route = resource.route(verb);
    match rest {
        Remainder::Nowhere(description) => return Err(Problem::not_found(description)),
        Remainder::Handler => return Err(Problem::bare(StatusCode::NOT_FOUND)),
        Remainder::Unknown if route.is_none() => return Err(Problem::bare(StatusCode::NOT_FOUND)),
        Remainder::Unknown | Remainder::Nothing => {}
    }
    if let Some(offers) = route.map(|route| route.offers).or(resource.rules.otherwise) {
        negotiate(offers, accept, extension)?;
    }
    if rest == Remainder::Unknown {
        return Err(Problem::not_found(""));
    }
    route.ok_or_else(|| Problem::method_not_allowed(resource.allow()))
}

/// Whether an answer in one of the types offered is acceptable. An extension of the path outdoes the Accept header.
fn negotiate(offers: Offers, accept: &Accept<'_>, extension: Option<&str>) -> Result<(), Problem> {
    if let Some(media_type) = extension {
        return if offers.include(media_type) { Ok(()) } else { Err(Problem::bare(StatusCode::NOT_FOUND)) };
    }
    let (Accept::Valid(sent, _) | Accept::Invalid(sent)) = accept else { return Ok(()) };
    let accepted = matches!(*sent, "" | "*/*")
        || offers.include(sent) // Most clients name one type, exactly.
        || offers == Offers::Html && sent.starts_with("text/html,")
        || offers.any(|offer| accept.quality(offer) > 0)
        || offers.any(|offer| sent.starts_with(offer));
    if accepted { Ok(()) } else { Err(Problem::bare(StatusCode::NOT_ACCEPTABLE)) }
}

impl Offers {
    /// Whether one of the types offered passes.
    fn any(self, mut passes: impl FnMut(&'static str) -> bool) -> bool {
        match self {
            Self::Json => passes("application/json"),
            Self::JsonOrHome => passes("application/json") || passes("application/json-home"),
            Self::Html => passes("text/html"),
            Self::Any => media_types::all().any(passes),
        }
    }

    fn include(self, media_type: &str) -> bool {
        match self {
            Self::Any => media_types::is_known(media_type),
            _ => self.any(|offer| offer == media_type),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{RESOURCES, Row};

    fn check(rest: Remainder, verb: &str, accept: Option<&str>, extension: Option<&str>, expect: &str) {
        let secrets = RESOURCES.iter().find(|resource| resource.row == Row::Secrets).unwrap();
        let verb = [Verb::Get, Verb::Post, Verb::Put].into_iter().find(|known| known.as_str() == verb);
        let chosen = choose(secrets, rest, verb, &Accept::parse(accept), extension).map_or_else(
            |problem| format!("{} {:?}", problem.status.as_u16(), problem.description),
            |route| route.name.to_owned(),
        );
        assert_eq!(chosen, expect, "{rest:?} {verb:?} {accept:?} {extension:?}");
    }

    #[test]
    fn the_first_mistake_counts() {
        let (none, empty) = ("None", "Some(\"\")");
        check(Remainder::Nothing, "GET", None, None, "Secret(s) retrieval");
        check(Remainder::Nothing, "PUT", None, None, &format!("405 {empty}"));
        check(Remainder::Nothing, "PUT", Some("application/json"), None, &format!("406 {none}"));
        check(Remainder::Nothing, "PUT", Some("text/html, */*"), None, &format!("405 {empty}"));
        check(Remainder::Nothing, "GET", Some("text/html"), None, &format!("406 {none}"));
        check(Remainder::Nothing, "GET", Some("application/json;q=0"), None, "Secret(s) retrieval");
        check(Remainder::Nothing, "GET", Some("bogus"), None, "Secret(s) retrieval");
        check(Remainder::Nothing, "GET", Some("text/html"), Some("application/json"), "Secret(s) retrieval");
        check(Remainder::Nothing, "GET", None, Some("text/plain"), &format!("404 {none}"));
        check(Remainder::Unknown, "GET", Some("text/html"), None, &format!("406 {none}"));
        check(Remainder::Unknown, "GET", None, None, &format!("404 {empty}"));
        check(Remainder::Unknown, "PUT", Some("text/html"), None, &format!("404 {none}"));
        check(Remainder::Handler, "GET", Some("text/html"), None, &format!("404 {none}"));
    }
}
