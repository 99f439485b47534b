//! The table: every resource of Barbican's v1 API, which methods it has, what each operation is called in error texts,
//! and which types of answer it offers.
//!
//! Each row of an operation ends in the handler that does it, so there is none without, and [`handle`] has no arm that
//! could do anything else. Which path leads to a resource is in `path.rs`.

use http::Method;
use model::{ConsumerId, ContainerId, Guarded, SecretId, TransportKeyId};
use vault::Action;

use crate::ask::Ask;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::resources::{
    acls, consumers, containers, list, metadata, orders, payload, quotas, secrets, stores, transport_keys,
    versions,
};

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
    /// All of them.
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Delete, Self::Patch];

    /// The method, if any resource has it.
    pub(crate) fn of(method: &Method) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| *method == verb.as_str())
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

/// Makes the table, the places it lists, and what finds the row and the handler of a place.
///
/// ```text
/// Place(parameters) "template" options of the resource {
///     Verb | Verb "name in error texts" Offers => handler of the request `ask`;
/// }
/// ```
macro_rules! resources {
    ($ask:ident;
     $($place:ident $(($($parameter:ident: $type:ty),+))? $template:literal
       otherwise($otherwise:expr) says_allow($says_allow:expr)
       { $($($verb:ident)|+ $name:literal $offers:ident => $handler:expr;)+ })+) => {
        /// A resource, with what names it.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Place<'p> {
            $(#[doc = concat!("`", $template, "`")] $place $(($($type),+))?,)+
        }

        /// The numbers of the rows.
        enum Row { $($place,)+ }

        static RESOURCES: [Resource; PLACES] = [
            $(Resource {
                template: $template,
                routes: &[$($(Route { verb: Verb::$verb, name: $name, offers: Offers::$offers }),+),+],
                otherwise: $otherwise,
                says_allow: $says_allow,
            },)+
        ];

        /// How many resources there are.
        pub(crate) const PLACES: usize = [$(Row::$place,)+].len();

        impl Place<'_> {
            /// The number of its row.
            pub(crate) const fn number(&self) -> usize {
                match self {
                    $(Self::$place { .. } => Row::$place as usize,)+
                }
            }
        }

        /// Does one operation; nothing if the place does not have the method.
        pub(crate) async fn handle(
            place: Place<'_>,
            verb: Verb,
            $ask: &Ask<'_>,
        ) -> Option<Result<Reply, Problem>> {
            match place {
                $(Place::$place $(($($parameter),+))? => {
                    $(if matches!(verb, $(Verb::$verb)|+) {
                        return Some($handler.await);
                    })+
                })+
            }
            None
        }
    };
}

