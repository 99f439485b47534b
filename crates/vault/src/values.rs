//! What hypervisors ask: secrets defined under ids of their own, found by what they are used for, listed as handles, and
//! their values, which are payloads as the secret says they are rendered.

use std::future::ready;

use model::{
    Absent, Attributes, Call, ChangeCursor, Changes, Conflict, ContentType, Counted, Encoding, Facets,
    Guarded, Handle, Listed, Secret, SecretId, Status, Usage, Which,
};
use seal::Bound;
use store::{Change, Reseal};
use tokio::sync::watch;

use crate::rendering;
use crate::{Action, Error, Failure, Payload, Vault};

impl Vault {
    /// What an id points at.
    pub async fn lookup(&self, call: &Call, id: SecretId) -> Result<Listed, Error> {
        let found = self.pointed_at(call, id, || self.store.handle(id));
        self.read(call, Action::ReadSecret, Some(id), found).await
    }

    /// What a usage points at in the caller's project. An error names [`SecretId::NIL`].
    pub async fn lookup_usage(&self, call: &Call, usage: &Usage) -> Result<Listed, Error> {
        let look = || self.store.handle_by_usage(&call.caller.project, usage);
        let found = self.pointed_at(call, SecretId::NIL, look).await;
        let id = found.as_ref().ok().map(|listed| listed.id);
        self.read(call, Action::ReadSecret, id, ready(found)).await
    }

    async fn pointed_at<Looking>(
        &self,
        call: &Call,
        id: SecretId,
        look: impl Fn() -> Looking,
    ) -> Result<Listed, Error>
    where
        Looking: Future<Output = Result<Option<Handle>, store::Error>>,
    {
        let found = self
            .find(call, Action::ReadSecret, Absent::Secret(id), look, |found| {
                let of = Guarded::Secret(found.listed.id);
                (found.access.standing(of), found.access.guard.as_ref())
            })
            .await;
        match found {
            Ok(handle) => Ok(handle.listed),
            Err(Error::Absent(Absent::Secret(_))) => Err(Absent::Secret(id).into()), // Which one is nobody's business.
            Err(error) => Err(error),
        }
    }

    /// How many secrets the caller's project has.
    pub async fn count_secrets(&self, call: &Call, which: Which) -> Result<u64, Error> {
        let count = async {
            self.may(call, Action::ListSecrets)?;
            Ok(self.store.count(&call.caller.project, which, call.time).await?)
        };
        self.read(call, Action::ListSecrets, None, count).await
    }

    /// The secrets of the caller's project, in no order; of more than `limit` only so many.
    pub async fn all_secrets(&self, call: &Call, which: Which, limit: usize) -> Result<Vec<Listed>, Error> {
        let list = async {
            self.may(call, Action::ListSecrets)?;
            Ok(self.store.handles(&call.caller.project, which, call.time, limit).await?)
        };
        self.read(call, Action::ListSecrets, None, list).await
    }

    /// Creates a secret under an id, or, if the project has it, gives it these facets by the rules of
    /// [`Facets::redefined`]. Its payload stays.
    pub async fn define_secret(&self, call: &Call, id: SecretId, facets: Facets) -> Result<(), Error> {
        let prepare = || async {
            let (action, reseal) = self.prepare_definition(call, id, &facets).await?;
            let mut secret = Box::new(defined(call, id, facets.clone()));
            let key = self.keys.newest(&*self.store, &secret.project).await?;
            secret.guard = Some(key.guard(&secret.standing(), None));
            Ok((action, Change::DefineSecret { secret, reseal, limit: self.limit(Counted::Secrets) }))
        };
        let define = self.change_with_retry(call, id, prepare);
        self.attempt(call, Action::DefineSecret, Some(id), define).await
    }

    /// Whether the caller may, as what it is written down, and the payload bound anew if the definition makes it private.
    async fn prepare_definition(
        &self,
        call: &Call,
        id: SecretId,
        facets: &Facets,
    ) -> Result<(Action, Option<Reseal>), Error> {
        match self.reseal_if(facets.private, call, id, Action::DefineSecret).await {
            Ok(reseal) => Ok((Action::DefineSecret, reseal)),
            Err(Error::Absent(_)) => {
                self.may(call, Action::CreateSecret)?;
                Ok((Action::CreateSecret, None))
            }
            // It is another project's, which has to be said: here it is in the way.
            Err(Error::Denied(_)) => Err(Conflict::Id(id).into()),
            Err(error) => Err(error),
        }
    }

    /// Opens a payload as the secret says it is rendered. Private ones open only where [`model::Door::opens_private`].
    pub async fn read_value(&self, call: &Call, id: SecretId) -> Result<Payload, Error> {
        let opened = self.read_payload(call, id).await?;
        Ok(rendering::render(opened.encoding, opened.payload))
    }

    /// Replaces a payload by the one that is rendered as `value`. If there is none, the value becomes the payload and is
    /// rendered as it is from now on.
    pub async fn set_value(&self, call: &Call, id: SecretId, value: Payload) -> Result<(), Error> {
        let action = Action::SetPayload;
        let prepare = || async {
            let found = self.readable(call, id, action).await?;
            let (private, before) = (found.facets.private, found.facets.encoding);
            let rendered = rendering::parse(before, &value);
            let (encoding, payload) = match &rendered {
                Some(payload) => (before, payload),
                None => (Encoding::Raw, &value),
            };
            let key = self.keys.newest(&*self.store, &found.project).await?;
            let bound = Bound { secret: id, private };
            let change = Change::SetPayload {
                id,
                private,
                rendered: before,
                encoding,
                content_type: ContentType::OctetStream,
                sealed: key.seal(&bound, payload).map_err(Failure::from)?.into_vec(),
                time: call.time,
            };
            Ok((action, change))
        };
        self.attempt(call, action, Some(id), self.change_with_retry(call, id, prepare)).await
    }

    /// Whether the caller may be told of changes of its project's secrets. It is asked once, when it begins to follow.
    pub async fn follow(&self, call: &Call) -> Result<(), Error> {
        let action = Action::FollowSecrets;
        self.read(call, action, None, async { self.may(call, action) }).await
    }

    /// Whether the caller's project has secrets that end with this process. For the process itself, which asks now and then:
    /// no line says so.
    pub async fn has_ephemeral(&self, call: &Call) -> Result<bool, Error> {
        let which = Which { ephemeral: Some(true), private: None };
        Ok(self.store.count(&call.caller.project, which, call.time).await? > 0)
    }

    /// The change log after a place, of all projects: a front-end tells each caller what is of theirs.
    pub async fn changes(&self, after: ChangeCursor, limit: u32) -> Result<Changes, Error> {
        Ok(self.store.changes(after, limit).await?)
    }

    /// Follows the end of the change log.
    pub fn newest_change(&self) -> watch::Receiver<ChangeCursor> {
        self.store.newest_change()
    }
}

/// A secret as it is when it is defined for the first time.
fn defined(call: &Call, id: SecretId, facets: Facets) -> Secret {
    Secret {
        id,
        project: call.caller.project.clone(),
        attributes: Attributes::default(),
        creator: call.caller.user.clone(),
        created: call.time,
        updated: call.time,
        status: Status::Active,
        content_type: None,
        project_access: true,
        facets,
        guard: None,
    }
}
