//! Secrets: created, defined, filled, redefined, deleted.

use std::borrow::Cow;
use std::slice;

use model::{
    Absent, ChangeKind, Conflict, ContentType, Encoding, Expect, Facet, Facets, ProjectId, Secret, SecretId,
    Standing, Timestamp, Usage,
};

use super::outcome::require;
use super::tables::{Answer, Parts, RowNumber, SecretRow, Table, Tables, Tally};
use super::transaction::{Beside, Transaction};
use crate::{Error, Limit, Regard, Reseal};

/// A secret as it is to be after a change of its facets.
pub(crate) struct Redefined<'a> {
    pub(crate) secret: Secret,
    pub(crate) sealed: Option<Cow<'a, [u8]>>,
    /// The envelope was replaced, so the old one has to go.
    resealed: bool,
    /// An expired secret that still has the usage.
    pub(crate) in_the_way: Option<SecretRow>,
}

/// The facets after some changes of one each.
pub(super) fn changed_facets(before: &Facets, changes: &[Facet], expect: Expect) -> Result<Facets, Error> {
    let mut facets = before.clone();
    for change in changes {
        match expect {
            Expect::Default if before.is_set(change) => return Err(Conflict::Metadatum.into()),
            Expect::Set if !before.is_set(change) => return Err(Absent::Metadatum.into()),
            Expect::Any | Expect::Default | Expect::Set => {
                facets = facets.with(change.clone()).map_err(Conflict::from)?
            }
        }
    }
    Ok(facets)
}

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    /// Adds a secret, or changes the facets of the one that is there.
    pub(super) fn define_secret(
        &mut self,
        secret: &Secret,
        reseal: Option<&mut Reseal>,
        limit: Limit,
    ) -> Answer<(), T> {
        let time = secret.created;
        let Some(found) = self.here.secret(secret.id)? else {
            return self.add_secret(secret, None, limit, None);
        };
        if found.is_expired(time) {
            require(self.here.project_name(found.project)? == secret.project, Conflict::Id(secret.id))?;
            return self.add_secret(secret, None, limit, Some(found));
        }
        let redefined = self.defined_again(&found, secret, reseal)?;
        self.witness()?;
        self.redefine(&found, &redefined, time)
    }

    /// Adds a secret, in the place of one that has expired and is still there.
    pub(super) fn add_secret(
        &mut self,
        secret: &Secret,
        sealed: Option<&[u8]>,
        limit: Limit,
        replaced: Option<SecretRow>,
    ) -> Answer<(), T> {
        let now = secret.created;
        self.require_room(&secret.project, Tally::Secrets, limit, now)?;
        let usage = secret.facets.usage();
        let except = replaced.as_ref().map(|replaced| replaced.id);
        let in_the_way = match &usage {
            Some(usage) => self.require_free_usage(&secret.project, usage, except, now)?,
            None => None,
        };
        self.witness()?;
        for expired in [replaced, in_the_way].into_iter().flatten() {
            self.take_away(&expired, now)?;
        }
        let project = self.ensure_project(&secret.project)?;
        self.here.insert_secret(project, secret, sealed)?;
        self.log((secret.id, project, usage.as_ref()), ChangeKind::Created, now)?;
        if sealed.is_some() {
            self.log((secret.id, project, usage.as_ref()), ChangeKind::ValueChanged, now)?;
        }
        Ok(())
    }

    /// Adds a secret that an order made: no other secret can be in its way. Its row.
    pub(super) fn add_made_secret(
        &mut self,
        project: RowNumber,
        secret: &Secret,
        sealed: &[u8],
    ) -> Answer<RowNumber, T> {
        let row = self.here.insert_secret(project, secret, Some(sealed))?;
        for kind in [ChangeKind::Created, ChangeKind::ValueChanged] {
            self.log((secret.id, project, None), kind, secret.created)?;
        }
        Ok(row)
    }

    pub(super) fn fill_payload(
        &mut self,
        id: SecretId,
        private: bool,
        payload: (ContentType, &[u8]),
        time: Timestamp,
    ) -> Answer<(), T> {
        let secret = self.secret(id)?;
        require(!secret.filled, Conflict::Payload(id))?;
        require(secret.private == private, Error::Changed)?; // The envelope is bound to the flag.
        self.witness()?;
        self.here.set_payload(secret.row, payload, secret.encoding, time)?;
        self.log_secret(&secret, ChangeKind::ValueChanged, time)
    }

    pub(super) fn set_payload(
        &mut self,
        id: SecretId,
        private: bool,
        (rendered, encoding): (Encoding, Encoding),
        payload: (ContentType, &[u8]),
        time: Timestamp,
    ) -> Answer<(), T> {
        let secret = self.secret(id)?;
        require(secret.private == private, Error::Changed)?; // The envelope is bound to the flag.
        require(secret.encoding == rendered, Error::Changed)?;
        self.witness()?;
        self.here.set_payload(secret.row, payload, encoding, time)?;
        self.effects.replaced |= secret.filled;
        self.log_secret(&secret, ChangeKind::ValueChanged, time)
    }

    pub(super) fn delete_secret(
        &mut self,
        id: SecretId,
        unless_used: bool,
        time: Timestamp,
    ) -> Answer<(), T> {
        let secret = self.secret(id)?;
        if unless_used {
            let used = self.here.count(secret.row, Parts::SecretConsumers)? > 0;
            require(!used, Conflict::Consumers(id))?;
        }
        self.witness()?;
        self.take_away(&secret, time)
    }

    pub(super) fn reap_secret(&mut self, id: SecretId, by: Timestamp, time: Timestamp) -> Answer<(), T> {
        let secret = self.secret(id)?;
        require(secret.is_expired(by), Absent::Secret(id))?;
        self.witness()?;
        self.take_away(&secret, time)
    }

    pub(super) fn set_facet(
        &mut self,
        id: SecretId,
        facet: &Facet,
        expect: Expect,
        reseal: Option<&mut Reseal>,
        time: Timestamp,
    ) -> Answer<(), T> {
        let secret = self.secret(id)?;
        let facets = |before: &_| changed_facets(before, slice::from_ref(facet), expect);
        let redefined = self.redefined(&secret, facets, reseal, time)?;
        self.witness()?;
        self.redefine(&secret, &redefined, time)
    }

    /// Deletes a secret that was checked.
    pub(crate) fn take_away(&mut self, secret: &SecretRow, time: Timestamp) -> Answer<(), T> {
        self.here.delete(Table::Secrets, secret.row)?;
        self.effects.deleted |= secret.filled;
        self.log_secret(secret, ChangeKind::Deleted, time)
    }

    /// Checks a definition of a secret that is there.
    pub(crate) fn defined_again<'r>(
        &self,
        found: &SecretRow,
        secret: &Secret,
        reseal: Option<&'r mut Reseal>,
    ) -> Answer<Redefined<'r>, T> {
        require(self.here.project_name(found.project)? == secret.project, Conflict::Id(secret.id))?;
        let facets = |before: &Facets| Ok(before.redefined(secret.facets.clone()).map_err(Conflict::from)?);
        self.redefined(found, facets, reseal, secret.created)
    }

    /// Checks a change of facets.
    pub(super) fn redefined<'r>(
        &self,
        found: &SecretRow,
        facets: impl FnOnce(&Facets) -> Result<Facets, Error>,
        reseal: Option<&'r mut Reseal>,
        time: Timestamp,
    ) -> Answer<Redefined<'r>, T> {
        let project = self.here.project_name(found.project)?;
        let (mut secret, before) = self.here.record(found.row, &project)?;
        let facets = facets(&secret.facets)?;
        let in_the_way = match facets.usage() {
            Some(usage) if found.usage.as_ref() != Some(&usage) => {
                self.require_free_usage(&project, &usage, Some(found.id), time)?
            }
            _ => None,
        };
        let resealed = reseal.is_some() && before.is_some();
        // The envelope and the guard are bound to the private flag, so the three change together or not at all.
        let sealed = match reseal {
            None => {
                require(secret.facets.private == facets.private, Error::Changed)?;
                before.map(Cow::Owned)
            }
            Some(Reseal { from, to, guarding }) => {
                require(*from == before, Error::Changed)?;
                let standing = secret.standing();
                let after = Standing { private: facets.private, ..standing };
                let guard = secret.guard.as_ref();
                let guard = guarding.make(&Regard { before: standing, guard, after, acl: None })?;
                secret.guard = guard;
                to.as_deref().map(Cow::Borrowed)
            }
        };
        secret.facets = facets;
        Ok(Redefined { secret, sealed, resealed, in_the_way })
    }

    /// Writes a change of facets that was checked.
    pub(super) fn redefine(
        &mut self,
        found: &SecretRow,
        redefined: &Redefined<'_>,
        time: Timestamp,
    ) -> Answer<(), T> {
        let Redefined { secret, sealed, resealed, in_the_way } = redefined;
        if let Some(expired) = in_the_way {
            self.take_away(expired, time)?;
        }
        self.here.set_facets(found.row, secret, sealed.as_deref())?;
        self.effects.deleted |= *resealed;
        self.log((found.id, found.project, secret.facets.usage().as_ref()), ChangeKind::Redefined, time)
    }

    /// Refuses a usage that another secret of the project has. A secret that has expired and is still here is as if it were
    /// not there, and has to be deleted; one elsewhere keeps its usage until it is reaped.
    fn require_free_usage(
        &self,
        project: &ProjectId,
        usage: &Usage,
        except: Option<SecretId>,
        time: Timestamp,
    ) -> Answer<Option<SecretRow>, T> {
        if let Some(holder) = self.beside.holder(project, usage)?.filter(|id| Some(*id) != except) {
            return Err(Conflict::Usage(holder).into());
        }
        let holder = self.here.holder(project, usage)?.filter(|holder| Some(holder.id) != except);
        match holder {
            Some(holder) if !holder.is_expired(time) => Err(Conflict::Usage(holder.id).into()),
            expired => Ok(expired),
        }
    }
}
