//! ACLs of secrets and of containers.

use model::{Acl, AclChange, Guarded, Text, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::apply::{Failed, Witnessing, row_of};
use super::containers;
use super::reader::Reader;
use super::rows::short_text;
use crate::Error;

/// Where the ACLs of a kind of thing are.
struct Tables {
    /// The record: number, access, when its ACL was made and changed.
    select: &'static str,
    names: &'static str,
    users: &'static str,
    clear_users: &'static str,
    add_user: &'static str,
    set_access: &'static str,
}

static SECRETS: Tables = Tables {
    select: "SELECT s.seq, s.project_access, a.created, a.updated \
             FROM secrets s LEFT JOIN secret_acls a ON a.secret = s.seq WHERE s.id = ?1",
    names: "SELECT 1 FROM secret_acl_users WHERE user = ?2 AND secret = (SELECT seq FROM secrets WHERE id = ?1)",
    users: "SELECT user FROM secret_acl_users WHERE secret = ?1 ORDER BY user",
    clear_users: "DELETE FROM secret_acl_users WHERE secret = ?1",
    add_user: "INSERT OR IGNORE INTO secret_acl_users (secret, user) VALUES (?1, ?2)",
    set_access: "UPDATE secrets SET project_access = ?2 WHERE seq = ?1",
};

static CONTAINERS: Tables = Tables {
    select: "SELECT seq, project_access, acl_created, acl_updated FROM containers WHERE id = ?1",
    names: "SELECT 1 FROM container_acl_users \
            WHERE user = ?2 AND container = (SELECT seq FROM containers WHERE id = ?1)",
    users: "SELECT user FROM container_acl_users WHERE container = ?1 ORDER BY user",
    clear_users: "DELETE FROM container_acl_users WHERE container = ?1",
    add_user: "INSERT OR IGNORE INTO container_acl_users (container, user) VALUES (?1, ?2)",
    set_access: "UPDATE containers SET project_access = ?2 WHERE seq = ?1",
};

fn tables(of: Guarded) -> (&'static Tables, [u8; 16]) {
    match of {
        Guarded::Secret(id) => (&SECRETS, *id.as_bytes()),
        Guarded::Container(id) => (&CONTAINERS, *id.as_bytes()),
    }
}

pub(super) fn names(reader: &mut Reader, of: Guarded, user: &UserId) -> Result<bool, Error> {
    let (tables, id) = tables(of);
    Ok(reader.connection().prepare_cached(tables.names)?.exists((id, user.as_str()))?)
}

pub(super) fn acl(reader: &mut Reader, of: Guarded) -> Result<Option<Acl>, Error> {
    find(reader.connection(), of)
}

pub(super) fn find(connection: &Connection, of: Guarded) -> Result<Option<Acl>, Error> {
    let (tables, id) = tables(of);
    let found: Option<(i64, bool, Option<i64>, Option<i64>)> = connection
        .prepare_cached(tables.select)?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((seq, project_access, Some(created), Some(updated))) = found else { return Ok(None) };
    let mut statement = connection.prepare_cached(tables.users)?;
    let mut rows = statement.query([seq])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(short_text(row, 0)?);
    }
    let (created, updated) = (Timestamp::from_micros(created), Timestamp::from_micros(updated));
    Ok(Some(Acl { project_access, users, created, updated }))
}

/// The users that an ACL is to name, and whether the project may read.
type Wanted = (bool, Vec<Text>);

/// What an ACL is to say after a change; none if there is to be none.
fn changed(before: Option<&Acl>, change: &AclChange) -> Option<Wanted> {
    match change {
        AclChange::Replace { project_access, users } => Some((*project_access, users.clone())),
        AclChange::Remove => None,
        AclChange::Amend { project_access, users } => {
            let access = project_access.or(before.map(|acl| acl.project_access)).unwrap_or(true);
            let users = users.clone().or_else(|| before.map(|acl| acl.users.clone())).unwrap_or_default();
            let asks_nothing =
                before.is_none() && matches!(change, AclChange::Amend { project_access: None, users: None });
            (!asks_nothing).then_some((access, users))
        }
    }
}

pub(super) fn set(
    here: &Connection,
    of: Guarded,
    change: &AclChange,
    time: Timestamp,
    witness: Witnessing<'_>,
) -> Result<(), Failed> {
    let (tables, _) = tables(of);
    let seq = match of {
        Guarded::Secret(id) => row_of(here, id)?.seq(),
        Guarded::Container(id) => containers::place(here, id)?.seq,
    };
    let before = find(here, of)?;
    let wanted = changed(before.as_ref(), change);
    witness()?;
    here.prepare_cached(tables.clear_users)?.execute([seq])?;
    let access = wanted.as_ref().is_none_or(|(access, _)| *access);
    here.prepare_cached(tables.set_access)?.execute((seq, access))?;
    for user in wanted.iter().flat_map(|(_, users)| users) {
        here.prepare_cached(tables.add_user)?.execute((seq, user.as_str()))?;
    }
    let times = wanted.map(|_| (before.map_or(time, |acl| acl.created).micros(), time.micros()));
    set_times(here, of, seq, times)
}

fn set_times(here: &Connection, of: Guarded, seq: i64, times: Option<(i64, i64)>) -> Result<(), Failed> {
    match (of, times) {
        (Guarded::Secret(_), None) => {
            here.prepare_cached("DELETE FROM secret_acls WHERE secret = ?1")?.execute([seq])?;
        }
        (Guarded::Secret(_), Some((created, updated))) => {
            here.prepare_cached(
                "INSERT OR REPLACE INTO secret_acls (secret, created, updated) VALUES (?1, ?2, ?3)",
            )?
            .execute((seq, created, updated))?;
        }
        (Guarded::Container(_), times) => {
            let (created, updated) = times.unzip();
            here.prepare_cached("UPDATE containers SET acl_created = ?2, acl_updated = ?3 WHERE seq = ?1")?
                .execute((seq, created, updated))?;
        }
    }
    Ok(())
}

/// Gives a secret that comes from elsewhere the ACL that it had there; its access is in its record.
pub(super) fn bring(to: &Connection, secret: i64, acl: Option<&Acl>) -> Result<(), Failed> {
    let Some(Acl { users, created, updated, .. }) = acl else { return Ok(()) };
    to.prepare_cached("INSERT INTO secret_acls (secret, created, updated) VALUES (?1, ?2, ?3)")?
        .execute((secret, created.micros(), updated.micros()))?;
    for user in users {
        to.prepare_cached(SECRETS.add_user)?.execute((secret, user.as_str()))?;
    }
    Ok(())
}
