//! The vault's errors in libvirt's words, and the errors of the RPC itself.

use libvirt_rpc::error::{Code, Domain, RemoteError};
use model::{FacetError, SecretId, Usage};
use tracing::error;
use vault::Error;

use crate::limits::QUOTED_BYTES_MAX;
use crate::xml::{Wire, XmlError};

/// What a client asked for, as far as an error names it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About<'a> {
    /// A secret, by its id.
    Secret(SecretId),
    /// A secret, by what it is used for, as the client wrote it.
    Usage(&'a [u8]),
    /// A secret that is being defined.
    Definition(SecretId, Option<&'a Usage>),
    /// All secrets.
    All,
}

/// What an error of the vault is to a client. What only the operator can mend is told to the log.
pub(crate) fn of_vault(error: &Error, about: About<'_>) -> RemoteError {
    match error {
        // A secret of another project is as good as none.
        Error::Denied(_) | Error::NotFound(_) => match about {
            About::Secret(id) | About::Definition(id, _) => {
                secret(Code::NoSecret, format!("no secret with matching uuid '{id}'"))
            }
            About::Usage(usage) => {
                let text = [b"no secret with matching usage '", quoted(usage), b"'"].concat();
                RemoteError::new(Code::NoSecret, Domain::Secret, text)
            }
            About::All => secret(Code::AccessDenied, error.to_string()),
        },
        Error::Private(_) => secret(Code::InvalidSecret, "secret is private".to_owned()),
        Error::NoPayload(id) => secret(Code::NoSecret, format!("secret '{id}' does not have a value")),
        Error::Facet(FacetError::UsageStays(usage)) => {
            let usage = usage.as_deref().map_or("(null)", quoted_text);
            let id = id_of(about);
            internal(format!("a secret with UUID {id} is already defined for use with {usage}"))
        }
        Error::Facet(FacetError::StaysPrivate) => {
            internal("cannot change private flag on existing secret".to_owned())
        }
        Error::UsageTaken(by) => {
            let usage = match about {
                About::Definition(_, Some(usage)) => quoted_text(&usage.id),
                _ => "(null)",
            };
            internal(format!("a secret with UUID {by} already defined for use with {usage}"))
        }
        Error::IdTaken(id) => internal(format!("a secret with UUID {id} is already defined elsewhere")),
        Error::Facet(FacetError::KeptElsewhere)
        | Error::HasPayload(_)
        | Error::MetadatumExists
        | Error::MetadatumNotFound
        | Error::TooManyMetadata
        // What this door never asks for.
        | Error::HasConsumers(_)
        | Error::NoSuchContainer
        | Error::NotGeneric
        | Error::NoSuchReference(_)
        | Error::ReferenceTaken(_)
        | Error::NotInContainer(_)
        | Error::OthersConsumer
        | Error::EphemeralReference(_)
        | Error::NamedOnDisk(_)
        | Error::TooManyParts
        | Error::NoSuchConsumer
        | Error::NoSuchOrder
        | Error::NoSuchQuotas
        | Error::NoSuchTransportKey => internal(error.to_string()),
        Error::ListTooLong => unencodable(),
        Error::MemoryFull | Error::Busy | Error::QuotaReached(_) | Error::TookTooLong => {
            RemoteError::new(Code::SystemError, Domain::Secret, error.to_string().into_bytes())
        }
        damaged if damaged.is_of_what_is_stored() => {
            error!(%error, "what is stored is damaged: see which with donjond check");
            let text = "what is stored of the secret is damaged, or was changed in the database by hand: see the log of donjond";
            internal(text.to_owned())
        }
        Error::DiskFull | Error::Unreadable | Error::TakenAway => {
            error!(%error, "a call of the libvirt door failed");
            let text = format!("the secret store cannot do this now: {error}");
            RemoteError::new(Code::SystemError, Domain::Secret, text.into_bytes())
        }
        Error::Corrupt { .. } | Error::Keys(_) | Error::Unwritten | Error::Store(_) => {
            error!(%error, "a call of the libvirt door failed");
            let text = "the secret store cannot do this now: see the log of donjond";
            RemoteError::new(Code::SystemError, Domain::Secret, text.as_bytes())
        }
    }
}

/// A document that is no definition.
pub(crate) fn of_xml(error: &XmlError) -> RemoteError {
    let Wire { code, domain, format, detail, .. } = error.wire();
    let prefix = format.split('%').next().unwrap_or_default();
    let message = [prefix.as_bytes(), &detail].concat();
    RemoteError::from_parts(code, domain, message.into(), format, detail.into())
}

/// A client's own words, as far as an error says them again.
pub(crate) fn quoted(bytes: &[u8]) -> &[u8] {
    bytes.get(..QUOTED_BYTES_MAX).unwrap_or(bytes)
}

/// The same of a text, to the last whole character.
pub(crate) fn quoted_text(text: &str) -> &str {
    text.get(..text.floor_char_boundary(QUOTED_BYTES_MAX)).unwrap_or(text)
}

fn id_of(about: About<'_>) -> SecretId {
    match about {
        About::Secret(id) | About::Definition(id, _) => id,
        About::Usage(_) | About::All => SecretId::NIL,
    }
}

/// An error of the secret driver.
pub(crate) fn secret(code: Code, text: String) -> RemoteError {
    RemoteError::new(code, Domain::Secret, text.into_bytes())
}

fn internal(text: String) -> RemoteError {
    secret(Code::InternalError, text)
}

/// An error of the RPC.
pub(crate) fn rpc(text: String) -> RemoteError {
    RemoteError::new(Code::Rpc, Domain::Rpc, text.into_bytes())
}

/// Something inside the RPC's part of a daemon.
pub(crate) fn rpc_internal(text: String) -> RemoteError {
    RemoteError::new(Code::InternalError, Domain::Rpc, text.into_bytes())
}

/// Arguments that are not those of their procedure.
pub(crate) fn undecodable() -> RemoteError {
    rpc("Unable to decode message payload".to_owned())
}

/// A reply that is longer than a message's field may be.
pub(crate) fn unencodable() -> RemoteError {
    rpc("Unable to encode message payload".to_owned())
}

/// Flags that a function of the driver does not know.
pub(crate) fn unknown_flags(flags: u32, function: &'static str) -> RemoteError {
    let text = format!("unsupported flags (0x{flags:x}) in function {function}");
    RemoteError::invalid_argument(function, "flags", text.into_bytes())
}
