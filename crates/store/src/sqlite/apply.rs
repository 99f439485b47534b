//! What each change is in SQL: checked, witnessed, written, in this order, inside the writer's transaction.
//!
//! Nothing is written before the witness has agreed, and nothing is checked after, so a change that is refused has
//! written nothing. A secret is in the file or in memory; what must hold of all secrets is checked in both.

use model::{
    Acl, ChangeKind, Consumer, Counted, Encoding, Expect, Facet, Facets, Guard, Guarded, ProjectId, Secret,
    SecretId, Standing, Timestamp, Usage,
};
use rusqlite::Connection;

use super::handles::usage as usage_of;
use super::memory::Memory;
use super::rows::{RECORD, encoding as encoding_of, facets as facets_of, project_number, record, user};
use super::{METADATA_PAIRS_MAX, acls, consumers, containers, guards, orders, quotas, reap, transport_keys};
use crate::{AuditAnchor, Change, Error, Limit, Regard, Reseal};

/// A row of the change log counts as one more for each so many bytes of usage it has, so that the bound on rows is one
/// on bytes.
const USAGE_BYTES_A_ROW: u64 = 1024;

/// What a batch did besides its rows.
pub(super) struct Effects {
    pub(super) newest_change: u64,
    /// Ciphertext was deleted, and is to be gone before this is acknowledged.
    pub(super) deleted: bool,
    /// Ciphertext was replaced, and is to be gone soon.
    pub(super) replaced: bool,
    /// A secret went from memory to the file.
    pub(super) departed: bool,
}

impl Effects {
    pub(super) fn after(newest_change: u64) -> Self {
        Self { newest_change, deleted: false, replaced: false, departed: false }
    }
}

/// Why a change was not done: for itself, or because the database failed under it.
pub(super) enum Failed {
    Alone(Error),
    All(rusqlite::Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Alone(error)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::All(error)
    }
}

/// Where the secrets are that a change does not touch, but may be in the way of.
#[derive(Clone, Copy)]
pub(super) enum Elsewhere<'a> {
    /// In memory, which is looked at only if something is there.
    Memory(&'a Memory),
    /// On the other side of a change that concerns memory.
    Open(&'a Connection),
}

impl Elsewhere<'_> {
    pub(super) fn look<T: Default>(
        self,
        look: impl FnOnce(&Connection) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        match self {
            Self::Memory(memory) if memory.is_empty() => Ok(T::default()),
            Self::Memory(memory) => look(memory.lock().connection()),
            Self::Open(connection) => look(connection),
        }
    }
}

pub(super) type Witnessing<'a> = &'a mut dyn FnMut() -> Result<(), Error>;

