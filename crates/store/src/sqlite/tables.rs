//! The rows of one database, by prepared statement, at once.
//!
//! Checks and decisions are in `rules/`. All of this runs inside the writer's transaction.

use model::{
    Acl, Consumer, Container, ContainerId, ContentType, Counted, Encoding, Guard, Guarded, KeyVersion,
    Metadatum, Order, OrderFailure, OrderId, OrderOutcome, ProjectId, ProjectQuotas, Secret, SecretId, Text,
    Timestamp, TransportKey, TransportKeyId, Usage, UserId, Uses,
};
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::columns::{self, GUARD, RECORD, record};
use super::list::{live_secrets_of, secrets_of};
use super::orders::failure_code;
use super::rows::project_number;
use super::{acls, consumers, quotas, slices};
use crate::rules::{
    AclRow, ChangeLogRow, ContainerRow, NotDone, Parts, RowNumber, SecretRow, Table, Tables, Tally,
};
use crate::{AuditAnchor, Failure, NodeName};

/// The tables of the file, or those of memory.
#[derive(Debug)]
pub(super) struct SqlTables<'c>(pub(super) &'c Connection);

type Answer<V> = Result<V, NotDone<rusqlite::Error>>;

impl From<rusqlite::Error> for NotDone<rusqlite::Error> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Keeper(error)
    }
}

/// The columns that [`secret_row`] reads, in its order.
const SECRET_ROW: &str =
    "seq, project, content_type IS NOT NULL, private, expiration, usage_type, usage_id, encoding, id";

fn secret_row(row: Option<&Row<'_>>) -> Answer<Option<SecretRow>> {
    let Some(row) = row else { return Ok(None) };
    Ok(Some(SecretRow {
        row: RowNumber(row.get(0)?),
        project: RowNumber(row.get(1)?),
        filled: row.get(2)?,
        private: row.get(3)?,
        expiration: columns::moment(row, 4)?,
        usage: columns::usage(row, 5)?,
        encoding: columns::encoding(row, 7)?,
        id: SecretId::from_bytes(row.get(8)?),
    }))
}

