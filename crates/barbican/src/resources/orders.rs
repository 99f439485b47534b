//! `/v1/orders` and `/v1/orders/{id}`: orders for keys, which are made here.
//!
//! The meta of an order is stored as it came and shown to everybody who may read the order. Secrets are left out: a
//! passphrase, under either of its names, and every unknown member whose name says that it is a secret.

use std::mem::take;

use http::StatusCode;
use model::{
    Attributes, ContentType, Order, OrderFailure, OrderFailureKind, OrderId, OrderOutcome, OrderQuery,
    OrderType, Timestamp,
};
use vault::generate::{PairBits, PairKind, Passphrase, SymmetricBits};
use vault::{Action, NewOrder, OrderedKey, Payload, Slice};

use crate::problem::Problem;
use crate::python::Value;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::list;
use crate::resources::new_secret;
use crate::schema::bodies::{ORDER, SECRET};
use crate::schema::{self, mismatch};
use crate::write::{Object, dumps};

/// The name of the schema in error texts.
const SCHEMA: &str = "Order";
/// The name of the schema of an order's meta.
const META_SCHEMA: &str = "Secret' within 'Order";
/// The name of the operation in the error of an order that failed.
const OPERATION: &str = "Process TypeOrder";

/// `GET /v1/orders`
pub(crate) async fn read_all(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let query = request.or_refuse(Action::ListOrders, None, understand_query(request)).await?;
    let slice = Slice { offset: query.offset, limit: query.limit };
    let found = request.or_problem(request.vault.list_orders(request.call, &query).await)?;
    Ok(list::page("orders", &request.url("orders"), &found, slice, |order| write(request, order)))
}

fn understand_query(request: &ApiRequest<'_>) -> Result<OrderQuery, Problem> {
    let Slice { offset, limit } = list::slice(request.query)?;
    let meta = request.query.filled("meta")?.map(str::to_owned);
    Ok(OrderQuery { project: request.call.caller.project.clone(), meta, offset, limit })
}

/// `GET /v1/orders/{id}`
pub(crate) async fn read(request: &ApiRequest<'_>, id: OrderId) -> Result<Reply, Problem> {
    let order = request.or_problem(request.vault.order(request.call, id).await)?;
    Ok(Reply::json(StatusCode::OK, write(request, &order)))
}

fn reference(request: &ApiRequest<'_>, id: OrderId) -> String {
    request.url(format_args!("orders/{id}"))
}

fn write(request: &ApiRequest<'_>, order: &Order) -> String {
    let mut object = Object::new();
    object.plain("created", order.created).plain("updated", order.updated);
    let status = if matches!(order.outcome, OrderOutcome::Failed(_)) { "ERROR" } else { "ACTIVE" };
    object.text("status", status).text("type", order.order_type.as_str()).json("meta", &order.meta);
    match &order.outcome {
        OrderOutcome::Failed(OrderFailure { kind, reason }) => {
            object.plain("error_status_code", error_status(*kind)).text("error_reason", reason);
        }
        OrderOutcome::Secret(_) | OrderOutcome::Container(_) => {
            object.text("sub_status", "Unknown").text("sub_status_message", "Unknown");
        }
    }
    if let Some(creator) = &order.creator {
        object.text("creator_id", creator.as_str());
    }
    match order.outcome {
        OrderOutcome::Secret(id) => drop(object.text("secret_ref", &request.secret_ref(id))),
        OrderOutcome::Container(id) => drop(object.text("container_ref", &request.container_ref(id))),
        OrderOutcome::Failed(_) => {}
    }
    object.text("order_ref", &reference(request, order.id)).end()
}

/// The status that an order shows for the kind of its failure.
const fn error_status(kind: OrderFailureKind) -> u16 {
    match kind {
        OrderFailureKind::Unsupported => 400,
        OrderFailureKind::Server => 500,
        OrderFailureKind::Unknown(code) => code, // An older version stored a status here.
    }
}

/// `DELETE /v1/orders/{id}`
pub(crate) async fn delete(request: &ApiRequest<'_>, id: OrderId) -> Result<Reply, Problem> {
    request.or_problem(request.vault.delete_order(request.call, id).await)?;
    Ok(Reply::no_content())
}

/// `PUT /v1/orders`
pub(crate) async fn update(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Order update is not supported.");
    Err(request.refuse(Action::ChangeOrder, None, problem).await)
}

