//! The vault's errors in libvirt's words, and the errors of the RPC itself.

use libvirt_rpc::error::{Code, Domain, RemoteError};
use model::{FacetError, SecretId, Usage};
use tracing::error;
use vault::{Absent, Conflict, Denied, Error, Failure, StoreFailure};

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
        Error::Denied(Denied::Action(_)) | Error::Absent(Absent::Secret(_)) => match about {
            About::Secret(id) | About::Definition(id, _) => {
                secret(Code::NoSecret, format!("no secret with matching uuid '{id}'"))
            }
            About::Usage(usage) => {
                let text = [b"no secret with matching usage '", quoted(usage), b"'"].concat();
                RemoteError::new(Code::NoSecret, Domain::Secret, text)
            }
            About::All => secret(Code::AccessDenied, error.to_string()),
        },
        Error::Denied(Denied::Private(_)) => secret(Code::InvalidSecret, "secret is private".to_owned()),
        Error::Absent(Absent::Payload(id)) => {
            secret(Code::NoSecret, format!("secret '{id}' does not have a value"))
        }
        // This door never asks for these.
        Error::Denied(Denied::OthersConsumer)
        | Error::Absent(
            Absent::Metadatum
            | Absent::Container
            | Absent::Reference(_)
            | Absent::Part(_)
            | Absent::Consumer
            | Absent::Order
            | Absent::Quotas
            | Absent::TransportKey,
        ) => internal(error.to_string()),
        Error::Conflict(conflict) => of_conflict(conflict, about),
        Error::Failed(failure) => of_failure(failure),
    }
}

fn of_conflict(conflict: &Conflict, about: About<'_>) -> RemoteError {
    match conflict {
        Conflict::Facet(FacetError::UsageStays(usage)) => {
            let usage = usage.as_deref().map_or("(null)", quoted_text);
            let id = id_of(about);
            internal(format!("a secret with UUID {id} is already defined for use with {usage}"))
        }
        Conflict::Facet(FacetError::StaysPrivate) => {
            internal("cannot change private flag on existing secret".to_owned())
        }
        Conflict::Usage(by) => {
            let usage = match about {
                About::Definition(_, Some(usage)) => quoted_text(&usage.id),
                About::Definition(_, None) | About::Secret(_) | About::Usage(_) | About::All => "(null)",
            };
            internal(format!("a secret with UUID {by} already defined for use with {usage}"))
        }
        Conflict::Id(id) => internal(format!("a secret with UUID {id} is already defined elsewhere")),
        Conflict::Quota(_) => {
            RemoteError::new(Code::SystemError, Domain::Secret, conflict.to_string().into_bytes())
        }
        Conflict::Facet(FacetError::KeptElsewhere)
        | Conflict::Payload(_)
        | Conflict::Metadatum
        | Conflict::TooManyMetadata
        | Conflict::Consumers(_)
        | Conflict::NotGeneric
        | Conflict::Part(_)
        | Conflict::EphemeralPart(_)
        | Conflict::NamedOnDisk(_)
        | Conflict::TooManyParts => internal(conflict.to_string()),
    }
}

fn of_failure(failure: &Failure) -> RemoteError {
    use StoreFailure as Store;
    let system = |text: String| RemoteError::new(Code::SystemError, Domain::Secret, text.into_bytes());
    match failure {
        Failure::Store(Store::ListTooLong) => unencodable(),
        Failure::Store(Store::MemoryFull | Store::Busy | Store::TookTooLong) => system(failure.to_string()),
        damaged if damaged.is_of_damaged_data() => {
            error!(error = %failure, "what is stored is damaged: see which with donjond check");
            let text = "what is stored of the secret is damaged, or was changed in the database by hand: see the log of donjond";
            internal(text.to_owned())
        }
        Failure::TakenAway | Failure::Store(Store::DiskFull | Store::Unreadable | Store::TakenAway(_)) => {
            error!(error = %failure, "a call of the libvirt door failed");
            system(format!("the secret store cannot do this now: {failure}"))
        }
        Failure::Corrupt { .. }
        | Failure::Keys(_)
        | Failure::Unwritten
        | Failure::Changed
        | Failure::Store(
            Store::Corrupt(_) | Store::Unguarded(_) | Store::Unwitnessed | Store::Unavailable(_),
        ) => {
            error!(error = %failure, "a call of the libvirt door failed");
            system("the secret store cannot do this now: see the log of donjond".to_owned())
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
