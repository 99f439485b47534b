//! Where a path leads, by the rules of Barbican's framework.
//!
//! No router has these rules: slashes may be doubled or trail, `/index` names its parent, a known file name extension is
//! cut off and chooses the type of the answer, and whether something is found can depend on the method.
//!
//! ```text
//! /healthcheck   the liveness probe
//! /v1[/…]        the API, for identified callers
//! /…             the list of versions
//! ```

use std::borrow::Cow;

use model::{ConsumerId, ContainerId, Guarded, SecretId, TransportKeyId};

use crate::problem::Problem;
use crate::python::text::percent_decode;
use crate::routes::Place;

/// A path, decoded, with single slashes.
#[derive(Debug)]
pub(crate) struct Path<'p> {
    text: Cow<'p, str>,
}

/// A path that leads nowhere, whoever asks. The texts are for the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadPath {
    /// Barbican says nothing more of it.
    #[error("")]
    NotUtf8,
    /// To a proxy that looks at paths it is no slash, and to Barbican it is one: whoever was refused `/v1/secrets` there
    /// would ask for `/v1%2Fsecrets`.
    #[error("a slash in the path may not be encoded (%2F)")]
    EncodedSlash,
}

/// Which of the three parts of the server a path belongs to. The rest of the path is empty or begins with a slash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum App<'p> {
    /// The liveness probe.
    Healthcheck,
    /// The API.
    V1(&'p str),
    /// The list of versions.
    Versions(&'p str),
}

impl Place<'_> {
    /// The secret or container that must exist before anything else about the request is looked at.
    pub(crate) const fn guarded(&self) -> Option<Guarded> {
        match self {
            Self::Secret(id)
            | Self::Payload(id)
            | Self::Metadata(id)
            | Self::Metadatum(id, _)
            | Self::SecretAcl(id)
            | Self::SecretConsumers(id)
            | Self::SecretConsumer(id, _) => Some(Guarded::Secret(*id)),
            Self::Container(id)
            | Self::ContainerAcl(id)
            | Self::ContainerSecrets(id)
            | Self::ContainerConsumers(id)
            | Self::ContainerConsumer(id, _) => Some(Guarded::Container(*id)),
            _ => None,
        }
    }
}

/// A path that was followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found<'p> {
    /// Where it leads.
    pub place: Place<'p>,
    /// What is left behind it that should not be there.
    pub rest: Rest,
}

/// What is behind a place in a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rest {
    /// Nothing but slashes.
    Nothing,
    /// Something unknown: a 404, once the place would have answered the method.
    Unknown,
    /// Something unknown: a 404 with this description, whatever the method.
    Nowhere(&'static str),
    /// The name of a handler: a 404 whose description is null.
    Handler,
}

impl<'p> Path<'p> {
    /// Decodes a path as it was sent.
    pub(crate) fn parse(raw: &'p str) -> Result<Self, BadPath> {
        if !raw.contains('%') && !raw.contains("//") {
            return Ok(Self { text: Cow::Borrowed(raw) });
        }
        if raw.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f")) {
            return Err(BadPath::EncodedSlash);
        }
        let mut bytes = percent_decode(raw, false);
        bytes.dedup_by(|next, last| *next == b'/' && *last == b'/');
        String::from_utf8(bytes).map(|text| Self { text: Cow::Owned(text) }).map_err(|_| BadPath::NotUtf8)
    }

    /// Which part of the server it belongs to.
    pub(crate) fn app(&self) -> App<'_> {
        let under = |prefix: &str| {
            self.text.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match (under("/v1"), under("/healthcheck")) {
            (Some(rest), _) => App::V1(rest),
            (_, Some(_)) => App::Healthcheck,
            _ => App::Versions(&self.text),
        }
    }
}

/// Follows a path of the versions part.
pub(crate) fn versions(path: &str) -> Found<'_> {
    let mut steps = Steps::new(path);
    let rest = match steps.next_step() {
        None => Rest::Nothing,
        Some("index") => steps.rest(),
        Some("on_get") => Rest::Handler,
        Some(_) => Rest::Unknown,
    };
    Found { place: Place::Versions, rest }
}

