//! The documents about the server: `/`, `/v1` and `/healthcheck`.

use http::{HeaderValue, Method, StatusCode};

use crate::accept::Accept;
use crate::microversion::Microversion;
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::write::{Object, list};
use transport::Origin;

/// The release of Barbican whose answers are given here.
const BUILD: &str = "23.0.0";
/// A document that older clients may ask for; asking sends them to `/v1`.
const JSON_HOME: &str = "application/json-home";

/// `GET /`: the list of versions, or where else to look (`Err`, a URL).
pub(crate) fn list_versions(
    version: Microversion,
    origin: &Origin<'_>,
    accept: &Accept<'_>,
    query: &Query<'_>,
) -> Result<Reply, String> {
    let best = match accept {
        Accept::Valid(..) => accept.best_by_older_rule(&["application/json", JSON_HOME]),
        Accept::Absent | Accept::Invalid(_) => None,
    };
    if best == Some(JSON_HOME) {
        return Err(format!("{}/v1/", origin.url()));
    }
    if query.has("build") {
        return Ok(Reply::json(StatusCode::OK, Object::new().text("build", BUILD).end()));
    }
    let mut versions = list([document(version, origin)]);
    if version == Microversion::V1_0 {
        versions = Object::new().json("values", versions).end();
    }
    Ok(Reply::json(StatusCode::MULTIPLE_CHOICES, Object::new().json("versions", versions).end()))
}

/// `GET /v1`
pub(crate) async fn read(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let document = document(request.version, request.origin);
    Ok(Reply::json(StatusCode::OK, Object::new().json("version", document).end()))
}

/// The document about the one version. Microversions are a later idea than its first form.
fn document(version: Microversion, origin: &Origin<'_>) -> String {
    let itself = Object::new().text("rel", "self").text("href", &format!("{}/v1/", origin.url())).end();
    let mut manual = Object::new();
    manual.text("rel", "describedby").text("type", "text/html").text("href", "https://docs.openstack.org/");
    let mut object = Object::new();
    object.text("id", "v1");
    if version == Microversion::V1_0 {
        object.text("status", "stable");
    } else {
        object.text("status", "CURRENT").text("min_version", "1.0").text("max_version", "1.2");
    }
    object.json("links", list([itself, manual.end()]));
    if version == Microversion::V1_0 {
        let name = "application/vnd.openstack.key-manager-v1+json";
        let media_type = Object::new().text("base", "application/json").text("type", name).end();
        object.json("media-types", list([media_type]));
    }
    object.end()
}

/// `/healthcheck`: the process answers. It says nothing of store and keys.
pub(crate) fn healthcheck(method: &Method, accept: &Accept<'_>) -> Reply {
    if method == Method::HEAD {
        return Reply::no_content();
    }
    let (content_type, text) = match accept.best(&["text/plain", "text/html", "application/json"]) {
        Some("application/json") => {
            let text = Object::new().json("detailed", "false").json("reasons", "[\"OK\"]").end();
            ("application/json", text)
        }
        Some("text/html") => (
            "text/html; charset=UTF-8",
            "<html>\n <head>\n  <title>Healthcheck</title>\n </head>\n <body>OK</body>\n</html>".to_owned(),
        ),
        _ => ("text/plain; charset=UTF-8", "OK".to_owned()),
    };
    Reply::new(StatusCode::OK).body(HeaderValue::from_static(content_type), text)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use transport::{Host, Names, Target};

    fn request(version: Microversion, accept: Option<&str>, query: &str) -> Result<String, String> {
        let headers = HeaderMap::new();
        let (names, target) = (Names::default(), Target { host: Host::parse("h"), scheme: None });
        let origin = Origin::new(None, &names, &headers, &target, ([127, 0, 0, 1], 9311).into());
        let query = Query::parse(Some(query)).unwrap();
        list_versions(version, &origin, &Accept::parse(accept), &query)
            .map(|reply| format!("{} {}", reply.status.as_u16(), std::str::from_utf8(&reply.body).unwrap()))
    }

    #[test]
    fn versions_are_listed_in_two_forms() {
        let first = "300 {\"versions\": {\"values\": [{\"id\": \"v1\", \"status\": \"stable\", \"links\": [{\"rel\": \
                     \"self\", \"href\": \"http://h/v1/\"}, {\"rel\": \"describedby\", \"type\": \"text/html\", \
                     \"href\": \"https://docs.openstack.org/\"}], \"media-types\": [{\"base\": \"application/json\", \
                     \"type\": \"application/vnd.openstack.key-manager-v1+json\"}]}]}}";
        let later = "300 {\"versions\": [{\"id\": \"v1\", \"status\": \"CURRENT\", \"min_version\": \"1.0\", \
                     \"max_version\": \"1.2\", \"links\": [{\"rel\": \"self\", \"href\": \"http://h/v1/\"}, {\"rel\": \
                     \"describedby\", \"type\": \"text/html\", \"href\": \"https://docs.openstack.org/\"}]}]}";
        assert_eq!(request(Microversion::V1_0, None, "x=1").as_deref(), Ok(first));
        assert_eq!(request(Microversion::V1_1, Some("*/*"), "").as_deref(), Ok(later));
        assert_eq!(request(Microversion::V1_0, None, "build").as_deref(), Ok("200 {\"build\": \"23.0.0\"}"));
        assert_eq!(request(Microversion::V1_0, Some(JSON_HOME), ""), Err("http://h/v1/".to_owned()));
    }
}