resources! { ask;
    Versions "/" otherwise(Some(Offers::Html)) says_allow(Some("GET")) {
        Get "Versions retrieval" JsonOrHome => versions::not_here();
    }
    Version "/v1" otherwise(Some(Offers::Html)) says_allow(Some("GET")) {
        Get "Version retrieval" JsonOrHome => versions::read(ask);
    }
    Secrets "/v1/secrets" otherwise(Some(Offers::Html)) says_allow(Some("GET, POST")) {
        Get "Secret(s) retrieval" Json => list::list_secrets(ask);
        Post "Secret creation" Json => secrets::create(ask);
    }
    Secret(id: SecretId) "/v1/secrets/{id}" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, GET, PUT")) {
        Delete "Secret deletion" Any => secrets::delete(ask, id);
        Get "Secret retrieval" Any => secrets::read(ask, id);
        Put "Secret update" Any => secrets::fill(ask, id);
    }
    Payload(id: SecretId) "/v1/secrets/{id}/payload" otherwise(Some(Offers::Any)) says_allow(None) {
        Get "Secret payload retrieval" Any => payload::read(ask, id);
    }
    Metadata(id: SecretId) "/v1/secrets/{id}/metadata" otherwise(Some(Offers::Html)) says_allow(Some("GET, POST, PUT")) {
        Get "Secret metadata retrieval" Json => metadata::read_all(ask, id);
        Post "Secret metadatum creation" Json => metadata::add(ask, id);
        Put "Secret metadata creation" Json => metadata::replace_all(ask, id);
    }
    Metadatum(id: SecretId, key: &'p str) "/v1/secrets/{id}/metadata/{key}" otherwise(None) says_allow(None) {
        Delete "Secret metadatum removal" Json => metadata::remove(ask, id, key);
        Get "Secret metadatum retrieval" Json => metadata::read_one(ask, id, key);
        Put "Secret metadatum update" Json => metadata::set(ask, id, key);
    }
    SecretAcl(id: SecretId) "/v1/secrets/{id}/acl" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, GET, PATCH, PUT")) {
        Delete "SecretACL(s) deletion" Json => acls::remove(ask, Guarded::Secret(id));
        Get "SecretACL(s) retrieval" Json => acls::read(ask, Guarded::Secret(id));
        Patch "SecretACL(s) Update" Json => acls::amend(ask, Guarded::Secret(id));
        Put "SecretACL(s) Update" Json => acls::replace(ask, Guarded::Secret(id));
    }
    SecretConsumers(id: SecretId) "/v1/secrets/{id}/consumers" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, GET, POST")) {
        Delete "SecretConsumer deletion" Json => consumers::remove(ask, Guarded::Secret(id));
        Get "SecretConsumers(s) retrieval" Json => consumers::read_all(ask, Guarded::Secret(id));
        Post "SecretConsumer creation" Json => consumers::add(ask, Guarded::Secret(id));
    }
    SecretConsumer(id: SecretId, consumer: ConsumerId) "/v1/secrets/{id}/consumers/{id}" otherwise(Some(Offers::Html)) says_allow(Some("GET")) {
        Get "SecretConsumer retrieval" Json => consumers::read_one(ask, Guarded::Secret(id), consumer);
    }
    Containers "/v1/containers" otherwise(Some(Offers::Json)) says_allow(Some("GET, POST")) {
        Get "Containers(s) retrieval" Json => containers::read_all(ask);
        Post "Container creation" Json => containers::create(ask);
    }
    Container(id: ContainerId) "/v1/containers/{id}" otherwise(Some(Offers::Json)) says_allow(Some("DELETE, GET")) {
        Delete "Container deletion" Any => containers::delete(ask, id);
        Get "Container retrieval" Json => containers::read(ask, id);
    }
    ContainerAcl(id: ContainerId) "/v1/containers/{id}/acl" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, GET, PATCH, PUT")) {
        Delete "ContainerACL(s) deletion" Json => acls::remove(ask, Guarded::Container(id));
        Get "ContainerACL(s) retrieval" Json => acls::read(ask, Guarded::Container(id));
        Patch "ContainerACL(s) Update" Json => acls::amend(ask, Guarded::Container(id));
        Put "ContainerACL(s) Update" Json => acls::replace(ask, Guarded::Container(id));
    }
    ContainerSecrets(id: ContainerId) "/v1/containers/{id}/secrets" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, POST")) {
        Delete "Container Secret deletion" Any => containers::remove_secret(ask, id);
        Post "Container Secret creation" Json => containers::add_secret(ask, id);
    }
    ContainerConsumers(id: ContainerId) "/v1/containers/{id}/consumers" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, GET, POST")) {
        Delete "ContainerConsumer deletion" Json => consumers::remove(ask, Guarded::Container(id));
        Get "ContainerConsumers(s) retrieval" Json => consumers::read_all(ask, Guarded::Container(id));
        Post "ContainerConsumer creation" Json => consumers::add(ask, Guarded::Container(id));
    }
    ContainerConsumer(id: ContainerId, consumer: ConsumerId) "/v1/containers/{id}/consumers/{id}" otherwise(Some(Offers::Html)) says_allow(Some("GET")) {
        Get "ContainerConsumer retrieval" Json => consumers::read_one(ask, Guarded::Container(id), consumer);
    }
    Orders "/v1/orders" otherwise(Some(Offers::Html)) says_allow(Some("GET, POST, PUT")) {
        Get "Order(s) retrieval" Json => orders::read_all(ask);
        Post "Order creation" Json => orders::create(ask);
        Put "Order update" Json => orders::update(ask);
    }
    Order(name: &'p str) "/v1/orders/{id}" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, GET")) {
        Delete "Order deletion" Any => orders::delete(ask, name);
        Get "Order retrieval" Json => orders::read(ask, name);
    }
    Quotas "/v1/quotas" otherwise(Some(Offers::Html)) says_allow(Some("GET")) {
        Get "Quotas" Json => quotas::read_own(ask);
    }
    ProjectQuotas "/v1/project-quotas" otherwise(Some(Offers::Html)) says_allow(Some("GET")) {
        Get "Project Quotas" Json => quotas::read_all(ask);
    }
    ProjectQuota(project: &'p str) "/v1/project-quotas/{project}" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, GET, PUT")) {
        Delete "Project Quotas" Any => quotas::delete(ask, project);
        Get "Project Quotas" Json => quotas::read(ask, project);
        Put "Project Quotas" Json => quotas::set(ask, project);
    }
    SecretStores "/v1/secret-stores" otherwise(Some(Offers::Html)) says_allow(Some("GET")) {
        Get "List available secret stores" Json => stores::refuse(ask, Action::ListSecretStores);
    }
    // Barbican looks at no method of these four while it has only one store.
    GlobalDefaultStore "/v1/secret-stores/global-default" otherwise(Some(Offers::Json)) says_allow(None) {
        Delete | Get | Patch | Post | Put "Secret store retrieval" Json => stores::refuse(ask, Action::ReadGlobalDefaultStore);
    }
    PreferredStore "/v1/secret-stores/preferred" otherwise(Some(Offers::Json)) says_allow(None) {
        Delete | Get | Patch | Post | Put "Secret store retrieval" Json => stores::refuse(ask, Action::ReadPreferredStore);
    }
    SecretStore "/v1/secret-stores/{id}" otherwise(Some(Offers::Json)) says_allow(None) {
        Delete | Get | Patch | Post | Put "Secret store retrieval" Json => stores::no_choice();
    }
    StorePreference "/v1/secret-stores/{id}/preferred" otherwise(Some(Offers::Json)) says_allow(None) {
        Delete | Get | Patch | Post | Put "Setting preferred secret store" Json => stores::no_choice();
    }
    TransportKeys "/v1/transport_keys" otherwise(Some(Offers::Html)) says_allow(Some("GET, POST")) {
        Get "Transport Key(s) retrieval" Json => transport_keys::read_all(ask);
        Post "Transport Key Creation" Json => transport_keys::create(ask);
    }
    TransportKey(id: TransportKeyId) "/v1/transport_keys/{id}" otherwise(Some(Offers::Html)) says_allow(Some("DELETE, GET")) {
        Delete "Transport Key deletion" Html => transport_keys::delete(ask, id);
        Get "Transport Key retrieval" Html => transport_keys::read(ask, id);
    }
}

