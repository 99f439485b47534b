//! `/v1/secrets/{id}/metadata` and `/v1/secrets/{id}/metadata/{key}`: the notes of users about a secret, and libvirt's
//! side of it.

use std::collections::HashMap;

use http::StatusCode;
use model::{Facet, Metadatum, SecretId};
use vault::{Action, Expect, Metadata};

use crate::problem::Problem;
use crate::python::Value;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::facets::{self, Key};
use crate::schema;
use crate::schema::bodies::{SECRET_METADATA, SECRET_METADATUM};
use crate::write::Object;

/// `GET …/metadata`
pub(crate) async fn read_all(request: &ApiRequest<'_>, id: SecretId) -> Result<Reply, Problem> {
    let metadata = request.or_problem(request.vault.metadata(request.call, id).await)?;
    let mut pairs = Object::new();
    for (key, value) in all_pairs(&metadata) {
        pairs.text(key, value);
    }
    Ok(Reply::json(StatusCode::OK, Object::new().json("metadata", pairs.end()).end()))
}

fn all_pairs(metadata: &Metadata) -> impl Iterator<Item = (&'_ str, &'_ str)> {
    let user = metadata.user.iter().map(|pair| (pair.key.as_str(), pair.value.as_str()));
    user.chain(facets::pairs(&metadata.facets))
}

/// `PUT …/metadata`: replaces the users' pairs. Of libvirt's keys, only those that are named change.
pub(crate) async fn replace_all(request: &ApiRequest<'_>, id: SecretId) -> Result<Reply, Problem> {
    let understood = request.json_body().and_then(parse_all);
    let (user, facets) = request.or_refuse(Action::ReplaceMetadata, Some(id), understood).await?;
    request.or_problem(request.vault.replace_metadata(request.call, id, user, facets).await)?;
    let reference = format!("{}/metadata", request.secret_ref(id));
    Ok(Reply::json(StatusCode::CREATED, Object::new().text("metadata_ref", &reference).end()))
}

/// All pairs that a body asks for: the users' own, and libvirt's.
pub(crate) fn parse_all(body: &[u8]) -> Result<(Vec<Metadatum>, Vec<Facet>), Problem> {
    let mut value = schema::read(body, &SECRET_METADATA, "SecretMetadata")?;
    let Some(Value::Dict(items)) = value.take("metadata") else { return Err(not_texts()) };
    let (mut user, mut facets) = (Vec::new(), Vec::new());
    for Metadatum { key, value } in lower_keys(items)? {
        match Key::parse(&key)? {
            Some(known) => facets.push(known.facet(&value)?),
            None => user.push(Metadatum { key, value }),
        }
    }
    Ok((user, facets))
}

fn not_texts() -> Problem {
    Problem::bad_request("Invalid Metadata. Keys and Values must be Strings.")
}

/// The pairs with their keys in lower case. Where two keys become one, the value of the one that was not in lower case
/// wins, as in Barbican.
fn lower_keys(items: Vec<(String, Value)>) -> Result<Vec<Metadatum>, Problem> {
    let mut pairs: Vec<Metadatum> = Vec::with_capacity(items.len());
    let mut changed: Vec<Metadatum> = Vec::new();
    for (key, value) in items {
        let lower = lower_key(&key)?;
        let Value::Text(mut value) = value else { return Err(not_texts()) };
        let list = if lower == key { &mut pairs } else { &mut changed };
        list.push(Metadatum { key: lower, value: std::mem::take(&mut value) });
    }
    // A map, so that a body full of keys costs no more than its length.
    let mut places: HashMap<String, usize> =
        pairs.iter().enumerate().map(|(place, pair)| (pair.key.clone(), place)).collect();
    for pair in changed {
        match places.get(&pair.key).and_then(|&place| pairs.get_mut(place)) {
            Some(known) => known.value = pair.value,
            None => {
                places.insert(pair.key.clone(), pairs.len());
                pairs.push(pair);
            }
        }
    }
    Ok(pairs)
}

/// A key in lower case, if it may be part of a URL.
fn lower_key(key: &str) -> Result<String, Problem> {
    let is_safe = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    is_safe
        .then(|| key.to_ascii_lowercase())
        .ok_or_else(|| Problem::bad_request("Invalid Key. Key must be URL safe."))
}

/// The one pair that a body asks for, and the change of a facet if the key is libvirt's.
pub(crate) fn parse_one(body: &[u8]) -> Result<(Metadatum, Option<Facet>), Problem> {
    let value = schema::read(body, &SECRET_METADATUM, "SecretMetadatum")?;
    let text = |key| value.text_at(key).unwrap_or_default();
    let pair = Metadatum { key: lower_key(text("key"))?, value: text("value").to_owned() };
    let facet = Key::parse(&pair.key)?.map(|key| key.facet(&pair.value)).transpose()?;
    Ok((pair, facet))
}

fn write_pair(key: &str, value: &str) -> String {
    Object::new().text("key", key).text("value", value).end()
}

