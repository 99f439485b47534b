//! `GET /v1/secrets`: the query string, and a page of the answer.
//!
//! Barbican never refuses a page size or an offset: it replaces values that it cannot use. It refuses dates and sort keys that
//! it does not understand.

use http::StatusCode;
use model::{
    Caller, Comparison, DateFilter, Direction, Filters, ListQuery, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX,
    Pattern, Scope, SecretType, SortKey, SortOrder, TypeFilter,
};
use transport::dates;
use vault::{Action, Slice, Sliced};

use crate::microversion::Microversion;
use crate::problem::Problem;
use crate::python::{int, unquote_plus};
use crate::query::Query;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::secrets;
use crate::write::{Object, list};

/// Lists secrets.
pub(crate) async fn list_secrets(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let understood = parse(request.query, &request.call.caller);
    let query = request.or_refuse(Action::ListSecrets, None, understood).await?;
    let slice = Slice { offset: query.offset, limit: query.limit };
    let (written, total) = if request.version < Microversion::V1_1 {
        let page = request.or_problem(request.vault.list_secrets(request.call, &query).await)?;
        (page.secrets.iter().map(|secret| secrets::write(request, secret, None)).collect(), page.total)
    } else {
        let page = request.or_problem(request.vault.list_secret_uses(request.call, &query).await)?;
        (page.items.iter().map(|used| secrets::write_use(request, used)).collect(), page.total)
    };
    let url = |offset| request.url(format_args!("secrets?{}", request.query.of_page(slice.limit, offset)));
    Ok(Reply::json(StatusCode::OK, write_slice("secrets", written, total, slice, url)))
}

/// A part of a list, and where its neighbours are if there is something in it. The next one begins where this one ends,
/// which may be before its limit.
fn write_slice(
    name: &str,
    items: Vec<String>,
    total: u64,
    Slice { offset, limit }: Slice,
    url: impl Fn(u64) -> String,
) -> String {
    let is_empty = items.is_empty();
    let next = offset.saturating_add(items.len() as u64);
    let mut object = Object::new();
    object.json(name, list(items));
    if !is_empty && offset > 0 {
        object.text("previous", &url(offset.saturating_sub(limit.into())));
    }
    if !is_empty && total > next {
        object.text("next", &url(next));
    }
    object.json("total", total);
    object.end()
}

/// A page of anything but secrets. Its neighbours are asked for by limit and offset alone, whatever else was asked for.
pub(crate) fn page<T>(
    name: &str,
    url: &str,
    found: &Sliced<T>,
    slice: Slice,
    write: impl Fn(&T) -> String,
) -> Reply {
    let items = found.items.iter().map(write).collect();
    let url = |offset| format!("{url}?limit={}&offset={offset}", slice.limit);
    Reply::json(StatusCode::OK, write_slice(name, items, found.total, slice, url))
}

/// Which part of a list a query asks for.
pub(crate) fn slice(query: &Query<'_>) -> Result<Slice, Problem> {
    Ok(Slice { offset: offset(query.filled("offset")?), limit: limit(query.filled("limit")?) })
}

/// Understands a query string.
pub(crate) fn parse(query: &Query<'_>, caller: &Caller) -> Result<ListQuery, Problem> {
    // Barbican decodes the name once more than the rest: a plus sign has to be sent as %252B.
    let name = query.filled("name")?.map(unquote_plus);
    let pattern = |key| Ok::<_, Problem>(query.filled(key)?.map(Pattern::new));
    let date_filters = |key| parse_items(query.filled(key)?, date_filter, excludes);
    let filters = Filters {
        name: name.filter(|name| !name.is_empty()).map(|name| Pattern::new(&name)),
        algorithm: pattern("alg")?,
        mode: pattern("mode")?,
        bit_length: bit_length(query.once("bits")?),
        secret_type: query.filled("secret_type")?.map(type_filter),
        created: date_filters("created")?,
        updated: date_filters("updated")?,
        expiration: date_filters("expiration")?,
    };
    let sort = parse_items(query.filled("sort")?, sort_order, |earlier, later| earlier.key == later.key)?;
    let Slice { offset, limit } = slice(query)?;
    Ok(ListQuery { scope: scope(query.once("acl_only")?, caller), filters, sort, offset, limit })
}