/// The row of a place.
#[expect(clippy::indexing_slicing, reason = "places and rows are made of the same lines")]
pub(crate) fn resource_at(place: &Place<'_>) -> &'static Resource {
    &RESOURCES[place.number()]
}

/// The template of every resource.
#[cfg(test)]
pub(crate) fn templates() -> impl Iterator<Item = &'static str> {
    RESOURCES.iter().map(|resource| resource.template)
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
        for resource in &RESOURCES {
            let methods: Vec<_> = resource.routes.iter().map(|route| route.verb.as_str()).collect();
            assert!(methods.is_sorted(), "{}", resource.template);
            if let Some(allow) = resource.says_allow {
                assert_eq!(allow, methods.join(", "), "{}", resource.template);
            }
        }
    }

    #[test]
    fn a_place_and_its_row_are_of_one_line() {
        let key = TransportKeyId::random();
        for (place, template) in [
            (Place::Versions, "/"),
            (Place::Metadatum(SecretId::random(), "k"), "/v1/secrets/{id}/metadata/{key}"),
            (Place::TransportKey(key), "/v1/transport_keys/{id}"),
        ] {
            assert_eq!(resource_at(&place).template, template);
        }
        assert_eq!(Place::TransportKey(key).number(), PLACES - 1);
    }
}