/// Does one change to what is `here`.
pub(super) fn apply(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    change: &mut Change,
    witness: Witnessing<'_>,
    effects: &mut Effects,
) -> Result<(), Failed> {
    match change {
        Change::SetKeyCheck(check) => {
            let done: bool =
                here.query_row("SELECT key_check IS NOT NULL FROM store", [], |row| row.get(0))?;
            require(!done, Error::Changed)?;
            witness()?;
            here.execute("UPDATE store SET key_check = ?1", [&*check])?;
        }
        Change::ReplaceKeyCheck { from, to } => {
            let found: Option<Vec<u8>> =
                here.query_row("SELECT key_check FROM store", [], |row| row.get(0))?;
            require(found.as_ref() == Some(from), Error::Changed)?;
            witness()?;
            here.execute("UPDATE store SET key_check = ?1", [&*to])?;
        }
        Change::PutGuards(guards) => {
            witness()?;
            guards::put(here, guards)?;
        }
        Change::AddProjectKey { project, version, wrapped } => {
            witness()?;
            let project = ensure_project(here, project)?;
            here.prepare_cached(
                "INSERT OR IGNORE INTO project_keys (project, version, wrapped) VALUES (?1, ?2, ?3)",
            )?
            .execute((project, version.0, &*wrapped))?;
        }
        Change::CreateSecret { secret, sealed, limit } => {
            let new = New { secret, sealed: sealed.as_deref(), limit: *limit };
            add(here, elsewhere, new, None, witness, effects)?;
        }
        Change::DefineSecret { secret, reseal, limit } => {
            let new = New { secret, sealed: None, limit: *limit };
            define(here, elsewhere, new, reseal.take(), witness, effects)?
        }
        Change::FillPayload { id, private, content_type, sealed, time } => {
            let row = row_of(here, *id)?;
            require(!row.filled, Error::HasPayload)?;
            require(row.private == *private, Error::Changed)?; // The envelope is bound to the flag.
            witness()?;
            here.prepare_cached(
                "UPDATE secrets SET content_type = ?2, sealed = ?3, updated = ?4 WHERE seq = ?1",
            )?
            .execute((row.seq, content_type.as_str(), &*sealed, time.micros()))?;
            row.log(here, effects, ChangeKind::ValueChanged, *time)?;
        }
        Change::SetPayload { id, private, rendered, encoding, content_type, sealed, time } => {
            let row = row_of(here, *id)?;
            require(row.private == *private, Error::Changed)?; // The envelope is bound to the flag.
            require(row.encoding == *rendered, Error::Changed)?;
            witness()?;
            here.prepare_cached(
                "UPDATE secrets SET content_type = ?2, sealed = ?3, updated = ?4, encoding = ?5 WHERE seq = ?1",
            )?
            .execute((
                row.seq,
                content_type.as_str(),
                &*sealed,
                time.micros(),
                encoding.as_str(),
            ))?;
            effects.replaced |= row.filled;
            row.log(here, effects, ChangeKind::ValueChanged, *time)?;
        }
        Change::DeleteSecret { id, unless_used, time } => {
            let row = row_of(here, *id)?;
            require(!*unless_used || !consumers::has_any(here, row.seq)?, Error::HasConsumers)?;
            witness()?;
            row.delete(here, effects, *time)?;
        }
        Change::ReplaceMetadata { id, user, facets, reseal, time } => {
            let row = row_of(here, *id)?;
            require(user.len() <= METADATA_PAIRS_MAX, Error::TooManyMetadata)?;
            let redefined = match facets.is_empty() {
                true => None,
                false => {
                    let changes = std::mem::take(facets);
                    let with = |before: &Facets| changed(before, changes, Expect::Any);
                    Some(redefine(here, elsewhere, &row, with, reseal.take(), *time)?)
                }
            };
            witness()?;
            here.prepare_cached("DELETE FROM secret_metadata WHERE secret = ?1")?.execute([row.seq])?;
            for datum in user {
                here.prepare_cached(ADD_METADATUM)?.execute((row.seq, &datum.key, &datum.value))?;
            }
            if let Some(redefined) = redefined {
                redefined.write(here, effects, row, *time)?;
            }
        }
        Change::AddMetadatum { id, datum } => {
            let row = row_of(here, *id)?;
            require(!has_metadatum(here, row.seq, &datum.key)?, Error::MetadatumExists)?;
            let pairs: usize = here
                .prepare_cached("SELECT count(*) FROM secret_metadata WHERE secret = ?1")?
                .query_row([row.seq], |row| row.get(0))?;
            require(pairs < METADATA_PAIRS_MAX, Error::TooManyMetadata)?;
            witness()?;
            here.prepare_cached(ADD_METADATUM)?.execute((row.seq, &datum.key, &datum.value))?;
        }
        Change::SetMetadatum { id, datum } => {
            let row = row_of(here, *id)?;
            require(has_metadatum(here, row.seq, &datum.key)?, Error::MetadatumNotFound)?;
            witness()?;
            here.prepare_cached("UPDATE secret_metadata SET value = ?3 WHERE secret = ?1 AND key = ?2")?
                .execute((row.seq, &datum.key, &datum.value))?;
        }
        Change::RemoveMetadatum { id, key } => {
            let row = row_of(here, *id)?;
            witness()?;
            here.prepare_cached("DELETE FROM secret_metadata WHERE secret = ?1 AND key = ?2")?
                .execute((row.seq, &*key))?;
        }
        Change::SetFacet { id, facet, expect, reseal, time } => {
            let row = row_of(here, *id)?;
            let with = |before: &Facets| changed(before, vec![facet.clone()], *expect);
            let redefined = redefine(here, elsewhere, &row, with, reseal.take(), *time)?;
            witness()?;
            redefined.write(here, effects, row, *time)?;
        }
        Change::SetAcl { of, change, guarding, time } => {
            acls::set(here, *of, change, guarding, *time, witness)?;
        }
        Change::AddConsumer { of, consumer, limit } => {
            consumers::add(here, elsewhere, *of, consumer, *limit, witness)?;
        }
        Change::RemoveConsumer { of, who, only_of } => {
            consumers::remove(here, *of, who, only_of.as_ref(), witness)?;
        }
        Change::CreateContainer { container, secrets, limit } => {
            containers::create(here, elsewhere, container, secrets, *limit, witness)?;
        }
        Change::AddContainerSecret { id, secret, time } => {
            containers::add_secret(here, elsewhere, *id, secret, *time, witness)?;
        }
        Change::RemoveContainerSecret { id, secret, time } => {
            containers::remove_secret(here, *id, secret, *time, witness)?;
        }
        Change::DeleteContainer(id) => containers::delete(here, *id, witness)?,
        Change::CreateOrder { order, secrets, container, limit } => {
            let container = container.as_ref().map(|(container, parts)| (&**container, parts.as_slice()));
            let made = orders::Made { secrets, container };
            orders::create(here, elsewhere, order, &made, *limit, witness, effects)?;
        }
        Change::DeleteOrder(id) => orders::delete(here, *id, witness)?,
        Change::SetProjectQuotas { project, quotas } => quotas::set(here, project, quotas, witness)?,
        Change::DeleteProjectQuotas(project) => quotas::delete(here, project, witness)?,
        Change::AddTransportKey(key) => transport_keys::add(here, key, witness)?,
        Change::DeleteTransportKey(id) => transport_keys::delete(here, *id, witness)?,
        Change::ReapSecret { id, by, time } => {
            let row = row_of(here, *id)?;
            require(row.is_expired(*by), Error::NotFound)?;
            witness()?;
            row.delete(here, effects, *time)?;
        }
        Change::ReapOrders { before } => {
            witness()?;
            reap::orders(here, *before)?;
        }
        Change::AnchorAudit(AuditAnchor { number, hash }) => {
            witness()?;
            here.prepare_cached(
                "INSERT OR REPLACE INTO audit_anchor (one, number, hash) VALUES (1, ?1, ?2)",
            )?
            .execute((*number, &hash[..]))?;
        }
    }
    Ok(())
}

