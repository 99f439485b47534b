//! The resources of Barbican's v1 API: one row each, with its path, its parameters and how the framework treats it, and
//! in it one line for each operation, which ends in the handler.
//!
//! `table.rs` makes paths, methods, metrics and dispatch of these rows. A new resource is a row here and a file with its
//! handlers.

use model::{ConsumerId, ContainerId, Guarded, OrderId, SecretId, TransportKeyId};
use vault::Action;

use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::{
    acls, consumers, containers, list, metadata, orders, payload, quotas, secrets, stores, transport_keys,
    versions,
};
use crate::table::{
    ANY_METHOD, EXPOSED, LEAF, LIST, Offers, Remainder, Resource, Route, Rules, Verb, resources,
};

/// The list of versions, for callers without an identity. It is not part of the API, so `door.rs` answers it.
pub(crate) static VERSIONS: Resource<()> = Resource {
    row: (),
    number: RESOURCES.len(),
    template: "/",
    parent: None,
    step: "",
    rules: EXPOSED,
    methods: "GET",
    routes: &[Route { verb: Verb::Get, name: "Versions retrieval", offers: Offers::JsonOrHome }],
};

resources! {
    request: &ApiRequest<'_>;
    Version "/v1" [EXPOSED] {
        Get "Version retrieval" JsonOrHome => versions::read(request);
    }
    Secrets "/v1/secrets" [EXPOSED] {
        Get "Secret(s) retrieval" Json => list::list_secrets(request);
        Post "Secret creation" Json => secrets::create(request);
    }
    Secret(id: SecretId) "/v1/secrets/{id}" [Rules { behind: Remainder::Nowhere(""), ..EXPOSED }] {
        Delete "Secret deletion" Any => secrets::delete(request, id);
        Get "Secret retrieval" Any => secrets::read(request, id);
        Put "Secret update" Any => secrets::fill(request, id);
    }
    Payload(id: SecretId) "/v1/secrets/{id}/payload" [Rules { otherwise: Some(Offers::Any), says_allow: false, hides_methods: true, ..LEAF }] {
        Get "Secret payload retrieval" Any => payload::read(request, id);
    }
    Metadata(id: SecretId) "/v1/secrets/{id}/metadata" [LEAF] {
        Get "Secret metadata retrieval" Json => metadata::read_all(request, id);
        Post "Secret metadatum creation" Json => metadata::add(request, id);
        Put "Secret metadata creation" Json => metadata::replace_all(request, id);
    }
    Metadatum(id: SecretId, key: &'p str) "/v1/secrets/{id}/metadata/{key}" [Rules { otherwise: None, says_allow: false, ..LEAF }] {
        Delete "Secret metadatum removal" Json => metadata::remove(request, id, key);
        Get "Secret metadatum retrieval" Json => metadata::read_one(request, id, key);
        Put "Secret metadatum update" Json => metadata::set(request, id, key);
    }
    SecretAcl(id: SecretId) "/v1/secrets/{id}/acl" [LEAF] {
        Delete "SecretACL(s) deletion" Json => acls::remove(request, Guarded::Secret(id));
        Get "SecretACL(s) retrieval" Json => acls::read(request, Guarded::Secret(id));
        Patch "SecretACL(s) Update" Json => acls::amend(request, Guarded::Secret(id));
        Put "SecretACL(s) Update" Json => acls::replace(request, Guarded::Secret(id));
    }
    SecretConsumers(id: SecretId) "/v1/secrets/{id}/consumers" [LIST] {
        Delete "SecretConsumer deletion" Json => consumers::remove(request, Guarded::Secret(id));
        Get "SecretConsumers(s) retrieval" Json => consumers::read_all(request, Guarded::Secret(id));
        Post "SecretConsumer creation" Json => consumers::add(request, Guarded::Secret(id));
    }
    SecretConsumer(id: SecretId, consumer: ConsumerId) "/v1/secrets/{id}/consumers/{id}" [LEAF] {
        Get "SecretConsumer retrieval" Json => consumers::read_one(request, Guarded::Secret(id), consumer);
    }
    Containers "/v1/containers" [Rules { otherwise: Some(Offers::Json), ..EXPOSED }] {
        Get "Containers(s) retrieval" Json => containers::read_all(request);
        Post "Container creation" Json => containers::create(request);
    }
    Container(id: ContainerId) "/v1/containers/{id}" [Rules { otherwise: Some(Offers::Json), ..LIST }] {
        Delete "Container deletion" Any => containers::delete(request, id);
        Get "Container retrieval" Json => containers::read(request, id);
    }
    ContainerAcl(id: ContainerId) "/v1/containers/{id}/acl" [LEAF] {
        Delete "ContainerACL(s) deletion" Json => acls::remove(request, Guarded::Container(id));
        Get "ContainerACL(s) retrieval" Json => acls::read(request, Guarded::Container(id));
        Patch "ContainerACL(s) Update" Json => acls::amend(request, Guarded::Container(id));
        Put "ContainerACL(s) Update" Json => acls::replace(request, Guarded::Container(id));
    }
    ContainerSecrets(id: ContainerId) "/v1/containers/{id}/secrets" [Rules { behind: Remainder::Nothing, ..LEAF }] {
        Delete "Container Secret deletion" Any => containers::remove_secret(request, id);
        Post "Container Secret creation" Json => containers::add_secret(request, id);
    }
    ContainerConsumers(id: ContainerId) "/v1/containers/{id}/consumers" [LIST] {
        Delete "ContainerConsumer deletion" Json => consumers::remove(request, Guarded::Container(id));
        Get "ContainerConsumers(s) retrieval" Json => consumers::read_all(request, Guarded::Container(id));
        Post "ContainerConsumer creation" Json => consumers::add(request, Guarded::Container(id));
    }
    ContainerConsumer(id: ContainerId, consumer: ConsumerId) "/v1/containers/{id}/consumers/{id}" [LEAF] {
        Get "ContainerConsumer retrieval" Json => consumers::read_one(request, Guarded::Container(id), consumer);
    }
    Orders "/v1/orders" [LIST] {
        Get "Order(s) retrieval" Json => orders::read_all(request);
        Post "Order creation" Json => orders::create(request);
        Put "Order update" Json => orders::update(request);
    }
    Order(id: OrderId) "/v1/orders/{id}" [LIST] {
        Delete "Order deletion" Any => orders::delete(request, id);
        Get "Order retrieval" Json => orders::read(request, id);
    }
    Quotas "/v1/quotas" [LEAF] {
        Get "Quotas" Json => quotas::read_own(request);
    }
    ProjectQuotas "/v1/project-quotas" [LIST] {
        Get "Project Quotas" Json => quotas::read_all(request);
    }
    ProjectQuota(project: &'p str) "/v1/project-quotas/{project}" [LIST] {
        Delete "Project Quotas" Any => quotas::delete(request, project);
        Get "Project Quotas" Json => quotas::read(request, project);
        Put "Project Quotas" Json => quotas::set(request, project);
    }
    SecretStores "/v1/secret-stores" [LIST] {
        Get "List available secret stores" Json => stores::refuse(request, Action::ListSecretStores);
    }
    // Barbican looks at no method of these five, and at no last step of the last two, while it has only one store.
    GlobalDefaultStore "/v1/secret-stores/global-default" [ANY_METHOD] {
        Delete | Get | Patch | Post | Put "Secret store retrieval" Json => stores::refuse(request, Action::ReadGlobalDefaultStore);
    }
    PreferredStore "/v1/secret-stores/preferred" [ANY_METHOD] {
        Delete | Get | Patch | Post | Put "Secret store retrieval" Json => stores::refuse(request, Action::ReadPreferredStore);
    }
    SecretStore(_id: &'p str) "/v1/secret-stores/{id}" [Rules { index: true, ..ANY_METHOD }] {
        Delete | Get | Patch | Post | Put "Secret store retrieval" Json => stores::no_choice();
    }
    StorePreference(_id: &'p str) "/v1/secret-stores/{id}/preferred" [ANY_METHOD] {
        Delete | Get | Patch | Post | Put "Setting preferred secret store" Json => stores::no_choice();
    }
    UnknownPreference(_id: &'p str, _step: &'p str) "/v1/secret-stores/{id}/{step}" [ANY_METHOD] {
        Delete | Get | Patch | Post | Put "Setting preferred secret store" Json => stores::no_choice();
    }
    TransportKeys "/v1/transport_keys" [LIST] {
        Get "Transport Key(s) retrieval" Json => transport_keys::read_all(request);
        Post "Transport Key Creation" Json => transport_keys::create(request);
    }
    TransportKey(id: TransportKeyId) "/v1/transport_keys/{id}" [LEAF] {
        Delete "Transport Key deletion" Html => transport_keys::delete(request, id);
        Get "Transport Key retrieval" Html => transport_keys::read(request, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;

    const ID: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

    #[test]
    fn every_template_leads_to_its_row() {
        for resource in &RESOURCES {
            let steps = resource.template.strip_prefix("/v1").unwrap().split('/');
            let raw: Vec<_> = steps.map(|step| if step.starts_with('{') { ID } else { step }).collect();
            let raw = raw.join("/");
            let found = path::v1(&raw).unwrap();
            assert_eq!((found.resource.template, found.rest), (resource.template, Remainder::Nothing));
        }
    }

    #[test]
    fn methods_are_in_the_order_of_their_names() {
        for resource in &RESOURCES {
            let methods: Vec<_> = resource.routes.iter().map(|route| route.verb.as_str()).collect();
            assert!(methods.is_sorted(), "{}", resource.template);
            let allow = resource.rules.says_allow.then(|| methods.join(", "));
            assert_eq!(resource.allow(), allow.as_deref(), "{}", resource.template);
        }
    }

    /// A resource is added by its row and its file alone, as ARCHITECTURE says.
    #[test]
    fn no_other_file_of_the_dispatch_names_a_resource() {
        for (name, text) in [
            ("request.rs", include_str!("request.rs")),
            ("door.rs", include_str!("door.rs")),
            ("exchange.rs", include_str!("exchange.rs")),
            ("metrics.rs", include_str!("metrics.rs")),
            ("negotiate.rs", include_str!("negotiate.rs")),
            ("path.rs", include_str!("path.rs")),
            ("table.rs", include_str!("table.rs")),
        ] {
            let code = text
                .split("#[cfg(test)]")
                .next()
                .unwrap()
                .replace("ResourcePath::read", "")
                .replace("ResourcePath::$place", "");
            for handler in include_str!("routes.rs").lines().filter_map(|line| line.split_once(" => ")) {
                let module = handler.1.split("::").next().unwrap();
                // The list of versions and the liveness probe are no part of the API.
                assert!(module == "versions" || !code.contains(&format!("{module}::")), "{name}: {module}");
            }
            assert!(!code.contains("ResourcePath::"), "{name} names a place");
        }
    }
}
