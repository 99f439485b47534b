//! `/v1/transport_keys` and `/v1/transport_keys/{id}`: transport keys are registered and shown, but nothing uses them: no
//! device here could unwrap a payload that is wrapped with one.

use http::StatusCode;
use model::{Text, Timestamp, TransportKey, TransportKeyId};
use vault::Action;

use crate::problem::Problem;
use crate::python::unquote_plus;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::list;
use crate::schema::bodies::TRANSPORT_KEY;
use crate::schema::{self, mismatch};
use crate::write::{Object, quoted};

/// The name of the schema in error texts.
const SCHEMA: &str = "Transport Key";

fn reference(request: &ApiRequest<'_>, id: TransportKeyId) -> String {
    request.url(format_args!("transport_keys/{id}"))
}

/// `GET /v1/transport_keys`
pub(crate) async fn read_all(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let understood = list::slice(request.query)
        .and_then(|slice| Ok((slice, request.query.once("plugin_name")?.map(unquote_plus))));
    let (slice, plugin) = request.or_refuse(Action::ListTransportKeys, None, understood).await?;
    let found =
        request.or_problem(request.vault.transport_keys(request.call, plugin.as_deref(), slice).await)?;
    let write_one = |key: &TransportKey| quoted(&reference(request, key.id));
    Ok(list::page("transport_keys", &request.url("transport_keys"), &found, slice, write_one))
}

/// `POST /v1/transport_keys`
pub(crate) async fn create(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let understood = request.json_body().and_then(parse);
    let (plugin, key) = request.or_refuse(Action::CreateTransportKey, None, understood).await?;
    let id = request.or_problem(request.vault.create_transport_key(request.call, plugin, key).await)?;
    Ok(Reply::reference(StatusCode::CREATED, "transport_key_ref", &reference(request, id)))
}

pub(crate) fn parse(body: &[u8]) -> Result<(Text, String), Problem> {
    let value = schema::read(body, &TRANSPORT_KEY, SCHEMA)?;
    let text = |key: &'static str| match value.text_at(key) {
        None | Some("") => Err(mismatch(SCHEMA, &format!("{key} must be provided"), key)),
        Some(text) => Ok(text),
    };
    let plugin = Text::try_from(text("plugin_name")?);
    let plugin = plugin.map_err(|error| mismatch(SCHEMA, &error.to_string(), "plugin_name"))?;
    Ok((plugin, text("transport_key")?.to_owned()))
}

/// `GET /v1/transport_keys/{id}`: Barbican shows its row as it is.
pub(crate) async fn read(request: &ApiRequest<'_>, id: TransportKeyId) -> Result<Reply, Problem> {
    let key = request.or_problem(request.vault.transport_key(request.call, id).await)?;
    let moment = |time: Timestamp| time.to_string().replacen('T', " ", 1);
    let mut object = Object::new();
    object.plain("id", key.id);
    object.plain("created_at", moment(key.created)).plain("updated_at", moment(key.updated));
    object.json("deleted_at", "null").json("deleted", "false").text("status", "ACTIVE");
    object.text("plugin_name", key.plugin.as_str()).text("transport_key", &key.key);
    Ok(Reply::json(StatusCode::OK, object.end()))
}

/// `DELETE /v1/transport_keys/{id}`
pub(crate) async fn delete(request: &ApiRequest<'_>, id: TransportKeyId) -> Result<Reply, Problem> {
    request.or_problem(request.vault.delete_transport_key(request.call, id).await)?;
    Ok(Reply::no_content())
}