/// Does a change that concerns what is in memory, or is to be. Both transactions are open.
pub(super) fn apply_in_memory(
    file: &Connection,
    memory: &Connection,
    change: &mut Change,
    witness: Witnessing<'_>,
    effects: &mut Effects,
) -> Result<(), Failed> {
    if let Change::DefineSecret { secret, reseal, .. } = change {
        // What has expired in the file is as if it were not there; here both transactions are open, so it can go now.
        for expired in expired_in_the_way(file, secret)? {
            expired.delete(file, effects, secret.created)?;
        }
        let (stored, kept) = (find(file, secret.id)?, find(memory, secret.id)?);
        match (stored, kept, secret.facets.ephemeral) {
            (Some(row), _, true) if !row.is_expired(secret.created) => {
                return carry(file, memory, row, secret, reseal.take(), witness, effects);
            }
            (_, Some(row), false) if !row.is_expired(secret.created) => {
                effects.departed = true;
                return carry(memory, file, row, secret, reseal.take(), witness, effects);
            }
            (stored, _, true) => require(stored.is_none(), Error::IdTaken)?, // Another project's.
            (_, kept, false) => {
                require(kept.is_none(), Error::IdTaken)?; // Expired, and not gone yet.
                return apply(file, Elsewhere::Open(memory), change, witness, effects);
            }
        }
    }
    let deleted_in_file = effects.deleted;
    apply(memory, Elsewhere::Open(file), change, witness, effects)?;
    effects.deleted = deleted_in_file; // No file has had any of the rest.
    effects.replaced = false;
    Ok(())
}

/// Whether a change that concerns memory writes in the file too: a definition that moves a secret, or takes away one that
/// has expired there.
pub(super) fn reaches_file(file: &Connection, change: &Change) -> Result<bool, Failed> {
    let Change::DefineSecret { secret, .. } = change else { return Ok(false) };
    Ok(!secret.facets.ephemeral
        || find(file, secret.id)?.is_some()
        || !expired_in_the_way(file, secret)?.is_empty())
}

