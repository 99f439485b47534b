//! A store's tables over plain maps: a second reading of what each operation of [`Tables`] says, to hold the databases to.
//!
//! It is slow and simple on purpose: nothing is indexed, kept or counted ahead. It reads as the store reads, in the same
//! order, so that both can be compared. It is never shipped.
#![expect(
    clippy::indexing_slicing,
    reason = "a row that is named and not there is a fault of the rules, which a test should see"
)]

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Access, Acl, ChangeCursor, ChangeRow, Consumer, Container, ContainerId, ContainerSecret, ContentType,
    Encoding, Guard, Guarded, KeyVersion, Metadatum, Order, OrderId, OrderOutcome, ProjectId, ProjectQuotas,
    Secret, SecretId, Text, Timestamp, TransportKey, TransportKeyId, Usage, Uses,
};
use store::rules::{
    AclRow, ChangeLogRow, ContainerRow, NotDone, Parts, RowNumber, SecretRow, Table, Tables, Tally,
};
use store::{AuditAnchor, NodeName};

/// Two rows would have one id or one usage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Duplicate;

type Answer<V> = Result<V, NotDone<Duplicate>>;

/// A secret, with everything that belongs to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlainSecret {
    /// The record.
    pub record: Secret,
    /// The envelope.
    pub sealed: Option<Vec<u8>>,
    /// The user metadata.
    pub metadata: BTreeMap<String, String>,
    /// The ACL.
    pub acl: Option<Acl>,
    /// The consumers, in order of registration.
    pub consumers: Vec<Consumer>,
}

/// A container, with everything that belongs to it but its secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlainContainer {
    /// The record.
    pub record: Container,
    /// The ACL.
    pub acl: Option<Acl>,
    /// The consumers, in order of registration.
    pub consumers: Vec<Consumer>,
}

/// The rows of a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "each is the table of that name")]
pub struct PlainTables {
    pub key_check: Option<Vec<u8>>,
    pub audit_anchors: BTreeMap<String, AuditAnchor>,
    pub changes: Vec<ChangeRow>,
    pub projects: Vec<ProjectId>,
    pub project_keys: BTreeMap<(RowNumber, u32), Vec<u8>>,
    pub project_quotas: BTreeMap<RowNumber, ProjectQuotas>,
    pub secrets: BTreeMap<RowNumber, PlainSecret>,
    pub containers: BTreeMap<RowNumber, PlainContainer>,
    pub container_secrets: BTreeMap<RowNumber, (RowNumber, RowNumber, Option<Text>)>,
    pub orders: BTreeMap<RowNumber, Order>,
    pub spent_orders: BTreeSet<RowNumber>,
    pub transport_keys: BTreeMap<RowNumber, TransportKey>,
}

/// Puts a row at the end of a table.
fn append<V>(table: &mut BTreeMap<RowNumber, V>, row: V) -> RowNumber {
    let number = RowNumber(table.last_key_value().map_or(1, |(last, _)| last.0 + 1));
    table.insert(number, row);
    number
}

fn find<V>(table: &BTreeMap<RowNumber, V>, is_it: impl Fn(&V) -> bool) -> Option<(RowNumber, &V)> {
    table.iter().find(|(_, row)| is_it(row)).map(|(number, row)| (*number, row))
}

impl PlainTables {
    /// A secret by its id.
    pub fn plain_secret(&self, id: SecretId) -> Option<&PlainSecret> {
        find(&self.secrets, |secret| secret.record.id == id).map(|(_, secret)| secret)
    }

    /// A container by its id.
    pub fn plain_container(&self, id: ContainerId) -> Option<&PlainContainer> {
        find(&self.containers, |container| container.record.id == id).map(|(_, container)| container)
    }

    /// What is in a container, in order of adding.
    pub fn secrets_in(&self, id: ContainerId) -> Vec<ContainerSecret> {
        let Some((row, _)) = find(&self.containers, |container| container.record.id == id) else {
            return Vec::new();
        };
        let of_it = self.container_secrets.values().filter(|(container, _, _)| *container == row);
        of_it
            .map(|(_, secret, name)| ContainerSecret {
                name: name.clone(),
                secret: self.at(*secret).record.id,
            })
            .collect()
    }

