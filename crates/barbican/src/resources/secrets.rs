//! `/v1/secrets` and `/v1/secrets/{id}`: create, look at, fill, delete.

use http::{StatusCode, header};
use model::{BitLength, Consumer, ContentType, PAYLOAD_BYTES_MAX, Secret, SecretId, Uses};
use vault::{Action, NewPayload, Payload, SecretUse};

use crate::microversion::Microversion;
use crate::problem::Problem;
use crate::python::base64;
use crate::reply::Reply;
use crate::request::{ApiRequest, JSON};
use crate::resources::new_secret;
use crate::resources::payload::{self, NO_TRANSPORT_KEY};
use crate::write::{Object, list};

/// The content types that a payload may be put with, as error texts list them.
const PAYLOAD_TYPES: &str = "['application/octet-stream', 'text/plain']";
const NO_TRANSPORT_KEYS: &str = "Transport keys are not supported.";

/// `POST /v1/secrets`
pub(crate) async fn create(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let new = request.or_refuse(Action::CreateSecret, None, understand_new(request)).await?;
    let id = request.or_problem(request.vault.create_secret(request.call, new).await)?;
    Ok(Reply::reference(StatusCode::CREATED, "secret_ref", &request.secret_ref(id)))
}

fn understand_new(request: &ApiRequest<'_>) -> Result<vault::NewSecret, Problem> {
    let new = new_secret::parse(request.json_body()?, request.call.time)?;
    match (&new.secret.payload, new.names_transport_key, new.transport_key_needed) {
        (Some(_), true, _) => Err(request.issue(StatusCode::BAD_REQUEST, NO_TRANSPORT_KEY)),
        (None, _, true) => Err(request.issue(StatusCode::BAD_REQUEST, NO_TRANSPORT_KEYS)),
        _ => Ok(new.secret),
    }
}

/// `GET /v1/secrets/{id}`: the attributes of the secret, or, in an older use, its payload.
pub(crate) async fn read(request: &ApiRequest<'_>, id: SecretId) -> Result<Reply, Problem> {
    if !asks_for_metadata(request) {
        return payload::read(request, id).await;
    }
    let needs_no_key = request.query.once("transport_key_needed").and_then(|needed| match needed {
        Some(needed) if needed.eq_ignore_ascii_case("true") => {
            Err(request.issue(StatusCode::BAD_REQUEST, NO_TRANSPORT_KEYS))
        }
        _ => Ok(()),
    });
    request.or_refuse(Action::ReadSecret, Some(id), needs_no_key).await?;
    let written = if request.version < Microversion::V1_1 {
        write(request, &request.or_problem(request.vault.secret(request.call, id).await)?, None)
    } else {
        write_use(request, &request.or_problem(request.vault.secret_use(request.call, id).await)?)
    };
    Ok(Reply::json(StatusCode::OK, written))
}

/// Only a missing Accept header, or one of two exact spellings, asks for the attributes instead of the payload.
fn asks_for_metadata(request: &ApiRequest<'_>) -> bool {
    matches!(request.accept.as_sent(), None | Some("*/*" | JSON))
}

/// A secret without its payload, with its consumers.
pub(crate) fn write_use(request: &ApiRequest<'_>, SecretUse { secret, consumers }: &SecretUse) -> String {
    write(request, secret, Some(consumers))
}

/// A secret without its payload.
pub(crate) fn write(request: &ApiRequest<'_>, secret: &Secret, consumers: Option<&[Consumer]>) -> String {
    let attributes = &secret.attributes;
    let mut object = Object::new();
    object.plain("created", secret.created).plain("updated", secret.updated);
    object.plain("status", secret.status.as_str());
    object.optional_text("name", attributes.name.as_ref().map(|name| name.as_str()));
    object.plain("secret_type", attributes.secret_type.as_str());
    match attributes.expiration {
        Some(expiration) => object.plain("expiration", expiration),
        None => object.json("expiration", "null"),
    };
    object.optional_text("algorithm", attributes.algorithm.as_ref().map(|algorithm| algorithm.as_str()));
    object.optional_json("bit_length", attributes.bit_length.map(BitLength::bits));
    object.optional_text("mode", attributes.mode.as_ref().map(|mode| mode.as_str()));
    object.optional_text("creator_id", secret.creator.as_ref().map(|creator| creator.as_str()));
    if let Some(consumers) = consumers {
        object.json("consumers", write_consumers(consumers));
    }
    if let Some(content_type) = secret.content_type {
        object.json("content_types", format_args!("{{\"default\": \"{}\"}}", content_type.as_str()));
    }
    object.text("secret_ref", &request.secret_ref(secret.id)).end()
}

