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

#[cfg(test)]
mod tests {
    use model::{Counted, Guarded, UsageType};
    use vault::Action;
    use vault::generate::SymmetricBits;

    use super::*;

    fn check(error: impl Into<Error>, about: About<'_>, code: Code, words: &str) {
        let error = error.into();
        let answer = of_vault(&error, about);
        let found = answer.str2.as_deref().map(String::from_utf8_lossy);
        assert_eq!((answer.code, found.as_deref()), (code as i32, Some(words)), "{error:?}");
    }

    #[test]
    fn every_error_has_its_code_and_words() {
        let id: SecretId = "7f016a68-6b1c-4f6e-9d6a-3f6c1f6f0001".parse().unwrap();
        let usage = Usage { usage_type: UsageType::Ceph, id: "c".into() };
        let (this, new) = (About::Secret(id), About::Definition(id, Some(&usage)));
        let (system, internal) = (Code::SystemError, Code::InternalError);
        let about = |words: &str| words.replace("{}", &id.to_string());

        let denied = || Denied::Action(Action::ListSecrets);
        check(denied(), this, Code::NoSecret, &about("no secret with matching uuid '{}'"));
        check(denied(), About::Usage(b"c"), Code::NoSecret, "no secret with matching usage 'c'");
        check(denied(), About::All, Code::AccessDenied, &denied().to_string());
        check(Denied::Private(id), this, Code::InvalidSecret, "secret is private");
        check(Denied::OthersConsumer, this, internal, "another project registered the consumer");

        check(Absent::Secret(id), new, Code::NoSecret, &about("no secret with matching uuid '{}'"));
        check(Absent::Payload(id), this, Code::NoSecret, &about("secret '{}' does not have a value"));
        check(Absent::Order, this, internal, "order not found");

        let stays = |usage: Option<&str>| Conflict::Facet(FacetError::UsageStays(usage.map(str::to_owned)));
        check(
            stays(Some("c")),
            new,
            internal,
            &about("a secret with UUID {} is already defined for use with c"),
        );
        check(
            stays(None),
            new,
            internal,
            &about("a secret with UUID {} is already defined for use with (null)"),
        );
        let private = "cannot change private flag on existing secret";
        check(Conflict::Facet(FacetError::StaysPrivate), new, internal, private);
        check(
            Conflict::Usage(id),
            new,
            internal,
            &about("a secret with UUID {} already defined for use with c"),
        );
        check(Conflict::Id(id), new, internal, &about("a secret with UUID {} is already defined elsewhere"));
        check(Conflict::Payload(id), this, internal, &about("secret {} has a payload already"));
        check(Conflict::NotGeneric, this, internal, "the container is not a generic one");
        let quota = Conflict::Quota(Counted::Secrets);
        check(quota.clone(), new, system, &quota.to_string());

        check(StoreFailure::ListTooLong, About::All, Code::Rpc, "Unable to encode message payload");
        check(StoreFailure::Busy, this, system, "too many changes are waiting");
        check(StoreFailure::MemoryFull, new, system, "there is no more memory for ephemeral secrets");
        let slow =
            "the list was not found within 10 seconds: ask for less, by an exact name or a smaller offset";
        check(StoreFailure::TookTooLong, About::All, system, slow);
        let damaged = "what is stored of the secret is damaged, or was changed in the database by hand: see the log \
                       of donjond";
        check(StoreFailure::Unguarded(Guarded::Secret(id)), this, internal, damaged);
        check(StoreFailure::Corrupt("a row"), this, internal, damaged);

        let cannot = |why: &str| format!("the secret store cannot do this now: {why}");
        check(StoreFailure::DiskFull, new, system, &cannot("the disk of the store is full"));
        let unreadable = cannot("a page of the store is damaged, or cannot be read from the disk");
        check(StoreFailure::Unreadable, this, system, &unreadable);
        let taken = cannot("the store's file was deleted, moved or replaced while it was served");
        check(StoreFailure::TakenAway("/var/lib/donjon.db".into()), this, system, &taken);
        let log = cannot("see the log of donjond");
        check(Failure::from(SymmetricBits::try_from(1).unwrap_err()), this, system, &log);
        check(Failure::Changed, new, system, &log);
        check(StoreFailure::Unwitnessed, new, system, &log);
        check(StoreFailure::Unavailable("/var/lib".into()), this, system, &log);
    }
}