impl SqlTables<'_> {
    /// Runs a statement that writes.
    fn write(&self, sql: &str, values: impl Params) -> Answer<()> {
        self.0.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Runs a statement that adds a row.
    fn insert(&self, sql: &str, values: impl Params) -> Answer<RowNumber> {
        self.write(sql, values)?;
        Ok(RowNumber(self.0.last_insert_rowid()))
    }

    /// The row that a question finds, if there is one.
    fn row(&self, sql: &str, values: impl Params) -> Answer<Option<RowNumber>> {
        Ok(self.0.prepare_cached(sql)?.query_row(values, |row| row.get(0).map(RowNumber)).optional()?)
    }

    /// The value that a question finds.
    fn value<N: rusqlite::types::FromSql>(&self, sql: &str, values: impl Params) -> Answer<N> {
        Ok(self.0.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }
}

impl Tables for SqlTables<'_> {
    type Error = rusqlite::Error;

    fn key_check(&self) -> Answer<Option<Vec<u8>>> {
        Ok(self.0.query_row("SELECT key_check FROM store", [], |row| row.get(0))?)
    }

    fn set_key_check(&mut self, check: &[u8]) -> Answer<()> {
        self.write("UPDATE store SET key_check = ?1", [check])
    }

    fn put_guard(&mut self, of: Guarded, guard: &Guard) -> Answer<()> {
        let update = match of {
            Guarded::Secret(_) => "UPDATE secrets SET guard = ?2 WHERE id = ?1 AND guard IS NULL",
            Guarded::Container(_) => "UPDATE containers SET guard = ?2 WHERE id = ?1 AND guard IS NULL",
        };
        self.write(update, (of.as_bytes(), guard.as_bytes()))
    }

    fn set_audit_anchor(
        &mut self,
        node: &NodeName,
        AuditAnchor { number, hash }: &AuditAnchor,
    ) -> Answer<()> {
        self.write(
            "INSERT OR REPLACE INTO audit_anchors (node, number, hash) VALUES (?1, ?2, ?3)",
            (node.as_str(), *number, &hash[..]),
        )
    }

    fn log(&mut self, row: &ChangeLogRow<'_>) -> Answer<()> {
        self.write(
            "INSERT INTO changes (number, secret, project, kind, time, usage_type, usage_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                row.number,
                row.secret.as_bytes(),
                row.project.0,
                row.kind.as_str(),
                row.time.micros(),
                row.usage.map(|usage| usage.usage_type.as_str()),
                row.usage.map(|usage| &usage.id),
            ),
        )
    }

    fn project(&self, project: &ProjectId) -> Answer<Option<RowNumber>> {
        Ok(project_number(self.0, project)?.map(RowNumber))
    }

    fn project_name(&self, project: RowNumber) -> Answer<ProjectId> {
        let name: String = self.value("SELECT name FROM projects WHERE id = ?1", [project.0])?;
        Ok(ProjectId::try_from(name.as_str()).map_err(|_| Failure::Corrupt("projects.name"))?)
    }

    fn add_project(&mut self, project: &ProjectId) -> Answer<RowNumber> {
        self.insert("INSERT INTO projects (name) VALUES (?1)", [project.as_str()])
    }

    fn add_project_key(&mut self, project: RowNumber, key: KeyVersion, wrapped: &[u8]) -> Answer<()> {
        self.write(
            "INSERT OR IGNORE INTO project_keys (project, version, wrapped) VALUES (?1, ?2, ?3)",
            (project.0, key.0, wrapped),
        )
    }

    fn quotas(&self, project: &ProjectId) -> Answer<Option<ProjectQuotas>> {
        Ok(quotas::own_quotas(self.0, project)?)
    }

    fn set_quotas(&mut self, project: RowNumber, quotas: &ProjectQuotas) -> Answer<()> {
        self.write("INSERT OR IGNORE INTO project_quotas (project) VALUES (?1)", [project.0])?;
        for counted in Counted::ALL {
            if let Some(quota) = quotas.of(counted) {
                let update =
                    format!("UPDATE project_quotas SET {} = ?2 WHERE project = ?1", counted.as_str());
                self.write(&update, (project.0, quota))?;
            }
        }
        Ok(())
    }

    fn delete_quotas(&mut self, project: &ProjectId) -> Answer<()> {
        self.write(
            "DELETE FROM project_quotas WHERE project = (SELECT id FROM projects WHERE name = ?1)",
            [project.as_str()],
        )
    }

    fn tally(&self, project: RowNumber, tally: Tally) -> Answer<u64> {
        let kind = match tally {
            Tally::Secrets => return Ok(secrets_of(self.0, project.0)?),
            Tally::LiveSecrets { now, limit } => {
                return Ok(live_secrets_of(self.0, project.0, now, limit)?);
            }
            Tally::Containers => "containers",
            Tally::Orders => "orders",
            Tally::SecretConsumers => "secret_consumers",
            Tally::ContainerConsumers => "container_consumers",
        };
        Ok(slices::tally(self.0, project.0, kind)?)
    }

    fn count(&self, of: RowNumber, parts: Parts) -> Answer<u64> {
        let select = match parts {
            Parts::Metadata => "SELECT count(*) FROM secret_metadata WHERE secret = ?1",
            Parts::SecretConsumers => "SELECT count(*) FROM secret_consumers WHERE secret = ?1",
            Parts::ContainerConsumers => "SELECT count(*) FROM container_consumers WHERE container = ?1",
            Parts::ContainerSecrets => "SELECT count(*) FROM container_secrets WHERE container = ?1",
        };
        self.value(select, [of.0])
    }

    fn delete(&mut self, table: Table, row: RowNumber) -> Answer<()> {
        let delete = match table {
            Table::Secrets => "DELETE FROM secrets WHERE seq = ?1",
            Table::Containers => "DELETE FROM containers WHERE seq = ?1",
            Table::ContainerSecrets => "DELETE FROM container_secrets WHERE seq = ?1",
            Table::Orders => "DELETE FROM orders WHERE seq = ?1",
            Table::TransportKeys => "DELETE FROM transport_keys WHERE seq = ?1",
        };
        self.write(delete, [row.0])
    }

    fn secret(&self, id: SecretId) -> Answer<Option<SecretRow>> {
        let mut statement =
            self.0.prepare_cached(&format!("SELECT {SECRET_ROW} FROM secrets WHERE id = ?1"))?;
        secret_row(statement.query([id.as_bytes()])?.next()?)
    }

    fn holder(&self, project: &ProjectId, usage: &Usage) -> Answer<Option<SecretRow>> {
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT {SECRET_ROW} FROM secrets INDEXED BY secrets_by_usage \
             WHERE project = (SELECT id FROM projects WHERE name = ?1) AND usage_type = ?2 AND usage_id = ?3"
        ))?;
        secret_row(statement.query((project.as_str(), usage.usage_type.as_str(), &usage.id))?.next()?)
    }

    fn record(&self, secret: RowNumber, project: &ProjectId) -> Answer<(Secret, Option<Vec<u8>>)> {
        let select = format!("SELECT {RECORD}, guard, sealed FROM secrets WHERE seq = ?1");
        let mut statement = self.0.prepare_cached(&select)?;
        let mut rows = statement.query([secret.0])?;
        let row = rows.next()?.ok_or(Failure::Corrupt("secrets.seq"))?;
        let guard = columns::guard(row, GUARD)?;
        let (_, build) = record(row)?;
        Ok((Secret { guard, ..build(project.clone()) }, row.get(GUARD + 1)?))
    }

    fn is_named(&self, secret: &SecretRow) -> Answer<bool> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM container_secrets WHERE secret = ?1) \
             OR EXISTS (SELECT 1 FROM orders WHERE secret = ?2)",
            (secret.row.0, secret.id.as_bytes()),
        )
    }

    fn insert_secret(
        &mut self,
        project: RowNumber,
        secret: &Secret,
        sealed: Option<&[u8]>,
    ) -> Answer<RowNumber> {
        let (attributes, facets) = (&secret.attributes, &secret.facets);
        self.insert(
            "INSERT INTO secrets (id, project, creator, created, updated, expiration, status, secret_type, name, \
             algorithm, bit_length, mode, project_access, private, ephemeral, encoding, description, usage_type, \
             usage_id, content_type, sealed, guard) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
            params![
                secret.id.as_bytes(),
                project.0,
                secret.creator.as_ref().map(UserId::as_str),
                secret.created.micros(),
                secret.updated.micros(),
                attributes.expiration.map(Timestamp::micros),
                secret.status.as_str(),
                attributes.secret_type.as_str(),
                attributes.name.as_ref().map(Text::as_str),
                attributes.algorithm.as_ref().map(Text::as_str),
                attributes.bit_length.map(|length| length.bits()),
                attributes.mode.as_ref().map(Text::as_str),
                secret.project_access,
                facets.private,
                facets.ephemeral,
                facets.encoding.as_str(),
                facets.description,
                facets.usage_type.map(|usage| usage.as_str()),
                facets.usage_id,
                secret.content_type.map(|content_type| content_type.as_str()),
                sealed,
                secret.guard.as_ref().map(Guard::as_bytes),
            ],
        )
    }

    fn set_payload(
        &mut self,
        secret: RowNumber,
        (content_type, sealed): (ContentType, &[u8]),
        encoding: Encoding,
        time: Timestamp,
    ) -> Answer<()> {
        self.write(
            "UPDATE secrets SET content_type = ?2, sealed = ?3, updated = ?4, encoding = ?5 WHERE seq = ?1",
            (secret.0, content_type.as_str(), sealed, time.micros(), encoding.as_str()),
        )
    }

    fn set_facets(&mut self, row: RowNumber, secret: &Secret, sealed: Option<&[u8]>) -> Answer<()> {
        let facets = &secret.facets;
        self.write(
            "UPDATE secrets SET private = ?2, ephemeral = ?3, encoding = ?4, description = ?5, usage_type = ?6, \
             usage_id = ?7, sealed = ?8, guard = ?9 WHERE seq = ?1",
            (
                row.0,
                facets.private,
                facets.ephemeral,
                facets.encoding.as_str(),
                &facets.description,
                facets.usage_type.map(|usage| usage.as_str()),
                &facets.usage_id,
                sealed,
                secret.guard.as_ref().map(Guard::as_bytes),
            ),
        )
    }

    fn metadata(&self, secret: RowNumber) -> Answer<Vec<Metadatum>> {
        let select = "SELECT key, value FROM secret_metadata WHERE secret = ?1";
        let mut statement = self.0.prepare_cached(select)?;
        let pairs =
            statement.query_map([secret.0], |row| Ok(Metadatum { key: row.get(0)?, value: row.get(1)? }))?;
        Ok(pairs.collect::<Result<_, _>>()?)
    }

    fn has_metadatum(&self, secret: RowNumber, key: &str) -> Answer<bool> {
        let select = "SELECT 1 FROM secret_metadata WHERE secret = ?1 AND key = ?2";
        Ok(self.0.prepare_cached(select)?.exists((secret.0, key))?)
    }

    fn add_metadatum(&mut self, secret: RowNumber, datum: &Metadatum) -> Answer<()> {
        self.write(
            "INSERT OR IGNORE INTO secret_metadata (secret, key, value) VALUES (?1, ?2, ?3)",
            (secret.0, &datum.key, &datum.value),
        )
    }

    fn set_metadatum(&mut self, secret: RowNumber, datum: &Metadatum) -> Answer<()> {
        self.write(
            "UPDATE secret_metadata SET value = ?3 WHERE secret = ?1 AND key = ?2",
            (secret.0, &datum.key, &datum.value),
        )
    }

    fn delete_metadata(&mut self, secret: RowNumber, key: Option<&str>) -> Answer<()> {
        match key {
            None => self.write("DELETE FROM secret_metadata WHERE secret = ?1", [secret.0]),
            Some(key) => {
                self.write("DELETE FROM secret_metadata WHERE secret = ?1 AND key = ?2", (secret.0, key))
            }
        }
    }

    fn acl(&self, of: Guarded) -> Answer<Option<AclRow>> {
        Ok(acls::find_acl(self.0, of)?)
    }

    fn set_acl(
        &mut self,
        of: Guarded,
        row: RowNumber,
        acl: Option<&Acl>,
        guard: Option<&Guard>,
    ) -> Answer<()> {
        let statements = acls::statements_of(of);
        let access = acl.is_none_or(|acl| acl.project_access);
        self.write(statements.clear_users, [row.0])?;
        self.write(statements.set_access, (row.0, access, guard.map(Guard::as_bytes)))?;
        for user in acl.iter().flat_map(|acl| &acl.users) {
            self.write(statements.add_user, (row.0, user.as_str()))?;
        }
        let times = acl.map(|acl| (acl.created.micros(), acl.updated.micros()));
        match (of, times) {
            (Guarded::Secret(_), None) => self.write("DELETE FROM secret_acls WHERE secret = ?1", [row.0]),
            (Guarded::Secret(_), Some((created, updated))) => self.write(
                "INSERT OR REPLACE INTO secret_acls (secret, created, updated) VALUES (?1, ?2, ?3)",
                (row.0, created, updated),
            ),
            (Guarded::Container(_), times) => {
                let (created, updated) = times.unzip();
                self.write(
                    "UPDATE containers SET acl_created = ?2, acl_updated = ?3 WHERE seq = ?1",
                    (row.0, created, updated),
                )
            }
        }
    }

    fn consumers(&self, of: Guarded, row: RowNumber) -> Answer<Vec<Consumer>> {
        let found = consumers::rows(self.0, of, row.0, crate::Slice::ALL)?;
        found.into_iter().map(|(project, build)| Ok(build(self.project_name(RowNumber(project))?))).collect()
    }

    fn registered_from(&self, of: Guarded, row: RowNumber, who: &Uses) -> Answer<Option<RowNumber>> {
        let mut statement = self.0.prepare_cached(consumers::statements_of(of).same)?;
        consumers::bind_use(&mut statement, row.0, who)?;
        let mut rows = statement.raw_query();
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?.map(RowNumber))
    }

    fn add_consumer(
        &mut self,
        of: Guarded,
        row: RowNumber,
        project: RowNumber,
        consumer: &Consumer,
    ) -> Answer<()> {
        let mut statement = self.0.prepare_cached(consumers::statements_of(of).add)?;
        let next = consumers::bind_use(&mut statement, row.0, &consumer.who)?;
        statement.raw_bind_parameter(next, consumer.id.as_bytes())?;
        statement.raw_bind_parameter(next + 1, project.0)?;
        statement.raw_bind_parameter(next + 2, consumer.created.micros())?;
        statement.raw_bind_parameter(next + 3, consumer.updated.micros())?;
        statement.raw_execute()?;
        Ok(())
    }

    fn delete_consumer(&mut self, of: Guarded, row: RowNumber, who: &Uses) -> Answer<()> {
        let mut statement = self.0.prepare_cached(consumers::statements_of(of).remove)?;
        consumers::bind_use(&mut statement, row.0, who)?;
        statement.raw_execute()?;
        Ok(())
    }

    fn container(&self, id: ContainerId) -> Answer<Option<ContainerRow>> {
        let mut statement = self.0.prepare_cached("SELECT seq, project FROM containers WHERE id = ?1")?;
        let container =
            |row: &Row<'_>| Ok(ContainerRow { row: RowNumber(row.get(0)?), project: RowNumber(row.get(1)?) });
        Ok(statement.query_row([id.as_bytes()], container).optional()?)
    }

    fn insert_container(&mut self, project: RowNumber, container: &Container) -> Answer<RowNumber> {
        self.insert(
            "INSERT INTO containers (id, project, creator, created, updated, name, container_type, project_access, \
             guard) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)",
            (
                container.id.as_bytes(),
                project.0,
                container.creator.as_ref().map(UserId::as_str),
                container.created.micros(),
                container.updated.micros(),
                container.name.as_ref().map(Text::as_str),
                container.container_type.as_str(),
                container.guard.as_ref().map(Guard::as_bytes),
            ),
        )
    }

    fn touch_container(&mut self, container: RowNumber, time: Timestamp) -> Answer<()> {
        self.write("UPDATE containers SET updated = ?2 WHERE seq = ?1", (container.0, time.micros()))
    }

    fn container_secret(
        &self,
        container: RowNumber,
        secret: RowNumber,
        name: Option<&Text>,
    ) -> Answer<Option<RowNumber>> {
        self.row(
            "SELECT seq FROM container_secrets WHERE container = ?1 AND secret = ?2 AND name IS ?3",
            (container.0, secret.0, name.map(Text::as_str)),
        )
    }

    fn add_container_secret(
        &mut self,
        container: RowNumber,
        secret: RowNumber,
        name: Option<&Text>,
    ) -> Answer<()> {
        self.write(
            "INSERT INTO container_secrets (container, secret, name) VALUES (?1, ?2, ?3)",
            (container.0, secret.0, name.map(Text::as_str)),
        )
    }

    fn order(&self, id: OrderId) -> Answer<Option<RowNumber>> {
        self.row("SELECT seq FROM orders WHERE id = ?1", [id.as_bytes()])
    }

    fn insert_order(&mut self, project: RowNumber, order: &Order) -> Answer<()> {
        let (secret, container, failed) = match &order.outcome {
            OrderOutcome::Secret(id) => (Some(id.as_bytes()), None, None),
            OrderOutcome::Container(id) => (None, Some(id.as_bytes()), None),
            OrderOutcome::Failed(OrderFailure { kind, reason }) => {
                (None, None, Some((failure_code(*kind), reason.as_str())))
            }
        };
        let spent = failed.is_some();
        let (code, reason) = failed.unzip();
        self.write(
            "INSERT INTO orders (id, project, creator, created, updated, order_type, meta, secret, container, code, \
             reason, spent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            (
                order.id.as_bytes(),
                project.0,
                order.creator.as_ref().map(UserId::as_str),
                order.created.micros(),
                order.updated.micros(),
                order.order_type.as_str(),
                &order.meta,
                secret,
                container,
                code,
                reason,
                spent,
            ),
        )
    }

    fn delete_spent_orders(&mut self, before: Timestamp, limit: u32) -> Answer<()> {
        self.write(
            "DELETE FROM orders WHERE seq IN (SELECT seq FROM orders INDEXED BY orders_spent \
             WHERE spent AND updated < ?1 ORDER BY updated LIMIT ?2)",
            (before.micros(), limit),
        )
    }

    fn transport_key(&self, id: TransportKeyId) -> Answer<Option<RowNumber>> {
        self.row("SELECT seq FROM transport_keys WHERE id = ?1", [id.as_bytes()])
    }

    fn insert_transport_key(&mut self, key: &TransportKey) -> Answer<()> {
        self.write(
            "INSERT INTO transport_keys (id, created, updated, plugin, key) VALUES (?1, ?2, ?3, ?4, ?5)",
            (key.id.as_bytes(), key.created.micros(), key.updated.micros(), key.plugin.as_str(), &key.key),
        )
    }
}
