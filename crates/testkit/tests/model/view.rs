//! Everything that can be read of a store, as lines of question and answer.

use std::cmp::Ordering;
use std::fmt::Debug;

use model::{
    ChangeCursor, ContainerQuery, ContainerType, Direction, Filters, Guarded, Handle, KeyVersion, ListQuery,
    Listed, OrderQuery, Pattern, Scope, Secret, SecretType, SortKey, SortOrder, TypeFilter, Usage, UserId,
    Which,
};
use store::{GuardedAcl, Kind, NodeName, Slice, Sliced, SqliteStore, Store as _, WrappedKey};
use testkit::plain::{PlainSecret, PlainTables};

use crate::changes::{
    IDS, NODES, PROJECTS, consumer_id, container_id, moment, order_id, project, secret_id, transport_key_id,
    usage,
};
use crate::model_store::ModelStore;

/// The moments at which lists are asked for.
const MOMENTS: [u8; 2] = [8, 25];
const PART: Slice = Slice { offset: 1, limit: 2 };

type Lines = Vec<String>;

fn tell(lines: &mut Lines, question: impl Debug, answer: impl Debug) {
    lines.push(format!("{question:?}: {answer:?}"));
}

fn things() -> impl Iterator<Item = Guarded> {
    let of = |number| [Guarded::Secret(secret_id(number)), Guarded::Container(container_id(number))];
    (0..IDS).flat_map(of)
}

fn usages() -> impl Iterator<Item = Usage> {
    let whole = |number| match usage(number) {
        (Some(usage_type), Some(id)) => Some(Usage { usage_type, id }),
        _ => None,
    };
    (0..4).filter_map(whole)
}

fn choices() -> impl Iterator<Item = Which> {
    let all = [None, Some(false), Some(true)];
    all.into_iter().flat_map(move |private| all.map(|ephemeral| Which { private, ephemeral }))
}

fn list_queries() -> Vec<ListQuery> {
    let named = Filters { name: Some(Pattern::new("alpha")), ..Filters::default() };
    let alike = Filters { name: Some(Pattern::new("al_%")), ..Filters::default() };
    let typed = Filters { secret_type: Some(TypeFilter::Is(SecretType::Private)), ..Filters::default() };
    let sorts = [
        vec![],
        vec![SortOrder { key: SortKey::Name, direction: Direction::Descending }],
        vec![SortOrder { key: SortKey::Expiration, direction: Direction::Ascending }],
        vec![
            SortOrder { key: SortKey::Created, direction: Direction::Descending },
            SortOrder { key: SortKey::Updated, direction: Direction::Ascending },
        ],
    ];
    let mut queries = Vec::new();
    for filters in [Filters::default(), named, alike, typed] {
        for sort in &sorts {
            for number in 0..2 {
                let scope = Scope::Project(project(number));
                queries.push(ListQuery {
                    scope,
                    filters: filters.clone(),
                    sort: sort.clone(),
                    offset: 0,
                    limit: 100,
                });
            }
        }
    }
    let scope = Scope::AclOf(UserId::try_from("beta").unwrap());
    queries.push(ListQuery { scope, filters: Filters::default(), sort: Vec::new(), offset: 1, limit: 3 });
    queries
}

fn container_queries() -> Vec<ContainerQuery> {
    let all = |number| ContainerQuery {
        project: project(number),
        name: None,
        container_type: None,
        offset: 0,
        limit: 100,
    };
    vec![
        all(0),
        all(1),
        ContainerQuery { name: Some(Pattern::new("beta")), ..all(0) },
        ContainerQuery { name: Some(Pattern::new("al%")), offset: 1, ..all(0) },
        ContainerQuery { container_type: Some(Some(ContainerType::Generic)), ..all(1) },
    ]
}

fn order_queries() -> Vec<OrderQuery> {
    let all = |number| OrderQuery { project: project(number), meta: None, offset: 0, limit: 100 };
    vec![all(0), all(1), OrderQuery { meta: Some("name\": \"1".to_owned()), limit: 1, ..all(0) }]
}

