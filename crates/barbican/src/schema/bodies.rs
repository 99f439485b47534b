//! Barbican's schemas of request bodies, as data (its `common/validators.py`).

use model::{BitLength, SecretType, Text};

use crate::schema::{Schema, Type};

/// The longest text in most places.
const CHARS_MAX: usize = Text::CHARS_MAX;

/// The names of the secret types, in the order in which error texts list them.
const SECRET_TYPES: [&str; SecretType::ALL.len()] = {
    let [a, b, c, d, e, f] = SecretType::ALL;
    [a.as_str(), b.as_str(), c.as_str(), d.as_str(), e.as_str(), f.as_str()]
};

/// A new secret.
pub(crate) static SECRET: Schema = Schema {
    properties: &[
        ("name", Schema { types: &[Type::String, Type::Null], ..Schema::text(CHARS_MAX) }),
        ("algorithm", Schema::text(CHARS_MAX)),
        ("mode", Schema::text(CHARS_MAX)),
        (
            "bit_length",
            Schema {
                minimum: Some(1),
                maximum: Some(BitLength::MAX as i64),
                ..Schema::of_type(&[Type::Integer])
            },
        ),
        ("expiration", Schema::text(CHARS_MAX)),
        ("payload", Schema::of_type(&[Type::String])),
        ("secret_type", Schema { one_of: &SECRET_TYPES, ..Schema::text(80) }),
        ("payload_content_type", Schema { types: &[Type::String, Type::Null], ..Schema::text(CHARS_MAX) }),
        ("payload_content_encoding", Schema { one_of: &["base64"], ..Schema::text(CHARS_MAX) }),
        ("transport_key_needed", Schema { one_of: &["true", "false"], ..Schema::of_type(&[Type::String]) }),
        ("transport_key_id", Schema::of_type(&[Type::String])),
    ],
    ..Schema::of_type(&[Type::Object])
};

/// All user metadata of a secret.
pub(crate) static SECRET_METADATA: Schema = Schema {
    properties: &[("metadata", Schema::of_type(&[Type::Object]))],
    required_draft3: true,
    ..Schema::of_type(&[Type::Object])
};

/// One pair of user metadata.
pub(crate) static SECRET_METADATUM: Schema = Schema {
    properties: &[("key", Schema::text(CHARS_MAX)), ("value", Schema::text(CHARS_MAX))],
    required_draft3: true,
    closed: true,
    ..Schema::of_type(&[Type::Object])
};

/// A text that must not be empty.
const NON_EMPTY: Schema = Schema { length_min: 1, ..Schema::of_type(&[Type::String]) };

/// One secret of a new container.
static SECRET_REF: Schema = Schema {
    required: &["secret_ref"],
    properties: &[
        ("name", Schema { types: &[Type::String, Type::Null], ..Schema::text(CHARS_MAX) }),
        ("secret_ref", NON_EMPTY),
    ],
    ..Schema::of_type(&[Type::Object])
};

/// A new container.
pub(crate) static CONTAINER: Schema = Schema {
    properties: &[
        ("name", Schema { types: &[Type::String, Type::Null], ..Schema::text(CHARS_MAX) }),
        ("type", Schema { one_of: &["generic", "rsa", "certificate"], ..Schema::of_type(&[Type::String]) }),
        ("secret_refs", Schema { items: Some(&SECRET_REF), ..Schema::of_type(&[Type::Array]) }),
    ],
    required: &["type"],
    ..Schema::of_type(&[Type::Object])
};

/// The users of an ACL: Barbican looks at the type of the first one alone.
static ACL_USER: Schema = Schema::text(CHARS_MAX);
const ACL_OF_OPERATION: Schema = Schema {
    properties: &[
        ("users", Schema { first_item: Some(&ACL_USER), ..Schema::of_type(&[Type::Array]) }),
        ("project-access", Schema::of_type(&[Type::Boolean])),
    ],
    closed: true,
    ..Schema::of_type(&[Type::Object])
};

/// An ACL.
pub(crate) static ACL: Schema =
    Schema { properties: &[("read", ACL_OF_OPERATION)], closed: true, ..Schema::of_type(&[Type::Object]) };

/// A consumer of a container.
pub(crate) static CONSUMER: Schema = Schema {
    properties: &[
        ("URL", Schema { length_min: 1, ..Schema::text(CHARS_MAX) }),
        ("name", Schema { length_min: 1, ..Schema::text(36) }),
    ],
    required: &["name", "URL"],
    ..Schema::of_type(&[Type::Object])
};

/// A consumer of a secret. Barbican bounds the resource's id by its column, which a database may or may not enforce.
pub(crate) static SECRET_CONSUMER: Schema = Schema {
    properties: &[
        ("service", Schema { length_min: 1, ..Schema::text(CHARS_MAX) }),
        ("resource_type", Schema { length_min: 1, ..Schema::text(CHARS_MAX) }),
        ("resource_id", Schema { length_min: 1, ..Schema::text(CHARS_MAX) }),
    ],
    required: &["service", "resource_type", "resource_id"],
    ..Schema::of_type(&[Type::Object])
};

/// A secret to be put into a container, or taken out of it.
pub(crate) static CONTAINER_SECRET: Schema = Schema {
    properties: &[("name", Schema::text(CHARS_MAX)), ("secret_ref", NON_EMPTY)],
    required: &["secret_ref"],
    ..Schema::of_type(&[Type::Object])
};

const INTEGER: Schema = Schema::of_type(&[Type::Integer]);

/// The quotas of a project.
pub(crate) static PROJECT_QUOTA: Schema = Schema {
    properties: &[(
        "project_quotas",
        Schema {
            properties: &[
                ("secrets", INTEGER),
                ("orders", INTEGER),
                ("containers", INTEGER),
                ("consumers", INTEGER),
                ("cas", INTEGER),
            ],
            closed: true,
            ..Schema::of_type(&[Type::Object])
        },
    )],
    required: &["project_quotas"],
    closed: true,
    ..Schema::of_type(&[Type::Object])
};

/// A new transport key.
pub(crate) static TRANSPORT_KEY: Schema = Schema {
    properties: &[
        ("plugin_name", Schema::of_type(&[Type::String])),
        ("transport_key", Schema::of_type(&[Type::String])),
    ],
    ..Schema::of_type(&[Type::Object])
};

/// A new order.
pub(crate) static ORDER: Schema = Schema {
    properties: &[
        ("meta", Schema::of_type(&[Type::Object])),
        ("type", Schema { one_of: &["key", "asymmetric"], ..Schema::of_type(&[Type::String]) }),
    ],
    required_draft3: true,
    ..Schema::of_type(&[Type::Object])
};
