//! Columns to values: the facts that statements of several files read.

use model::{
    Access, Attributes, BitLength, ContentType, Encoding, Facets, Guard, ProjectId, Secret, SecretId,
    SecretType, Status, Text, Timestamp, Usage, UsageType, UserId,
};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::{Error, Failure};

/// The columns that [`record`] reads, in its order.
pub(super) const RECORD: &str = "project, id, creator, created, updated, expiration, status, secret_type, name, \
     algorithm, bit_length, mode, project_access, private, ephemeral, encoding, description, usage_type, usage_id, \
     content_type";
/// The column after them in statements that read the guard, too. Lists do not.
pub(super) const GUARD: usize = 20;

/// The columns of a secret that [`access`] reads, in its order.
pub(super) const ACCESS: &str = "project, creator, project_access, private, expiration, guard";

/// The row of a project, and the function that completes the rest once the name of the project is looked up.
pub(super) type Built<B> = Result<(i64, B), Error>;

/// Reads the facts that decide about access.
pub(super) fn access(row: &Row<'_>, first: usize) -> Built<impl FnOnce(ProjectId) -> Access + use<>> {
    let unreadable = |_| Failure::Corrupt("a fact that decides about access");
    let (creator, project_access) = (user(row, first + 1)?, row.get(first + 2).map_err(unreadable)?);
    let (private, expiration) = (row.get(first + 3).map_err(unreadable)?, moment(row, first + 4)?);
    let guard = guard(row, first + 5)?;
    let build = move |project| Access { project, creator, project_access, private, expiration, guard };
    Ok((row.get(first)?, build))
}

/// Reads a row of [`RECORD`].
pub(super) fn record(row: &Row<'_>) -> Built<impl FnOnce(ProjectId) -> Secret + use<>> {
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
    let build = move |project| Secret {
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
    };
    Ok((row.get(0)?, build))
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

pub(super) fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, Error> {
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

/// A text that must not be absent.
pub(super) fn short_text(row: &Row<'_>, column: usize) -> Result<Text, Error> {
    short(row, column)?.ok_or(Failure::Corrupt("a short text").into())
}

pub(super) fn user(row: &Row<'_>, column: usize) -> Result<Option<UserId>, Error> {
    named(row, column, |text| UserId::try_from(text).ok(), "a user")
}

pub(super) fn moment(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, Error> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}

/// The guard in a column.
pub(super) fn guard(row: &Row<'_>, column: usize) -> Result<Option<Guard>, Error> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        value => Ok(Some(value.as_blob().map_err(|_| Failure::Corrupt("guard"))?.to_vec().into())),
    }
}

/// A usage from two columns: type and id. If one is absent, there is no usage.
pub(super) fn usage(row: &Row<'_>, first: usize) -> Result<Option<Usage>, Error> {
    match (row.get_ref(first)?, row.get_ref(first + 1)?) {
        (ValueRef::Text(usage_type), ValueRef::Text(id)) => {
            let corrupt = || Failure::Corrupt("a usage");
            let usage_type = std::str::from_utf8(usage_type).ok().and_then(UsageType::parse);
            let id = std::str::from_utf8(id).map_err(|_| corrupt())?.to_owned();
            Ok(Some(Usage { usage_type: usage_type.ok_or_else(corrupt)?, id }))
        }
        _ => Ok(None),
    }
}