fn in_order_of_ids(mut handles: Vec<Listed>) -> Vec<Listed> {
    handles.sort_by_key(|listed| listed.id);
    handles
}

/// What the embedded store answers.
pub(crate) async fn of_store(store: &SqliteStore) -> Lines {
    let mut lines = Lines::new();
    for of in things() {
        tell(&mut lines, ("access", of), store.access(of).await.unwrap());
        tell(&mut lines, ("acl", of), store.acl(of).await.unwrap());
        tell(&mut lines, ("consumers", of), store.consumers(of, Slice::ALL).await.unwrap());
        tell(&mut lines, ("part of consumers", of), store.consumers(of, PART).await.unwrap().items);
        tell(&mut lines, ("consumer", of), store.consumer(of, consumer_id(1)).await.unwrap());
    }
    for number in 0..IDS {
        let id = secret_id(number);
        let sealed = store.sealed(id).await.unwrap();
        let sealed = sealed.map(|sealed| (sealed.access, sealed.encoding, sealed.payload));
        tell(&mut lines, ("secret", id), store.secret(id).await.unwrap());
        tell(&mut lines, ("sealed", id), sealed);
        tell(&mut lines, ("metadata", id), store.metadata(id).await.unwrap());
        tell(&mut lines, ("handle", id), store.handle(id).await.unwrap());
        let container = container_id(number);
        tell(&mut lines, ("container", container), store.container(container).await.unwrap());
        tell(&mut lines, ("in", container), store.container_secrets(container).await.unwrap());
        tell(&mut lines, ("order", number), store.order(order_id(number)).await.unwrap());
        let key = transport_key_id(number);
        tell(&mut lines, ("transport key", key), store.transport_key(key).await.unwrap());
    }
    for number in 0..2 {
        let of = project(number);
        for usage in usages() {
            tell(&mut lines, ("usage", &of, &usage), store.handle_by_usage(&of, &usage).await.unwrap());
        }
        for (which, at) in choices().flat_map(|which| MOMENTS.map(|at| (which, moment(at)))) {
            tell(&mut lines, ("count", &of, which, at), store.count(&of, which, at).await.unwrap());
            let handles = in_order_of_ids(store.handles(&of, which, at, 100).await.unwrap());
            tell(&mut lines, ("handles", &of, which, at), handles);
        }
        tell(&mut lines, ("quotas", &of), store.project_quotas(&of).await.unwrap());
        for version in [None, Some(KeyVersion(1))] {
            tell(&mut lines, ("key", &of, version), store.project_key(&of, version).await.unwrap());
        }
    }
    for query in list_queries() {
        for at in MOMENTS {
            let page = store.list(&query, moment(at)).await.unwrap();
            tell(&mut lines, (&query, at), (page.secrets, page.total));
        }
    }
    for query in container_queries() {
        tell(&mut lines, &query, store.containers(&query).await.unwrap());
    }
    for query in order_queries() {
        tell(&mut lines, &query, store.orders(&query).await.unwrap());
    }
    for at in MOMENTS {
        let mut expired = store.expired(moment(at), 100).await.unwrap();
        expired.sort_by_key(|(id, _)| *id);
        tell(&mut lines, ("expired", at), expired);
        tell(&mut lines, ("spent", at), store.spent_orders(moment(at)).await.unwrap());
    }
    for kind in [Kind::Secrets, Kind::Containers] {
        let regarded = store.regarded(kind, i64::MIN, 100).await.unwrap();
        let regarded: Vec<_> = regarded.into_iter().map(|row| row.read.unwrap()).collect();
        let regarded: Vec<_> =
            regarded.into_iter().map(|found| (found.of, found.access, found.acl)).collect();
        tell(&mut lines, kind, regarded);
    }
    for node in NODES {
        let node = NodeName::from(node.to_owned());
        tell(&mut lines, &node, store.audit_anchor(&node).await.unwrap());
    }
    tell(&mut lines, "check", store.key_check().await.unwrap());
    tell(&mut lines, "all quotas", store.all_project_quotas(Slice::ALL).await.unwrap());
    for plugin in [None, Some("beta")] {
        tell(&mut lines, ("keys", plugin), store.transport_keys(plugin, Slice::ALL).await.unwrap());
    }
    tell(&mut lines, "changes", store.changes(ChangeCursor::START, 1000).await.unwrap().rows().unwrap());
    tell(&mut lines, "newest change", *store.newest_change().borrow());
    let numbers = store.numbers();
    tell(&mut lines, "numbers", (numbers.given(), numbers.committed(), store.witnessed().await.unwrap()));
    lines
}