    /// The record that decides about access, the ACL and the consumers of something.
    pub fn belongings(&self, of: Guarded) -> Option<(Access, Option<&Acl>, &[Consumer])> {
        match of {
            Guarded::Secret(id) => {
                self.plain_secret(id).map(|PlainSecret { record, acl, consumers, .. }| {
                    let access = Access {
                        project: record.project.clone(),
                        creator: record.creator.clone(),
                        project_access: record.project_access,
                        private: record.facets.private,
                        expiration: record.attributes.expiration,
                        guard: record.guard.clone(),
                    };
                    (access, acl.as_ref(), consumers.as_slice())
                })
            }
            Guarded::Container(id) => {
                self.plain_container(id).map(|PlainContainer { record, acl, consumers }| {
                    let access = Access {
                        project: record.project.clone(),
                        creator: record.creator.clone(),
                        project_access: record.project_access,
                        private: false,
                        expiration: None,
                        guard: record.guard.clone(),
                    };
                    (access, acl.as_ref(), consumers.as_slice())
                })
            }
        }
    }

    fn row_of(&self, of: Guarded) -> Option<RowNumber> {
        match of {
            Guarded::Secret(id) => find(&self.secrets, |secret| secret.record.id == id).map(|(row, _)| row),
            Guarded::Container(id) => {
                find(&self.containers, |container| container.record.id == id).map(|(row, _)| row)
            }
        }
    }

    fn project_row(&self, project: &ProjectId) -> Option<RowNumber> {
        let place = self.projects.iter().position(|known| known == project)?;
        i64::try_from(place).ok().map(RowNumber)
    }

    /// The project of a row.
    pub fn project_at(&self, row: RowNumber) -> &ProjectId {
        &self.projects[usize::try_from(row.0).unwrap()]
    }

    fn at(&self, row: RowNumber) -> &PlainSecret {
        &self.secrets[&row]
    }

    fn at_mut(&mut self, row: RowNumber) -> &mut PlainSecret {
        self.secrets.get_mut(&row).unwrap()
    }

    fn consumers_mut(&mut self, of: Guarded, row: RowNumber) -> &mut Vec<Consumer> {
        match of {
            Guarded::Secret(_) => &mut self.at_mut(row).consumers,
            Guarded::Container(_) => &mut self.containers.get_mut(&row).unwrap().consumers,
        }
    }

    fn secret_row(&self, (row, secret): (RowNumber, &PlainSecret)) -> SecretRow {
        let record = &secret.record;
        SecretRow {
            row,
            id: record.id,
            project: self.project_row(&record.project).unwrap(),
            filled: record.content_type.is_some(),
            private: record.facets.private,
            encoding: record.facets.encoding,
            expiration: record.attributes.expiration,
            usage: record.facets.usage(),
        }
    }

    /// Refuses a usage that another secret of the project has.
    fn require_free(&self, project: &ProjectId, usage: Option<Usage>, except: RowNumber) -> Answer<()> {
        let holds =
            |secret: &PlainSecret| secret.record.project == *project && secret.record.facets.usage() == usage;
        let taken = self.secrets.iter().any(|(row, secret)| *row != except && holds(secret));
        if usage.is_some() && taken { Err(NotDone::Keeper(Duplicate)) } else { Ok(()) }
    }

    /// Orders that show nothing, because what came of them is gone.
    fn spend(&mut self, outcome: &OrderOutcome) {
        let spent = self.orders.iter().filter(|(_, order)| order.outcome == *outcome).map(|(row, _)| *row);
        self.spent_orders.extend(spent);
    }
}

impl Tables for PlainTables {
    type Error = Duplicate;

    fn key_check(&self) -> Answer<Option<Vec<u8>>> {
        Ok(self.key_check.clone())
    }

    fn set_key_check(&mut self, check: &[u8]) -> Answer<()> {
        self.key_check = Some(check.to_vec());
        Ok(())
    }

    fn set_audit_anchor(&mut self, node: &NodeName, anchor: &AuditAnchor) -> Answer<()> {
        self.audit_anchors.insert(node.as_str().to_owned(), *anchor);
        Ok(())
    }

    fn log(&mut self, row: &ChangeLogRow<'_>) -> Answer<()> {
        let ChangeLogRow { number, secret, project, kind, time, usage } = row.clone();
        let (cursor, project) = (ChangeCursor::from_number(number), self.project_at(project).clone());
        self.changes.push(ChangeRow { cursor, secret, project, kind, time, usage: usage.cloned() });
        Ok(())
    }

