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

use crate::ask::Ask;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::resources::new_secret::normalise;
use crate::resources::secrets::NO_TRANSPORT_KEY;

/// How a payload is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Wanted {
    /// As it was stored.
    AsStored,
    /// As text.
    Text,
    /// As bytes.
    Bytes,
    /// As something it cannot be given as, though it is a known type.
    Misspelt,
    /// As something else.
    Unknown,
}

impl Wanted {
    fn of(accept: &str) -> Self {
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
pub(crate) async fn read(ask: &Ask<'_>, id: SecretId) -> Result<Reply, Problem> {
    let accept = ask.accept.as_sent().unwrap_or_default();
    let wanted = Wanted::of(accept);
    if let Err(problem) = check(ask, accept, &wanted) {
        return Err(ask.refuse(Action::ReadPayload, Some(id), problem).await);
    }
    let opened = ask.vault.read_payload(ask.call, id).await.map_err(|error| ask.failed(&error))?;
    let as_text = match wanted {
        Wanted::AsStored => opened.content_type == ContentType::Text,
        wanted => wanted == Wanted::Text,
    };
    if opened.payload.expose().is_empty() {
        return Ok(Reply::no_content());
    }
    if as_text && std::str::from_utf8(opened.payload.expose()).is_err() {
        return Err(not_acceptable(ask));
    }
    Ok(Reply::payload(content_type(accept), opened.payload))
}

fn check(ask: &Ask<'_>, accept: &str, wanted: &Wanted) -> Result<(), Problem> {
    if ask.query.filled("trans_wrapped_session_key")?.is_some() {
        return Err(match ask.query.has("transport_key_id") {
            true => ask.issue(StatusCode::BAD_REQUEST, NO_TRANSPORT_KEY),
            false => Problem::bad_request(
                "Transport key wrapped session key has been provided to wrap secrets for retrieval, but the \
                 transport key id has not been provided.",
            ),
        });
    }
    match wanted {
        Wanted::AsStored | Wanted::Text | Wanted::Bytes => Ok(()),
        Wanted::Unknown => Err(not_acceptable(ask)),
        Wanted::Misspelt => {
            let reason = format!("content-type of '{accept}' not supported");
            Err(ask.issue(StatusCode::BAD_REQUEST, &reason))
        }
    }
}

fn not_acceptable(ask: &Ask<'_>) -> Problem {
    ask.issue(StatusCode::NOT_ACCEPTABLE, "Wrong payload content-type")
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
    fn accept_says_what_is_wanted() {
        for (accept, expect) in [
            ("", Wanted::Bytes),
            ("*/*", Wanted::AsStored),
            ("text/plain", Wanted::Text),
            ("text/plain; charset=utf-8", Wanted::Text),
            ("text/plain;charset=UTF-8", Wanted::Misspelt),
            ("TEXT/PLAIN", Wanted::Misspelt),
            ("application/octet-stream;charset=utf-8", Wanted::Misspelt),
            ("text/plain;charset=latin-1", Wanted::Unknown),
            ("text/plain;q=0.5", Wanted::Unknown),
            ("text/plain, application/octet-stream", Wanted::Unknown),
            ("*/*, text/plain", Wanted::Unknown),
            ("text/*", Wanted::Unknown),
            ("application/json", Wanted::Unknown),
            ("bogus", Wanted::Unknown),
        ] {
            assert_eq!(Wanted::of(accept), expect, "{accept}");
        }
    }
}