/// What the plain tables answer.
pub(crate) fn of_model(store: &ModelStore) -> Lines {
    let (durable, memory) = (&store.durable, &store.memory);
    let both = [durable, memory];
    let mut lines = Lines::new();
    for of in things() {
        let found = both.iter().find_map(|tables| tables.belongings(of));
        let (access, consumers) =
            (found.as_ref().map(|found| &found.0), found.as_ref().map_or(&[][..], |found| found.2));
        tell(&mut lines, ("access", of), access);
        let acl = found
            .as_ref()
            .map(|(access, acl, _)| GuardedAcl { acl: acl.cloned(), guard: access.guard.clone() });
        tell(&mut lines, ("acl", of), acl);
        tell(&mut lines, ("consumers", of), sliced(consumers.to_vec(), Slice::ALL));
        tell(&mut lines, ("part of consumers", of), sliced(consumers.to_vec(), PART).items);
        tell(&mut lines, ("consumer", of), consumers.iter().find(|consumer| consumer.id == consumer_id(1)));
    }
    for number in 0..IDS {
        let id = secret_id(number);
        let found = both.iter().find_map(|tables| tables.plain_secret(id));
        let access =
            both.iter().find_map(|tables| tables.belongings(Guarded::Secret(id))).map(|found| found.0);
        let sealed = found.zip(access.clone()).map(|(PlainSecret { record, sealed, .. }, access)| {
            (access, record.facets.encoding, record.content_type.zip(sealed.clone()))
        });
        tell(&mut lines, ("secret", id), found.map(|found| &found.record));
        tell(&mut lines, ("sealed", id), sealed);
        let pair =
            |(key, value): (&String, &String)| model::Metadatum { key: key.clone(), value: value.clone() };
        let pairs: Vec<_> = found.iter().flat_map(|found| &found.metadata).map(pair).collect();
        tell(&mut lines, ("metadata", id), pairs);
        tell(&mut lines, ("handle", id), found.map(|found| handle(store, found)));
        let container = container_id(number);
        tell(
            &mut lines,
            ("container", container),
            durable.plain_container(container).map(|found| &found.record),
        );
        tell(&mut lines, ("in", container), durable.secrets_in(container));
        tell(
            &mut lines,
            ("order", number),
            durable.orders.values().find(|order| order.id == order_id(number)),
        );
        let key = transport_key_id(number);
        tell(
            &mut lines,
            ("transport key", key),
            durable.transport_keys.values().find(|known| known.id == key),
        );
    }
    for number in 0..2 {
        let of = project(number);
        for usage in usages() {
            let holds = |found: &&PlainSecret| {
                found.record.project == of && found.record.facets.usage().as_ref() == Some(&usage)
            };
            let found = both.iter().flat_map(|tables| tables.secrets.values()).find(holds);
            tell(&mut lines, ("usage", &of, &usage), found.map(|found| handle(store, found)));
        }
        for (which, at) in choices().flat_map(|which| MOMENTS.map(|at| (which, moment(at)))) {
            let is_listed = |secret: &&Secret| {
                secret.project == of
                    && !secret.is_expired(at)
                    && which.private.is_none_or(|private| secret.facets.private == private)
                    && which.ephemeral.is_none_or(|ephemeral| secret.facets.ephemeral == ephemeral)
            };
            let found: Vec<_> = all_records(store).filter(is_listed).map(listed).collect();
            tell(&mut lines, ("count", &of, which, at), found.len());
            tell(&mut lines, ("handles", &of, which, at), in_order_of_ids(found));
        }
        tell(&mut lines, ("quotas", &of), project_quotas(durable, number));
        for version in [None, Some(KeyVersion(1))] {
            let keys = durable.project_keys.iter().filter(|((row, _), _)| *durable.project_at(*row) == of);
            let keys = keys.map(|((_, number), wrapped)| (KeyVersion(*number), wrapped.clone()));
            let mut keys = keys.filter(|(number, _)| version.is_none_or(|version| version == *number));
            let newest = keys.next_back().map(|(version, wrapped)| WrappedKey { version, wrapped });
            tell(&mut lines, ("key", &of, version), newest);
        }
    }
    for query in list_queries() {
        for at in MOMENTS {
            let found = listed_page(store, &query, at);
            let total = u64::try_from(found.len()).unwrap();
            let page = Slice { offset: query.offset, limit: query.limit };
            tell(&mut lines, (&query, at), (sliced(found, page).items, total));
        }
    }
    for query in container_queries() {
        let found = durable.containers.values().map(|container| &container.record).filter(|container| {
            let name = container.name.as_ref().map(model::Text::as_str);
            container.project == query.project
                && query
                    .name
                    .as_ref()
                    .is_none_or(|pattern| name.is_some_and(|name| is_like(pattern.as_str(), name)))
                && query.container_type.is_none_or(|wanted| wanted == Some(container.container_type))
        });
        let found = found.map(|container| model::Container { guard: None, ..container.clone() }).collect();
        tell(&mut lines, &query, sliced(found, Slice { offset: query.offset, limit: query.limit }));
    }
    for query in order_queries() {
        let found = durable.orders.values().filter(|order| {
            order.project == query.project && query.meta.as_ref().is_none_or(|meta| order.meta.contains(meta))
        });
        let found = found.cloned().collect();
        tell(&mut lines, &query, sliced(found, Slice { offset: query.offset, limit: query.limit }));
    }
    for at in MOMENTS {
        let expired = all_records(store).filter(|secret| secret.is_expired(moment(at)));
        let mut expired: Vec<_> = expired.map(|secret| (secret.id, secret.project.clone())).collect();
        expired.sort_by_key(|(id, _)| *id);
        tell(&mut lines, ("expired", at), expired);
        let spent = durable.spent_orders.iter().filter(|row| durable.orders[row].updated < moment(at));
        tell(&mut lines, ("spent", at), spent.count());
    }
    for kind in [Kind::Secrets, Kind::Containers] {
        let of: Vec<_> = match kind {
            Kind::Secrets => {
                durable.secrets.values().map(|secret| Guarded::Secret(secret.record.id)).collect()
            }
            Kind::Containers => {
                durable.containers.values().map(|container| Guarded::Container(container.record.id)).collect()
            }
        };
        let regarded = of.into_iter().map(|of| {
            let (access, acl, _) = durable.belongings(of).unwrap();
            (of, access, acl.map(|acl| acl.users.clone()))
        });
        tell(&mut lines, kind, regarded.collect::<Vec<_>>());
    }
    for node in NODES {
        tell(&mut lines, NodeName::from(node.to_owned()), durable.audit_anchors.get(node));
    }
    tell(&mut lines, "check", &durable.key_check);
    let quotas =
        durable.project_quotas.iter().map(|(row, quotas)| (durable.project_at(*row).clone(), *quotas));
    tell(&mut lines, "all quotas", sliced(quotas.collect(), Slice::ALL));
    for plugin in [None, Some("beta")] {
        let keys = durable.transport_keys.values();
        let keys = keys.filter(|key| plugin.is_none_or(|plugin| key.plugin.as_str() == plugin)).cloned();
        tell(&mut lines, ("keys", plugin), sliced(keys.collect(), Slice::ALL));
    }
    let mut changes = [durable.changes.clone(), memory.changes.clone()].concat();
    changes.sort_by_key(|row| row.cursor);
    tell(&mut lines, "changes", changes);
    tell(&mut lines, "newest change", ChangeCursor::from_number(store.newest_change));
    tell(&mut lines, "numbers", (store.given, store.witnessed, store.witnessed));
    lines
}