/// Secrets in the file that have expired and still have the id or the usage that one is to be defined with.
fn expired_in_the_way(file: &Connection, secret: &Secret) -> Result<Vec<Place>, Failed> {
    let same_id = find(file, secret.id)?;
    let same_usage = match secret.facets.usage() {
        Some(usage) => holder(file, &secret.project, &usage)?,
        None => None,
    };
    let of_project = project_number(file, &secret.project)?;
    let mut found: Vec<_> = [same_id, same_usage].into_iter().flatten().collect();
    found.retain(|row| row.is_expired(secret.created) && Some(row.project) == of_project);
    found.dedup_by_key(|row| row.seq);
    Ok(found)
}

/// A secret to be added.
#[derive(Clone, Copy)]
struct New<'a> {
    secret: &'a Secret,
    sealed: Option<&'a [u8]>,
    limit: Limit,
}

/// Adds a secret, in the place of one that has expired if one `replaced` is still there.
fn add(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    New { secret, sealed, limit }: New<'_>,
    replaced: Option<Place>,
    witness: Witnessing<'_>,
    effects: &mut Effects,
) -> Result<(), Failed> {
    let room =
        quotas::Room { project: &secret.project, counted: Counted::Secrets, limit, now: secret.created };
    room.require(here, elsewhere, "secrets")?;
    let usage = secret.facets.usage();
    let in_the_way = match &usage {
        Some(usage) => {
            let except = replaced.as_ref().map(|row| row.id);
            require_free_usage(here, elsewhere, &secret.project, usage, except, secret.created)?
        }
        None => None,
    };
    witness()?;
    for expired in [replaced, in_the_way].into_iter().flatten() {
        expired.delete(here, effects, secret.created)?;
    }
    let project = ensure_project(here, &secret.project)?;
    insert(here, project, secret, sealed)?;
    log(here, effects, (secret.id, project, usage.as_ref()), ChangeKind::Created, secret.created)?;
    if sealed.is_some() {
        log(here, effects, (secret.id, project, usage.as_ref()), ChangeKind::ValueChanged, secret.created)?;
    }
    Ok(())
}

/// Adds a secret that an order made, which nothing can be in the way of. Its number.
pub(super) fn add_made(
    here: &Connection,
    project: i64,
    secret: &Secret,
    sealed: &[u8],
    effects: &mut Effects,
) -> Result<i64, Failed> {
    let number = insert(here, project, secret, Some(sealed))?;
    for kind in [ChangeKind::Created, ChangeKind::ValueChanged] {
        log(here, effects, (secret.id, project, None), kind, secret.created)?;
    }
    Ok(number)
}

/// Adds a secret, or gives the one that is there other facets.
fn define(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    new: New<'_>,
    reseal: Option<Reseal>,
    witness: Witnessing<'_>,
    effects: &mut Effects,
) -> Result<(), Failed> {
    let secret = new.secret;
    let time = secret.created;
    let Some(row) = find(here, secret.id)? else {
        return add(here, elsewhere, new, None, witness, effects);
    };
    if row.is_expired(time) {
        require(project_name(here, row.project)? == secret.project, Error::IdTaken)?;
        return add(here, elsewhere, new, Some(row), witness, effects);
    }
    let redefined = defined_again(here, elsewhere, &row, secret, reseal)?;
    witness()?;
    redefined.write(here, effects, row, time)
}

/// Checks a definition of a secret that is there.
fn defined_again(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    row: &Place,
    secret: &Secret,
    reseal: Option<Reseal>,
) -> Result<Redefined, Failed> {
    require(project_name(here, row.project)? == secret.project, Error::IdTaken)?;
    let with = |before: &Facets| Ok(before.redefined(secret.facets.clone()).map_err(Error::from)?);
    redefine(here, elsewhere, row, with, reseal, secret.created)
}

