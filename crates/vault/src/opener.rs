//! Opens everything in a store for an inspection, so that an operator finds damaged secrets before somebody needs them.
//! No policy decides, no line goes into the audit trail, and no plaintext leaves.

use std::sync::Arc;

use model::SecretId;
use seal::MasterKey;
use store::{RegardedRow, SealedSecret, Store};

use crate::guards::{has_guards, verify_row};
use crate::keys::Keys;
use crate::secrets::open_sealed;
use crate::{Error, OpenError};

/// A master key, and the project keys that it has unwrapped so far.
pub struct Opener {
    keys: Keys,
}

impl Opener {
    /// An opener with the key that [`crate::unlock`] returned.
    pub fn new(master: MasterKey) -> Self {
        Self::with(Keys::new(Arc::new(master)))
    }

    pub(crate) fn with(keys: Keys) -> Self {
        Self { keys }
    }

    /// Checks that the master key belongs to this store; [`OpenError::WrongMasterKey`] if not.
    pub async fn fits(&self, store: &dyn Store) -> Result<(), OpenError> {
        let check = store.key_check().await?.unwrap_or_default();
        self.keys.verify(&store.id(), &check).map(drop).map_err(|error| match error {
            seal::Error::WrongMasterKey | seal::Error::WrongLength(_) => {
                OpenError::WrongMasterKey { from: "the one in use".to_owned() }
            }
            other => OpenError::Keys(other),
        })
    }

    /// Opens the payload of a secret and wipes it again. Returns whether there was a payload.
    pub async fn opens(&self, store: &dyn Store, id: SecretId, found: &SealedSecret) -> Result<bool, Error> {
        let Some((_, sealed)) = &found.payload else { return Ok(false) };
        open_sealed(&self.keys, store, id, found, sealed).await.map(|_| true)
    }

    /// Whether the rows have guards. A store of an older version has none until the service has started once.
    pub async fn has_guards(&self, store: &dyn Store) -> Result<bool, OpenError> {
        has_guards(store, &self.keys).await
    }

    /// Checks that the access data of a secret or container, with its ACL, is as it was stored;
    /// [`crate::Failure::Corrupt`] if not.
    pub async fn vouches(&self, store: &dyn Store, row: RegardedRow) -> Result<(), Error> {
        verify_row(store, &self.keys, row.of, row.read).await
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}
