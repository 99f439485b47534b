//! ACLs of secrets and of containers.

use model::{Acl, AclChange, Guard, Guarded, Standing, Text, Timestamp, UserId};
use rusqlite::Connection;

use super::apply::{Failed, Witnessing, project_name};
use super::guards::guard;
use super::reader::Reader;
use super::rows::{moment, short_text, user};
use crate::{AclStep, Error, GuardedAcl, Guarding, Regard};

/// Where the ACLs of a kind of thing are.
struct Tables {
    /// The record: number, access, when its ACL was made and changed, its guard, and what else decides about it.
    select: &'static str,
    users: &'static str,
    clear_users: &'static str,
    add_user: &'static str,
    set_access: &'static str,
}

static SECRETS: Tables = Tables {
    select: "SELECT s.seq, s.project_access, a.created, a.updated, s.guard, s.project, s.creator, s.private, s.expiration \
             FROM secrets s LEFT JOIN secret_acls a ON a.secret = s.seq WHERE s.id = ?1",
    users: "SELECT user FROM secret_acl_users WHERE secret = ?1 ORDER BY user",
    clear_users: "DELETE FROM secret_acl_users WHERE secret = ?1",
    add_user: "INSERT OR IGNORE INTO secret_acl_users (secret, user) VALUES (?1, ?2)",
    set_access: "UPDATE secrets SET project_access = ?2, guard = ?3 WHERE seq = ?1",
};

static CONTAINERS: Tables = Tables {
    select: "SELECT seq, project_access, acl_created, acl_updated, guard, project, creator, 0, NULL \
             FROM containers WHERE id = ?1",
    users: "SELECT user FROM container_acl_users WHERE container = ?1 ORDER BY user",
    clear_users: "DELETE FROM container_acl_users WHERE container = ?1",
    add_user: "INSERT OR IGNORE INTO container_acl_users (container, user) VALUES (?1, ?2)",
    set_access: "UPDATE containers SET project_access = ?2, guard = ?3 WHERE seq = ?1",
};

fn tables(of: Guarded) -> (&'static Tables, [u8; 16]) {
    match of {
        Guarded::Secret(id) => (&SECRETS, *id.as_bytes()),
        Guarded::Container(id) => (&CONTAINERS, *id.as_bytes()),
    }
}

pub(super) fn acl(reader: &mut Reader, of: Guarded) -> Result<Option<GuardedAcl>, Error> {
    let found = find(reader.connection(), of)?;
    Ok(found.map(|Found { acl, guard, .. }| GuardedAcl { acl, guard }))
}

/// Something that can have an ACL, with it.
pub(super) struct Found {
    seq: i64,
    project: i64,
    creator: Option<UserId>,
    project_access: bool,
    private: bool,
    expiration: Option<Timestamp>,
    guard: Option<Guard>,
    pub(super) acl: Option<Acl>,
}

pub(super) fn find(connection: &Connection, of: Guarded) -> Result<Option<Found>, Error> {
    let (tables, id) = tables(of);
    let mut statement = connection.prepare_cached(tables.select)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (seq, project_access) = (row.get(0)?, row.get(1)?);
    let times = moment(row, 2)?.zip(moment(row, 3)?);
    let found = Found {
        seq,
        project: row.get(5)?,
        creator: user(row, 6)?,
        project_access,
        private: row.get(7)?,
        expiration: moment(row, 8)?,
        guard: guard(row, 4)?,
        acl: None,
    };
    let users = users(connection, tables, seq)?;
    let acl = match times {
        Some((created, updated)) => Some(Acl { project_access, users, created, updated }),
        None if users.is_empty() => None,
        None => return Err(Error::Unguarded), // Nobody but a hand puts users where there is no ACL.
    };
    Ok(Some(Found { acl, ..found }))
}

fn users(connection: &Connection, tables: &Tables, seq: i64) -> Result<Vec<Text>, Error> {
    let mut statement = connection.prepare_cached(tables.users)?;
    let mut rows = statement.query([seq])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(short_text(row, 0)?);
    }
    Ok(users)
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
    guarding: &mut Guarding,
    time: Timestamp,
    witness: Witnessing<'_>,
) -> Result<(), Failed> {
    let (tables, _) = tables(of);
    let Some(found) = find(here, of)? else { return Err(Error::NotFound.into()) };
    let (seq, before) = (found.seq, &found.acl);
    let wanted = changed(before.as_ref(), change);
    let access = wanted.as_ref().is_none_or(|(access, _)| *access);
    let guard = guard_of(here, of, &found, access, wanted.as_ref(), guarding)?;
    witness()?;
    here.prepare_cached(tables.clear_users)?.execute([seq])?;
    let guard = guard.as_ref().map(Guard::as_bytes);
    here.prepare_cached(tables.set_access)?.execute((seq, access, guard))?;
    for user in wanted.iter().flat_map(|(_, users)| users) {
        here.prepare_cached(tables.add_user)?.execute((seq, user.as_str()))?;
    }
    let times = wanted.map(|_| (before.as_ref().map_or(time, |acl| acl.created).micros(), time.micros()));
    set_times(here, of, seq, times)
}

/// The guard of something after a change of its ACL.
fn guard_of(
    here: &Connection,
    of: Guarded,
    found: &Found,
    access: bool,
    wanted: Option<&Wanted>,
    guarding: &mut Guarding,
) -> Result<Option<Guard>, Failed> {
    let project = project_name(here, found.project)?;
    let before = Standing {
        of,
        project: &project,
        creator: found.creator.as_ref(),
        project_access: found.project_access,
        private: found.private,
        expiration: found.expiration,
    };
    let acl = AclStep {
        before: found.acl.as_ref().map(|acl| acl.users.as_slice()),
        after: wanted.map(|(_, users)| users.as_slice()),
    };
    let after = Standing { project_access: access, ..before };
    Ok(guarding.make(&Regard { before, guard: found.guard.as_ref(), after, acl: Some(acl) })?)
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
