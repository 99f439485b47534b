//! Problems, as Barbican answers them: `{"code": …, "title": …, "description": …}`.
//!
//! A description is for the sender of the request: it may quote parts of the request, so it is never logged. The cause of
//! a failure in the vault is logged separately, joined by the request id.

use std::borrow::Cow;

use http::StatusCode;
use vault::{Absent, Conflict, Denied, Error, Failure, StoreFailure};

/// An answer that is an error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// The status, which also gives code and title.
    pub status: StatusCode,
    /// The text for the caller. Barbican says `null` in some places and `""` in others.
    pub description: Option<Cow<'static, str>>,
    /// The `Allow` header of a 405.
    pub allow: Option<&'static str>,
    /// Seconds after which trying again makes sense.
    pub retry_after_s: Option<u8>,
}

impl Problem {
    /// A problem with a description.
    pub(crate) fn new(status: StatusCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status, description: Some(description.into()), allow: None, retry_after_s: None }
    }

    /// A problem whose description is `null`.
    pub(crate) const fn bare(status: StatusCode) -> Self {
        Self { status, description: None, allow: None, retry_after_s: None }
    }

    /// 400.
    pub(crate) fn bad_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, description)
    }

    /// 404.
    pub(crate) fn not_found(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, description)
    }

    /// 400 for a query string that cannot be understood.
    pub(crate) fn bad_query() -> Self {
        Self::bad_request("URI provided invalid query string parameters.")
    }

    /// 400 for a body that is not JSON.
    pub(crate) fn malformed_json() -> Self {
        Self::bad_request("Malformed JSON")
    }

    /// 404, for an id that no secret can have.
    pub(crate) fn invalid_secret_id() -> Self {
        Self::not_found("Not Found. Provided secret id is invalid.")
    }

    /// 405. Barbican names no allowed methods in some places.
    pub(crate) fn method_not_allowed(allow: Option<&'static str>) -> Self {
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "") }
    }

    /// 415, listing the types that are allowed as Python prints them.
    pub(crate) fn unsupported_type(allowed: &'static str) -> Self {
        let description = format!("Unexpected content type. Expected content types are: {allowed}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, description)
    }

    /// Something wrong inside an operation, in Barbican's wrapping. A reason that ends in a full stop gets two.
    pub(crate) fn issue(status: StatusCode, operation: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(status, format!("{operation} issue seen - {reason}."))
    }

    /// The problem that an error of the vault is to the caller.
    pub(crate) fn of_vault(operation: &str, error: &Error) -> Self {
        match error {
            Error::Absent(absent) => Self::of_absent(absent),
            Error::Conflict(conflict) => Self::of_conflict(operation, conflict),
            Error::Denied(Denied::Action(_) | Denied::Private(_)) => Self::new(
                StatusCode::FORBIDDEN,
                format!("{operation} attempt not allowed - please review your user/project privileges"),
            ),
            Error::Denied(Denied::OthersConsumer) => Self::new(
                StatusCode::FORBIDDEN,
                "Not Allowed. Sorry, only the creator of a consumer can delete it.",
            ),
            Error::Failed(failure) => Self::of_failure(operation, failure),
        }
    }

    fn of_absent(absent: &Absent) -> Self {
        Self::not_found(match absent {
            // Barbican looks for no such id.
            Absent::Secret(id) if !id.is_v4() => return Self::invalid_secret_id(),
            Absent::Secret(_) => "Secret not found.",
            Absent::Payload(_) => "Not Found. Sorry but your secret has no payload.",
            Absent::Metadatum => "Secret metadata not found.",
            Absent::Container => "Secrets container not found.",
            Absent::Reference(_) => "Secret provided doesn't exist.",
            Absent::Part(_) => "Secret provided is not in the container",
            Absent::Consumer => "Consumer not found.",
            Absent::Order => "Order not found.",
            Absent::Quotas => "Project quotas not found.",
            Absent::TransportKey => "Not Found. Transport Key not found.",
        })
    }

    fn of_conflict(operation: &str, conflict: &Conflict) -> Self {
        match conflict {
            Conflict::Payload(_) => {
                Self::new(StatusCode::CONFLICT, "Secret already has data, cannot modify it.")
            }
            Conflict::Metadatum => {
                Self::new(StatusCode::CONFLICT, "Conflict. Key in request is already in the secret metadata")
            }
            Conflict::Facet(_)
            | Conflict::Usage(_)
            | Conflict::Id(_)
            | Conflict::TooManyMetadata
            | Conflict::TooManyParts
            | Conflict::EphemeralPart(_)
            | Conflict::NamedOnDisk(_) => Self::issue(StatusCode::CONFLICT, operation, conflict),
            Conflict::Consumers(_) => {
                let reason = "Secret cannot be deleted as it has consumers.";
                Self::issue(StatusCode::BAD_REQUEST, operation, reason)
            }
            Conflict::Quota(_) => {
                let reason = "Creation not allowed because a quota has been reached";
                Self::issue(StatusCode::FORBIDDEN, operation, reason)
            }
            Conflict::NotGeneric => Self::bad_request("Only 'generic' containers can be modified."),
            Conflict::Part(_) => Self::new(
                StatusCode::CONFLICT,
                "Conflict. A secret with that name and ID is already stored in this container. The same secret can \
                 exist in a container as long as the name is unique.",
            ),
        }
    }

    fn of_failure(operation: &str, failure: &Failure) -> Self {
        use StoreFailure as Store;
        let unavailable = |retry_after_s| Self {
            retry_after_s,
            ..Self::issue(StatusCode::SERVICE_UNAVAILABLE, operation, failure)
        };
        match failure {
            damaged if damaged.is_of_damaged_data() => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!(
                    "{operation} failure seen - what is stored of it is damaged, or was changed in the database by hand; please contact \
                     site administrator, who sees more in the log and with: donjond check."
                ),
            ),
            Failure::Corrupt { .. } | Failure::Keys(_) => {
                Self::failure(StatusCode::INTERNAL_SERVER_ERROR, operation)
            }
            Failure::Store(Store::Busy | Store::MemoryFull | Store::ListTooLong) => unavailable(Some(1)),
            Failure::Store(Store::TookTooLong) => unavailable(None),
            Failure::TakenAway
            | Failure::Store(Store::DiskFull | Store::Unreadable | Store::TakenAway(_)) => {
                unavailable(Some(5))
            }
            Failure::Unwritten
            | Failure::Changed
            | Failure::Store(
                Store::Corrupt(_) | Store::Unguarded(_) | Store::Unwitnessed | Store::Unavailable(_),
            ) => Self { retry_after_s: Some(5), ..Self::failure(StatusCode::SERVICE_UNAVAILABLE, operation) },
        }
    }

    fn failure(status: StatusCode, operation: &str) -> Self {
        Self::new(status, format!("{operation} failure seen - please contact site administrator."))
    }

    /// The title that goes with the status: WebOb's names, where the registry's have moved on.
    pub(crate) fn title(&self) -> &'static str {
        match self.status {
            StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
            status => status.canonical_reason().unwrap_or("Error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Counted, FacetError, Guarded, SecretId};
    use vault::Action;
    use vault::generate::SymmetricBits;

    use super::*;

    #[test]
    fn titles_are_webobs() {
        for (status, title) in [
            (413, "Request Entity Too Large"),
            (415, "Unsupported Media Type"),
            (406, "Not Acceptable"),
            (405, "Method Not Allowed"),
            (501, "Not Implemented"),
        ] {
            assert_eq!(Problem::bare(StatusCode::from_u16(status).unwrap()).title(), title);
        }
    }

    fn check(error: impl Into<Error>, status: &str, words: &str) {
        let error = error.into();
        let problem = Problem::of_vault("Secret creation", &error);
        let after = problem.retry_after_s.map(|seconds| format!(", again after {seconds} s"));
        let found = format!("{}{}", problem.status.as_u16(), after.unwrap_or_default());
        let words =
            words.replace('~', "Secret creation issue seen -").replace('!', "Secret creation failure seen -");
        assert_eq!(
            (found.as_str(), problem.description.as_deref()),
            (status, Some(words.as_str())),
            "{error:?}"
        );
    }

    /// `{}` stands for the secret's id, `~` for the words of an issue with the operation, `!` for those of its failure.
    #[test]
    fn every_error_has_its_status_and_words() {
        let id: SecretId = "7f016a68-6b1c-4f6e-9d6a-3f6c1f6f0001".parse().unwrap();
        let about = |words: &str| words.replace("{}", &id.to_string());

        check(Absent::Secret(id), "404", "Secret not found.");
        check(Absent::Secret(SecretId::NIL), "404", "Not Found. Provided secret id is invalid.");
        check(Absent::Payload(id), "404", "Not Found. Sorry but your secret has no payload.");
        check(Absent::Metadatum, "404", "Secret metadata not found.");
        check(Absent::Container, "404", "Secrets container not found.");
        check(Absent::Reference(id), "404", "Secret provided doesn't exist.");
        check(Absent::Part(id), "404", "Secret provided is not in the container");
        check(Absent::Consumer, "404", "Consumer not found.");
        check(Absent::Order, "404", "Order not found.");
        check(Absent::Quotas, "404", "Project quotas not found.");
        check(Absent::TransportKey, "404", "Not Found. Transport Key not found.");

        check(Conflict::Payload(id), "409", "Secret already has data, cannot modify it.");
        check(Conflict::Metadatum, "409", "Conflict. Key in request is already in the secret metadata");
        check(Conflict::TooManyMetadata, "409", "~ the secret has as many metadata keys as it may have.");
        check(Conflict::Facet(FacetError::StaysPrivate), "409", &format!("~ {}.", FacetError::StaysPrivate));
        check(Conflict::Usage(id), "409", &about("~ secret {} of the project has this usage."));
        check(Conflict::Id(id), "409", &about("~ a secret of another project has the id {}."));
        check(Conflict::Consumers(id), "400", "~ Secret cannot be deleted as it has consumers..");
        check(Conflict::NotGeneric, "400", "Only 'generic' containers can be modified.");
        let twice = "Conflict. A secret with that name and ID is already stored in this container. The same secret \
                     can exist in a container as long as the name is unique.";
        check(Conflict::Part(id), "409", twice);
        check(
            Conflict::EphemeralPart(id),
            "409",
            &about("~ secret {} is ephemeral: it cannot be in a container."),
        );
        let named = "~ secret {} is in a container, or came of an order: it cannot become ephemeral.";
        check(Conflict::NamedOnDisk(id), "409", &about(named));
        check(Conflict::TooManyParts, "409", "~ there are as many of these as there may be.");
        check(
            Conflict::Quota(Counted::Secrets),
            "403",
            "~ Creation not allowed because a quota has been reached.",
        );

        let refused = "Secret creation attempt not allowed - please review your user/project privileges";
        check(Denied::Action(Action::ReadSecret), "403", refused);
        check(Denied::Private(id), "403", refused);
        let others = "Not Allowed. Sorry, only the creator of a consumer can delete it.";
        check(Denied::OthersConsumer, "403", others);

        let damaged = "! what is stored of it is damaged, or was changed in the database by hand; please contact site \
                       administrator, who sees more in the log and with: donjond check.";
        check(StoreFailure::Unguarded(Guarded::Secret(id)), "500", damaged);
        check(StoreFailure::Corrupt("a row"), "500", damaged);
        check(StoreFailure::Busy, "503, again after 1 s", "~ too many changes are waiting.");
        let full = "~ there is no more memory for ephemeral secrets.";
        check(StoreFailure::MemoryFull, "503, again after 1 s", full);
        check(StoreFailure::ListTooLong, "503, again after 1 s", "~ the list of all secrets is too long.");
        let slow =
            "~ the list was not found within 10 seconds: ask for less, by an exact name or a smaller offset.";
        check(StoreFailure::TookTooLong, "503", slow);
        check(StoreFailure::DiskFull, "503, again after 5 s", "~ the disk of the store is full.");
        let unreadable = "~ a page of the store is damaged, or cannot be read from the disk.";
        check(StoreFailure::Unreadable, "503, again after 5 s", unreadable);
        let taken = "~ the store's file was deleted, moved or replaced while it was served.";
        check(StoreFailure::TakenAway("/var/lib/donjon.db".into()), "503, again after 5 s", taken);

        let administrator = "! please contact site administrator.";
        check(Failure::from(SymmetricBits::try_from(1).unwrap_err()), "500", administrator);
        check(Failure::Changed, "503, again after 5 s", administrator);
        check(StoreFailure::Unwitnessed, "503, again after 5 s", administrator);
        check(StoreFailure::Unavailable("/var/lib".into()), "503, again after 5 s", administrator);
    }

    #[test]
    fn the_log_s_reason_is_not_the_caller_s() {
        let problem = Problem::of_vault("Secret creation", &Failure::Unwritten.into());
        assert_eq!((problem.status, problem.retry_after_s), (StatusCode::SERVICE_UNAVAILABLE, Some(5)));
        assert_eq!(
            problem.description.as_deref(),
            Some("Secret creation failure seen - please contact site administrator.")
        );
    }
}
