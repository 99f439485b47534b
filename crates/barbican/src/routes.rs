//! The table: every resource of Barbican's v1 API, which methods it has, what each operation is called in error texts,
//! and which types of answer it offers.
//!
//! The handlers are paired with the rows in `door.rs`, by place and method.

use http::Method;

use self::Offers::{Any, Html, Json, JsonOrHome};
use crate::path::Place;

/// The methods that any resource has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verb {
    Delete,
    Get,
    Patch,
    Post,
    Put,
}

impl Verb {
    /// The method, if any resource has it.
    pub(crate) fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::DELETE => Some(Self::Delete),
            Method::GET => Some(Self::Get),
            Method::PATCH => Some(Self::Patch),
            Method::POST => Some(Self::Post),
            Method::PUT => Some(Self::Put),
            _ => None,
        }
    }

    /// The name of the method.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// The types an operation offers to answer in, held against the Accept header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offers {
    /// JSON.
    Json,
    /// JSON, or the JSON home document that there is not.
    JsonOrHome,
    /// HTML, though the answer never is: what Barbican's 405 is declared as.
    Html,
    /// Every known type; the operation looks at Accept itself, or has no body to answer with.
    Any,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// Its method.
    pub verb: Verb,
    /// Its name in error texts.
    pub name: &'static str,
    /// What it offers.
    pub offers: Offers,
}

/// One resource.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Its path, for metrics and logs.
    pub template: &'static str,
    /// Its operations, in the order of the names of their methods.
    pub routes: &'static [Route],
    /// What is offered to a method that it does not have, if Accept is looked at then.
    pub otherwise: Option<Offers>,
    /// The `Allow` header of a 405, where Barbican sends one.
    pub says_allow: Option<&'static str>,
}

const fn delete(name: &'static str, offers: Offers) -> Route {
    Route { verb: Verb::Delete, name, offers }
}
const fn get(name: &'static str, offers: Offers) -> Route {
    Route { verb: Verb::Get, name, offers }
}
const fn patch(name: &'static str, offers: Offers) -> Route {
    Route { verb: Verb::Patch, name, offers }
}
const fn post(name: &'static str, offers: Offers) -> Route {
    Route { verb: Verb::Post, name, offers }
}
const fn put(name: &'static str, offers: Offers) -> Route {
    Route { verb: Verb::Put, name, offers }
}

/// A resource as most are.
const fn resource(template: &'static str, allow: &'static str, routes: &'static [Route]) -> Resource {
    Resource { template, routes, otherwise: Some(Html), says_allow: Some(allow) }
}

static VERSIONS: Resource = resource("/", "GET", &[get("Versions retrieval", JsonOrHome)]);
static VERSION: Resource = resource("/v1", "GET", &[get("Version retrieval", JsonOrHome)]);
static SECRETS: Resource =
    resource("/v1/secrets", "GET, POST", &[get("Secret(s) retrieval", Json), post("Secret creation", Json)]);
static SECRET: Resource = resource(
    "/v1/secrets/{id}",
    "DELETE, GET, PUT",
    &[delete("Secret deletion", Any), get("Secret retrieval", Any), put("Secret update", Any)],
);
static PAYLOAD: Resource = Resource {
    template: "/v1/secrets/{id}/payload",
    routes: &[get("Secret payload retrieval", Any)],
    otherwise: Some(Any),
    says_allow: None,
};
static METADATA: Resource = resource(
    "/v1/secrets/{id}/metadata",
    "GET, POST, PUT",
    &[
        get("Secret metadata retrieval", Json),
        post("Secret metadatum creation", Json),
        put("Secret metadata creation", Json),
    ],
);
static METADATUM: Resource = Resource {
    template: "/v1/secrets/{id}/metadata/{key}",
    routes: &[
        delete("Secret metadatum removal", Json),
        get("Secret metadatum retrieval", Json),
        put("Secret metadatum update", Json),
    ],
    otherwise: None,
    says_allow: None,
};
static SECRET_ACL: Resource = resource(
    "/v1/secrets/{id}/acl",
    "DELETE, GET, PATCH, PUT",
    &[
        delete("SecretACL(s) deletion", Json),
        get("SecretACL(s) retrieval", Json),
        patch("SecretACL(s) Update", Json),
        put("SecretACL(s) Update", Json),
    ],
);
static SECRET_CONSUMERS: Resource = resource(
    "/v1/secrets/{id}/consumers",
    "DELETE, GET, POST",
    &[
        delete("SecretConsumer deletion", Json),
        get("SecretConsumers(s) retrieval", Json),
        post("SecretConsumer creation", Json),
    ],
);
static SECRET_CONSUMER: Resource =
    resource("/v1/secrets/{id}/consumers/{id}", "GET", &[get("SecretConsumer retrieval", Json)]);