/// `POST /v1/orders`
pub(crate) async fn create(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let understood = request.json_body().and_then(|body| parse(body, request.call.time));
    let new = request.or_refuse(Action::CreateOrder, None, understood).await?;
    let id = request.or_problem(request.vault.create_order(request.call, new).await)?;
    Ok(Reply::reference(StatusCode::ACCEPTED, "order_ref", &reference(request, id)))
}

/// Understands a body.
pub(crate) fn parse(body: &[u8], now: Timestamp) -> Result<NewOrder, Problem> {
    let mut value = schema::read(body, &ORDER, SCHEMA)?;
    let order_type = value.text_at("type").and_then(OrderType::parse);
    let order_type = order_type.unwrap_or(OrderType::Key); // The schema allows nothing else.
    let mut meta = value.take("meta").unwrap_or(Value::None);
    // Taken out first, so that no text of an error or of the order has them.
    let passphrase = take_passphrase(&mut meta);
    drop_secrets(&mut meta);
    let described = new_secret::in_order(&meta, META_SCHEMA, now)?;
    let kind = match order_type {
        OrderType::Key => "key",
        OrderType::Asymmetric => "asymmetric key",
    };
    if described.has_payload {
        let kind = order_type.as_str();
        return Err(wrong(&format!("'payload' not allowed for {kind} type order")));
    }
    let required = |key: &str| wrong(&format!("'{key}' is required field for {kind} type order"));
    let attributes = described.attributes;
    let algorithm = attributes.algorithm.as_ref().map_or("", |algorithm| algorithm.as_str()).to_lowercase();
    if algorithm.is_empty() {
        return Err(required("algorithm"));
    }
    let bits = attributes.bit_length.ok_or_else(|| required("bit_length"))?.bits();
    let is_fitting = if algorithm == "ec" { matches!(bits, 256 | 384 | 521) } else { bits % 8 == 0 };
    if !is_fitting {
        return Err(Problem::bad_request("Provided field value is not supported"));
    }
    meta.set("name", attributes.name.as_ref().map_or(Value::None, |name| Value::text(name.as_str())));
    meta.set("expiration", attributes.expiration.map_or(Value::None, |date| Value::text(&with_micros(date))));
    let content_type = described.content_type.unwrap_or(ContentType::OctetStream);
    let meta = dumps(&meta);
    let key = match order_type {
        _ if !is_known(&algorithm) => Err(Refusal::Unheard),
        OrderType::Key => symmetric_key(attributes, content_type, &algorithm, bits.into()),
        OrderType::Asymmetric => key_pair(attributes, content_type, &algorithm, bits.into(), passphrase),
    };
    let failure = key.as_ref().err().copied().unwrap_or(Refusal::Fails).failure();
    Ok(NewOrder { order_type, meta, key: key.ok(), failure })
}

/// The names of a passphrase: Barbican's, and that of python-barbicanclient and Heat. The first with a value counts.
const PASSPHRASE: [&str; 2] = ["passphrase", "pass_phrase"];
/// Words in a name that say that its value is a secret. Only letters are compared.
const SECRET_WORDS: [&str; 4] = ["password", "passwd", "passphrase", "secret"];

fn take_passphrase(meta: &mut Value) -> Option<Value> {
    let [ours, clients] = PASSPHRASE.map(|name| meta.take(name));
    ours.filter(|value| !value.is_false()).or(clients)
}

/// Drops members that an order does not understand and should not keep, at any depth.
fn drop_secrets(meta: &mut Value) {
    let Value::Dict(items) = meta else { return };
    items.retain_mut(|(key, value)| {
        value.drop_members(names_a_secret);
        SECRET.has_property(key) || !names_a_secret(key)
    });
}

fn names_a_secret(name: &str) -> bool {
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    SECRET_WORDS.iter().any(|word| letters.contains(word))
}

fn wrong(reason: &str) -> Problem {
    mismatch(SCHEMA, reason, "meta")
}

/// Python's `isoformat` leaves out a fraction of zero. The writer of orders does not.
fn with_micros(date: Timestamp) -> String {
    let text = date.to_string();
    if text.contains('.') { text } else { format!("{text}.000000") }
}

