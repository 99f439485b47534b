//! Opens what a store holds for who looks at all of it: nobody is asked, nothing is written down, and nothing that was
//! opened leaves. With it an operator learns which secrets are damaged before somebody needs them.

use std::sync::Arc;

use model::SecretId;
use seal::MasterKey;
use store::{RegardedRow, SealedSecret, Store};

use crate::guards::{has_guards, sound};
use crate::keys::Keys;
use crate::secrets::open_sealed;
use crate::{Error, OpenError};

/// A master key, and the project keys that it has unwrapped so far.
pub struct Opener {
    keys: Keys,
}

impl Opener {
    /// With the key that [`crate::unlock`] gave.
    pub fn new(master: MasterKey) -> Self {
        Self::with(Keys::new(Arc::new(master)))
    }

    pub(crate) fn with(keys: Keys) -> Self {
        Self { keys }
    }

    /// Whether the master key is that of this store; [`OpenError::WrongMasterKey`] if not.
    pub async fn fits(&self, store: &dyn Store) -> Result<(), OpenError> {
        let check = store.key_check().await?.unwrap_or_default();
        self.keys.verify(&store.id(), &check).map(drop).map_err(|error| match error {
            seal::Error::WrongMasterKey | seal::Error::WrongLength(_) => {
                OpenError::WrongMasterKey { from: "the one in use".to_owned() }
            }
            other => OpenError::Keys(other),
        })
    }

    /// Opens a secret's payload and wipes it again; whether there was one.
    pub async fn opens(&self, store: &dyn Store, id: SecretId, found: &SealedSecret) -> Result<bool, Error> {
        let Some((_, sealed)) = &found.payload else { return Ok(false) };
        open_sealed(&self.keys, store, id, found, sealed).await.map(|_| true)
    }

    /// Whether there are guards to look at: a store of before has none until it is served.
    pub async fn has_guards(&self, store: &dyn Store) -> Result<bool, OpenError> {
        has_guards(store, &self.keys).await
    }

    /// Whether what decides about a secret or a container is as it was stored, its ACL too; [`crate::Failure::Corrupt`] if not.
    pub async fn vouches(&self, store: &dyn Store, row: RegardedRow) -> Result<(), Error> {
        sound(store, &self.keys, row.of, row.read).await
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}
