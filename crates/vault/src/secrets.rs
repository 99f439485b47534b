//! Secrets and their payloads.

use model::{
    Attributes, Call, ContentType, Counted, Encoding, Facets, Guarded, ListQuery, Page, Scope, Secret,
    SecretId, Status,
};
use seal::{Bound, Sealed};
use store::{Change, SealedSecret, Store};

use crate::audit::Outcome;
use crate::guards::Decided;
use crate::keys::Keys;
use crate::vault::TRIES;
use crate::{Action, Error, Payload, Vault};

/// A secret to be created.
#[derive(Debug)]
pub struct NewSecret {
    /// What the creator says of it.
    pub attributes: Attributes,
    /// Its payload, if it comes in the same step.
    pub payload: Option<NewPayload>,
}

/// A payload to be stored.
#[derive(Debug)]
pub struct NewPayload {
    /// What it is.
    pub content_type: ContentType,
    /// The bytes.
    pub payload: Payload,
}

/// A payload, opened.
#[derive(Debug)]
pub struct OpenedPayload {
    /// What it was stored as.
    pub content_type: ContentType,
    /// How the secret says it is rendered where it is a value.
    pub encoding: Encoding,
    /// The bytes.
    pub payload: Payload,
}

impl Vault {
    /// Creates a secret; it is on disk when this returns.
    pub async fn create_secret(&self, call: &Call, new: NewSecret) -> Result<SecretId, Error> {
        let action = Action::CreateSecret;
        let may = self.may(call, action);
        self.written(call, action, None, may).await?;
        let id = SecretId::random();
        let created = self.create(call, id, new).await.map(|()| id);
        self.written(call, action, Some(id), created).await
    }

    async fn create(&self, call: &Call, id: SecretId, new: NewSecret) -> Result<(), Error> {
        let mut secret = Secret {
            id,
            project: call.caller.project.clone(),
            attributes: new.attributes,
            creator: call.caller.user.clone(),
            created: call.time,
            updated: call.time,
            status: Status::Active,
            content_type: new.payload.as_ref().map(|payload| payload.content_type),
            project_access: true,
            facets: Facets::default(),
            guard: None,
        };
        let key = self.keys.newest(&*self.store, &secret.project).await?;
        secret.guard = Some(key.guard(&secret.standing(), None));
        let sealed = match &new.payload {
            None => None,
            Some(NewPayload { payload, .. }) => {
                let bound = Bound { secret: id, private: false };
                Some(key.seal(&bound, payload).map_err(Error::Keys)?.into_vec())
            }
        };
        let change =
            Change::CreateSecret { secret: Box::new(secret), sealed, limit: self.limit(Counted::Secrets) };
        self.change(call, Action::CreateSecret, id, change).await.map_err(|error| about(id, error))
    }

    /// Everything known of a secret, without its payload.
    pub async fn secret(&self, call: &Call, id: SecretId) -> Result<Secret, Error> {
        let action = Action::ReadSecret;
        let found = self.readable(call, id, action).await;
        let secret = self.written(call, action, Some(id), found).await?;
        self.record(call, action, Some(id), Outcome::Done).await?;
        Ok(secret)
    }

    /// Opens a payload. Private ones open only where [`model::Door::opens_private`].
    pub async fn read_payload(&self, call: &Call, id: SecretId) -> Result<OpenedPayload, Error> {
        let action = Action::ReadPayload;
        let opened = self.open_payload(call, id).await;
        let opened = self.written(call, action, Some(id), opened).await?;
        self.record(call, action, Some(id), Outcome::Done).await?;
        Ok(opened)
    }

    async fn open_payload(&self, call: &Call, id: SecretId) -> Result<OpenedPayload, Error> {
        let mut found = self.openable(call, id, Action::ReadPayload).await?;
        if found.access.private && !call.door.opens_private() {
            return Err(Error::Private(id));
        }
        let (content_type, sealed) = found.payload.take().ok_or(Error::NoPayload(id))?;
        let payload = self.open_sealed(id, &found, &sealed).await?;
        Ok(OpenedPayload { content_type, encoding: found.encoding, payload })
    }

    /// Opens an envelope, with nobody asked.
    pub(crate) async fn open_sealed(
        &self,
        id: SecretId,
        found: &SealedSecret,
        sealed: &[u8],
    ) -> Result<Payload, Error> {
        self.counted(open_sealed(&self.keys, &*self.store, id, found, sealed).await)
    }

    /// Gives a secret its payload, once: [`Error::HasPayload`] after that.
    pub async fn fill_payload(&self, call: &Call, id: SecretId, new: NewPayload) -> Result<(), Error> {
        let action = Action::FillPayload;
        let filled = async {
            let mut tries = 0;
            loop {
                let found = self.readable(call, id, action).await?;
                if found.content_type.is_some() {
                    return Err(Error::HasPayload(id));
                }
                let key = self.keys.newest(&*self.store, &found.project).await?;
                let (private, content_type) = (found.facets.private, new.content_type);
                let bound = Bound { secret: id, private };
                let sealed = key.seal(&bound, &new.payload).map_err(Error::Keys)?.into_vec();
                let change = Change::FillPayload { id, private, content_type, sealed, time: call.time };
                tries += 1;
                match self.change(call, action, id, change).await {
                    Err(store::Error::Changed) if tries < TRIES => {} // It became private meanwhile.
                    done => return done.map_err(|error| about(id, error)),
                }
            }
        };
        self.written(call, action, Some(id), filled.await).await
    }

