//! Secrets: created, defined, filled, redefined, deleted.

use model::{
    Absent, ChangeKind, Conflict, ContentType, Counted, Encoding, Expect, Facet, Facets, Guard, Guarded,
    ProjectId, Secret, SecretId, Standing, Timestamp, Usage,
};

use super::outcome::require;
use super::quotas::Room;
use super::tables::{Answer, Definition, RowNumber, SecretRow, Tables};
use super::transaction::{Beside, Transaction};
use crate::{Error, Limit, Regard, Reseal};

/// Facets, envelope and guard as they are to be.
pub(crate) struct Redefined {
    pub(crate) facets: Facets,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) guard: Option<Guard>,
    /// The envelope is another one, and the one before is not to be left lying about.
    resealed: bool,
    /// An expired secret that still has the usage.
    pub(crate) in_the_way: Option<SecretRow>,
}

/// The facets after some changes of one each.
pub(super) fn changed_facets(before: &Facets, changes: Vec<Facet>, expect: Expect) -> Result<Facets, Error> {
    let mut facets = before.clone();
    for change in changes {
        match expect {
            Expect::Default if before.is_set(&change) => return Err(Conflict::Metadatum.into()),
            Expect::Set if !before.is_set(&change) => return Err(Absent::Metadatum.into()),
            Expect::Any | Expect::Default | Expect::Set => {
                facets = facets.with(change).map_err(Conflict::from)?
            }
        }
    }
    Ok(facets)
}

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    pub(super) fn create_secret(
        &mut self,
        secret: &Secret,
        sealed: Option<&[u8]>,
        limit: Limit,
    ) -> Answer<(), T> {
        self.add_secret(secret, sealed, limit, None)
    }

    /// Adds a secret, or gives the one that is there other facets.
    pub(super) fn define_secret(
        &mut self,
        secret: &Secret,
        reseal: Option<Reseal>,
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
        self.redefine(&found, redefined, time)
    }

    /// Adds a secret, in the place of one that has expired and is still there.
    fn add_secret(
        &mut self,
        secret: &Secret,
        sealed: Option<&[u8]>,
        limit: Limit,
        replaced: Option<SecretRow>,
    ) -> Answer<(), T> {
        let (counted, now) = (Counted::Secrets, secret.created);
        self.require_room_for_secret(&Room { project: &secret.project, counted, limit, now })?;
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
            let used = self.here.consumers_of(Guarded::Secret(id), secret.row)? > 0;
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
        reseal: Option<Reseal>,
        time: Timestamp,
    ) -> Answer<(), T> {
        let secret = self.secret(id)?;
        let facets = |before: &_| changed_facets(before, vec![facet.clone()], expect);
        let redefined = self.redefined(&secret, facets, reseal, time)?;
        self.witness()?;
        self.redefine(&secret, redefined, time)
    }

    /// Deletes a secret that was checked.
    pub(crate) fn take_away(&mut self, secret: &SecretRow, time: Timestamp) -> Answer<(), T> {
        self.here.delete_secret(secret.row)?;
        self.effects.deleted |= secret.filled;
        self.log_secret(secret, ChangeKind::Deleted, time)
    }

    /// Checks a definition of a secret that is there.
    pub(crate) fn defined_again(
        &self,
        found: &SecretRow,
        secret: &Secret,
        reseal: Option<Reseal>,
    ) -> Answer<Redefined, T> {
        require(self.here.project_name(found.project)? == secret.project, Conflict::Id(secret.id))?;
        let facets = |before: &Facets| Ok(before.redefined(secret.facets.clone()).map_err(Conflict::from)?);
        self.redefined(found, facets, reseal, secret.created)
    }

    /// Checks a change of facets.
    pub(super) fn redefined(
        &self,
        secret: &SecretRow,
        facets: impl FnOnce(&Facets) -> Result<Facets, Error>,
        reseal: Option<Reseal>,
        time: Timestamp,
    ) -> Answer<Redefined, T> {
        let before = self.here.definition(secret.row)?;
        let facets = facets(&before.facets)?;
        let project = self.here.project_name(secret.project)?;
        let in_the_way = match facets.usage() {
            Some(usage) if secret.usage.as_ref() != Some(&usage) => {
                self.require_free_usage(&project, &usage, Some(secret.id), time)?
            }
            _ => None,
        };
        let resealed = reseal.is_some() && before.sealed.is_some();
        let (sealed, guard) = bound_anew(before, secret, &project, facets.private, reseal)?;
        Ok(Redefined { facets, sealed, guard, resealed, in_the_way })
    }

    /// Writes a change of facets that was checked.
    pub(super) fn redefine(
        &mut self,
        secret: &SecretRow,
        redefined: Redefined,
        time: Timestamp,
    ) -> Answer<(), T> {
        let Redefined { facets, sealed, guard, resealed, in_the_way } = redefined;
        if let Some(expired) = in_the_way {
            self.take_away(&expired, time)?;
        }
        self.here.set_definition(secret.row, &facets, sealed.as_deref(), guard.as_ref())?;
        self.effects.deleted |= resealed;
        self.log((secret.id, secret.project, facets.usage().as_ref()), ChangeKind::Redefined, time)
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

/// The envelope and the guard after a change of facets. Both are bound to the private flag, so the three change together
/// or not at all.
fn bound_anew(
    before: Definition,
    secret: &SecretRow,
    project: &ProjectId,
    private: bool,
    reseal: Option<Reseal>,
) -> Result<(Option<Vec<u8>>, Option<Guard>), Error> {
    let Some(Reseal { from, to, mut guarding }) = reseal else {
        let stays = before.facets.private == private;
        return if stays { Ok((before.sealed, before.guard)) } else { Err(Error::Changed) };
    };
    require(from == before.sealed, Error::Changed)?;
    let standing = Standing {
        of: Guarded::Secret(secret.id),
        project,
        creator: before.creator.as_ref(),
        project_access: before.project_access,
        private: before.facets.private,
        expiration: secret.expiration,
    };
    let after = Standing { private, ..standing };
    let regard = Regard { before: standing, guard: before.guard.as_ref(), after, acl: None };
    Ok((to, guarding.make(&regard)?))
}