fn scope(acl_only: Option<&str>, caller: &Caller) -> Scope {
    match (&caller.user, acl_only) {
        (Some(user), Some(text)) if text.eq_ignore_ascii_case("true") => Scope::AclOf(user.clone()),
        _ => Scope::Project(caller.project.clone()),
    }
}

/// A value that is no positive number does not filter. One that is too large matches nothing, as the largest does.
fn bit_length(text: Option<&str>) -> Option<u32> {
    let bits = int(text?).filter(|&bits| bits > 0)?;
    Some(u32::try_from(bits).unwrap_or(u32::MAX))
}

fn type_filter(name: &str) -> TypeFilter {
    SecretType::parse(name).map_or(TypeFilter::Unknown, TypeFilter::Is)
}

fn limit(text: Option<&str>) -> u32 {
    let limit = text.and_then(int).unwrap_or(PAGE_LIMIT_DEFAULT.into());
    u32::try_from(limit.clamp(1, PAGE_LIMIT_MAX.into())).unwrap_or(PAGE_LIMIT_MAX)
}

/// An offset that 63 bits cannot hold counts as 0.
fn offset(text: Option<&str>) -> u64 {
    let offset = text.and_then(int).and_then(|offset| i64::try_from(offset).ok());
    offset.and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0)
}

/// The items of a list, none of which an earlier one excludes.
fn parse_items<T>(
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
    excludes: impl Fn(&T, &T) -> bool,
) -> Result<Vec<T>, Problem> {
    let mut items = Vec::new();
    for item in text.into_iter().flat_map(|text| text.split(',')) {
        let item = parse(item).ok_or_else(Problem::bad_query)?;
        if items.iter().any(|earlier| excludes(earlier, &item)) {
            return Err(Problem::bad_query());
        }
        items.push(item);
    }
    Ok(items)
}

fn date_filter(text: &str) -> Option<DateFilter> {
    let operators = [
        ("gt:", Comparison::Greater),
        ("gte:", Comparison::GreaterOrEqual),
        ("lt:", Comparison::Less),
        ("lte:", Comparison::LessOrEqual),
        ("", Comparison::Equal),
    ];
    let (comparison, date) = operators
        .into_iter()
        .find_map(|(operator, comparison)| Some((comparison, text.strip_prefix(operator)?)))?;
    Some(DateFilter { comparison, with: dates::parse(date).ok()?.local() })
}

/// Which bound may not come after which: Barbican's rule, with its gap between equality and the open bounds.
fn excludes(earlier: &DateFilter, later: &DateFilter) -> bool {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let earlier = earlier.comparison;
    match later.comparison {
        Greater => matches!(earlier, Greater | GreaterOrEqual),
        GreaterOrEqual => matches!(earlier, Greater | GreaterOrEqual | Equal),
        Less => matches!(earlier, Less | LessOrEqual),
        LessOrEqual => matches!(earlier, Less | LessOrEqual | Equal),
        Equal => matches!(earlier, Equal | GreaterOrEqual | LessOrEqual),
    }
}

fn sort_order(text: &str) -> Option<SortOrder> {
    let (key, direction) = text.split_once(':').unwrap_or((text, "asc"));
    let direction = match direction {
        "asc" => Direction::Ascending,
        "desc" => Direction::Descending,
        _ => return None,
    };
    Some(SortOrder { key: SortKey::parse(key)?, direction })
}

#[cfg(test)]
mod tests {

    use model::{ProjectId, Roles, UserId};
    use proptest::prelude::*;

    use super::*;

    fn understand(raw: &str, user: Option<&str>) -> Result<ListQuery, Problem> {
        let caller = Caller {
            project: ProjectId::try_from("p").unwrap(),
            user: user.map(|user| UserId::try_from(user).unwrap()),
            roles: Roles::Fixed(&[]),
        };
        parse(&Query::parse(Some(raw)).unwrap(), &caller)
    }