    fn project(&self, project: &ProjectId) -> Answer<Option<RowNumber>> {
        Ok(self.project_row(project))
    }

    fn project_name(&self, project: RowNumber) -> Answer<ProjectId> {
        Ok(self.project_at(project).clone())
    }

    fn add_project(&mut self, project: &ProjectId) -> Answer<RowNumber> {
        self.projects.push(project.clone());
        Ok(self.project_row(project).unwrap())
    }

    fn add_project_key(&mut self, project: RowNumber, key: KeyVersion, wrapped: &[u8]) -> Answer<()> {
        self.project_keys.entry((project, key.0)).or_insert_with(|| wrapped.to_vec());
        Ok(())
    }

    fn quotas(&self, project: &ProjectId) -> Answer<Option<ProjectQuotas>> {
        Ok(self.project_row(project).and_then(|row| self.project_quotas.get(&row).copied()))
    }

    fn set_quotas(&mut self, project: RowNumber, quotas: &ProjectQuotas) -> Answer<()> {
        let own = self.project_quotas.entry(project).or_default();
        for counted in model::Counted::ALL {
            *own = own.with(counted, quotas.of(counted).or(own.of(counted)));
        }
        Ok(())
    }

    fn delete_quotas(&mut self, project: &ProjectId) -> Answer<()> {
        if let Some(row) = self.project_row(project) {
            self.project_quotas.remove(&row);
        }
        Ok(())
    }

    fn tally(&self, project: RowNumber, tally: Tally) -> Answer<u64> {
        let project = self.project_at(project);
        let secrets = || self.secrets.values().filter(|secret| secret.record.project == *project);
        let registered = |consumer: &&Consumer| consumer.project == *project;
        let rows = match tally {
            Tally::Secrets => secrets().count(),
            Tally::LiveSecrets { now, .. } => {
                secrets().filter(|secret| !secret.record.is_expired(now)).count()
            }
            Tally::Containers => {
                self.containers.values().filter(|container| container.record.project == *project).count()
            }
            Tally::Orders => self.orders.values().filter(|order| order.project == *project).count(),
            Tally::SecretConsumers => {
                self.secrets.values().flat_map(|secret| &secret.consumers).filter(registered).count()
            }
            Tally::ContainerConsumers => {
                self.containers.values().flat_map(|container| &container.consumers).filter(registered).count()
            }
        };
        Ok(u64::try_from(rows).unwrap())
    }

    fn count(&self, of: RowNumber, parts: Parts) -> Answer<u64> {
        let rows = match parts {
            Parts::Metadata => self.at(of).metadata.len(),
            Parts::SecretConsumers => self.at(of).consumers.len(),
            Parts::ContainerConsumers => self.containers[&of].consumers.len(),
            Parts::ContainerSecrets => {
                self.container_secrets.values().filter(|(container, _, _)| *container == of).count()
            }
        };
        Ok(u64::try_from(rows).unwrap())
    }

    fn delete(&mut self, table: Table, row: RowNumber) -> Answer<()> {
        match table {
            Table::Secrets => {
                let gone = self.secrets.remove(&row).unwrap();
                self.container_secrets.retain(|_, (_, secret, _)| *secret != row);
                self.spend(&OrderOutcome::Secret(gone.record.id));
            }
            Table::Containers => {
                let gone = self.containers.remove(&row).unwrap();
                self.container_secrets.retain(|_, (container, _, _)| *container != row);
                self.spend(&OrderOutcome::Container(gone.record.id));
            }
            Table::ContainerSecrets => drop(self.container_secrets.remove(&row)),
            Table::Orders => {
                self.orders.remove(&row);
                self.spent_orders.remove(&row);
            }
            Table::TransportKeys => drop(self.transport_keys.remove(&row)),
        }
        Ok(())
    }

    fn secret(&self, id: SecretId) -> Answer<Option<SecretRow>> {
        Ok(find(&self.secrets, |secret| secret.record.id == id).map(|found| self.secret_row(found)))
    }

    fn holder(&self, project: &ProjectId, usage: &Usage) -> Answer<Option<SecretRow>> {
        let holds = |secret: &PlainSecret| {
            secret.record.project == *project && secret.record.facets.usage().as_ref() == Some(usage)
        };
        Ok(find(&self.secrets, holds).map(|found| self.secret_row(found)))
    }

