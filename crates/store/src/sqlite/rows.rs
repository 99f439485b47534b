//! Statements that read one thing of the file or of memory.

use model::{
    ChangeCursor, ChangeKind, ChangeRow, ContentType, KeyVersion, Metadatum, ProjectId, Secret, SecretId,
    Timestamp,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::columns::{GUARD, RECORD, access, encoding, guard, record, text, usage};
use super::reader::Reader;
use crate::{AuditAnchor, Error, Failure, NodeName, SealedSecret, WrappedKey};

/// All rows that a statement finds.
pub(super) fn read_all<T>(
    connection: &Connection,
    select: &str,
    parameters: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

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
    Ok(reader
        .connection()
        .query_row("SELECT number, hash FROM audit_anchors WHERE node = ?1", [node.as_str()], |row| {
            Ok(AuditAnchor { number: row.get(0)?, hash: row.get(1)? })
        })
        .optional()?)
}

pub(super) fn secret(reader: &mut Reader, id: SecretId) -> Result<Option<Secret>, Error> {
    let select = format!("SELECT {RECORD}, guard FROM secrets WHERE id = ?1");
    reader.find(&select, [id.as_bytes()], |row| {
        let ((project, build), guard) = (record(row)?, guard(row, GUARD)?);
        Ok((project, move |project| Secret { guard, ..build(project) }))
    })
}

pub(super) fn sealed(reader: &mut Reader, id: SecretId) -> Result<Option<SealedSecret>, Error> {
    const SELECT: &str = "SELECT project, creator, project_access, private, expiration, guard, content_type, sealed, \
         encoding FROM secrets WHERE id = ?1";
    reader.find(SELECT, [id.as_bytes()], |row| {
        let (project, access) = access(row, 0)?;
        let content_type = |text| ContentType::parse(text).ok_or(Failure::Corrupt("content_type"));
        let payload = match row.get_ref(7)? {
            ValueRef::Blob(sealed) => Some((content_type(text(row, 6)?)?, sealed.to_vec())),
            _ => None,
        };
        let encoding = encoding(row, 8)?;
        Ok((project, move |project| SealedSecret { access: access(project), encoding, payload }))
    })
}

pub(super) fn metadata(reader: &mut Reader, id: SecretId) -> Result<Vec<Metadatum>, Error> {
    const SELECT: &str = "SELECT key, value FROM secret_metadata WHERE secret = (SELECT seq FROM secrets WHERE id = ?1) \
         ORDER BY key";
    let pair = |row: &Row<'_>| Ok(Metadatum { key: row.get(0)?, value: row.get(1)? });
    read_all(reader.connection(), SELECT, [id.as_bytes()], pair)
}

pub(super) fn project_key(
    reader: &mut Reader,
    project: &ProjectId,
    version: Option<KeyVersion>,
) -> Result<Option<WrappedKey>, Error> {
    Ok(reader
        .connection()
        .prepare_cached(
            "SELECT version, wrapped FROM project_keys WHERE project = (SELECT id FROM projects WHERE name = ?1) \
             AND version = coalesce(?2, version) ORDER BY version DESC LIMIT 1",
        )?
        .query_row((project.as_str(), version.map(|version| version.0)), |row| {
            Ok(WrappedKey { version: KeyVersion(row.get(0)?), wrapped: row.get(1)? })
        })
        .optional()?)
}

/// About the bytes of usages in one piece of the change log: the row that exceeds it is the last.
const CHANGES_BYTES: usize = 1024 * 1024;

/// A piece of a change log.
pub(super) struct Piece {
    pub(super) rows: Vec<ChangeRow>,
    /// Whether more rows may follow.
    cut: bool,
}

impl Piece {
    /// Merges two pieces of one sequence of numbers, up to the last number that both know.
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
    Ok(Piece { rows: reader.with_projects(rows)?, cut })
}

/// The number of a project, if any secret or key of it was ever stored.
pub(super) fn project_number(connection: &Connection, project: &ProjectId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM projects WHERE name = ?1")?
        .query_row([project.as_str()], |row| row.get(0))
        .optional()
}