    #[test]
    fn paging_is_never_refused() {
        for (raw, limit, offset) in [
            ("", 10, 0),
            ("limit=0", 1, 0),
            ("limit=-100", 1, 0),
            ("limit=101", 100, 0),
            ("limit=abc&offset=abc", 10, 0),
            ("limit=1.5&offset=1.0", 10, 0),
            ("limit=&offset=", 10, 0),
            ("limit=%203%20&offset=%2B3", 3, 3),
            ("limit=99999999999999999999&offset=99999999999999999999", 100, 0),
            ("limit=%D9%A3&offset=1_0", 3, 10),
            ("offset=9223372036854775807", 10, i64::MAX as u64),
            ("offset=-1", 10, 0),
        ] {
            let query = understand(raw, None).unwrap();
            assert_eq!((query.limit, query.offset), (limit, offset), "{raw}");
        }
    }

    #[test]
    fn filters_are_what_barbicans_are() {
        let filters = |raw: &str| understand(raw, None).unwrap().filters;
        assert_eq!(filters("name=delta%252Bplus").name, Some(Pattern::new("delta+plus")));
        assert_eq!(filters("name=delta%2Bplus").name, Some(Pattern::new("delta plus")));
        assert_eq!(filters("name=").name, None);
        assert_eq!(filters("alg=%25s%25").algorithm, Some(Pattern::new("%s%")));
        assert_eq!(filters("algorithm=aes&bit_length=5&status=X").algorithm, None);
        for (raw, expect) in
            [("256", Some(256)), ("0", None), ("-1", None), ("abc", None), ("99999999999", Some(u32::MAX))]
        {
            assert_eq!(filters(&format!("bits={raw}")).bit_length, expect, "{raw}");
        }
        assert_eq!(filters("secret_type=opaque").secret_type, Some(TypeFilter::Is(SecretType::Opaque)));
        assert_eq!(filters("secret_type=OPAQUE").secret_type, Some(TypeFilter::Unknown));
        assert_eq!(filters("created=gte:2020,lt:2021-02").created.len(), 2);
    }

    #[test]
    fn acl_only_needs_a_user() {
        for (raw, user, acl) in [
            ("acl_only=TRUE", Some("u"), true),
            ("acl_only=true", None, false),
            ("acl_only=1", Some("u"), false),
        ] {
            let scope = understand(raw, user).unwrap().scope;
            assert_eq!(matches!(scope, Scope::AclOf(_)), acl, "{raw}");
        }
    }

    #[test]
    fn unknown_dates_and_sort_keys_are_refused() {
        for raw in [
            "created=bogus",
            "created=ge:2020",
            "created=GT:2020",
            "created=gt:",
            "created=gt:2020,",
            "created=gt:2020,gt:2021",
            "created=gt:2020,gte:2021",
            "created=2020,2021",
            "created=2020,gte:2020",
            "created=lte:2020,2020",
            "expiration=gt:2020-13-01T00:00:00",
            "updated=xyz",
            "created=gt:now",
            "sort=foo",
            "sort=name:up",
            "sort=name:DESC",
            "sort=name:asc:desc",
            "sort=name:",
            "sort=name,",
            "sort=name,name",
            "sort=name:asc,name:desc",
            "sort=id",
            "sort=name%20",
            "sort=NAME",
            "limit=1&limit=2",
            "name=a&name=b",
            "sort=name&sort=created",
        ] {
            assert_eq!(understand(raw, None).map(|_| ()), Err(Problem::bad_query()), "{raw}");
        }
        for raw in ["created=2020,gt:2019", "created=gt:2020,2021", "sort=", "created=", "foo=1&foo=2"] {
            assert!(understand(raw, None).is_ok(), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics(raw in "((limit|offset|name|bits|created|sort|acl_only)=[a-z0-9:,%+T.-]{0,20}&?){0,5}") {
            if let Ok(query) = Query::parse(Some(&raw)) {
                let caller = Caller { project: ProjectId::try_from("p").unwrap(), user: None, roles: Roles::Fixed(&[]) };
                let _ = parse(&query, &caller);
            }
        }
    }
}