/// Defines a secret anew on the other side: what was in the file is kept in memory from now on, or the other way round.
fn carry(
    from: &Connection,
    to: &Connection,
    row: Place,
    secret: &Secret,
    reseal: Option<Reseal>,
    witness: Witnessing<'_>,
    effects: &mut Effects,
) -> Result<(), Failed> {
    let time = secret.created;
    let redefined = defined_again(from, Elsewhere::Open(to), &row, secret, reseal)?;
    require(!is_named(from, &row)?, Error::NamedOnDisk(row.id))?;
    witness()?;
    let (mut carried, rest) = whole(from, &row, &secret.project)?;
    from.prepare_cached("DELETE FROM secrets WHERE seq = ?1")?.execute([row.seq])?;
    effects.deleted |= row.filled && !effects.departed;
    if let Some(expired) = redefined.in_the_way {
        expired.delete(from, effects, time)?;
    }
    carried.facets = redefined.facets;
    carried.guard = redefined.guard;
    let project = ensure_project(to, &secret.project)?;
    let seq = insert(to, project, &carried, redefined.sealed.as_deref())?;
    for (key, value) in rest.pairs {
        to.prepare_cached(ADD_METADATUM)?.execute((seq, key, value))?;
    }
    acls::bring(to, seq, rest.acl.as_ref())?;
    for consumer in &rest.consumers {
        consumers::bring(to, seq, consumer)?;
    }
    log(to, effects, (row.id, project, carried.facets.usage().as_ref()), ChangeKind::Redefined, time)?;
    Ok(())
}

/// Whether a container or an order refers to a secret: those stay where they are.
fn is_named(here: &Connection, row: &Place) -> Result<bool, Failed> {
    Ok(here
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM container_secrets WHERE secret = ?1) \
             OR EXISTS (SELECT 1 FROM orders WHERE secret = ?2)",
        )?
        .query_row((row.seq, row.id.as_bytes()), |row| row.get(0))?)
}

/// What belongs to a secret besides its record and its envelope.
struct Belongings {
    pairs: Vec<(String, String)>,
    acl: Option<Acl>,
    consumers: Vec<Consumer>,
}

/// All that is known of a secret but its envelope.
fn whole(from: &Connection, row: &Place, project: &ProjectId) -> Result<(Secret, Belongings), Failed> {
    let secret = {
        let mut statement = from.prepare_cached(&format!("SELECT {RECORD} FROM secrets WHERE seq = ?1"))?;
        let mut rows = statement.query([row.seq])?;
        record(rows.next()?.ok_or(Error::NotFound)?)?(project.clone())
    };
    let pairs = from
        .prepare_cached("SELECT key, value FROM secret_metadata WHERE secret = ?1")?
        .query_map([row.seq], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let of = Guarded::Secret(row.id);
    let acl = acls::find(from, of)?.and_then(|found| found.acl);
    let consumers = consumers::to_bring(from, of, row.seq)?;
    Ok((secret, Belongings { pairs, acl, consumers }))
}

/// Of two pairs with one key the first holds.
const ADD_METADATUM: &str = "INSERT OR IGNORE INTO secret_metadata (secret, key, value) VALUES (?1, ?2, ?3)";

pub(super) fn require(holds: bool, otherwise: Error) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(otherwise) }
}

pub(super) fn ensure_project(connection: &Connection, project: &ProjectId) -> rusqlite::Result<i64> {
    if let Some(known) = project_number(connection, project)? {
        return Ok(known);
    }
    connection.execute("INSERT INTO projects (name) VALUES (?1)", [project.as_str()])?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn project_name(connection: &Connection, number: i64) -> Result<ProjectId, Failed> {
    let name: String = connection
        .prepare_cached("SELECT name FROM projects WHERE id = ?1")?
        .query_row([number], |row| row.get(0))?;
    Ok(ProjectId::try_from(name.as_str()).map_err(|_| Error::Corrupt("projects.name"))?)
}

/// Where a secret is, and what changes of it have to know.
pub(super) struct Place {
    id: SecretId,
    seq: i64,
    project: i64,
    filled: bool,
    private: bool,
    encoding: Encoding,
    expiration: Option<i64>,
    usage: Option<Usage>,
}

impl Place {
    /// The number of its row.
    pub(super) fn seq(&self) -> i64 {
        self.seq
    }

    /// The number of its project.
    pub(super) fn project(&self) -> i64 {
        self.project
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expiration.is_some_and(|expiration| expiration <= now.micros())
    }

    pub(super) fn delete(
        self,
        here: &Connection,
        effects: &mut Effects,
        time: Timestamp,
    ) -> Result<(), Failed> {
        here.prepare_cached("DELETE FROM secrets WHERE seq = ?1")?.execute([self.seq])?;
        effects.deleted |= self.filled;
        Ok(self.log(here, effects, ChangeKind::Deleted, time)?)
    }

    fn log(
        &self,
        here: &Connection,
        effects: &mut Effects,
        kind: ChangeKind,
        time: Timestamp,
    ) -> rusqlite::Result<()> {
        log(here, effects, (self.id, self.project, self.usage.as_ref()), kind, time)
    }
}

pub(super) fn row_of(here: &Connection, id: SecretId) -> Result<Place, Failed> {
    Ok(find(here, id)?.ok_or(Error::NotFound)?)
}

const PLACE: &str =
    "seq, project, content_type IS NOT NULL, private, expiration, usage_type, usage_id, encoding";

pub(super) fn find(here: &Connection, id: SecretId) -> Result<Option<Place>, Failed> {
    let mut statement = here.prepare_cached(&format!("SELECT {PLACE}, id FROM secrets WHERE id = ?1"))?;
    place(statement.query([id.as_bytes()])?.next()?)
}

/// From the columns of [`PLACE`], and the id.
fn place(row: Option<&rusqlite::Row<'_>>) -> Result<Option<Place>, Failed> {
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Place {
        id: SecretId::from_bytes(row.get(8)?),
        encoding: encoding_of(row, 7)?,
        seq: row.get(0)?,
        project: row.get(1)?,
        filled: row.get(2)?,
        private: row.get(3)?,
        expiration: row.get(4)?,
        usage: usage_of(row, 5)?,
    }))
}