/// `POST …/metadata`: adds one pair.
pub(crate) async fn add(request: &ApiRequest<'_>, id: SecretId) -> Result<Reply, Problem> {
    let understood = request.json_body().and_then(parse_one);
    let (pair, facet) = request.or_refuse(Action::AddMetadatum, Some(id), understood).await?;
    let text = write_pair(&pair.key, &pair.value);
    let location = format!("{}/metadata/{}", request.secret_ref(id), pair.key);
    let done = match facet {
        None => request.vault.add_metadatum(request.call, id, pair).await,
        Some(facet) => {
            request.vault.set_facet(request.call, id, Action::AddMetadatum, facet, Expect::Default).await
        }
    };
    request.or_problem(done)?;
    Ok(Reply::json(StatusCode::CREATED, text).with_location(&location))
}

/// `GET …/metadata/{key}`
pub(crate) async fn read_one(request: &ApiRequest<'_>, id: SecretId, key: &str) -> Result<Reply, Problem> {
    let metadata = request.or_problem(request.vault.metadata(request.call, id).await)?;
    let found = all_pairs(&metadata).find(|(known, _)| *known == key);
    let (key, value) = found.ok_or_else(not_there)?;
    Ok(Reply::json(StatusCode::OK, write_pair(key, value)))
}

fn not_there() -> Problem {
    Problem::not_found("Secret metadata not found.")
}

/// `PUT …/metadata/{key}`: changes one pair.
pub(crate) async fn set(request: &ApiRequest<'_>, id: SecretId, key: &str) -> Result<Reply, Problem> {
    let understood = request.json_body().and_then(parse_one);
    let (pair, facet) = request.or_refuse(Action::ReplaceMetadata, Some(id), understood).await?;
    if pair.key != key {
        return Err(mismatched(request, id, key).await);
    }
    let text = write_pair(&pair.key, &pair.value);
    let done = match facet {
        None => request.vault.set_metadatum(request.call, id, pair).await,
        Some(facet) => {
            request.vault.set_facet(request.call, id, Action::ReplaceMetadata, facet, Expect::Set).await
        }
    };
    request.or_problem(done)?;
    Ok(Reply::json(StatusCode::OK, text))
}

/// The key in the path is not the one in the body: 409, or 404 if no pair has the key in the path. Barbican's text ends
/// where a line of its source does.
async fn mismatched(request: &ApiRequest<'_>, id: SecretId, key: &str) -> Problem {
    let conflict = Problem::new(StatusCode::CONFLICT, "Key in request data does not match key in the ");
    let problem = request.refuse(Action::ReplaceMetadata, Some(id), conflict).await;
    if problem.status != StatusCode::CONFLICT {
        return problem;
    }
    match request.vault.metadata(request.call, id).await {
        Ok(metadata) if all_pairs(&metadata).all(|(known, _)| known != key) => not_there(),
        _ => problem,
    }
}

/// `DELETE …/metadata/{key}`: an absent key is no error.
pub(crate) async fn remove(request: &ApiRequest<'_>, id: SecretId, key: &str) -> Result<Reply, Problem> {
    let default_facet = Key::parse(key).and_then(|known| known.map(|known| known.facet("")).transpose());
    let done = match default_facet {
        Ok(Some(facet)) => {
            request.vault.set_facet(request.call, id, Action::RemoveMetadatum, facet, Expect::Any).await
        }
        _ => request.vault.remove_metadatum(request.call, id, key).await,
    };
    request.or_problem(done)?;
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::parse_json;

    fn check(text: &str, expect: &str) {
        let Value::Dict(items) = parse_json(text).unwrap() else { panic!("not an object") };
        let found = lower_keys(items).map_or_else(
            |problem| problem.description.unwrap().into_owned(),
            |pairs| {
                pairs.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect::<Vec<_>>().join(" ")
            },
        );
        assert_eq!(found, expect, "{text}");
    }

    /// More pairs than a body has room for. Each held against all others would take minutes in a debug build.
    #[test]
    fn many_keys_that_change_take_no_longer_than_their_length() {
        let items = |range: std::ops::Range<u32>, prefix: &str, value: &str| -> Vec<_> {
            range.map(|key| (format!("{prefix}{key}"), Value::Text(value.to_owned().into()))).collect()
        };
        let items = [items(0..50_000, "a", "low"), items(25_000..100_000, "A", "high")].concat();
        let pairs = lower_keys(items).unwrap();
        assert_eq!(pairs.len(), 100_000);
        for (place, pair) in pairs.iter().enumerate() {
            let value = if place < 25_000 { "low" } else { "high" };
            assert_eq!((pair.key.as_str(), pair.value.as_str()), (format!("a{place}").as_str(), value));
        }
    }

    #[test]
    fn keys_become_lower_case() {
        check(r#"{"MyKey": "V", "a-b_C": "x"}"#, "mykey=V a-b_c=x");
        check(r#"{"A": "1", "a": "2"}"#, "a=1");
        check(r#"{"": "x", "123": "y"}"#, "=x 123=y");
        check(r#"{"a b": 5}"#, "Invalid Key. Key must be URL safe.");
        check(r#"{"é": "x"}"#, "Invalid Key. Key must be URL safe.");
        check(r#"{"a": null}"#, "Invalid Metadata. Keys and Values must be Strings.");
    }
}
