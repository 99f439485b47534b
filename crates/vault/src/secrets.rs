//! Secrets and their payloads.

use std::sync::Arc;

use model::{
    Absent, Attributes, Call, Conflict, ContentType, Counted, Encoding, Facets, Guarded, ListQuery, Page,
    Scope, Secret, SecretId, Status,
};
use seal::{Bound, ProjectKey, Sealed};
use store::{Change, SealedSecret, Store};

use crate::keys::Keys;
use crate::{Action, Denied, Error, Failure, Payload, Vault};

/// A secret to create.
#[derive(Debug)]
pub struct NewSecret {
    /// The attributes that the creator gives it.
    pub attributes: Attributes,
    /// Its payload, if the request that creates it has one.
    pub payload: Option<NewPayload>,
}

/// A payload to store.
#[derive(Debug)]
pub struct NewPayload {
    /// Its content type.
    pub content_type: ContentType,
    /// The bytes.
    pub payload: Payload,
}

/// An opened payload.
#[derive(Debug)]
pub struct OpenedPayload {
    /// The content type with which it was stored.
    pub content_type: ContentType,
    /// How hypervisors get it rendered.
    pub encoding: Encoding,
    /// The bytes.
    pub payload: Payload,
}

impl Vault {
    /// Creates a secret. It is on disk when this returns.
    pub async fn create_secret(&self, call: &Call, new: NewSecret) -> Result<SecretId, Error> {
        let action = Action::CreateSecret;
        self.attempt(call, action, None, async { self.may(call, action) }).await?;
        let id = SecretId::random();
        self.attempt(call, action, Some(id), self.create(call, id, new)).await?;
        Ok(id)
    }

    async fn create(&self, call: &Call, id: SecretId, new: NewSecret) -> Result<(), Error> {
        let NewSecret { attributes, payload } = new;
        let content_type = payload.as_ref().map(|payload| payload.content_type);
        let (secret, key) = self.new_record(call, id, attributes, content_type, Facets::default()).await?;
        let sealed = payload.map(|new| seal_payload(&key, id, false, &new.payload)).transpose()?;
        let change = Change::CreateSecret { secret, sealed, limit: self.limit(Counted::Secrets) };
        self.change(call, Action::CreateSecret, id, change).await
    }

    /// The guarded record of a secret that this call creates, and the key that seals its payload.
    pub(crate) async fn new_record(
        &self,
        call: &Call,
        id: SecretId,
        attributes: Attributes,
        content_type: Option<ContentType>,
        facets: Facets,
    ) -> Result<(Box<Secret>, Arc<ProjectKey>), Error> {
        let mut secret = Box::new(Secret {
            id,
            project: call.caller.project.clone(),
            attributes,
            creator: call.caller.user.clone(),
            created: call.time,
            updated: call.time,
            status: Status::Active,
            content_type,
            project_access: true,
            facets,
            guard: None,
        });
        let key = self.keys.newest(&*self.store, &secret.project).await?;
        secret.guard = Some(key.guard(&secret.standing(), None));
        Ok((secret, key))
    }

    /// Reads the record of a secret, without its payload.
    pub async fn secret(&self, call: &Call, id: SecretId) -> Result<Secret, Error> {
        let action = Action::ReadSecret;
        self.read(call, action, Some(id), self.readable(call, id, action)).await
    }

    /// Opens a payload. A private one opens only if [`model::Door::opens_private`].
    pub async fn read_payload(&self, call: &Call, id: SecretId) -> Result<OpenedPayload, Error> {
        self.read(call, Action::ReadPayload, Some(id), self.open_payload(call, id)).await
    }

    async fn open_payload(&self, call: &Call, id: SecretId) -> Result<OpenedPayload, Error> {
        let mut found = self.openable(call, id, Action::ReadPayload).await?;
        if found.access.private && !call.door.opens_private() {
            return Err(Denied::Private(id).into());
        }
        let (content_type, sealed) = found.payload.take().ok_or(Absent::Payload(id))?;
        let payload = self.open_sealed(id, &found, &sealed).await?;
        Ok(OpenedPayload { content_type, encoding: found.encoding, payload })
    }

    /// Opens an envelope without asking the policy.
    pub(crate) async fn open_sealed(
        &self,
        id: SecretId,
        found: &SealedSecret,
        sealed: &[u8],
    ) -> Result<Payload, Error> {
        self.counted(open_sealed(&self.keys, &*self.store, id, found, sealed).await)
    }

    /// Gives a secret its payload; [`Conflict::Payload`] if it has one.
    pub async fn fill_payload(&self, call: &Call, id: SecretId, new: NewPayload) -> Result<(), Error> {
        let action = Action::FillPayload;
        let prepare = || async {
            let found = self.readable(call, id, action).await?;
            if found.content_type.is_some() {
                return Err(Conflict::Payload(id).into());
            }
            let key = self.keys.newest(&*self.store, &found.project).await?;
            let (private, content_type) = (found.facets.private, new.content_type);
            let sealed = seal_payload(&key, id, private, &new.payload)?;
            Ok((action, Change::FillPayload { id, private, content_type, sealed, time: call.time }))
        };
        self.attempt(call, action, Some(id), self.change_with_retry(call, id, prepare)).await
    }