    /// Deletes a secret; its ciphertext is gone from the store when this returns. [`Error::HasConsumers`] if somebody says
    /// that they use it, and `unless_used` is asked for.
    pub async fn delete_secret(&self, call: &Call, id: SecretId, unless_used: bool) -> Result<(), Error> {
        let action = Action::DeleteSecret;
        let deleted = async {
            self.reach(call, Guarded::Secret(id), action).await?;
            let change = Change::DeleteSecret { id, unless_used, time: call.time };
            self.change(call, action, id, change).await.map_err(|error| about(id, error))
        };
        self.written(call, action, Some(id), deleted.await).await
    }

    /// One page of secrets, expired ones left out. The query's scope is the caller's own project or user; any other is
    /// denied.
    pub async fn list_secrets(&self, call: &Call, query: ListQuery) -> Result<Page, Error> {
        let action = Action::ListSecrets;
        let listed = async {
            self.may(call, action)?;
            let own = match &query.scope {
                Scope::Project(project) => *project == call.caller.project,
                Scope::AclOf(user) => Some(user) == call.caller.user.as_ref(),
            };
            if !own {
                return Err(Error::Denied(action));
            }
            Ok(self.store.list(&query, call.time).await?)
        };
        let page = self.written(call, action, None, listed.await).await?;
        self.record(call, action, None, Outcome::Done).await?;
        Ok(page)
    }

    /// For a request that a front-end found wrong in itself: says whether the caller would have been allowed to make
    /// it, so that a stranger learns nothing more than a stranger would, and writes it down as refused.
    /// With [`Action::ReadPayload`] a secret without payload is [`Error::NoPayload`], with [`Action::FillPayload`]
    /// one that has a payload is no error here.
    pub async fn refuse(&self, call: &Call, action: Action, id: Option<SecretId>) -> Result<(), Error> {
        let checked = async {
            match id {
                None => self.may(call, action),
                Some(id) => match self.readable(call, id, action).await? {
                    found if action == Action::ReadPayload && found.content_type.is_none() => {
                        Err(Error::NoPayload(id))
                    }
                    _ => Ok(()),
                },
            }
        };
        self.written(call, action, id, checked.await).await?;
        self.record(call, action, id, Outcome::Refused).await
    }

    /// The same for a payload that is wrong in a way that matters only where there is none yet:
    /// [`Error::HasPayload`] comes first.
    pub async fn refuse_payload(&self, call: &Call, id: SecretId) -> Result<(), Error> {
        let action = Action::FillPayload;
        let checked = async {
            match self.readable(call, id, action).await?.content_type {
                Some(_) => Err(Error::HasPayload(id)),
                None => Ok(()),
            }
        };
        self.written(call, action, Some(id), checked.await).await?;
        self.record(call, action, Some(id), Outcome::Refused).await
    }

    /// The envelope of a secret that is there for this caller.
    pub(crate) async fn openable(
        &self,
        call: &Call,
        id: SecretId,
        action: Action,
    ) -> Result<SealedSecret, Error> {
        for _ in 0..TRIES {
            let found = self.store.sealed(id).await?.ok_or(Error::NotFound(id))?;
            let (access, of) = (&found.access, Guarded::Secret(id));
            let decided = self.decide(call, action, &access.standing(of), access.guard.as_ref()).await?;
            if decided == Decided::Allowed {
                return Ok(found);
            }
        }
        Err(Error::Busy)
    }

    /// The record of a secret that is there for this caller.
    pub(crate) async fn readable(&self, call: &Call, id: SecretId, action: Action) -> Result<Secret, Error> {
        for _ in 0..TRIES {
            let secret = self.store.secret(id).await?.ok_or(Error::NotFound(id))?;
            if self.decide(call, action, &secret.standing(), secret.guard.as_ref()).await? == Decided::Allowed
            {
                return Ok(secret);
            }
        }
        Err(Error::Busy)
    }
}

/// Opens an envelope with the key that it names.
pub(crate) async fn open_sealed(
    keys: &Keys,
    store: &dyn Store,
    id: SecretId,
    found: &SealedSecret,
    sealed: &[u8],
) -> Result<Payload, Error> {
    let corrupt = |source| Error::Corrupt { of: Guarded::Secret(id), source };
    let version = Sealed::key_version(sealed).map_err(corrupt)?;
    let key = keys.of_version(store, &found.access.project, version).await?;
    let key = key.ok_or(Error::Store(store::Error::Corrupt("project_keys")))?;
    key.open(&Bound { secret: id, private: found.access.private }, sealed).map_err(corrupt)
}

/// The store's answer about a change of one secret, in the vault's words.
pub(crate) fn about(id: SecretId, error: store::Error) -> Error {
    match error {
        store::Error::NotFound => Error::NotFound(id),
        store::Error::HasPayload => Error::HasPayload(id),
        store::Error::HasConsumers => Error::HasConsumers(id),
        store::Error::IdTaken => Error::IdTaken(id),
        store::Error::Unguarded => Error::Corrupt { of: Guarded::Secret(id), source: seal::Error::Altered },
        other => other.into(),
    }
}