/// The reason why an order's key is not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
    /// No store of Barbican's has heard of the algorithm.
    Unheard,
    /// They have, but this one does not make such keys.
    Unsupported,
    /// It does not make keys of this length, or fails.
    Fails,
}

impl Refusal {
    /// The outcome of an order that is refused so, in Barbican's words.
    fn failure(self) -> OrderFailure {
        let (kind, problem) = match self {
            Self::Unheard => {
                (OrderFailureKind::Unsupported, "issue seen - Secret generate supported plugin not found..")
            }
            Self::Unsupported => {
                (OrderFailureKind::Unsupported, "issue seen - Requested algorithm is not supported.")
            }
            Self::Fails => (OrderFailureKind::Server, "failure seen - please contact site administrator."),
        };
        OrderFailure { kind, reason: format!("{OPERATION} {problem}") }
    }
}

const SYMMETRIC: [&str; 6] = ["aes", "des", "hmacsha1", "hmacsha256", "hmacsha384", "hmacsha512"];
/// Keys that no part of Barbican's own store makes, though others might.
const ELSEWHERE: [&str; 3] = ["desede", "diffie_hellman", "ec"];
const PAIRS: [(&str, PairKind); 2] = [("rsa", PairKind::Rsa), ("dsa", PairKind::Dsa)];

fn is_known(algorithm: &str) -> bool {
    SYMMETRIC.contains(&algorithm)
        || ELSEWHERE.contains(&algorithm)
        || PAIRS.iter().any(|(known, _)| *known == algorithm)
}

fn symmetric_key(
    attributes: Attributes,
    content_type: ContentType,
    algorithm: &str,
    bits: u32,
) -> Result<OrderedKey, Refusal> {
    if !SYMMETRIC.contains(&algorithm) {
        return Err(Refusal::Unsupported);
    }
    let bits = SymmetricBits::try_from(bits).map_err(|_| Refusal::Fails)?;
    Ok(OrderedKey::Symmetric { attributes, content_type, bits })
}