/// The consumers of a secret or a container, as it shows them.
pub(crate) fn write_consumers(consumers: &[Consumer]) -> String {
    list(consumers.iter().map(|consumer| name_consumer(&mut Object::new(), &consumer.who).end()))
}

/// Adds the members that name a consumer.
pub(crate) fn name_consumer<'o>(object: &'o mut Object, who: &Uses) -> &'o mut Object {
    match who {
        Uses::Secret { service, resource_type, resource_id } => object
            .text("service", service.as_str())
            .text("resource_type", resource_type.as_str())
            .text("resource_id", resource_id.as_str()),
        Uses::Container { name, url } => object.text("name", name.as_str()).text("URL", url.as_str()),
    }
}

/// `PUT /v1/secrets/{id}`: the payload of a secret that has none yet.
pub(crate) async fn fill(request: &ApiRequest<'_>, id: SecretId) -> Result<Reply, Problem> {
    let content_type = request.or_refuse(Action::FillPayload, Some(id), fits(request)).await?;
    // From here on, the conflict with an existing payload comes before mistakes in this one.
    let payload = match understand_payload(request, content_type) {
        Ok(payload) => payload,
        Err(problem) => {
            let refused = request.vault.refuse_payload(request.call, id).await;
            return Err(refused.err().map_or(problem, |error| request.failed(&error)));
        }
    };
    let new = NewPayload { content_type, payload };
    request.or_problem(request.vault.fill_payload(request.call, id, new).await)?;
    Ok(Reply::no_content())
}

/// The content type, if type and size are those of a payload.
fn fits(request: &ApiRequest<'_>) -> Result<ContentType, Problem> {
    let content_type = match request.content_type() {
        "text/plain" => ContentType::Text,
        "application/octet-stream" => ContentType::OctetStream,
        _ => return Err(Problem::unsupported_type(PAYLOAD_TYPES)),
    };
    match request.body.len() {
        0 => Err(request.issue(StatusCode::BAD_REQUEST, "No data supplied to process.")),
        1..=PAYLOAD_BYTES_MAX => Ok(content_type),
        _ => {
            let reason = "Provided information too large to process";
            Err(request.issue(StatusCode::PAYLOAD_TOO_LARGE, reason))
        }
    }
}

fn understand_payload(request: &ApiRequest<'_>, content_type: ContentType) -> Result<Payload, Problem> {
    if request.query.has("transport_key_id") {
        return Err(request.issue(StatusCode::BAD_REQUEST, NO_TRANSPORT_KEY));
    }
    match content_type {
        ContentType::Text => Ok(Payload::new(request.body.to_vec())), // Whatever encoding is named.
        ContentType::OctetStream | ContentType::Pkcs8 => decode(request),
    }
}

/// Bytes as they are, or in base64 if the request says so. A body without any character of base64 is an empty secret in
/// Barbican; here it is stored as it came, so that nothing is lost. Barbican fails on wrong padding; here it is refused.
fn decode(request: &ApiRequest<'_>) -> Result<Payload, Problem> {
    let encoding =
        request.headers.get(header::CONTENT_ENCODING).map_or(&[][..], |encoding| encoding.as_bytes());
    if encoding.is_empty() {
        return Ok(Payload::new(request.body.to_vec()));
    }
    if !encoding.eq_ignore_ascii_case(b"base64") {
        let reason = "Text-based binary secret payloads must specify a content-encoding of 'base64'";
        return Err(request.issue(StatusCode::BAD_REQUEST, reason));
    }
    if !base64::has_any(request.body) {
        return Ok(Payload::new(request.body.to_vec()));
    }
    base64::decode(request.body)
        .map_err(|_| request.issue(StatusCode::BAD_REQUEST, "Unable to decode request data."))
}

/// `DELETE /v1/secrets/{id}`. From 1.2 on, a secret with consumers stays unless `force` is true.
pub(crate) async fn delete(request: &ApiRequest<'_>, id: SecretId) -> Result<Reply, Problem> {
    let mut unless_used = false;
    if request.version >= Microversion::V1_2 {
        let force = request.query.once("force").and_then(|force| force.map_or(Ok(false), truth));
        unless_used = !request.or_refuse(Action::DeleteSecret, Some(id), force).await?;
    }
    request.or_problem(request.vault.delete_secret(request.call, id, unless_used).await)?;
    Ok(Reply::no_content())
}

/// The spellings of a truth value that `oslo_utils.strutils.bool_from_string` takes.
fn truth(text: &str) -> Result<bool, Problem> {
    const TRUE: [&str; 6] = ["1", "t", "true", "on", "y", "yes"];
    const FALSE: [&str; 6] = ["0", "f", "false", "off", "n", "no"];
    let text = crate::python::strip(text).to_lowercase();
    match (TRUE.contains(&text.as_str()), FALSE.contains(&text.as_str())) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(Problem::bad_query()),
    }
}
