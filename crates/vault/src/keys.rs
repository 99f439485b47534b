//! Project keys, unwrapped when first needed and kept in locked memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::{KeyVersion, ProjectId};
use seal::{MasterKey, ProjectKey, Rows};
use store::{Change, Store, StoreId, unwitnessed};

use crate::{Error, Failure};

/// Projects whose keys are kept; one more, and all are forgotten and unwrapped anew as they are needed.
const PROJECTS_MAX: usize = 4096;

/// The keys of all projects.
pub(crate) struct Keys {
    master: Arc<MasterKey>,
    known: RwLock<HashMap<ProjectId, Vec<Arc<ProjectKey>>>>,
}

impl Keys {
    pub(crate) fn new(master: Arc<MasterKey>) -> Self {
        Self { master, known: RwLock::default() }
    }

    /// The same master key, and no project's: each is unwrapped from what is stored when it is needed.
    pub(crate) fn afresh(&self) -> Self {
        Self::new(Arc::clone(&self.master))
    }

    /// Whether the master key is that of a store, by its check value, and what that says of the store's rows.
    pub(crate) fn verify(&self, store: &StoreId, check: &[u8]) -> Result<Rows, seal::Error> {
        self.master.verify(store, check)
    }

    /// What tells it from now on, of a store whose rows all have guards.
    pub(crate) fn check_value(&self, store: &StoreId) -> Vec<u8> {
        self.master.check_value(store)
    }

    /// The key to open something with.
    pub(crate) async fn of_version(
        &self,
        store: &dyn Store,
        project: &ProjectId,
        version: KeyVersion,
    ) -> Result<Option<Arc<ProjectKey>>, Error> {
        if let Some(key) = self.find(project, |key| key.version() == version) {
            return Ok(Some(key));
        }
        let Some(stored) = store.project_key(project, Some(version)).await? else { return Ok(None) };
        self.unwrap(project, &stored).map(Some)
    }

    /// The key to seal something new with: the newest, or a first one.
    pub(crate) async fn newest(
        &self,
        store: &dyn Store,
        project: &ProjectId,
    ) -> Result<Arc<ProjectKey>, Error> {
        if let Some(key) = self.find(project, |_| true) {
            return Ok(key);
        }
        if store.project_key(project, None).await?.is_none() {
            let version = KeyVersion::FIRST;
            let (_, wrapped) = self.master.new_project_key(project, version).map_err(Failure::from)?;
            let change = Change::AddProjectKey { project: project.clone(), version, wrapped };
            store.apply(change, unwitnessed()).await?;
        }
        // Of several first requests one has given the project its key; all use what is stored.
        match store.project_key(project, None).await? {
            Some(stored) => self.unwrap(project, &stored),
            None => Err(store::Failure::Corrupt("project_keys").into()),
        }
    }

    /// The newest of the known keys of a project that will do.
    fn find(&self, project: &ProjectId, will_do: impl Fn(&ProjectKey) -> bool) -> Option<Arc<ProjectKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(project)?.iter().filter(|key| will_do(key)).max_by_key(|key| key.version()).cloned()
    }

    fn unwrap(&self, project: &ProjectId, stored: &store::WrappedKey) -> Result<Arc<ProjectKey>, Error> {
        let key = self
            .master
            .unwrap_project_key(project, stored.version, &stored.wrapped)
            .map_err(Failure::from)?;
        let key = Arc::new(key);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PROJECTS_MAX && !known.contains_key(project) {
            known.clear();
        }
        let of_project = known.entry(project.clone()).or_default();
        if !of_project.iter().any(|known| known.version() == key.version()) {
            of_project.push(Arc::clone(&key));
        }
        Ok(key)
    }
}