fn sliced<T>(all: Vec<T>, slice: Slice) -> Sliced<T> {
    let total = u64::try_from(all.len()).unwrap();
    let (offset, limit) = (usize::try_from(slice.offset).unwrap(), usize::try_from(slice.limit).unwrap());
    Sliced { items: all.into_iter().skip(offset).take(limit).collect(), total }
}

fn all_records(store: &ModelStore) -> impl Iterator<Item = &Secret> {
    [&store.durable, &store.memory]
        .into_iter()
        .flat_map(|tables| tables.secrets.values())
        .map(|secret| &secret.record)
}

fn listed(secret: &Secret) -> Listed {
    Listed { id: secret.id, usage: secret.facets.usage() }
}

fn handle(store: &ModelStore, secret: &PlainSecret) -> Handle {
    let of = Guarded::Secret(secret.record.id);
    let access = [&store.durable, &store.memory].iter().find_map(|tables| tables.belongings(of)).unwrap().0;
    Handle { listed: listed(&secret.record), encoding: secret.record.facets.encoding, access }
}

fn project_quotas(tables: &PlainTables, number: u8) -> Option<model::ProjectQuotas> {
    let of = PROJECTS[usize::from(number)];
    let own = tables.project_quotas.iter().find(|(row, _)| tables.project_at(**row).as_str() == of);
    own.map(|(_, quotas)| *quotas)
}

