//! Answers, before the headers that every answer has are added.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use model::RequestId;
use transport::set_request_id;
use vault::Payload;

use crate::microversion::Microversion;
use crate::problem::Problem;
use crate::write::Object;

/// The body of an answer: whole, in memory.
pub type Body = Full<Bytes>;

/// The header that carries the version spoken.
const API_VERSION: HeaderName = HeaderName::from_static("openstack-api-version");

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The type of the body.
    pub content_type: Option<HeaderValue>,
    /// Where the new thing is, or the thing asked for.
    pub location: Option<HeaderValue>,
    /// The methods of a 405.
    pub allow: Option<&'static str>,
    /// How to authenticate, for a 401.
    pub challenge: Option<HeaderValue>,
    /// Seconds after which to try again.
    pub retry_after_s: Option<u8>,
    /// The body.
    pub body: Bytes,
}

/// Plaintext on its way out: wiped when the last reference to it is gone. The copy in the connection's write buffer
/// is not, and neither is the kernel's.
struct Outgoing(Payload);

impl AsRef<[u8]> for Outgoing {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn new(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }

    /// With a text of a type.
    pub(crate) fn body(self, content_type: HeaderValue, text: impl Into<Bytes>) -> Self {
        Self { content_type: Some(content_type), body: text.into(), ..self }
    }

    /// With a JSON text.
    pub(crate) fn json(status: StatusCode, text: String) -> Self {
        Self::new(status).body(HeaderValue::from_static("application/json"), text)
    }

    /// With plaintext.
    pub(crate) fn payload(content_type: HeaderValue, payload: Payload) -> Self {
        Self::new(StatusCode::OK).body(content_type, Bytes::from_owner(Outgoing(payload)))
    }

    /// 204.
    pub(crate) fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT)
    }

    /// The reference to a new thing, in the body and as `Location`.
    pub(crate) fn reference(status: StatusCode, key: &str, reference: &str) -> Self {
        Self::json(status, Object::new().text(key, reference).end()).with_location(reference)
    }

    /// With a `Location`. A reference that no header can hold is left out; the body has it.
    pub(crate) fn with_location(self, location: &str) -> Self {
        Self { location: HeaderValue::from_str(location).ok(), ..self }
    }

    /// A problem, in Barbican's shape.
    pub(crate) fn problem(problem: &Problem) -> Self {
        let mut object = Object::new();
        object.json("code", problem.status.as_u16()).text("title", problem.title());
        object.optional_text("description", problem.description.as_deref());
        Self {
            allow: problem.allow,
            retry_after_s: problem.retry_after_s,
            ..Self::json(problem.status, object.end())
        }
    }

    /// The answer as HTTP has it, with the headers of every answer: the request id, and the version if one was agreed on.
    pub(crate) fn finish(self, spoken: Option<Microversion>, request: RequestId) -> Response<Body> {
        let mut response = self.into_response();
        let headers = response.headers_mut();
        set_request_id(headers, request);
        if let Some(version) = spoken {
            headers.insert(API_VERSION, version.header());
            headers.insert(header::VARY, HeaderValue::from_static("openstack-api-version"));
        }
        response
    }

    /// The answer as HTTP has it.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let mut set = |name, value: Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        };
        set(header::CONTENT_TYPE, self.content_type);
        set(header::LOCATION, self.location);
        set(header::ALLOW, self.allow.map(HeaderValue::from_static));
        set(header::WWW_AUTHENTICATE, self.challenge);
        set(header::RETRY_AFTER, self.retry_after_s.map(|seconds| HeaderValue::from(u16::from(seconds))));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_have_barbicans_shape() {
        let reply = Reply::problem(&Problem::method_not_allowed(Some("GET, POST")));
        assert_eq!(reply.body, r#"{"code": 405, "title": "Method Not Allowed", "description": ""}"#);
        assert_eq!(reply.into_response().headers().get("allow").unwrap(), "GET, POST");
        let reply = Reply::problem(&Problem::bare(StatusCode::NOT_ACCEPTABLE));
        assert_eq!(reply.body, r#"{"code": 406, "title": "Not Acceptable", "description": null}"#);
    }
}
