//! A secret as named on the command line: by its UUID or by its usage.

use std::fmt;
use std::str::FromStr;

use virsecret::{Connection, Secret, UsageType, Uuid};

use crate::console;
use crate::error::Error;
use crate::xml::{NotXml, XmlText};

/// Names one secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reference {
    /// By its UUID.
    Uuid(Uuid),
    /// By its usage.
    Usage(Usage),
}

/// The usage of a secret, written `ceph:client.x` or `ceph=client.x`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Usage {
    /// The type, which has a name.
    pub(crate) usage_type: UsageType,
    /// The name of the thing.
    pub(crate) id: XmlText,
}

/// Why a text names no secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadReference {
    /// It has neither form.
    #[error("it is neither a UUID nor TYPE:ID, such as ceph:client.x")]
    Neither,
    /// The type is unknown.
    #[error(
        "there is no usage of that type: there are volume, ceph, iscsi, tls and vtpm, as in ceph:client.x"
    )]
    Type,
    /// Nothing follows the type.
    #[error("a name must follow the type, as in ceph:client.x")]
    NoId,
    /// XML cannot hold it, so no secret can have it.
    #[error(transparent)]
    Id(#[from] NotXml),
}

impl Reference {
    /// Looks the secret up at the daemon.
    pub(crate) fn lookup(&self, connection: &Connection) -> Result<Secret, Error> {
        let found = match self {
            Self::Uuid(uuid) => connection.lookup_by_id(*uuid),
            Self::Usage(usage) => connection.lookup_by_usage(usage.usage_type, usage.id.as_str()),
        };
        found.map_err(|error| match error {
            error if error.is_no_secret() => Error::NoSuchSecret(self.clone()),
            error => error.into(),
        })
    }
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        match text.parse() {
            Ok(uuid) => Ok(Self::Uuid(uuid)),
            Err(_) => text.parse().map(Self::Usage),
        }
    }
}

impl FromStr for Usage {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        let (name, id) = text.split_once([':', '=']).ok_or(BadReference::Neither)?;
        let named = |known: &UsageType| known.name() == Some(name);
        let usage_type = UsageType::NAMED.into_iter().find(named).ok_or(BadReference::Type)?;
        if id.is_empty() {
            return Err(BadReference::NoId);
        }
        Ok(Self { usage_type, id: id.parse()? })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => write!(f, "{uuid}"),
            Self::Usage(usage) => write!(f, "{}:{}", type_name(usage.usage_type), usage.id.as_str()),
        }
    }
}

/// The name of a type, or its number if this program does not know it.
pub(crate) fn type_name(usage_type: UsageType) -> String {
    usage_type.name().map_or_else(|| usage_type.number().to_string(), str::to_owned)
}

/// The usage of a secret in one line for people; `-` without one.
pub(crate) fn usage_text(secret: &Secret) -> String {
    match secret.usage_type {
        UsageType::None => "-".to_owned(),
        usage_type => format!("{}:{}", type_name(usage_type), console::line(&secret.usage_text())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_uuid_or_by_usage() {
        let check = |text: &str, shown: &str| {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), shown, "{text}");
        };
        let uuid = "3a8f0c52-8a1e-4a57-9d3e-0c5b8d6f7e21";
        check(uuid, uuid);
        check("3A8F0C528A1E4A579D3E0C5B8D6F7E21", uuid);
        check("ceph:client.x y", "ceph:client.x y");
        check("ceph=client.x", "ceph:client.x");
        check("volume:/dev/a=b:c", "volume:/dev/a=b:c");
        check("iscsi:a", "iscsi:a");
        check("tls:a", "tls:a");
        check("vtpm:a", "vtpm:a");
    }

    #[test]
    fn other_texts_are_refused() {
        let check = |text: &str, why: BadReference| assert_eq!(text.parse::<Reference>(), Err(why), "{text}");
        check("", BadReference::Neither);
        check("3a8f0c52", BadReference::Neither);
        check("disk:x", BadReference::Type);
        check("none:x", BadReference::Type);
        check("Ceph:x", BadReference::Type);
        check("ceph:", BadReference::NoId);
        check("ceph:\u{1}", BadReference::Id(NotXml('\u{1}')));
    }
}