    /// Deletes a secret. Its ciphertext is gone from the store when this returns. With `unless_used`, a secret with
    /// consumers stays: [`Conflict::Consumers`].
    pub async fn delete_secret(&self, call: &Call, id: SecretId, unless_used: bool) -> Result<(), Error> {
        let action = Action::DeleteSecret;
        let deleted = async {
            self.reach(call, Guarded::Secret(id), action).await?;
            self.change(call, action, id, Change::DeleteSecret { id, unless_used, time: call.time }).await
        };
        self.attempt(call, action, Some(id), deleted).await
    }

    /// Lists one page of secrets that have not expired. The scope of the query is the caller's own project or user; any
    /// other scope is denied.
    pub async fn list_secrets(&self, call: &Call, query: &ListQuery) -> Result<Page, Error> {
        self.read(call, Action::ListSecrets, None, self.page(call, query)).await
    }

    pub(crate) async fn page(&self, call: &Call, query: &ListQuery) -> Result<Page, Error> {
        self.may(call, Action::ListSecrets)?;
        let is_own = match &query.scope {
            Scope::Project(project) => *project == call.caller.project,
            Scope::AclOf(user) => Some(user) == call.caller.user.as_ref(),
        };
        if !is_own {
            return Err(Denied::Action(Action::ListSecrets).into());
        }
        Ok(self.store.list(query, call.time).await?)
    }

    /// Handles a request that a front-end found malformed: checks whether the caller would have been allowed to make it,
    /// so that a stranger learns nothing more, and writes it down as refused. With [`Action::ReadPayload`], a secret
    /// without payload is [`Absent::Payload`]; with [`Action::FillPayload`], a secret with a payload is no error here.
    pub async fn refuse(&self, call: &Call, action: Action, id: Option<SecretId>) -> Result<(), Error> {
        let check = async {
            let Some(id) = id else { return self.may(call, action) };
            let found = self.readable(call, id, action).await?;
            if action == Action::ReadPayload && found.content_type.is_none() {
                return Err(Absent::Payload(id).into());
            }
            Ok(())
        };
        self.refuse_if_allowed(call, action, id, check).await
    }

    /// As [`Vault::refuse`], for a malformed payload of a secret that may have one: [`Conflict::Payload`] comes first.
    pub async fn refuse_payload(&self, call: &Call, id: SecretId) -> Result<(), Error> {
        let action = Action::FillPayload;
        let check = async {
            let found = self.readable(call, id, action).await?;
            found.content_type.map_or(Ok(()), |_| Err(Error::from(Conflict::Payload(id))))
        };
        self.refuse_if_allowed(call, action, Some(id), check).await
    }

    /// Finds the envelope of a secret that this caller may use.
    pub(crate) async fn openable(
        &self,
        call: &Call,
        id: SecretId,
        action: Action,
    ) -> Result<SealedSecret, Error> {
        let (absent, of) = (Absent::Secret(id), Guarded::Secret(id));
        self.find(
            call,
            action,
            absent,
            || self.store.sealed(id),
            |found| (found.access.standing(of), found.access.guard.as_ref()),
        )
        .await
    }

    /// Finds the record of a secret that this caller may use.
    pub(crate) async fn readable(&self, call: &Call, id: SecretId, action: Action) -> Result<Secret, Error> {
        let absent = Absent::Secret(id);
        self.find(
            call,
            action,
            absent,
            || self.store.secret(id),
            |found| (found.standing(), found.guard.as_ref()),
        )
        .await
    }
}

/// Seals a payload into an envelope that opens for this secret alone.
pub(crate) fn seal_payload(
    key: &ProjectKey,
    secret: SecretId,
    private: bool,
    payload: &Payload,
) -> Result<Vec<u8>, Error> {
    Ok(key.seal(&Bound { secret, private }, payload).map_err(Failure::from)?.into_vec())
}

/// Opens an envelope with the key that it names.
pub(crate) async fn open_sealed(
    keys: &Keys,
    store: &dyn Store,
    id: SecretId,
    found: &SealedSecret,
    sealed: &[u8],
) -> Result<Payload, Error> {
    let corrupt = |source| Failure::Corrupt { of: Guarded::Secret(id), source };
    let version = Sealed::key_version(sealed).map_err(corrupt)?;
    let key = keys.of_version(store, &found.access.project, version).await?;
    let key = key.ok_or(store::Failure::Corrupt("project_keys"))?;
    Ok(key.open(&Bound { secret: id, private: found.access.private }, sealed).map_err(corrupt)?)
}