/// Follows a path of the API. An id that can name nothing is a 404 before anything else.
pub(crate) fn v1(path: &str) -> Result<Found<'_>, Problem> {
    let mut steps = Steps::new(path);
    let place = match steps.next_step() {
        None => return Ok(Found { place: Place::Version, rest: Rest::Nothing }),
        Some("secrets") => return secrets(steps),
        Some("containers") => return containers(steps),
        Some("transport_keys") => return transport_keys(steps),
        Some("secret-stores") => return secret_stores(steps),
        Some("orders") => return Ok(list_and_item(steps, Place::Orders, Place::Order)),
        Some("project-quotas") => return Ok(list_and_item(steps, Place::ProjectQuotas, Place::ProjectQuota)),
        Some("quotas") => Place::Quotas,
        Some("index") => return Ok(Found { place: Place::Version, rest: steps.rest() }),
        Some("on_get") => return Ok(Found { place: Place::Version, rest: Rest::Handler }),
        Some(_) => return Ok(Found { place: Place::Version, rest: Rest::Unknown }),
    };
    Ok(steps.end_at(place))
}

fn secrets(mut steps: Steps<'_>) -> Result<Found<'_>, Problem> {
    let id = match steps.next_step() {
        None | Some("index") => return Ok(steps.end_at(Place::Secrets)),
        Some("on_get" | "on_post") => return Ok(Found { place: Place::Secrets, rest: Rest::Handler }),
        Some(text) => parse_any_id(text).ok_or_else(Problem::invalid_secret_id)?,
    };
    let place = match steps.next_step() {
        None | Some("index") => Place::Secret(id),
        Some("payload") => Place::Payload(id),
        Some("acl") => Place::SecretAcl(id),
        Some("metadata") => match steps.next_step() {
            None => Place::Metadata(id),
            Some(key) => Place::Metadatum(id, key),
        },
        Some("consumers") => {
            return Ok(consumers(steps, Place::SecretConsumers(id), |one| Place::SecretConsumer(id, one)));
        }
        Some("on_get" | "on_put" | "on_delete") => {
            return Ok(Found { place: Place::Secret(id), rest: Rest::Handler });
        }
        Some(_) => return Ok(Found { place: Place::Secret(id), rest: Rest::Nowhere("") }),
    };
    Ok(steps.end_at(place))
}

fn containers(mut steps: Steps<'_>) -> Result<Found<'_>, Problem> {
    let id = match steps.next_step() {
        None | Some("index") => return Ok(steps.end_at(Place::Containers)),
        Some("on_get" | "on_post") => return Ok(Found { place: Place::Containers, rest: Rest::Handler }),
        Some(text) => parse_id(text)
            .ok_or_else(|| Problem::not_found("Not Found. Provided container id is invalid."))?,
    };
    let id = ContainerId::from_bytes(*id.as_bytes());
    let place = match steps.next_step() {
        None | Some("index") => Place::Container(id),
        Some("acl") => Place::ContainerAcl(id),
        // Barbican does not look at what follows.
        Some("secrets") => return Ok(Found { place: Place::ContainerSecrets(id), rest: Rest::Nothing }),
        Some("consumers") => {
            return Ok(consumers(steps, Place::ContainerConsumers(id), |one| {
                Place::ContainerConsumer(id, one)
            }));
        }
        Some(_) => return Ok(Found { place: Place::Container(id), rest: Rest::Unknown }),
    };
    Ok(steps.end_at(place))
}

fn consumers<'p>(
    mut steps: Steps<'p>,
    list: Place<'p>,
    item: impl FnOnce(ConsumerId) -> Place<'p>,
) -> Found<'p> {
    match steps.next_step() {
        None | Some("index") => steps.end_at(list),
        Some(text) => match parse_id(text) {
            Some(id) => steps.end_at(item(ConsumerId::from_bytes(*id.as_bytes()))),
            // Not an error yet: whether the secret is there comes first.
            None => Found { place: list, rest: Rest::Nowhere("Not Found. Provided consumer id is invalid.") },
        },
    }
}