fn has_metadatum(connection: &Connection, seq: i64, key: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM secret_metadata WHERE secret = ?1 AND key = ?2")?
        .exists((seq, key))
}

fn insert(
    connection: &Connection,
    project: i64,
    secret: &Secret,
    sealed: Option<&[u8]>,
) -> rusqlite::Result<i64> {
    let (attributes, facets) = (&secret.attributes, &secret.facets);
    connection
        .prepare_cached(
            "INSERT INTO secrets (id, project, creator, created, updated, expiration, status, secret_type, name, \
             algorithm, bit_length, mode, project_access, private, ephemeral, encoding, description, usage_type, \
             usage_id, content_type, sealed, guard) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
        )?
        .execute(rusqlite::params![
            secret.id.as_bytes(),
            project,
            secret.creator.as_ref().map(|user| user.as_str()),
            secret.created.micros(),
            secret.updated.micros(),
            attributes.expiration.map(Timestamp::micros),
            secret.status.as_str(),
            attributes.secret_type.as_str(),
            attributes.name.as_ref().map(|text| text.as_str()),
            attributes.algorithm.as_ref().map(|text| text.as_str()),
            attributes.bit_length.map(|length| length.bits()),
            attributes.mode.as_ref().map(|text| text.as_str()),
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
        ])?;
    Ok(connection.last_insert_rowid())
}

/// Facets, envelope and guard as they are to be.
struct Redefined {
    facets: Facets,
    sealed: Option<Vec<u8>>,
    guard: Option<Guard>,
    /// The envelope is another one, and the one before is not to be left lying about.
    resealed: bool,
    /// An expired secret that still has the usage.
    in_the_way: Option<Place>,
}

/// The facets after some changes of one each.
fn changed(before: &Facets, changes: Vec<Facet>, expect: Expect) -> Result<Facets, Failed> {
    let mut facets = before.clone();
    for change in changes {
        match expect {
            Expect::Default if before.is_set(&change) => return Err(Error::MetadatumExists.into()),
            Expect::Set if !before.is_set(&change) => return Err(Error::MetadatumNotFound.into()),
            _ => facets = facets.with(change).map_err(Error::from)?,
        }
    }
    Ok(facets)
}