    fn record(&self, secret: RowNumber, _: &ProjectId) -> Answer<(Secret, Option<Vec<u8>>)> {
        let PlainSecret { record, sealed, .. } = self.at(secret);
        Ok((record.clone(), sealed.clone()))
    }

    fn is_named(&self, secret: &SecretRow) -> Answer<bool> {
        let outcome = OrderOutcome::Secret(secret.id);
        Ok(self.container_secrets.values().any(|(_, held, _)| *held == secret.row)
            || self.orders.values().any(|order| order.outcome == outcome))
    }

    fn insert_secret(&mut self, _: RowNumber, secret: &Secret, sealed: Option<&[u8]>) -> Answer<RowNumber> {
        if self.plain_secret(secret.id).is_some() {
            return Err(NotDone::Keeper(Duplicate));
        }
        self.require_free(&secret.project, secret.facets.usage(), RowNumber(0))?;
        let (record, sealed) = (secret.clone(), sealed.map(<[u8]>::to_vec));
        let (metadata, consumers) = (BTreeMap::new(), Vec::new());
        Ok(append(&mut self.secrets, PlainSecret { record, sealed, metadata, acl: None, consumers }))
    }

    fn set_payload(
        &mut self,
        secret: RowNumber,
        (content_type, sealed): (ContentType, &[u8]),
        encoding: Encoding,
        time: Timestamp,
    ) -> Answer<()> {
        let secret = self.at_mut(secret);
        secret.sealed = Some(sealed.to_vec());
        secret.record.content_type = Some(content_type);
        secret.record.facets.encoding = encoding;
        secret.record.updated = time;
        Ok(())
    }

    fn set_facets(&mut self, row: RowNumber, secret: &Secret, sealed: Option<&[u8]>) -> Answer<()> {
        self.require_free(&secret.project, secret.facets.usage(), row)?;
        let known = self.at_mut(row);
        known.record.facets = secret.facets.clone();
        known.record.guard = secret.guard.clone();
        known.sealed = sealed.map(<[u8]>::to_vec);
        Ok(())
    }

    fn put_guard(&mut self, of: Guarded, guard: &Guard) -> Answer<()> {
        let Some(row) = self.row_of(of) else { return Ok(()) };
        let known = match of {
            Guarded::Secret(_) => &mut self.at_mut(row).record.guard,
            Guarded::Container(_) => &mut self.containers.get_mut(&row).unwrap().record.guard,
        };
        known.get_or_insert_with(|| guard.clone());
        Ok(())
    }

    fn metadata(&self, secret: RowNumber) -> Answer<Vec<Metadatum>> {
        let pair = |(key, value): (&String, &String)| Metadatum { key: key.clone(), value: value.clone() };
        Ok(self.at(secret).metadata.iter().map(pair).collect())
    }

    fn has_metadatum(&self, secret: RowNumber, key: &str) -> Answer<bool> {
        Ok(self.at(secret).metadata.contains_key(key))
    }

    fn add_metadatum(&mut self, secret: RowNumber, datum: &Metadatum) -> Answer<()> {
        self.at_mut(secret).metadata.entry(datum.key.clone()).or_insert_with(|| datum.value.clone());
        Ok(())
    }

    fn set_metadatum(&mut self, secret: RowNumber, datum: &Metadatum) -> Answer<()> {
        self.at_mut(secret).metadata.insert(datum.key.clone(), datum.value.clone());
        Ok(())
    }

    fn delete_metadata(&mut self, secret: RowNumber, key: Option<&str>) -> Answer<()> {
        self.at_mut(secret).metadata.retain(|known, _| key.is_some_and(|key| known != key));
        Ok(())
    }

    fn acl(&self, of: Guarded) -> Answer<Option<AclRow>> {
        let found = self.row_of(of).zip(self.belongings(of));
        Ok(found.map(|(row, (access, acl, _))| AclRow {
            row,
            project: self.project_row(&access.project).unwrap(),
            creator: access.creator,
            project_access: access.project_access,
            private: access.private,
            expiration: access.expiration,
            guard: access.guard,
            acl: acl.cloned(),
        }))
    }