fn key_pair(
    attributes: Attributes,
    content_type: ContentType,
    algorithm: &str,
    bits: u32,
    passphrase: Option<Value>,
) -> Result<OrderedKey, Refusal> {
    let kind = PAIRS.iter().find(|(known, _)| *known == algorithm).ok_or(Refusal::Unsupported)?.1;
    let bits = PairBits::try_from(bits).map_err(|_| Refusal::Fails)?;
    let passphrase = match passphrase {
        None => None,
        Some(value) if value.is_false() => None,
        Some(Value::Text(mut text)) => {
            let payload = Payload::new(take(&mut *text).into_bytes()); // Moved, not copied.
            Some(Passphrase::try_from(payload).map_err(|_| Refusal::Fails)?)
        }
        Some(_) => return Err(Refusal::Fails),
    };
    Ok(OrderedKey::Pair { attributes, content_type, kind, bits, passphrase })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000); // 2027-01-15

    fn understand(body: &str) -> String {
        match parse(body.as_bytes(), NOW) {
            Err(problem) => problem.description.unwrap_or_default().into_owned(),
            Ok(NewOrder { meta, key: None, failure, .. }) => format!("{} {meta}", error_status(failure.kind)),
            Ok(NewOrder { meta, key: Some(OrderedKey::Symmetric { content_type, .. }), .. }) => {
                format!("key {} {meta}", content_type.as_str())
            }
            Ok(NewOrder { meta, key: Some(OrderedKey::Pair { kind, passphrase, .. }), .. }) => {
                format!("{kind:?} {} {meta}", passphrase.is_some())
            }
        }
    }

    fn check(order_type: &str, meta: &str, expect: &str) {
        let body = format!(r#"{{"type": "{order_type}", "meta": {meta}}}"#);
        assert_eq!(understand(&body), expect, "{body}");
    }

    #[test]
    fn orders_say_what_is_wanted() {
        let nothing = r#""name": null, "expiration": null}"#;
        check(
            "key",
            r#"{"algorithm": "AES", "bit_length": 256}"#,
            &format!(r#"key application/octet-stream {{"algorithm": "AES", "bit_length": 256, {nothing}"#),
        );
        check(
            "key",
            r#"{"name": " k ", "algorithm": "aes", "bit_length": 128, "payload_content_type": "text/plain", "mode": "XTS", "expiration": "2099-05-06", "x": [1, {"y": 1.5}]}"#,
            r#"key text/plain {"name": "k", "algorithm": "aes", "bit_length": 128, "payload_content_type": "text/plain", "mode": "XTS", "expiration": "2099-05-06T00:00:00.000000", "x": [1, {"y": 1.5}]}"#,
        );
        check(
            "asymmetric",
            r#"{"algorithm": "rsa", "bit_length": 2048, "passphrase": "hunter2"}"#,
            &format!(r#"Rsa true {{"algorithm": "rsa", "bit_length": 2048, {nothing}"#),
        );
        check(
            "asymmetric",
            r#"{"algorithm": "dsa", "bit_length": 1024, "passphrase": ""}"#,
            &format!(r#"Dsa false {{"algorithm": "dsa", "bit_length": 1024, {nothing}"#),
        );
        for (order_type, algorithm, bits, code) in [
            ("key", "foo", 256, 400),
            ("key", "desede", 192, 400),
            ("key", "rsa", 2048, 400),
            ("asymmetric", "ec", 256, 400),
            ("asymmetric", "aes", 256, 400),
            ("asymmetric", "rsa", 512, 500),
        ] {
            let meta = format!(r#"{{"algorithm": "{algorithm}", "bit_length": {bits}}}"#);
            let shown = meta.trim_end_matches('}');
            check(order_type, &meta, &format!("{code} {shown}, {nothing}"));
        }
    }

    #[test]
    fn refusals_are_barbicans() {
        let of_meta = |reason: &str, property: &str| {
            format!(
                "Provided object does not match schema 'Secret' within 'Order': {reason}. Invalid property: '{property}'"
            )
        };
        let of_order = |reason: &str| {
            format!("Provided object does not match schema 'Order': {reason}. Invalid property: 'meta'")
        };
        check("key", "{}", &of_order("'algorithm' is required field for key type order"));
        check(
            "asymmetric",
            r#"{"algorithm": ""}"#,
            &of_order("'algorithm' is required field for asymmetric key type order"),
        );
        check(
            "key",
            r#"{"algorithm": "aes"}"#,
            &of_order("'bit_length' is required field for key type order"),
        );
        check("key", r#"{"algorithm": "aes", "bit_length": 7}"#, "Provided field value is not supported");
        check(
            "asymmetric",
            r#"{"algorithm": "ec", "bit_length": 512}"#,
            "Provided field value is not supported",
        );
        check("key", r#"{"bit_length": 0}"#, &of_meta("0 is less than the minimum of 1", "bit_length"));
        check("key", r#"{"expiration": "bogus"}"#, &of_meta("Invalid date for 'expiration'", "expiration"));
        check(
            "key",
            r#"{"payload": "x", "payload_content_type": "text/plain"}"#,
            &of_order("'payload' not allowed for key type order"),
        );
        check(
            "key",
            r#"{"payload_content_type": "bogus"}"#,
            &of_meta(
                "payload_content_type is not one of ['text/plain', 'text/plain;charset=utf-8', \
                 'text/plain; charset=utf-8', 'application/octet-stream', 'application/pkcs8']",
                "payload_content_type",
            ),
        );
        assert!(
            understand(r#"{"meta": {}}"#).contains("'type' is a required property. Invalid property: 'type'")
        );
        assert!(
            understand(r#"{"type": "foo", "meta": {}}"#)
                .contains("'foo' is not one of ['key', 'asymmetric']")
        );
        assert!(understand(r#"{"type": "key", "meta": null}"#).contains("None is not of type 'object'"));
    }

    #[test]
    fn a_symmetric_key_has_any_whole_number_of_bytes() {
        let nothing = r#""name": null, "expiration": null}"#;
        for (algorithm, bits) in [
            ("aes", 8),
            ("aes", 384),
            ("AES", 512),
            ("des", 56),
            ("hmacsha1", 160),
            ("hmacsha512", 1024),
            ("hmacsha256", 32_760),
        ] {
            for mode in ["", r#", "mode": "xts""#] {
                let meta = format!(r#"{{"algorithm": "{algorithm}", "bit_length": {bits}{mode}}}"#);
                let shown = meta.trim_end_matches('}');
                check("key", &meta, &format!("key application/octet-stream {shown}, {nothing}"));
            }
        }
    }

    #[test]
    fn a_passphrase_has_two_names() {
        let pair = |given: &str| {
            let meta = format!(r#"{{"algorithm": "rsa", "bit_length": 2048, {given}}}"#);
            let body = format!(r#"{{"type": "asymmetric", "meta": {meta}}}"#);
            match parse(body.as_bytes(), NOW).unwrap() {
                NewOrder { meta, key: Some(OrderedKey::Pair { passphrase, .. }), .. } => {
                    assert!(!meta.contains("one") && !meta.contains("pass"), "{meta}");
                    let payload = passphrase.map(Passphrase::into_payload);
                    payload.map(|payload| String::from_utf8(payload.expose().to_vec()).unwrap())
                }
                other => panic!("{other:?}"),
            }
        };
        for (given, expect) in [
            (r#""pass_phrase": "one""#, Some("one")),
            (r#""passphrase": "one""#, Some("one")),
            (r#""pass_phrase": "two", "passphrase": "one""#, Some("one")),
            (r#""passphrase": "one", "pass_phrase": null"#, Some("one")),
            (r#""passphrase": null, "pass_phrase": "one""#, Some("one")),
            (r#""passphrase": "", "pass_phrase": ["one"], "pass_phrase": "one""#, Some("one")),
            (r#""passphrase": "", "pass_phrase": null"#, None),
            (r#""Passphrase": "one", "pass-phrase": "one""#, None),
        ] {
            assert_eq!(pair(given).as_deref(), expect, "{given}");
        }
    }

    #[test]
    fn members_named_as_secrets_are_dropped() {
        for order_type in ["key", "asymmetric"] {
            for algorithm in ["aes", "rsa", "foo"] {
                let meta = format!(
                    r#"{{"pass_phrase": "hunter2", "passphrase": "hunter2", "Password": "hunter2", "algorithm":
                    "{algorithm}", "bit_length": 2048, "my_pass-phrase": ["hunter2"], "clientSecret": {{"x": "hunter2"}},
                    "DB_PASSWD": 5, "x": [{{"password": "hunter2", "y": 1}}], "secret_type": "opaque", "Z": true}}"#
                );
                let text = understand(&format!(r#"{{"type": "{order_type}", "meta": {meta}}}"#));
                let kept = format!(
                    r#"{{"algorithm": "{algorithm}", "bit_length": 2048, "x": [{{"y": 1}}], "secret_type": "opaque", "Z": true, "name": null, "expiration": null}}"#
                );
                assert!(text.ends_with(&kept), "{text}");
            }
        }
    }

    #[test]
    fn no_passphrase_is_in_any_text() {
        for meta in [
            r#"{"algorithm": "rsa", "bit_length": 2048, "pass_phrase": "hunter2"}"#,
            r#"{"algorithm": 5, "pass_phrase": "hunter2", "passphrase": "hunter2"}"#,
            r#"{"algorithm": "aes", "bit_length": 2048, "pass_phrase": {"a": "hunter2"}}"#,
            r#"{"algorithm": {"password": "hunter2"}}"#,
            r#"{"algorithm": "rsa", "bit_length": 2048, "passphrase": "hunter2"}"#,
            r#"{"algorithm": 5, "passphrase": "hunter2"}"#,
            r#"{"algorithm": "rsa", "bit_length": 2048, "passphrase": ["hunter2"]}"#,
            r#"{"algorithm": "rsa", "bit_length": 2048, "passphrase": {"a": "hunter2"}}"#,
        ] {
            let text = understand(&format!(r#"{{"type": "asymmetric", "meta": {meta}}}"#));
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_fields_panic(
            keys in prop::collection::vec("name|algorithm|bit_length|mode|pass_?phrase|expiration|payload", 0..6),
            values in prop::collection::vec("null|true|-?[0-9]{1,30}(\\.5)?|\"(aes|rsa|ec|xts|[a-z]{0,9})\"|\\[\\]|\\{\\}|256|2048", 6),
        ) {
            let fields: Vec<_> = keys.iter().zip(&values).map(|(key, value)| format!("\"{key}\": {value}")).collect();
            for order_type in ["key", "asymmetric"] {
                let body = format!(r#"{{"type": "{order_type}", "meta": {{{}}}}}"#, fields.join(", "));
                let _ = parse(body.as_bytes(), NOW);
            }
        }
    }
}
