//! How results look to programs. Names and forms here are an interface: they are added to, not changed.
//!
//! ```json
//! {"uuid": "3a8f0c52-…", "usage": {"type": "ceph", "id": "client.x"}}
//! ```
//!
//! `usage` is null where a secret is for nothing in particular. A value is never put together here: it is written by
//! `get-value` itself, into a buffer that is wiped.

use serde_json::{Map, Value, json};
use virsecret::{Secret, UsageType};

use crate::reference::type_name;

/// What a daemon says of a secret with every answer.
pub(crate) fn secret(secret: &Secret) -> Map<String, Value> {
    let usage = match secret.usage_type {
        UsageType::None => Value::Null,
        usage_type => json!({"type": type_name(usage_type), "id": secret.usage_text()}),
    };
    Map::from_iter([("uuid".to_owned(), json!(secret.uuid.to_string())), ("usage".to_owned(), usage)])
}

/// The same, with more.
pub(crate) fn secret_with<const N: usize>(of: &Secret, more: [(&str, Value); N]) -> Value {
    let mut object = secret(of);
    object.extend(more.map(|(name, value)| (name.to_owned(), value)));
    object.into()
}

#[cfg(test)]
mod tests {
    use virsecret::Uuid;

    use super::*;

    #[test]
    fn a_secret_is_an_object() {
        let none = Secret::from(Uuid::nil());
        assert_eq!(
            secret_with(&none, [("private", true.into())]).to_string(),
            r#"{"private":true,"usage":null,"uuid":"00000000-0000-0000-0000-000000000000"}"#
        );
        let odd = Secret { usage_type: UsageType::Other(9), usage_id: b"\"\n\xff".to_vec(), ..none };
        assert_eq!(
            Value::from(secret(&odd)).to_string(),
            r#"{"usage":{"id":"\"\n�","type":"9"},"uuid":"00000000-0000-0000-0000-000000000000"}"#
        );
    }
}
