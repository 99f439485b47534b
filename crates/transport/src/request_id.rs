//! The id of a request, which joins an answer to the log and the audit trail.

use http::{HeaderMap, HeaderName, HeaderValue};
use model::RequestId;

/// The header that carries it in every OpenStack API.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Names the request in the headers of its answer.
pub fn set_request_id(answer: &mut HeaderMap, request: RequestId) {
    if let Ok(id) = HeaderValue::from_bytes(&request.to_ascii()) {
        answer.insert(REQUEST_ID, id);
    }
}
