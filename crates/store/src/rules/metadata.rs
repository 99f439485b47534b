//! User metadata.

use model::{Absent, Conflict, Expect, Facet, Metadatum, SecretId, Timestamp};

use super::outcome::require;
use super::secrets::changed_facets;
use super::tables::{Answer, Parts, Tables};
use super::transaction::{Beside, Transaction};
use crate::Reseal;
use crate::limits::METADATA_PAIRS_MAX;

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    pub(super) fn replace_metadata(
        &mut self,
        id: SecretId,
        user: &[Metadatum],
        facets: &[Facet],
        reseal: Option<&mut Reseal>,
        time: Timestamp,
    ) -> Answer<(), T> {
        let secret = self.secret(id)?;
        require(user.len() <= METADATA_PAIRS_MAX, Conflict::TooManyMetadata)?;
        let redefined = match facets.is_empty() {
            true => None,
            false => {
                let facets = |before: &_| changed_facets(before, facets, Expect::Any);
                Some(self.redefined(&secret, facets, reseal, time)?)
            }
        };
        self.witness()?;
        self.here.delete_metadata(secret.row, None)?;
        for datum in user {
            self.here.add_metadatum(secret.row, datum)?;
        }
        redefined.map_or(Ok(()), |redefined| self.redefine(&secret, &redefined, time))
    }

    pub(super) fn add_metadatum(&mut self, id: SecretId, datum: &Metadatum) -> Answer<(), T> {
        let secret = self.secret(id)?;
        require(!self.here.has_metadatum(secret.row, &datum.key)?, Conflict::Metadatum)?;
        let pairs = self.here.count(secret.row, Parts::Metadata)?;
        require(usize::try_from(pairs).is_ok_and(|n| n < METADATA_PAIRS_MAX), Conflict::TooManyMetadata)?;
        self.witness()?;
        self.here.add_metadatum(secret.row, datum)
    }

    pub(super) fn set_metadatum(&mut self, id: SecretId, datum: &Metadatum) -> Answer<(), T> {
        let secret = self.secret(id)?;
        require(self.here.has_metadatum(secret.row, &datum.key)?, Absent::Metadatum)?;
        self.witness()?;
        self.here.set_metadatum(secret.row, datum)
    }

    pub(super) fn remove_metadatum(&mut self, id: SecretId, key: &str) -> Answer<(), T> {
        let secret = self.secret(id)?;
        self.witness()?;
        self.here.delete_metadata(secret.row, Some(key))
    }
}
