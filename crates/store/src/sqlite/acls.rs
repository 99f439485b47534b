//! ACLs of secrets and of containers.

use model::{Acl, Guarded};
use rusqlite::Connection;

use super::columns::{guard, moment, short_text, user};
use super::reader::Reader;
use super::rows::read_all;
use crate::rules::{AclRow, RowNumber};
use crate::{Error, Failure, GuardedAcl};

/// The statements about ACLs of secrets, or of containers.
pub(super) struct Statements {
    /// Number of the row, project access, times of the ACL, guard, and the other facts that decide about access.
    select: &'static str,
    users: &'static str,
    pub(super) clear_users: &'static str,
    pub(super) add_user: &'static str,
    pub(super) set_access: &'static str,
}

static OF_SECRETS: Statements = Statements {
    select: "SELECT s.seq, s.project_access, a.created, a.updated, s.guard, s.project, s.creator, s.private, s.expiration \
             FROM secrets s LEFT JOIN secret_acls a ON a.secret = s.seq WHERE s.id = ?1",
    users: "SELECT user FROM secret_acl_users WHERE secret = ?1 ORDER BY user",
    clear_users: "DELETE FROM secret_acl_users WHERE secret = ?1",
    add_user: "INSERT OR IGNORE INTO secret_acl_users (secret, user) VALUES (?1, ?2)",
    set_access: "UPDATE secrets SET project_access = ?2, guard = ?3 WHERE seq = ?1",
};

static OF_CONTAINERS: Statements = Statements {
    select: "SELECT seq, project_access, acl_created, acl_updated, guard, project, creator, 0, NULL \
             FROM containers WHERE id = ?1",
    users: "SELECT user FROM container_acl_users WHERE container = ?1 ORDER BY user",
    clear_users: "DELETE FROM container_acl_users WHERE container = ?1",
    add_user: "INSERT OR IGNORE INTO container_acl_users (container, user) VALUES (?1, ?2)",
    set_access: "UPDATE containers SET project_access = ?2, guard = ?3 WHERE seq = ?1",
};

pub(super) fn statements_of(of: Guarded) -> &'static Statements {
    match of {
        Guarded::Secret(_) => &OF_SECRETS,
        Guarded::Container(_) => &OF_CONTAINERS,
    }
}

pub(super) fn guarded_acl(reader: &mut Reader, of: Guarded) -> Result<Option<GuardedAcl>, Error> {
    let found = find_acl(reader.connection(), of)?;
    Ok(found.map(|AclRow { acl, guard, .. }| GuardedAcl { acl, guard }))
}

/// A secret or a container, with its ACL.
pub(super) fn find_acl(connection: &Connection, of: Guarded) -> Result<Option<AclRow>, Error> {
    let statements = statements_of(of);
    let mut statement = connection.prepare_cached(statements.select)?;
    let mut rows = statement.query([of.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (seq, project_access) = (row.get(0)?, row.get(1)?);
    let users = read_all(connection, statements.users, [seq], |row| short_text(row, 0))?;
    let acl = match moment(row, 2)?.zip(moment(row, 3)?) {
        Some((created, updated)) => Some(Acl { project_access, users, created, updated }),
        None if users.is_empty() => None,
        None => return Err(Failure::Unguarded(of).into()), // No version of this program writes users without an ACL.
    };
    Ok(Some(AclRow {
        row: RowNumber(seq),
        project: RowNumber(row.get(5)?),
        creator: user(row, 6)?,
        project_access,
        private: row.get(7)?,
        expiration: moment(row, 8)?,
        guard: guard(row, 4)?,
        acl,
    }))
}
