//! User metadata and facets.

use model::{Call, Facet, Facets, Guarded, Metadatum, SecretId};
use store::{Change, Reseal};

use crate::secrets::seal_payload;
use crate::{Action, Error, Vault};

pub use model::Expect;

/// The user metadata and the facets of a secret.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The pairs that the user set, in the order of their keys.
    pub user: Vec<Metadatum>,
    /// The facets for hypervisors. A front-end shows only those that differ from [`Facets::default`].
    pub facets: Facets,
}

impl Vault {
    /// Reads all metadata of a secret.
    pub async fn metadata(&self, call: &Call, id: SecretId) -> Result<Metadata, Error> {
        let action = Action::ReadMetadata;
        let read = async {
            let secret = self.readable(call, id, action).await?;
            Ok(Metadata { user: self.store.metadata(id).await?, facets: secret.facets })
        };
        self.read(call, action, Some(id), read).await
    }

    /// Replaces all user metadata and changes the given facets in one transaction.
    pub async fn replace_metadata(
        &self,
        call: &Call,
        id: SecretId,
        user: Vec<Metadatum>,
        facets: Vec<Facet>,
    ) -> Result<(), Error> {
        let private = facets.contains(&Facet::Private(true));
        self.change_metadata(call, Action::ReplaceMetadata, id, private, |reseal| Change::ReplaceMetadata {
            id,
            user: user.clone(),
            facets: facets.clone(),
            reseal,
            time: call.time,
        })
        .await
    }

    /// Adds one pair; [`crate::Conflict::Metadatum`] if the key exists.
    pub async fn add_metadatum(&self, call: &Call, id: SecretId, datum: Metadatum) -> Result<(), Error> {
        let change = |_| Change::AddMetadatum { id, datum: datum.clone() };
        self.change_metadata(call, Action::AddMetadatum, id, false, change).await
    }

    /// Changes one pair; [`crate::Absent::Metadatum`] if the key does not exist.
    pub async fn set_metadatum(&self, call: &Call, id: SecretId, datum: Metadatum) -> Result<(), Error> {
        let change = |_| Change::SetMetadatum { id, datum: datum.clone() };
        self.change_metadata(call, Action::ReplaceMetadata, id, false, change).await
    }

    /// Removes one pair; no error if it does not exist.
    pub async fn remove_metadatum(&self, call: &Call, id: SecretId, key: &str) -> Result<(), Error> {
        let change = |_| Change::RemoveMetadatum { id, key: key.to_owned() };
        self.change_metadata(call, Action::RemoveMetadatum, id, false, change).await
    }

    /// Changes one facet. `action` is the request: `AddMetadatum`, `ReplaceMetadata` or `RemoveMetadatum`.
    pub async fn set_facet(
        &self,
        call: &Call,
        id: SecretId,
        action: Action,
        facet: Facet,
        expect: Expect,
    ) -> Result<(), Error> {
        let private = facet == Facet::Private(true);
        let change = |reseal| Change::SetFacet { id, facet: facet.clone(), expect, reseal, time: call.time };
        self.change_metadata(call, action, id, private, change).await
    }

    /// Prepares a change and does it. A change that makes the secret private seals the payload again, because an envelope
    /// is bound to that flag. If the payload changed meanwhile, the vault starts again.
    async fn change_metadata(
        &self,
        call: &Call,
        action: Action,
        id: SecretId,
        private: bool,
        change: impl Fn(Option<Reseal>) -> Change,
    ) -> Result<(), Error> {
        let prepare = || async {
            let reseal = self.reseal_if(private, call, id, action).await?;
            Ok((action, change(reseal)))
        };
        self.attempt(call, action, Some(id), self.change_with_retry(call, id, prepare)).await
    }

    /// Checks that the caller may use a secret, and seals its payload again if the secret becomes private now.
    pub(crate) async fn reseal_if(
        &self,
        private: bool,
        call: &Call,
        id: SecretId,
        action: Action,
    ) -> Result<Option<Reseal>, Error> {
        if !private {
            self.reach(call, Guarded::Secret(id), action).await?;
            return Ok(None);
        }
        let found = self.openable(call, id, action).await?;
        let access = &found.access;
        if access.private {
            return Ok(None);
        }
        let guarding = self.guarding(&access.project, access.guard.as_ref()).await?;
        let Some((_, from)) = &found.payload else {
            return Ok(Some(Reseal { from: None, to: None, guarding }));
        };
        let payload = self.open_sealed(id, &found, from).await?;
        let key = self.keys.newest(&*self.store, &access.project).await?;
        let to = Some(seal_payload(&key, id, true, &payload)?);
        Ok(Some(Reseal { from: Some(from.clone()), to, guarding }))
    }
}
