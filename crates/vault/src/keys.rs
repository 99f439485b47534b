//! Project keys: unwrapped at their first use, then kept in locked memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::{KeyVersion, ProjectId};
use seal::{MasterKey, ProjectKey, Rows};
use store::{Change, Store, StoreId, unwitnessed};

use crate::{Error, Failure};

/// How many projects' keys are kept. One more project empties the list, and keys are unwrapped again when needed.
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

    /// The same master key without any project key: each is unwrapped from the store again when it is needed.
    pub(crate) fn without_project_keys(&self) -> Self {
        Self::new(Arc::clone(&self.master))
    }

    /// Checks the master key against the check value of a store. The check value also says whether all rows have guards.
    pub(crate) fn verify(&self, store: &StoreId, check: &[u8]) -> Result<Rows, seal::Error> {
        self.master.verify(store, check)
    }

    /// The check value of a store whose rows all have guards.
    pub(crate) fn check_value(&self, store: &StoreId) -> Vec<u8> {
        self.master.check_value(store)
    }

    /// The key of a version, which opens what was sealed with it.
    pub(crate) async fn of_version(
        &self,
        store: &dyn Store,
        project: &ProjectId,
        version: KeyVersion,
    ) -> Result<Option<Arc<ProjectKey>>, Error> {
        if let Some(key) = self.find_known(project, |key| key.version() == version) {
            return Ok(Some(key));
        }
        let Some(stored) = store.project_key(project, Some(version)).await? else { return Ok(None) };
        self.unwrap(project, &stored).map(Some)
    }

    /// The newest key of a project, which seals new payloads. A project without a key gets its first one.
    pub(crate) async fn newest(
        &self,
        store: &dyn Store,
        project: &ProjectId,
    ) -> Result<Arc<ProjectKey>, Error> {
        if let Some(key) = self.find_known(project, |_| true) {
            return Ok(key);
        }
        if store.project_key(project, None).await?.is_none() {
            let version = KeyVersion::FIRST;
            let (_, wrapped) = self.master.new_project_key(project, version).map_err(Failure::from)?;
            let change = Change::AddProjectKey { project: project.clone(), version, wrapped };
            store.apply(change, unwitnessed()).await?;
        }
        // If several first requests run at once, one of them stores the key, and all of them use the stored one.
        match store.project_key(project, None).await? {
            Some(stored) => self.unwrap(project, &stored),
            None => Err(store::Failure::Corrupt("project_keys").into()),
        }
    }

    /// The newest of the known keys of a project that fits.
    fn find_known(&self, project: &ProjectId, fits: impl Fn(&ProjectKey) -> bool) -> Option<Arc<ProjectKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(project)?.iter().filter(|key| fits(key)).max_by_key(|key| key.version()).cloned()
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