static CONTAINERS: Resource = Resource {
    otherwise: Some(Json),
    ..resource(
        "/v1/containers",
        "GET, POST",
        &[get("Containers(s) retrieval", Json), post("Container creation", Json)],
    )
};
static CONTAINER: Resource = Resource {
    otherwise: Some(Json),
    ..resource(
        "/v1/containers/{id}",
        "DELETE, GET",
        &[delete("Container deletion", Any), get("Container retrieval", Json)],
    )
};
static CONTAINER_ACL: Resource = resource(
    "/v1/containers/{id}/acl",
    "DELETE, GET, PATCH, PUT",
    &[
        delete("ContainerACL(s) deletion", Json),
        get("ContainerACL(s) retrieval", Json),
        patch("ContainerACL(s) Update", Json),
        put("ContainerACL(s) Update", Json),
    ],
);
static CONTAINER_SECRETS: Resource = resource(
    "/v1/containers/{id}/secrets",
    "DELETE, POST",
    &[delete("Container Secret deletion", Any), post("Container Secret creation", Json)],
);
static CONTAINER_CONSUMERS: Resource = resource(
    "/v1/containers/{id}/consumers",
    "DELETE, GET, POST",
    &[
        delete("ContainerConsumer deletion", Json),
        get("ContainerConsumers(s) retrieval", Json),
        post("ContainerConsumer creation", Json),
    ],
);
static CONTAINER_CONSUMER: Resource =
    resource("/v1/containers/{id}/consumers/{id}", "GET", &[get("ContainerConsumer retrieval", Json)]);
static ORDERS: Resource = resource(
    "/v1/orders",
    "GET, POST, PUT",
    &[get("Order(s) retrieval", Json), post("Order creation", Json), put("Order update", Json)],
);
static ORDER: Resource = resource(
    "/v1/orders/{id}",
    "DELETE, GET",
    &[delete("Order deletion", Any), get("Order retrieval", Json)],
);
static QUOTAS: Resource = resource("/v1/quotas", "GET", &[get("Quotas", Json)]);
static PROJECT_QUOTAS: Resource = resource("/v1/project-quotas", "GET", &[get("Project Quotas", Json)]);
static PROJECT_QUOTA: Resource = resource(
    "/v1/project-quotas/{project}",
    "DELETE, GET, PUT",
    &[delete("Project Quotas", Any), get("Project Quotas", Json), put("Project Quotas", Json)],
);
static SECRET_STORES: Resource =
    resource("/v1/secret-stores", "GET", &[get("List available secret stores", Json)]);
/// Barbican looks at no method of these while it has only one store.
const fn any_method(template: &'static str, routes: &'static [Route]) -> Resource {
    Resource { template, routes, otherwise: Some(Json), says_allow: None }
}
macro_rules! of_every_method {
    ($name:literal) => {
        &[delete($name, Json), get($name, Json), patch($name, Json), post($name, Json), put($name, Json)]
    };
}
static GLOBAL_DEFAULT_STORE: Resource =
    any_method("/v1/secret-stores/global-default", of_every_method!("Secret store retrieval"));
static PREFERRED_STORE: Resource =
    any_method("/v1/secret-stores/preferred", of_every_method!("Secret store retrieval"));
