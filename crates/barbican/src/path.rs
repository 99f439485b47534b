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

use crate::parameters::BadParameter;
use crate::problem::Problem;
use crate::python::text::percent_decode;
use crate::routes::{RESOURCES, ResourcePath, Row, VERSIONS};
use crate::table::{self, Remainder, Resource};

/// A path, decoded, with single slashes.
#[derive(Debug)]
pub(crate) struct Path<'p> {
    text: Cow<'p, str>,
}

/// A path that leads nowhere, for any caller. The texts are for the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadPath {
    /// Barbican says nothing more of it.
    #[error("")]
    NotUtf8,
    /// A proxy that checks paths sees no slash, and Barbican sees one: a caller who was refused `/v1/secrets` by the proxy
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

/// A path that was followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'p> {
    /// Where it leads.
    pub path: ResourcePath<'p>,
    /// Its row.
    pub resource: &'static Resource<Row>,
    /// The steps behind it that lead to no resource.
    pub rest: Remainder,
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

/// Follows a path of the versions part. Says which steps are behind it.
pub(crate) fn versions(path: &str) -> Remainder {
    table::follow(&[], &VERSIONS, path).2
}

/// Follows a path of the API. An id that can name nothing is a 404 before anything else.
pub(crate) fn v1(path: &str) -> Result<Found<'_>, Problem> {
    let [root, ..] = &RESOURCES;
    let (resource, parameters, rest) = table::follow(&RESOURCES, root, path);
    match ResourcePath::read(resource.row, parameters) {
        Ok(place) => Ok(Found { path: place, resource, rest }),
        Err(BadParameter::Refused(description)) => Err(Problem::not_found(description)),
        Err(BadParameter::Behind(description)) => {
            let resource = resource.parent.and_then(|number| RESOURCES.get(number)).unwrap_or(root);
            let place =
                ResourcePath::read(resource.row, parameters).map_err(|_| Problem::not_found(description))?;
            Ok(Found { path: place, resource, rest: Remainder::Nowhere(description) })
        }
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
            App::Versions(rest) => Ok(("Versions".to_owned(), versions(rest))),
            App::V1(rest) => v1(rest).map(|found| (format!("{:?}", found.path), found.rest)),
        };
        match found {
            Ok((place, Remainder::Nothing)) => place,
            Ok((place, rest)) => format!("{place} {rest:?}"),
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
            ("/v1/orders/abc".to_owned(), "Order not found.".to_owned()),
            ("/v1/on_get".to_owned(), "Version Handler".to_owned()),
            ("/v1/on_put".to_owned(), "Version Unknown".to_owned()),
            ("/v1/secrets/on_post/x".to_owned(), "Secrets Handler".to_owned()),
            ("/v1/secrets/index/x".to_owned(), "Secrets Unknown".to_owned()),
            (secret("/acl/index"), format!("SecretAcl({ID}) Unknown")),
            (secret("/metadata/index"), format!("Metadatum({ID}, \"index\")")),
            (secret("/on_post"), format!("Secret({ID}) Nowhere(\"\")")),
            (secret("/consumers/index"), format!("SecretConsumers({ID})")),
            (secret(&format!("/consumers/{ID}")), format!("SecretConsumer({ID}, {ID})")),
            (secret(&format!("/consumers/{ID}/index")), format!("SecretConsumer({ID}, {ID}) Unknown")),
            (
                secret("/consumers/abc/x"),
                format!("SecretConsumers({ID}) Nowhere(\"Not Found. Provided consumer id is invalid.\")"),
            ),
            (
                "/v1/secrets/abc/consumers/abc".to_owned(),
                "Not Found. Provided secret id is invalid.".to_owned(),
            ),
            ("/v1/containers/abc/x".to_owned(), "Not Found. Provided container id is invalid.".to_owned()),
            (format!("/v1/containers/{ID}/on_get"), format!("Container({ID}) Unknown")),
            (format!("/v1/containers/{ID}/secrets/x/y"), format!("ContainerSecrets({ID})")),
            (format!("/v1/orders/{ID}/index"), format!("Order({ID})")),
            (format!("/v1/orders/{ID}/x"), format!("Order({ID}) Unknown")),
            ("/v1/project-quotas/index".to_owned(), "ProjectQuotas".to_owned()),
            ("/v1/project-quotas/a/index/x".to_owned(), "ProjectQuota(\"a\") Unknown".to_owned()),
            ("/v1/quotas/index".to_owned(), "Quotas Unknown".to_owned()),
            ("/v1/secret-stores/preferred".to_owned(), "PreferredStore".to_owned()),
            ("/v1/secret-stores/a/index".to_owned(), "SecretStore(\"a\")".to_owned()),
            ("/v1/secret-stores/a/preferred/".to_owned(), "StorePreference(\"a\")".to_owned()),
            ("/v1/secret-stores/a/b/c".to_owned(), "UnknownPreference(\"a\", \"b\") Unknown".to_owned()),
            (format!("/v1/transport_keys/{ID}/index"), format!("TransportKey({ID}) Unknown")),
        ] {
            assert_eq!(follow(&path), expect, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/[a-z0-9/%.\\PC-]{0,60}") {
            let _ = follow(&path);
        }
    }
}