    fn set_acl(
        &mut self,
        of: Guarded,
        row: RowNumber,
        acl: Option<&Acl>,
        guard: Option<&Guard>,
    ) -> Answer<()> {
        let (access, guard) = (acl.is_none_or(|acl| acl.project_access), guard.cloned());
        let mut acl = acl.cloned();
        for Acl { users, .. } in acl.iter_mut() {
            users.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            users.dedup();
        }
        match of {
            Guarded::Secret(_) => {
                let secret = self.at_mut(row);
                (secret.record.project_access, secret.record.guard, secret.acl) = (access, guard, acl);
            }
            Guarded::Container(_) => {
                let container = self.containers.get_mut(&row).unwrap();
                (container.record.project_access, container.record.guard, container.acl) =
                    (access, guard, acl);
            }
        }
        Ok(())
    }

    fn consumers(&self, of: Guarded, _: RowNumber) -> Answer<Vec<Consumer>> {
        Ok(self.belongings(of).unwrap().2.to_vec())
    }

    fn registered_from(&self, of: Guarded, _: RowNumber, who: &Uses) -> Answer<Option<RowNumber>> {
        let (_, _, consumers) = self.belongings(of).unwrap();
        let found = consumers.iter().find(|consumer| consumer.who == *who);
        Ok(found.and_then(|consumer| self.project_row(&consumer.project)))
    }

    fn add_consumer(&mut self, of: Guarded, row: RowNumber, _: RowNumber, consumer: &Consumer) -> Answer<()> {
        self.consumers_mut(of, row).push(consumer.clone());
        Ok(())
    }

    fn delete_consumer(&mut self, of: Guarded, row: RowNumber, who: &Uses) -> Answer<()> {
        self.consumers_mut(of, row).retain(|consumer| consumer.who != *who);
        Ok(())
    }

    fn container(&self, id: ContainerId) -> Answer<Option<ContainerRow>> {
        let found = find(&self.containers, |container| container.record.id == id);
        Ok(found.map(|(row, container)| ContainerRow {
            row,
            project: self.project_row(&container.record.project).unwrap(),
        }))
    }

    fn insert_container(&mut self, _: RowNumber, container: &Container) -> Answer<RowNumber> {
        if self.plain_container(container.id).is_some() {
            return Err(NotDone::Keeper(Duplicate));
        }
        let record = Container { project_access: true, ..container.clone() };
        Ok(append(&mut self.containers, PlainContainer { record, acl: None, consumers: Vec::new() }))
    }

    fn touch_container(&mut self, container: RowNumber, time: Timestamp) -> Answer<()> {
        self.containers.get_mut(&container).unwrap().record.updated = time;
        Ok(())
    }

    fn container_secret(
        &self,
        container: RowNumber,
        secret: RowNumber,
        name: Option<&Text>,
    ) -> Answer<Option<RowNumber>> {
        let wanted = (container, secret, name.cloned());
        Ok(find(&self.container_secrets, |place| *place == wanted).map(|(row, _)| row))
    }

    fn add_container_secret(
        &mut self,
        container: RowNumber,
        secret: RowNumber,
        name: Option<&Text>,
    ) -> Answer<()> {
        append(&mut self.container_secrets, (container, secret, name.cloned()));
        Ok(())
    }

    fn order(&self, id: OrderId) -> Answer<Option<RowNumber>> {
        Ok(find(&self.orders, |order| order.id == id).map(|(row, _)| row))
    }

    fn insert_order(&mut self, _: RowNumber, order: &Order) -> Answer<()> {
        if self.order(order.id)?.is_some() {
            return Err(NotDone::Keeper(Duplicate));
        }
        let row = append(&mut self.orders, order.clone());
        if matches!(order.outcome, OrderOutcome::Failed { .. }) {
            self.spent_orders.insert(row);
        }
        Ok(())
    }

    fn delete_spent_orders(&mut self, before: Timestamp, limit: u32) -> Answer<()> {
        let mut spent: Vec<_> =
            self.spent_orders.iter().map(|row| (self.orders[row].updated, *row)).collect();
        spent.retain(|(updated, _)| *updated < before);
        spent.sort();
        for (_, row) in spent.into_iter().take(usize::try_from(limit).unwrap()) {
            self.delete(Table::Orders, row)?;
        }
        Ok(())
    }

    fn transport_key(&self, id: TransportKeyId) -> Answer<Option<RowNumber>> {
        Ok(find(&self.transport_keys, |key| key.id == id).map(|(row, _)| row))
    }

    fn insert_transport_key(&mut self, key: &TransportKey) -> Answer<()> {
        if self.transport_key(key.id)?.is_some() {
            return Err(NotDone::Keeper(Duplicate));
        }
        append(&mut self.transport_keys, key.clone());
        Ok(())
    }
}