/// Checks a change of facets against what is there.
fn redefine(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    row: &Place,
    with: impl FnOnce(&Facets) -> Result<Facets, Failed>,
    reseal: Option<Reseal>,
    time: Timestamp,
) -> Result<Redefined, Failed> {
    let mut statement = here.prepare_cached(
        "SELECT private, ephemeral, encoding, description, usage_type, usage_id, sealed, creator, project_access, \
         guard FROM secrets WHERE seq = ?1",
    )?;
    let mut rows = statement.query([row.seq])?;
    let found = rows.next()?.ok_or(Error::NotFound)?;
    let before = facets_of(found, 0)?;
    let sealed: Option<Vec<u8>> = found.get(6)?;
    let (creator, project_access) = (user(found, 7)?, found.get(8)?);
    let guard = guards::guard(found, 9)?;
    let facets = with(&before)?;
    let project = project_name(here, row.project)?;
    let in_the_way = match facets.usage() {
        Some(usage) if row.usage.as_ref() != Some(&usage) => {
            require_free_usage(here, elsewhere, &project, &usage, Some(row.id), time)?
        }
        _ => None,
    };
    // An envelope and the guard are bound to the private flag, so the three change together or not at all.
    let resealed = reseal.is_some() && sealed.is_some();
    let (sealed, guard) = match reseal {
        Some(Reseal { from, .. }) if from != sealed => return Err(Error::Changed.into()),
        Some(Reseal { to, mut guarding, .. }) => {
            let before = Standing {
                of: Guarded::Secret(row.id),
                project: &project,
                creator: creator.as_ref(),
                project_access,
                private: before.private,
                expiration: row.expiration.map(Timestamp::from_micros),
            };
            let after = Standing { private: facets.private, ..before };
            (to, guarding.make(&Regard { before, guard: guard.as_ref(), after, acl: None })?)
        }
        None if facets.private != before.private => return Err(Error::Changed.into()),
        None => (sealed, guard),
    };
    Ok(Redefined { facets, sealed, guard, resealed, in_the_way })
}

impl Redefined {
    fn write(
        self,
        here: &Connection,
        effects: &mut Effects,
        row: Place,
        time: Timestamp,
    ) -> Result<(), Failed> {
        if let Some(expired) = self.in_the_way {
            expired.delete(here, effects, time)?;
        }
        let facets = &self.facets;
        here.prepare_cached(
            "UPDATE secrets SET private = ?2, ephemeral = ?3, encoding = ?4, description = ?5, usage_type = ?6, \
             usage_id = ?7, sealed = ?8, guard = ?9 WHERE seq = ?1",
        )?
        .execute((
            row.seq,
            facets.private,
            facets.ephemeral,
            facets.encoding.as_str(),
            &facets.description,
            facets.usage_type.map(|usage| usage.as_str()),
            &facets.usage_id,
            &self.sealed,
            self.guard.as_ref().map(Guard::as_bytes),
        ))?;
        effects.deleted |= self.resealed;
        let usage = facets.usage();
        Ok(log(here, effects, (row.id, row.project, usage.as_ref()), ChangeKind::Redefined, time)?)
    }
}

/// No other secret of the project may have this usage. The index of usages says so too. One that has expired and is
/// still `here` is as if it were not there, and has to be deleted; one elsewhere keeps its usage until it is reaped.
fn require_free_usage(
    here: &Connection,
    elsewhere: Elsewhere<'_>,
    project: &ProjectId,
    usage: &Usage,
    except: Option<SecretId>,
    time: Timestamp,
) -> Result<Option<Place>, Failed> {
    let holder = |connection: &Connection| {
        Ok(holder(connection, project, usage)?.filter(|row| Some(row.id) != except))
    };
    if let Some(row) = elsewhere.look(holder)? {
        return Err(Error::UsageTaken(row.id).into());
    }
    match holder(here)? {
        Some(row) if !row.is_expired(time) => Err(Error::UsageTaken(row.id).into()),
        found => Ok(found),
    }
}

/// Who has a usage.
fn holder(connection: &Connection, project: &ProjectId, usage: &Usage) -> Result<Option<Place>, Failed> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {PLACE}, id FROM secrets INDEXED BY secrets_by_usage \
         WHERE project = (SELECT id FROM projects WHERE name = ?1) AND usage_type = ?2 AND usage_id = ?3"
    ))?;
    place(statement.query((project.as_str(), usage.usage_type.as_str(), &usage.id))?.next()?)
}

/// Adds a row to the change log: of which secret, of which project, for which use.
fn log(
    connection: &Connection,
    effects: &mut Effects,
    (secret, project, usage): (SecretId, i64, Option<&Usage>),
    kind: ChangeKind,
    time: Timestamp,
) -> rusqlite::Result<()> {
    let usage_bytes = usage.map_or(0, |usage| u64::try_from(usage.id.len()).unwrap_or(u64::MAX));
    effects.newest_change += 1 + usage_bytes / USAGE_BYTES_A_ROW;
    connection
        .prepare_cached(
            "INSERT INTO changes (number, secret, project, kind, time, usage_type, usage_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            effects.newest_change,
            secret.as_bytes(),
            project,
            kind.as_str(),
            time.micros(),
            usage.map(|usage| usage.usage_type.as_str()),
            usage.map(|usage| &usage.id),
        ))?;
    Ok(())
}