fn transport_keys(mut steps: Steps<'_>) -> Result<Found<'_>, Problem> {
    match steps.next_step() {
        None | Some("index") => Ok(steps.end_at(Place::TransportKeys)),
        Some(text) => {
            let id = parse_id(text)
                .ok_or_else(|| Problem::not_found("Not Found. Provided transport key id is invalid."))?;
            Ok(steps.end_at(Place::TransportKey(TransportKeyId::from_bytes(*id.as_bytes()))))
        }
    }
}

fn secret_stores(mut steps: Steps<'_>) -> Result<Found<'_>, Problem> {
    match steps.next_step() {
        None | Some("index") => Ok(steps.end_at(Place::SecretStores)),
        Some("global-default") => Ok(steps.end_at(Place::GlobalDefaultStore)),
        Some("preferred") => Ok(steps.end_at(Place::PreferredStore)),
        Some(_) => Ok(match steps.next_step() {
            None | Some("index") => steps.end_at(Place::SecretStore),
            Some(_) => steps.end_at(Place::StorePreference),
        }),
    }
}

fn list_and_item<'p>(
    mut steps: Steps<'p>,
    list: Place<'p>,
    item: impl FnOnce(&'p str) -> Place<'p>,
) -> Found<'p> {
    match steps.next_step() {
        None | Some("index") => steps.end_at(list),
        Some(name) => match steps.next_step() {
            None | Some("index") => steps.end_at(item(name)),
            Some(_) => Found { place: item(name), rest: Rest::Unknown },
        },
    }
}

/// A version 4 UUID, the only kind that Barbican knows.
pub(crate) fn parse_id(text: &str) -> Option<SecretId> {
    parse_any_id(text).filter(SecretId::is_v4)
}

/// A UUID in exactly the form in which it is handed out: Barbican compares texts. A secret that was defined at the libvirt
/// door has whatever id its client chose.
pub(crate) fn parse_any_id(text: &str) -> Option<SecretId> {
    let dashes_where_they_belong = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23));
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if !dashes_where_they_belong || !lower {
        return None;
    }
    text.parse().ok()
}

/// The steps of a path, slashes at its end left out.
struct Steps<'p>(std::str::Split<'p, char>);

impl<'p> Steps<'p> {
    fn new(path: &'p str) -> Self {
        Self(path.split('/'))
    }

