//! Transport keys.

use model::{Call, Text, TransportKey, TransportKeyId};
use store::{Change, Slice, Sliced};

use crate::audit::{Object, Outcome};
use crate::{Action, Error, Vault};

impl Vault {
    /// Registers a transport key.
    pub async fn create_transport_key(
        &self,
        call: &Call,
        plugin: Text,
        key: String,
    ) -> Result<TransportKeyId, Error> {
        let action = Action::CreateTransportKey;
        let may = self.may(call, action);
        self.written(call, action, None, may).await?;
        let id = TransportKeyId::random();
        let change =
            Change::AddTransportKey(TransportKey { id, created: call.time, updated: call.time, plugin, key });
        let created = self.change(call, action, Object::TransportKey(id), change).await.map_err(Error::from);
        self.written(call, action, Object::TransportKey(id), created).await?;
        Ok(id)
    }

    /// One transport key.
    pub async fn transport_key(&self, call: &Call, id: TransportKeyId) -> Result<TransportKey, Error> {
        let action = Action::ReadTransportKey;
        let read = async {
            self.may(call, action)?;
            self.store.transport_key(id).await?.ok_or(Error::NoSuchTransportKey)
        };
        let key = self.written(call, action, Object::TransportKey(id), read.await).await?;
        self.record(call, action, Object::TransportKey(id), Outcome::Done).await?;
        Ok(key)
    }

    /// Transport keys, in order of creation; those of one back end, if it is named.
    pub async fn transport_keys(
        &self,
        call: &Call,
        plugin: Option<&str>,
        slice: Slice,
    ) -> Result<Sliced<TransportKey>, Error> {
        let action = Action::ListTransportKeys;
        let read = async {
            self.may(call, action)?;
            Ok(self.store.transport_keys(plugin, slice).await?)
        };
        let page = self.written(call, action, None, read.await).await?;
        self.record(call, action, None, Outcome::Done).await?;
        Ok(page)
    }

    /// Deletes a transport key.
    pub async fn delete_transport_key(&self, call: &Call, id: TransportKeyId) -> Result<(), Error> {
        let action = Action::DeleteTransportKey;
        let deleted = async {
            self.may(call, action)?;
            let change = Change::DeleteTransportKey(id);
            self.change(call, action, Object::TransportKey(id), change).await.map_err(|error| match error {
                store::Error::NotFound => Error::NoSuchTransportKey,
                other => other.into(),
            })
        };
        self.written(call, action, Object::TransportKey(id), deleted.await).await
    }
}
