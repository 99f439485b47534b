//! `GET /v1/secrets/{id}/payload`: plaintext out. This is the hot path.
//!
//! ```text
//! Accept                                   the payload as
//! none, empty                              application/octet-stream
//! */*                                      what it was stored as
//! text/plain[;charset=utf-8]               text, if it is UTF-8: else 406
//! application/octet-stream, …/pkcs8        bytes
//! another spelling of one of these         400
//! anything else, lists and q-values too    406
//! ```
//!
//! The answer says it has the type that was asked for, in the same words; even `*/*`.

use http::{HeaderValue, StatusCode};
use model::{ContentType, SecretId};
use vault::Action;

use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::new_secret::normalise;

/// There are no transport keys: nothing wraps a payload on its way but TLS.
pub(crate) const NO_TRANSPORT_KEY: &str = "Provided transport key was not found.";

/// The form that a payload is asked for in.
#[derive(Clone, Debug, Eq, PartialEq)]
enum PayloadForm {
    /// As it was stored.
    AsStored,
    /// As text.
    Text,
    /// As bytes.
    Bytes,
    /// A known type in a spelling that is refused.
    Misspelt,
    /// Any other type.
    Unknown,
}

impl PayloadForm {
    fn from_accept(accept: &str) -> Self {
        match accept {
            "" | "application/octet-stream" | "application/pkcs8" => Self::Bytes,
            "text/plain" | "text/plain;charset=utf-8" | "text/plain; charset=utf-8" => Self::Text,
            "*/*" => Self::AsStored,
            other if normalise(other).is_some() => Self::Misspelt,
            _ => Self::Unknown,
        }
    }
}

/// Reads a payload.
pub(crate) async fn read(request: &ApiRequest<'_>, id: SecretId) -> Result<Reply, Problem> {
    let accept = request.accept.as_sent().unwrap_or_default();
    let form = PayloadForm::from_accept(accept);
    request.or_refuse(Action::ReadPayload, Some(id), check(request, accept, &form)).await?;
    let opened = request.or_problem(request.vault.read_payload(request.call, id).await)?;
    let as_text = match form {
        PayloadForm::AsStored => opened.content_type == ContentType::Text,
        form => form == PayloadForm::Text,
    };
    if opened.payload.expose().is_empty() {
        return Ok(Reply::no_content());
    }
    if as_text && std::str::from_utf8(opened.payload.expose()).is_err() {
        return Err(not_acceptable(request));
    }
    Ok(Reply::payload(content_type(accept), opened.payload))
}

fn check(request: &ApiRequest<'_>, accept: &str, form: &PayloadForm) -> Result<(), Problem> {
    if request.query.filled("trans_wrapped_session_key")?.is_some() {
        return Err(match request.query.has("transport_key_id") {
            true => request.issue(StatusCode::BAD_REQUEST, NO_TRANSPORT_KEY),
            false => Problem::bad_request(
                "Transport key wrapped session key has been provided to wrap secrets for retrieval, but the \
                 transport key id has not been provided.",
            ),
        });
    }
    match form {
        PayloadForm::AsStored | PayloadForm::Text | PayloadForm::Bytes => Ok(()),
        PayloadForm::Unknown => Err(not_acceptable(request)),
        PayloadForm::Misspelt => {
            let reason = format!("content-type of '{accept}' not supported");
            Err(request.issue(StatusCode::BAD_REQUEST, &reason))
        }
    }
}

fn not_acceptable(request: &ApiRequest<'_>) -> Problem {
    request.issue(StatusCode::NOT_ACCEPTABLE, "Wrong payload content-type")
}

/// The type of the answer: the one asked for. Only these spellings get as far as an answer.
fn content_type(accept: &str) -> HeaderValue {
    HeaderValue::from_static(match accept {
        "text/plain" => "text/plain; charset=UTF-8",
        "text/plain;charset=utf-8" => "text/plain;charset=utf-8",
        "text/plain; charset=utf-8" => "text/plain; charset=utf-8",
        "application/pkcs8" => "application/pkcs8",
        "*/*" => "*/*",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_says_what_is_form() {
        for (accept, expect) in [
            ("", PayloadForm::Bytes),
            ("*/*", PayloadForm::AsStored),
            ("text/plain", PayloadForm::Text),
            ("text/plain; charset=utf-8", PayloadForm::Text),
            ("text/plain;charset=UTF-8", PayloadForm::Misspelt),
            ("TEXT/PLAIN", PayloadForm::Misspelt),
            ("application/octet-stream;charset=utf-8", PayloadForm::Misspelt),
            ("text/plain;charset=latin-1", PayloadForm::Unknown),
            ("text/plain;q=0.5", PayloadForm::Unknown),
            ("text/plain, application/octet-stream", PayloadForm::Unknown),
            ("*/*, text/plain", PayloadForm::Unknown),
            ("text/*", PayloadForm::Unknown),
            ("application/json", PayloadForm::Unknown),
            ("bogus", PayloadForm::Unknown),
        ] {
            assert_eq!(PayloadForm::from_accept(accept), expect, "{accept}");
        }
    }
}