    /// The next step that is not empty: slashes were made single, so only the ends of a path have empty steps.
    fn next_step(&mut self) -> Option<&'p str> {
        self.0.find(|step| !step.is_empty())
    }

    /// Whether anything is left.
    fn rest(&mut self) -> Rest {
        if self.next_step().is_some() { Rest::Unknown } else { Rest::Nothing }
    }

    fn end_at(mut self, place: Place<'p>) -> Found<'p> {
        Found { place, rest: self.rest() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

    fn follow(raw: &str) -> String {
        let path = match Path::parse(raw) {
            Ok(path) => path,
            Err(bad) => return format!("{bad:?}"),
        };
        let found = match path.app() {
            App::Healthcheck => return "healthcheck".to_owned(),
            App::Versions(rest) => Ok(versions(rest)),
            App::V1(rest) => v1(rest),
        };
        match found {
            Ok(Found { place, rest: Rest::Nothing }) => format!("{place:?}"),
            Ok(Found { place, rest }) => format!("{place:?} {rest:?}"),
            Err(problem) => problem.description.unwrap_or_default().into_owned(),
        }
    }

    #[test]
    fn paths_lead_where_barbicans_lead() {
        let secret = |tail: &str| format!("/v1/secrets/{ID}{tail}");
        for (path, expect) in [
            ("/".to_owned(), "Versions".to_owned()),
            ("//v1".to_owned(), "Version".to_owned()),
            ("/v1/".to_owned(), "Version".to_owned()),
            ("/v2".to_owned(), "Versions Unknown".to_owned()),
            ("/v1x".to_owned(), "Versions Unknown".to_owned()),
            ("/healthcheck/x".to_owned(), "healthcheck".to_owned()),
            ("/v1/nosuch/abc".to_owned(), "Version Unknown".to_owned()),
            ("/v1//secrets/".to_owned(), "Secrets".to_owned()),
            ("/v1%2Fsecrets".to_owned(), "EncodedSlash".to_owned()),
            ("/v1%2fsecrets".to_owned(), "EncodedSlash".to_owned()),
            ("/healthcheck%2F..%2fv1".to_owned(), "EncodedSlash".to_owned()),
            ("/v1/%73ecrets".to_owned(), "Secrets".to_owned()),
            ("/v1%252Fsecrets".to_owned(), "Versions Unknown".to_owned()),
            ("/v1/secrets/index".to_owned(), "Secrets".to_owned()),
            ("/v1/secrets/abc".to_owned(), "Not Found. Provided secret id is invalid.".to_owned()),
            ("/v1/secrets/%00".to_owned(), "Not Found. Provided secret id is invalid.".to_owned()),
            ("/v1/secrets/%ff".to_owned(), "NotUtf8".to_owned()),
            (secret(""), format!("Secret({ID})")),
            (secret("/"), format!("Secret({ID})")),
            (secret("/index"), format!("Secret({ID})")),
            (secret("/on_get"), format!("Secret({ID}) Handler")),
            (secret("/foo"), format!("Secret({ID}) Nowhere(\"\")")),
            (secret("/payload/"), format!("Payload({ID})")),
            (secret("/payload/x"), format!("Payload({ID}) Unknown")),
            (secret("/Payload"), format!("Secret({ID}) Nowhere(\"\")")),
            (secret("/metadata/"), format!("Metadata({ID})")),
            (secret("/metadata/k2/"), format!("Metadatum({ID}, \"k2\")")),
            (secret("/metadata/k2/x"), format!("Metadatum({ID}, \"k2\") Unknown")),
            (secret("/acl/read"), format!("SecretAcl({ID}) Unknown")),
            ("/v1/orders/abc".to_owned(), "Order(\"abc\")".to_owned()),
        ] {
            assert_eq!(follow(&path), expect, "{path}");
        }
    }

    #[test]
    fn a_path_leads_to_every_resource_of_the_table() {
        for template in crate::routes::templates() {
            let filled = template.replace("{id}", ID).replace("{key}", "k").replace("{project}", "p");
            let path = Path::parse(&filled).unwrap();
            let found = match path.app() {
                App::Healthcheck => panic!("{template} is the liveness probe"),
                App::Versions(rest) => versions(rest),
                App::V1(rest) => v1(rest).unwrap(),
            };
            assert_eq!(crate::routes::resource_at(&found.place).template, template);
            assert_eq!(found.rest, Rest::Nothing, "{template}");
        }
    }

    #[test]
    fn only_the_form_handed_out_is_an_id() {
        for text in [
            "6BA7B810-9DAD-41D1-80B4-00C04FD430C8",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6ba7b8109dad41d180b400c04fd430c8",
            "{6ba7b810-9dad-41d1-80b4-00c04fd430c8}",
            "6ba7b810-9dad-41d1-c0b4-00c04fd430c8",
        ] {
            assert_eq!(parse_id(text), None, "{text}");
        }
        assert!(parse_any_id("6ba7b810-9dad-11d1-80b4-00c04fd430c8").is_some());
        assert!(parse_any_id("6BA7B810-9DAD-41D1-80B4-00C04FD430C8").is_none());
        assert!(parse_id(ID).is_some() && parse_id("00000000-0000-4000-8000-000000000000").is_some());
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/[a-z0-9/%.\\PC-]{0,60}") {
            let _ = follow(&path);
        }
    }
}
