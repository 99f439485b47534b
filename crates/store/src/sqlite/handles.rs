//! Handles of secrets: looked up by id or usage, counted and listed. Indexes hold every column that a list shows.

use model::{Handle, Listed, ProjectId, SecretId, Timestamp, Usage};
use rusqlite::{Params, Row};

use super::columns::{ACCESS, access, encoding, usage};
use super::list::kept_total;
use super::reader::Reader;
use super::rows::project_number;
use crate::plan::KeptTotal;
use crate::{Error, Failure};

/// Bytes of usages in one list: more than any message that shows a list may have.
const LIST_BYTES_MAX: usize = 40 * 1024 * 1024;

/// Up to so many handles are listed on a request's thread, more on another.
pub(super) const QUICK_HANDLES_MAX: u64 = 2000;

pub(super) fn by_id(reader: &mut Reader, id: SecretId) -> Result<Option<Handle>, Error> {
    let select = format!("SELECT id, usage_type, usage_id, encoding, {ACCESS} FROM secrets WHERE id = ?1");
    handle(reader, &select, [id.as_bytes()])
}

pub(super) fn by_usage(
    reader: &mut Reader,
    project: &ProjectId,
    usage: &Usage,
) -> Result<Option<Handle>, Error> {
    let select = format!(
        "SELECT id, usage_type, usage_id, encoding, {ACCESS} FROM secrets INDEXED BY secrets_by_usage \
         WHERE project = (SELECT id FROM projects WHERE name = ?1) AND usage_type = ?2 AND usage_id = ?3"
    );
    handle(reader, &select, (project.as_str(), usage.usage_type.as_str(), &usage.id))
}

fn handle(reader: &mut Reader, select: &str, parameters: impl Params) -> Result<Option<Handle>, Error> {
    reader.find(select, parameters, |row| {
        let (listed, encoding, (project, access)) = (listed(row)?, encoding(row, 3)?, access(row, 4)?);
        Ok((project, move |project| Handle { listed, encoding, access: access(project) }))
    })
}

/// Reads three columns: id, usage_type, usage_id.
fn listed(row: &Row<'_>) -> Result<Listed, Error> {
    Ok(Listed { id: SecretId::from_bytes(row.get(0)?), usage: usage(row, 1)? })
}

/// The number of a project's secrets. Of all of them only those are counted that have expired and are still there.
pub(super) fn count(
    reader: &mut Reader,
    project: &ProjectId,
    private: Option<bool>,
    now: Timestamp,
) -> Result<u64, Error> {
    let Some(project) = project_number(reader.connection(), project)? else { return Ok(0) };
    let Some(private) = private else {
        return kept_total(reader.connection(), &KeptTotal::of_project(project, now));
    };
    Ok(reader
        .connection()
        .prepare_cached(
            "SELECT count(*) FROM secrets INDEXED BY secrets_by_handle \
             WHERE project = ?1 AND private = ?2 AND (expiration IS NULL OR expiration > ?3)",
        )?
        .query_row((project, private, now.micros()), |row| row.get(0))?)
}

/// A project's secrets, at most `limit`.
pub(super) fn listed_secrets(
    reader: &mut Reader,
    project: &ProjectId,
    private: Option<bool>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    let expected = usize::try_from(count(reader, project, None, now)?).unwrap_or(usize::MAX);
    let Some(project) = project_number(reader.connection(), project)? else { return Ok(Vec::new()) };
    let condition = if private.is_some() { "AND private = ?4" } else { "AND ?4 IS NULL" };
    let mut statement = reader.connection().prepare_cached(&format!(
        "SELECT id, usage_type, usage_id FROM secrets INDEXED BY secrets_by_handle \
         WHERE project = ?1 AND (expiration IS NULL OR expiration > ?2) {condition} LIMIT ?3"
    ))?;
    let mut rows =
        statement.query((project, now.micros(), i64::try_from(limit).unwrap_or(i64::MAX), private))?;
    let mut found = Vec::with_capacity(limit.min(expected));
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let next = listed(row)?;
        bytes += next.usage.as_ref().map_or(0, |usage| usage.id.len());
        if bytes > LIST_BYTES_MAX {
            return Err(Failure::ListTooLong.into());
        }
        found.push(next);
    }
    Ok(found)
}
