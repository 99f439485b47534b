//! Follows the changes of one project's secrets.
//!
//! The store has one change log for all projects. A [`ChangeFeed`] belongs to the project of the call that opened it and
//! leaves out every other project, so a front-end sees no change that its callers may not see.

use std::fmt;
use std::sync::Arc;

use model::{Call, ChangeCursor, Changes, ProjectId};
use store::Store;
use tokio::sync::watch;

use crate::{Action, Error, Vault};

/// Rows of the change log that are read at once.
const ROWS: u32 = 256;

impl Vault {
    /// Checks that the caller may follow the changes of its project's secrets. A front-end asks once, when the caller
    /// begins to follow.
    pub async fn follow(&self, call: &Call) -> Result<(), Error> {
        let action = Action::FollowSecrets;
        self.read(call, action, None, async { self.may(call, action) }).await
    }

    /// Opens a feed of the changes after a cursor. A front-end opens one for all callers of a project, each of which the
    /// audit trail has by [`Vault::follow`], so this writes no line.
    pub fn changes(&self, call: &Call, after: ChangeCursor) -> Result<ChangeFeed, Error> {
        self.may(call, Action::FollowSecrets)?;
        let (store, project) = (Arc::clone(&self.store), call.caller.project.clone());
        Ok(ChangeFeed { newest: store.newest_change(), store, project, after })
    }

    /// The newest place in the change log.
    pub fn newest_change(&self) -> ChangeCursor {
        *self.store.newest_change().borrow()
    }
}

/// The changes of one project, in the order of their commits.
pub struct ChangeFeed {
    store: Arc<dyn Store>,
    project: ProjectId,
    after: ChangeCursor,
    newest: watch::Receiver<ChangeCursor>,
}

impl ChangeFeed {
    /// Waits for the next changes. `None` when the store has ended. The feed goes on after an error.
    pub async fn next(&mut self) -> Result<Option<Changes>, Error> {
        loop {
            self.newest.borrow_and_update();
            let mut rows = match self.store.changes(self.after, ROWS).await? {
                Changes::Rows(rows) => rows,
                Changes::Missed { up_to } => {
                    self.after = up_to;
                    return Ok(Some(Changes::Missed { up_to }));
                }
            };
            if let Some(last) = rows.last() {
                self.after = last.cursor;
                rows.retain(|row| row.project == self.project);
                if !rows.is_empty() {
                    return Ok(Some(Changes::Rows(rows)));
                }
            } else if self.newest.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}

impl fmt::Debug for ChangeFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { project, after, .. } = self;
        f.debug_struct("ChangeFeed").field("project", project).field("after", after).finish_non_exhaustive()
    }
}
