//! What hypervisors ask: secrets defined under ids of their own, found by what they are used for, listed as handles, and
//! their values, which are payloads as the secret says they are rendered.

use model::{
    Attributes, Call, ChangeCursor, Changes, ContentType, Counted, Encoding, Facets, Guarded, Handle, Listed,
    ProjectId, Secret, SecretId, Status, Timestamp, Usage, Which,
};
use seal::Bound;
use store::{Change, Reseal};
use tokio::sync::watch;

use crate::audit::Outcome;
use crate::guards::Decided;
use crate::rendering;
use crate::secrets::about;
use crate::vault::TRIES;
use crate::{Action, Error, Payload, Vault};

impl Vault {
    /// What an id points at.
    pub async fn lookup(&self, call: &Call, id: SecretId) -> Result<Listed, Error> {
        let found = self.pointed_at(call, id, || self.store.handle(id)).await;
        self.looked_up(call, Some(id), found).await
    }

    /// What a usage points at in the caller's project. An error names [`SecretId::NIL`].
    pub async fn lookup_usage(&self, call: &Call, usage: &Usage) -> Result<Listed, Error> {
        let look = || self.store.handle_by_usage(&call.caller.project, usage);
        let found = self.pointed_at(call, SecretId::NIL, look).await;
        let id = found.as_ref().ok().map(|listed| listed.id);
        self.looked_up(call, id, found).await
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
        let action = Action::ReadSecret;
        for _ in 0..TRIES {
            let handle = look().await?.ok_or(Error::NotFound(id))?;
            let of = Guarded::Secret(handle.listed.id);
            let decided =
                self.decide(call, action, &handle.access.standing(of), handle.access.guard.as_ref()).await;
            let named = |error| match error {
                Error::NotFound(_) => Error::NotFound(id),
                other => other,
            };
            if decided.map_err(named)? == Decided::Allowed {
                return Ok(handle.listed);
            }
        }
        Err(Error::Busy)
    }

    async fn looked_up(
        &self,
        call: &Call,
        id: Option<SecretId>,
        found: Result<Listed, Error>,
    ) -> Result<Listed, Error> {
        let listed = self.written(call, Action::ReadSecret, id, found).await?;
        self.record(call, Action::ReadSecret, id, Outcome::Done).await?;
        Ok(listed)
    }

    /// How many secrets the caller's project has.
    pub async fn count_secrets(&self, call: &Call, which: Which) -> Result<u64, Error> {
        let counted = async {
            self.may(call, Action::ListSecrets)?;
            Ok(self.store.count(&call.caller.project, which, call.time).await?)
        };
        let count = self.written(call, Action::ListSecrets, None, counted.await).await?;
        self.record(call, Action::ListSecrets, None, Outcome::Done).await?;
        Ok(count)
    }

    /// The secrets of the caller's project, in no order; of more than `limit` only so many.
    pub async fn all_secrets(&self, call: &Call, which: Which, limit: usize) -> Result<Vec<Listed>, Error> {
        let listed = async {
            self.may(call, Action::ListSecrets)?;
            Ok(self.store.handles(&call.caller.project, which, call.time, limit).await?)
        };
        let all = self.written(call, Action::ListSecrets, None, listed.await).await?;
        self.record(call, Action::ListSecrets, None, Outcome::Done).await?;
        Ok(all)
    }

    /// Creates a secret under an id, or, if the project has it, gives it these facets by the rules of
    /// [`Facets::redefined`]. Its payload stays.
    pub async fn define_secret(&self, call: &Call, id: SecretId, facets: Facets) -> Result<(), Error> {
        let defined = async {
            let mut tries = 0;
            loop {
                let (action, reseal) = self.prepare_definition(call, id, &facets).await?;
                let mut secret = Box::new(defined(call, id, facets.clone()));
                let key = self.keys.newest(&*self.store, &secret.project).await?;
                secret.guard = Some(key.guard(&secret.standing(), None));
                let limit = self.limit(Counted::Secrets);
                tries += 1;
                match self.change(call, action, id, Change::DefineSecret { secret, reseal, limit }).await {
                    Err(store::Error::Changed) if tries < TRIES => {} // Its payload or its flag changed meanwhile.
                    done => return done.map_err(|error| about(id, error)),
                }
            }
        };
        self.written(call, Action::DefineSecret, Some(id), defined.await).await
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
            Err(Error::NotFound(_)) => {
                self.may(call, Action::CreateSecret)?;
                Ok((Action::CreateSecret, None))
            }
            // It is another project's, which has to be said: here it is in the way.
            Err(Error::Denied(_)) => Err(Error::IdTaken(id)),
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
        let set = async {
            let mut tries = 0;
            loop {
                let found = self.readable(call, id, action).await?;
                let (private, encoding_before) = (found.facets.private, found.facets.encoding);
                let rendered = rendering::parse(encoding_before, &value);
                let (encoding, payload) = match &rendered {
                    Some(payload) => (encoding_before, payload),
                    None => (Encoding::Raw, &value),
                };
                let key = self.keys.newest(&*self.store, &found.project).await?;
                let bound = Bound { secret: id, private };
                let change = Change::SetPayload {
                    id,
                    private,
                    rendered: encoding_before,
                    encoding,
                    content_type: ContentType::OctetStream,
                    sealed: key.seal(&bound, payload).map_err(Error::Keys)?.into_vec(),
                    time: call.time,
                };
                tries += 1;
                match self.change(call, action, id, change).await {
                    Err(store::Error::Changed) if tries < TRIES => {} // It became private meanwhile.
                    done => return done.map_err(|error| about(id, error)),
                }
            }
        };
        self.written(call, action, Some(id), set.await).await
    }

    /// Whether the caller may be told of changes of its project's secrets. It is asked once, when it begins to follow.
    pub async fn may_follow(&self, call: &Call) -> Result<(), Error> {
        let action = Action::FollowSecrets;
        let may = self.may(call, action);
        self.written(call, action, None, may).await?;
        self.record(call, action, None, Outcome::Done).await
    }

    /// Whether a project has secrets that end with this process. For the process itself: nobody is asked.
    pub async fn has_ephemeral(&self, project: &ProjectId, now: Timestamp) -> Result<bool, Error> {
        let which = Which { ephemeral: Some(true), private: None };
        Ok(self.store.count(project, which, now).await? > 0)
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
