//! Results as JSON, for programs. Names and types here are an interface: they may be added to, but not changed.
//!
//! ```json
//! {"uuid": "3a8f0c52-…", "usage": {"type": "ceph", "id": "client.x"}}
//! ```
//!
//! `usage` is null for a secret without a usage. Values are not written here: `get-value` writes them itself, into a buffer
//! that is wiped.

use serde_json::{Map, Value, json};
use virsecret::{Secret, UsageType};

use crate::reference::type_name;

/// The object for a secret: its UUID and usage.
pub(crate) fn secret(secret: &Secret) -> Map<String, Value> {
    let usage = match secret.usage_type {
        UsageType::None => Value::Null,
        usage_type => json!({"type": type_name(usage_type), "id": secret.usage_text()}),
    };
    Map::from_iter([("uuid".to_owned(), json!(secret.uuid.to_string())), ("usage".to_owned(), usage)])
}

/// The same with more members.
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