/// All secrets of a list in its order: durable ones before ephemeral ones that have the same place.
fn listed_page(store: &ModelStore, query: &ListQuery, at: u8) -> Vec<Secret> {
    let is_listed = |secret: &&PlainSecret| {
        let (record, filters) = (&secret.record, &query.filters);
        let name = record.attributes.name.as_ref().map(model::Text::as_str);
        let in_scope = match &query.scope {
            Scope::Project(project) => record.project == *project,
            Scope::AclOf(user) => {
                secret.acl.iter().flat_map(|acl| &acl.users).any(|named| named.as_str() == user.as_str())
            }
        };
        in_scope
            && !record.is_expired(moment(at))
            && filters
                .name
                .as_ref()
                .is_none_or(|pattern| name.is_some_and(|name| is_like(pattern.as_str(), name)))
            && filters
                .secret_type
                .is_none_or(|wanted| wanted == TypeFilter::Is(record.attributes.secret_type))
    };
    let last = query.sort.last().map_or(Direction::Ascending, |sort| sort.direction);
    let mut found = Vec::new();
    for tables in [&store.durable, &store.memory] {
        let mut of_tables: Vec<_> =
            tables.secrets.values().filter(is_listed).map(|secret| &secret.record).collect();
        if last == Direction::Descending {
            of_tables.reverse(); // Ties are in the direction of the last key.
        }
        found.extend(of_tables);
    }
    let ties = SortOrder { key: SortKey::Created, direction: last };
    found.sort_by(|a, b| {
        let by = |order: Ordering, sort: &SortOrder| order.then_with(|| compared(sort, a, b));
        query.sort.iter().chain([&ties]).fold(Ordering::Equal, by)
    });
    found.into_iter().map(|secret| Secret { guard: None, ..secret.clone() }).collect()
}

fn compared(sort: &SortOrder, a: &Secret, b: &Secret) -> Ordering {
    let name = |secret: &Secret| secret.attributes.name.as_ref().map(|name| name.as_str().to_owned());
    let order = match sort.key {
        SortKey::Name => name(a).cmp(&name(b)),
        SortKey::Created => a.created.cmp(&b.created),
        SortKey::Updated => a.updated.cmp(&b.updated),
        SortKey::Expiration => a.attributes.expiration.cmp(&b.attributes.expiration),
        other => panic!("no list of the test is sorted by {other:?}"),
    };
    if sort.direction == Direction::Descending { order.reverse() } else { order }
}

/// Whether a text fits a pattern: `%` is any text, and either case of A–Z is the same.
fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('%') {
        None => pattern.eq_ignore_ascii_case(text),
        Some((start, rest)) => {
            let begins = text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
            begins
                && (start.len()..=text.len())
                    .any(|place| text.get(place..).is_some_and(|text| is_like(rest, text)))
        }
    }
}
