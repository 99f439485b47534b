//! The requests of hypervisors. They define secrets under ids of their own, find them by usage, and list them as
//! handles. A value is a payload, rendered as the secret says.

use std::future::ready;

use model::{
    Absent, Attributes, Call, Conflict, ContentType, Counted, Encoding, Facets, Guarded, Handle, Listed,
    SecretId, Usage, Which,
};
use store::{Change, Reseal};

use crate::rendering;
use crate::secrets::seal_payload;
use crate::{Action, Error, Payload, Vault};

impl Vault {
    /// Finds a secret by its id.
    pub async fn lookup(&self, call: &Call, id: SecretId) -> Result<Listed, Error> {
        let action = Action::ReadSecret;
        let found = async { Ok(self.find_handle(call, action, id, || self.store.handle(id)).await?.listed) };
        self.read(call, action, Some(id), found).await
    }

    /// Finds a secret of the caller's project by its usage. An error names [`SecretId::NIL`].
    pub async fn lookup_usage(&self, call: &Call, usage: &Usage) -> Result<Listed, Error> {
        let action = Action::ReadSecret;
        let look = || self.store.handle_by_usage(&call.caller.project, usage);
        let found = self.find_handle(call, action, SecretId::NIL, look).await.map(|found| found.listed);
        let id = found.as_ref().ok().map(|listed| listed.id);
        self.read(call, action, id, ready(found)).await
    }

    /// Finds a secret that this caller may use, for a caller that knows it by this id.
    async fn find_handle<Looking>(
        &self,
        call: &Call,
        action: Action,
        id: SecretId,
        look: impl Fn() -> Looking,
    ) -> Result<Handle, Error>
    where
        Looking: Future<Output = Result<Option<Handle>, store::Error>>,
    {
        let found = self
            .find(call, action, Absent::Secret(id), look, |found| {
                let of = Guarded::Secret(found.listed.id);
                (found.access.standing(of), found.access.guard.as_ref())
            })
            .await;
        match found {
            Err(Error::Absent(Absent::Secret(_))) => Err(Absent::Secret(id).into()), // The caller need not learn which one.
            found => found,
        }
    }

    /// Counts the secrets of the caller's project.
    pub async fn count_secrets(&self, call: &Call, which: Which) -> Result<u64, Error> {
        let count = async {
            self.may(call, Action::ListSecrets)?;
            Ok(self.store.count(&call.caller.project, which, call.time).await?)
        };
        self.read(call, Action::ListSecrets, None, count).await
    }

    /// Lists at most `limit` secrets of the caller's project, in no particular order.
    pub async fn all_secrets(&self, call: &Call, which: Which, limit: usize) -> Result<Vec<Listed>, Error> {
        let list = async {
            self.may(call, Action::ListSecrets)?;
            Ok(self.store.handles(&call.caller.project, which, call.time, limit).await?)
        };
        self.read(call, Action::ListSecrets, None, list).await
    }

    /// Creates a secret under an id. If the project has that secret already, changes its facets by the rules of
    /// [`Facets::redefined`]; its payload stays.
    pub async fn define_secret(&self, call: &Call, id: SecretId, facets: Facets) -> Result<(), Error> {
        let prepare = || async {
            let (action, reseal) = self.prepare_definition(call, id, &facets).await?;
            let (secret, _) = self.new_record(call, id, Attributes::default(), None, facets.clone()).await?;
            Ok((action, Change::DefineSecret { secret, reseal, limit: self.limit(Counted::Secrets) }))
        };
        let define = self.change_with_retry(call, id, prepare);
        self.attempt(call, Action::DefineSecret, Some(id), define).await
    }

    /// Checks that the caller may define the secret. Returns the action to write down, and the payload sealed again if
    /// the definition makes the secret private.
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
            // The id belongs to another project, so this project cannot use it.
            Err(Error::Denied(_)) => Err(Conflict::Id(id).into()),
            Err(error) => Err(error),
        }
    }

    /// Reads a payload, rendered as the secret says. A private one opens only if [`model::Door::opens_private`].
    pub async fn read_value(&self, call: &Call, id: SecretId) -> Result<Payload, Error> {
        let opened = self.read_payload(call, id).await?;
        Ok(rendering::render(opened.encoding, opened.payload))
    }

    /// Replaces a payload by the one that renders as `value`. If there is no such payload, the value becomes the payload,
    /// and from now on it is rendered without encoding.
    pub async fn set_value(&self, call: &Call, id: SecretId, value: Payload) -> Result<(), Error> {
        let action = Action::SetPayload;
        let prepare = || async {
            let found = self.find_handle(call, action, id, || self.store.handle(id)).await?;
            let (private, before) = (found.access.private, found.encoding);
            let rendered = rendering::parse(before, &value);
            let (encoding, payload) = match &rendered {
                Some(payload) => (before, payload),
                None => (Encoding::Raw, &value),
            };
            let key = self.keys.newest(&*self.store, &found.access.project).await?;
            let change = Change::SetPayload {
                id,
                private,
                rendered: before,
                encoding,
                content_type: ContentType::OctetStream,
                sealed: seal_payload(&key, id, private, payload)?,
                time: call.time,
            };
            Ok((action, change))
        };
        self.attempt(call, action, Some(id), self.change_with_retry(call, id, prepare)).await
    }

    /// Whether the caller's project has ephemeral secrets, which are gone when this process ends. The process itself asks
    /// this now and then, so it writes no line into the audit trail.
    pub async fn has_ephemeral(&self, call: &Call) -> Result<bool, Error> {
        self.may(call, Action::ListSecrets)?;
        let which = Which { ephemeral: Some(true), private: None };
        Ok(self.store.count(&call.caller.project, which, call.time).await? > 0)
    }
}
