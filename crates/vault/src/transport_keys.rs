//! Requests about transport keys.

use model::{Absent, Call, Text, TransportKey, TransportKeyId};
use store::{Change, Slice, Sliced};

use crate::audit::Object;
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
        self.attempt(call, action, None, async { self.may(call, action) }).await?;
        let id = TransportKeyId::random();
        let change =
            Change::AddTransportKey(TransportKey { id, created: call.time, updated: call.time, plugin, key });
        let created = self.change(call, action, Object::TransportKey(id), change);
        self.attempt(call, action, Object::TransportKey(id), created).await?;
        Ok(id)
    }

    /// Reads a transport key.
    pub async fn transport_key(&self, call: &Call, id: TransportKeyId) -> Result<TransportKey, Error> {
        let action = Action::ReadTransportKey;
        let read = async {
            self.may(call, action)?;
            Ok(self.store.transport_key(id).await?.ok_or(Absent::TransportKey)?)
        };
        self.read(call, action, Object::TransportKey(id), read).await
    }

    /// Lists transport keys in order of creation; with `plugin`, only those of that back end.
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
        self.read(call, action, None, read).await
    }

    /// Deletes a transport key.
    pub async fn delete_transport_key(&self, call: &Call, id: TransportKeyId) -> Result<(), Error> {
        let action = Action::DeleteTransportKey;
        let deleted = async {
            self.may(call, action)?;
            let change = Change::DeleteTransportKey(id);
            self.change(call, action, Object::TransportKey(id), change).await
        };
        self.attempt(call, action, Object::TransportKey(id), deleted).await
    }
}
