//! Rows to values: every statement that reads one thing.

use model::{
    Access, Attributes, BitLength, ChangeCursor, ChangeKind, ChangeRow, ContentType, Encoding, Facets,
    KeyVersion, Metadatum, ProjectId, Secret, SecretId, SecretType, Status, Text, Timestamp, UsageType,
    UserId,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::guards::guard;
use super::handles::usage;
use super::reader::Reader;
use crate::{AuditAnchor, Error, Failure, NodeName, SealedSecret, WrappedKey};

/// The columns that [`record`] reads, in its order.
pub(super) const RECORD: &str = "project, id, creator, created, updated, expiration, status, secret_type, name, \
     algorithm, bit_length, mode, project_access, private, ephemeral, encoding, description, usage_type, usage_id, \
     content_type";
/// The column that follows them where the guard is read too, which lists do not show.
pub(super) const GUARD: usize = 20;

pub(super) fn key_check(reader: &mut Reader) -> Result<Option<Vec<u8>>, Error> {
    Ok(reader.connection().query_row("SELECT key_check FROM store", [], |row| row.get(0))?)
}

/// The number of the newest witnessed change; 0 in a database of a schema that had none.
pub(super) fn witnessed(connection: &Connection) -> rusqlite::Result<u64> {
    let schema: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if schema < 4 {
        return Ok(0);
    }
    let number: i64 = connection.query_row("SELECT witnessed FROM store", [], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

pub(super) fn audit_anchor(reader: &mut Reader, node: &NodeName) -> Result<Option<AuditAnchor>, Error> {
    let row = reader
        .connection()
        .query_row("SELECT number, hash FROM audit_anchors WHERE node = ?1", [node.as_str()], |row| {
            Ok(AuditAnchor { number: row.get(0)?, hash: row.get(1)? })
        })
        .optional()?;
    Ok(row)
}

pub(super) fn secret(reader: &mut Reader, id: SecretId) -> Result<Option<Secret>, Error> {
    let found = reader
        .connection()
        .prepare_cached(&format!("SELECT {RECORD}, guard FROM secrets WHERE id = ?1"))?
        .query_row([id.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, record(row), guard(row, GUARD))))
        .optional()?;
    let Some((project, build, guard)) = found else { return Ok(None) };
    Ok(Some(Secret { guard: guard?, ..build?(reader.project(project)?) }))
}

pub(super) fn sealed(reader: &mut Reader, id: SecretId) -> Result<Option<SealedSecret>, Error> {
    const SELECT: &str = "SELECT project, creator, project_access, private, expiration, guard, content_type, sealed, \
         encoding FROM secrets WHERE id = ?1";
    let found = {
        let mut statement = reader.connection().prepare_cached(SELECT)?;
        let mut rows = statement.query([id.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let payload = match row.get_ref(7)? {
            ValueRef::Blob(sealed) => {
                let content_type =
                    ContentType::parse(text(row, 6)?).ok_or(Failure::Corrupt("content_type"))?;
                Some((content_type, sealed.to_vec()))
            }
            _ => None,
        };
        (access(row, 0)?, encoding(row, 8)?, payload)
    };
    let (build, encoding, payload) = found;
    Ok(Some(SealedSecret { access: build(reader)?, encoding, payload }))
}

pub(super) fn metadata(reader: &mut Reader, id: SecretId) -> Result<Vec<Metadatum>, Error> {
    let mut statement = reader.connection().prepare_cached(
        "SELECT key, value FROM secret_metadata WHERE secret = (SELECT seq FROM secrets WHERE id = ?1) ORDER BY key",
    )?;
    let pairs =
        statement.query_map([id.as_bytes()], |row| Ok(Metadatum { key: row.get(0)?, value: row.get(1)? }))?;
    Ok(pairs.collect::<Result<_, _>>()?)
}

pub(super) fn project_key(
    reader: &mut Reader,
    project: &ProjectId,
    version: Option<KeyVersion>,
) -> Result<Option<WrappedKey>, Error> {
    let row = reader
        .connection()
        .prepare_cached(
            "SELECT version, wrapped FROM project_keys WHERE project = (SELECT id FROM projects WHERE name = ?1) \
             AND version = coalesce(?2, version) ORDER BY version DESC LIMIT 1",
        )?
        .query_row((project.as_str(), version.map(|version| version.0)), |row| {
            Ok(WrappedKey { version: KeyVersion(row.get(0)?), wrapped: row.get(1)? })
        })
        .optional()?;
    Ok(row)
}

/// Bytes of usages in one look at the change log, about; the row that goes beyond it is the last.
const CHANGES_BYTES: usize = 1024 * 1024;

/// A piece of a change log.
pub(super) struct Piece {
    pub(super) rows: Vec<ChangeRow>,
    /// Whether there may be more after it.
    cut: bool,
}

impl Piece {
    /// Two pieces of one sequence of numbers as one: no further than either is known.
    pub(super) fn merged(self, other: Self, limit: u32) -> Vec<ChangeRow> {
        let known = [&self, &other].into_iter().filter(|piece| piece.cut);
        let end = known.filter_map(|piece| piece.rows.last()).map(|row| row.cursor).min();
        let mut rows = self.rows;
        rows.extend(other.rows);
        rows.sort_by_key(|row| row.cursor);
        rows.retain(|row| end.is_none_or(|end| row.cursor <= end));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        rows
    }
}

pub(super) fn changes(reader: &mut Reader, after: u64, limit: u32) -> Result<Piece, Error> {
    const SELECT: &str = "SELECT number, secret, project, kind, time, usage_type, usage_id FROM changes \
         WHERE number > ?1 ORDER BY number LIMIT ?2";
    let (mut bytes, mut cut) = (0, false);
    let rows = {
        let mut statement = reader.connection().prepare_cached(SELECT)?;
        let mut rows = statement.query((i64::try_from(after).unwrap_or(i64::MAX), limit))?;
        let mut found: Vec<(i64, _)> = Vec::new();
        while let Some(row) = rows.next()? {
            let cursor = ChangeCursor::from_number(row.get(0)?);
            let secret = SecretId::from_bytes(row.get(1)?);
            let kind = ChangeKind::parse(text(row, 3)?).ok_or(Failure::Corrupt("changes.kind"))?;
            let (time, usage) = (Timestamp::from_micros(row.get(4)?), usage(row, 5)?);
            bytes += usage.as_ref().map_or(0, |usage| usage.id.len());
            let build = move |project| ChangeRow { cursor, secret, project, kind, time, usage };
            found.push((row.get(2)?, build));
            if bytes > CHANGES_BYTES {
                cut = true;
                break;
            }
        }
        found
    };
    cut |= u32::try_from(rows.len()).is_ok_and(|found| found >= limit);
    let rows = rows.into_iter().map(|(project, build)| Ok(build(reader.project(project)?)));
    Ok(Piece { rows: rows.collect::<Result<_, Error>>()?, cut })
}

/// The columns of a secret that [`access`] reads, in its order.
pub(super) const ACCESS: &str = "project, creator, project_access, private, expiration, guard";

/// Reads what decides about access, but for the name of the project, which is looked up once the row is done with.
pub(super) fn access(
    row: &Row<'_>,
    first: usize,
) -> Result<impl FnOnce(&mut Reader) -> Result<Access, Error> + use<>, Error> {
    let unreadable = |_| Failure::Corrupt("a fact that decides about access");
    let (project, creator) = (row.get(first)?, user(row, first + 1)?);
    let project_access = row.get(first + 2).map_err(unreadable)?;
    let (private, expiration) = (row.get(first + 3).map_err(unreadable)?, moment(row, first + 4)?);
    let guard = guard(row, first + 5)?;
    Ok(move |reader: &mut Reader| {
        let project = reader.project(project)?;
        Ok(Access { project, creator, project_access, private, expiration, guard })
    })
}

/// The number of a project, if any secret or key of it was ever stored.
pub(super) fn project_number(connection: &Connection, project: &ProjectId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM projects WHERE name = ?1")?
        .query_row([project.as_str()], |row| row.get(0))
        .optional()
}

/// A row of [`RECORD`], but for the name of its project, which is looked up once the row is done with.
pub(super) fn record(row: &Row<'_>) -> Result<impl FnOnce(ProjectId) -> Secret + use<>, Error> {
    let facets = facets(row, 13)?;
    let attributes = Attributes {
        name: short(row, 8)?,
        algorithm: short(row, 9)?,
        bit_length: match row.get::<_, Option<i64>>(10)? {
            None => None,
            Some(bits) => Some(BitLength::try_from(bits).map_err(|_| Failure::Corrupt("bit_length"))?),
        },
        mode: short(row, 11)?,
        secret_type: SecretType::parse(text(row, 7)?).ok_or(Failure::Corrupt("secret_type"))?,
        expiration: moment(row, 5)?,
    };
    let (id, creator) = (SecretId::from_bytes(row.get(1)?), user(row, 2)?);
    let (created, updated) = (Timestamp::from_micros(row.get(3)?), Timestamp::from_micros(row.get(4)?));
    let status = Status::parse(text(row, 6)?).ok_or(Failure::Corrupt("status"))?;
    let content_type = named(row, 19, ContentType::parse, "content_type")?;
    let project_access = row.get(12)?;
    Ok(move |project| Secret {
        id,
        project,
        attributes,
        creator,
        created,
        updated,
        status,
        content_type,
        project_access,
        facets,
        guard: None,
    })
}

/// Facets from six columns: private, ephemeral, encoding, description, usage_type, usage_id.
pub(super) fn facets(row: &Row<'_>, first: usize) -> Result<Facets, Error> {
    Ok(Facets {
        private: row.get(first)?,
        ephemeral: row.get(first + 1)?,
        encoding: encoding(row, first + 2)?,
        description: row.get(first + 3)?,
        usage_type: named(row, first + 4, UsageType::parse, "usage_type")?,
        usage_id: row.get(first + 5)?,
    })
}

pub(super) fn encoding(row: &Row<'_>, column: usize) -> Result<Encoding, Error> {
    Encoding::parse(text(row, column)?).ok_or(Failure::Corrupt("encoding").into())
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, Error> {
    row.get_ref(column)?.as_str().map_err(|_| Failure::Corrupt("a text").into())
}

pub(super) fn named<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Option<T>,
    what: &'static str,
) -> Result<Option<T>, Error> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        value => value.as_str().ok().and_then(parse).map(Some).ok_or(Failure::Corrupt(what).into()),
    }
}

pub(super) fn short(row: &Row<'_>, column: usize) -> Result<Option<Text>, Error> {
    named(row, column, |text| Text::try_from(text).ok(), "a short text")
}

/// A text that is always there.
pub(super) fn short_text(row: &Row<'_>, column: usize) -> Result<Text, Error> {
    short(row, column)?.ok_or(Failure::Corrupt("a short text").into())
}

pub(super) fn user(row: &Row<'_>, column: usize) -> Result<Option<UserId>, Error> {
    named(row, column, |text| UserId::try_from(text).ok(), "a user")
}

pub(super) fn moment(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, Error> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}
