//! Consumers register that they use a secret or a container.

use model::{Absent, Call, Consumer, ConsumerId, Counted, Guarded, ListQuery, Page, Secret, SecretId, Uses};
use store::{Change, Slice, Sliced};

use crate::acls::action_on;
use crate::audit::Object;
use crate::{Action, ContainerView, Error, Vault};

/// How many bytes of consumers a page may have before it ends: a hundred secrets with a thousand consumers each would
/// take hundreds of megabytes.
pub const PAGE_BYTES_MAX: usize = 4 << 20;

/// A secret with its consumers.
#[derive(Clone, Debug)]
pub struct SecretUse {
    /// The secret.
    pub secret: Secret,
    /// Its consumers, in order of registration.
    pub consumers: Vec<Consumer>,
}

/// The secret or container whose consumers changed, as it is after the change.
#[derive(Clone, Debug)]
pub enum Used {
    /// A secret.
    Secret(Box<SecretUse>),
    /// A container.
    Container(Box<ContainerView>),
}

impl Vault {
    /// Lists the consumers of a secret or a container, in order of registration.
    pub async fn consumers(&self, call: &Call, of: Guarded, slice: Slice) -> Result<Sliced<Consumer>, Error> {
        let action = action_on(of, Action::ReadConsumers, Action::ReadContainerConsumers);
        let read = async {
            self.reach(call, of, action).await?;
            Ok(self.store.consumers(of, slice).await?)
        };
        self.read(call, action, Object::from(of), read).await
    }

    /// Reads one consumer.
    pub async fn consumer(&self, call: &Call, of: Guarded, id: ConsumerId) -> Result<Consumer, Error> {
        let action = action_on(of, Action::ReadConsumer, Action::ReadContainerConsumer);
        let read = async {
            self.reach(call, of, action).await?;
            Ok(self.store.consumer(of, id).await?.ok_or(Absent::Consumer)?)
        };
        self.read(call, action, Object::from(of), read).await
    }

    /// Registers a consumer; no error if it is registered already.
    pub async fn add_consumer(&self, call: &Call, of: Guarded, who: Uses) -> Result<Used, Error> {
        let action = action_on(of, Action::AddConsumer, Action::AddContainerConsumer);
        let added = async {
            self.reach(call, of, action).await?;
            let consumer = Consumer {
                id: ConsumerId::random(),
                project: call.caller.project.clone(),
                created: call.time,
                updated: call.time,
                who,
            };
            let change = Change::AddConsumer { of, consumer, limit: self.limit(Counted::Consumers) };
            self.change(call, action, of, change).await?;
            self.view_used(of).await
        };
        self.attempt(call, action, Object::from(of), added).await
    }

    /// Removes a consumer; [`Absent::Consumer`] if it is not registered, [`crate::Denied::OthersConsumer`] if neither the
    /// consumer nor the secret or container belongs to the caller's project.
    pub async fn remove_consumer(&self, call: &Call, of: Guarded, who: Uses) -> Result<Used, Error> {
        let action = action_on(of, Action::RemoveConsumer, Action::RemoveContainerConsumer);
        let removed = async {
            let owner = self.reach(call, of, action).await?.project;
            let only_of = (owner != call.caller.project).then(|| call.caller.project.clone());
            let change = Change::RemoveConsumer { of, who, only_of };
            self.change(call, action, of, change).await?;
            self.view_used(of).await
        };
        self.attempt(call, action, Object::from(of), removed).await
    }

    /// A secret with its consumers.
    pub async fn secret_use(&self, call: &Call, id: SecretId) -> Result<SecretUse, Error> {
        let action = Action::ReadSecret;
        let read = async {
            let secret = self.readable(call, id, action).await?;
            let consumers = self.store.consumers(Guarded::Secret(id), Slice::ALL).await?.items;
            Ok(SecretUse { secret, consumers })
        };
        self.read(call, action, Some(id), read).await
    }

    /// One page of secrets as [`Vault::list_secrets`], with their consumers. The page has at least one secret, and ends
    /// when its consumers exceed [`PAGE_BYTES_MAX`].
    pub async fn list_secret_uses(&self, call: &Call, query: &ListQuery) -> Result<Sliced<SecretUse>, Error> {
        let list = async {
            let Page { secrets, total } = self.page(call, query).await?;
            let (mut items, mut room) = (Vec::with_capacity(secrets.len()), PAGE_BYTES_MAX);
            for secret in secrets {
                if room == 0 {
                    break;
                }
                let consumers = self.store.consumers(Guarded::Secret(secret.id), Slice::ALL).await?.items;
                room = room.saturating_sub(consumers_size(&consumers));
                items.push(SecretUse { secret, consumers });
            }
            Ok(Sliced { items, total })
        };
        self.read(call, Action::ListSecrets, None, list).await
    }

    /// The secret or container whose consumers have just changed.
    async fn view_used(&self, of: Guarded) -> Result<Used, Error> {
        match of {
            Guarded::Secret(id) => {
                let secret = self.store.secret(id).await?.ok_or(Absent::Secret(id))?;
                let consumers = self.store.consumers(of, Slice::ALL).await?.items;
                Ok(Used::Secret(Box::new(SecretUse { secret, consumers })))
            }
            Guarded::Container(id) => {
                let container = self.store.container(id).await?.ok_or(Absent::Container)?;
                Ok(Used::Container(Box::new(self.view(container).await?)))
            }
        }
    }
}

/// About how many bytes consumers add to a page.
pub(crate) fn consumers_size(consumers: &[Consumer]) -> usize {
    let texts = |who: &Uses| match who {
        Uses::Secret { service, resource_type, resource_id } => {
            service.as_str().len() + resource_type.as_str().len() + resource_id.as_str().len()
        }
        Uses::Container { name, url } => name.as_str().len() + url.as_str().len(),
    };
    consumers.iter().map(|consumer| size_of::<Consumer>() + texts(&consumer.who)).sum()
}