static SECRET_STORE: Resource =
    any_method("/v1/secret-stores/{id}", of_every_method!("Secret store retrieval"));
static STORE_PREFERENCE: Resource =
    any_method("/v1/secret-stores/{id}/preferred", of_every_method!("Setting preferred secret store"));
static TRANSPORT_KEYS: Resource = resource(
    "/v1/transport_keys",
    "GET, POST",
    &[get("Transport Key(s) retrieval", Json), post("Transport Key Creation", Json)],
);
static TRANSPORT_KEY: Resource = resource(
    "/v1/transport_keys/{id}",
    "DELETE, GET",
    &[delete("Transport Key deletion", Html), get("Transport Key retrieval", Html)],
);

/// The row of a place.
pub(crate) const fn resource_at(place: &Place<'_>) -> &'static Resource {
    match place {
        Place::Versions => &VERSIONS,
        Place::Version => &VERSION,
        Place::Secrets => &SECRETS,
        Place::Secret(_) => &SECRET,
        Place::Payload(_) => &PAYLOAD,
        Place::Metadata(_) => &METADATA,
        Place::Metadatum(..) => &METADATUM,
        Place::SecretAcl(_) => &SECRET_ACL,
        Place::SecretConsumers(_) => &SECRET_CONSUMERS,
        Place::SecretConsumer(..) => &SECRET_CONSUMER,
        Place::Containers => &CONTAINERS,
        Place::Container(_) => &CONTAINER,
        Place::ContainerAcl(_) => &CONTAINER_ACL,
        Place::ContainerSecrets(_) => &CONTAINER_SECRETS,
        Place::ContainerConsumers(_) => &CONTAINER_CONSUMERS,
        Place::ContainerConsumer(..) => &CONTAINER_CONSUMER,
        Place::Orders => &ORDERS,
        Place::Order(_) => &ORDER,
        Place::Quotas => &QUOTAS,
        Place::ProjectQuotas => &PROJECT_QUOTAS,
        Place::ProjectQuota(_) => &PROJECT_QUOTA,
        Place::SecretStores => &SECRET_STORES,
        Place::GlobalDefaultStore => &GLOBAL_DEFAULT_STORE,
        Place::PreferredStore => &PREFERRED_STORE,
        Place::SecretStore => &SECRET_STORE,
        Place::StorePreference => &STORE_PREFERENCE,
        Place::TransportKeys => &TRANSPORT_KEYS,
        Place::TransportKey(_) => &TRANSPORT_KEY,
    }
}

impl Resource {
    /// The operation for a method.
    pub(crate) fn route(&self, verb: Option<Verb>) -> Option<&'static Route> {
        self.routes.iter().find(|route| Some(route.verb) == verb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_the_methods_there_are() {
        let places = [
            Place::Versions,
            Place::Version,
            Place::Secrets,
            Place::Containers,
            Place::Orders,
            Place::Order(""),
            Place::Quotas,
            Place::ProjectQuotas,
            Place::ProjectQuota(""),
            Place::SecretStores,
            Place::TransportKeys,
            Place::TransportKey(model::TransportKeyId::random()),
        ];
        let (id, container) = (model::SecretId::random(), model::ContainerId::random());
        let consumer = model::ConsumerId::random();
        let belongings = [
            Place::Secret(id),
            Place::Metadata(id),
            Place::SecretAcl(id),
            Place::SecretConsumers(id),
            Place::SecretConsumer(id, consumer),
            Place::Container(container),
            Place::ContainerAcl(container),
            Place::ContainerSecrets(container),
            Place::ContainerConsumers(container),
            Place::ContainerConsumer(container, consumer),
        ];
        for place in places.into_iter().chain(belongings) {
            let resource = resource_at(&place);
            let methods: Vec<_> = resource.routes.iter().map(|route| route.verb.as_str()).collect();
            assert_eq!(resource.says_allow, Some(methods.join(", ").as_str()), "{}", resource.template);
        }
    }
}
