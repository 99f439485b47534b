//! Consumers: who says that they use a secret or a container.

use model::{Call, Consumer, ConsumerId, Counted, Guarded, Secret, Uses};
use store::{Change, Slice, Sliced};

use crate::audit::{Object, Outcome};
use crate::secrets::about;
use crate::{Action, ContainerView, Error, Vault};

/// What is in the things on one page, in bytes, when it ends: a thousand consumers of each of a hundred things would be
/// hundreds of megabytes.
pub const PAGE_BYTES_MAX: usize = 4 << 20;

/// A secret, and who uses it.
#[derive(Clone, Debug)]
pub struct SecretUse {
    /// The secret.
    pub secret: Secret,
    /// Who uses it, in order of registration.
    pub consumers: Vec<Consumer>,
}

/// What a consumer was registered of, or removed from, as it is now.
#[derive(Clone, Debug)]
pub enum Used {
    /// A secret.
    Secret(Box<SecretUse>),
    /// A container.
    Container(Box<ContainerView>),
}

impl Vault {
    /// Who uses something, in order of registration.
    pub async fn consumers(&self, call: &Call, of: Guarded, slice: Slice) -> Result<Sliced<Consumer>, Error> {
        let action = match of {
            Guarded::Secret(_) => Action::ReadConsumers,
            Guarded::Container(_) => Action::ReadContainerConsumers,
        };
        let read = async {
            self.reach(call, of, action).await?;
            Ok(self.store.consumers(of, slice).await?)
        };
        let consumers = self.written(call, action, Object::from(of), read.await).await?;
        self.record(call, action, Object::from(of), Outcome::Done).await?;
        Ok(consumers)
    }

    /// One of them.
    pub async fn consumer(&self, call: &Call, of: Guarded, id: ConsumerId) -> Result<Consumer, Error> {
        let action = match of {
            Guarded::Secret(_) => Action::ReadConsumer,
            Guarded::Container(_) => Action::ReadContainerConsumer,
        };
        let read = async {
            self.reach(call, of, action).await?;
            self.store.consumer(of, id).await?.ok_or(Error::NoSuchConsumer)
        };
        let consumer = self.written(call, action, Object::from(of), read.await).await?;
        self.record(call, action, Object::from(of), Outcome::Done).await?;
        Ok(consumer)
    }

    /// Registers a consumer; fine if it is registered.
    pub async fn add_consumer(&self, call: &Call, of: Guarded, who: Uses) -> Result<Used, Error> {
        let action = match of {
            Guarded::Secret(_) => Action::AddConsumer,
            Guarded::Container(_) => Action::AddContainerConsumer,
        };
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
            self.change(call, action, of, change).await.map_err(|error| about_guarded(of, error))?;
            self.used(of).await
        };
        self.written(call, action, Object::from(of), added.await).await
    }

    /// Removes a consumer; [`Error::NoSuchConsumer`] if it is not registered, [`Error::OthersConsumer`] if neither it nor
    /// what it uses is of the caller's project.
    pub async fn remove_consumer(&self, call: &Call, of: Guarded, who: Uses) -> Result<Used, Error> {
        let action = match of {
            Guarded::Secret(_) => Action::RemoveConsumer,
            Guarded::Container(_) => Action::RemoveContainerConsumer,
        };
        let removed = async {
            let owner = self.reach(call, of, action).await?.project;
            let only_of = (owner != call.caller.project).then(|| call.caller.project.clone());
            let change = Change::RemoveConsumer { of, who, only_of };
            self.change(call, action, of, change).await.map_err(|error| match error {
                store::Error::NotFound => Error::NoSuchConsumer,
                other => about_guarded(of, other),
            })?;
            self.used(of).await
        };
        self.written(call, action, Object::from(of), removed.await).await
    }

    /// Who uses secrets that the caller was shown: at least the first, and so many of the others that all of it is not
    /// much longer than [`PAGE_BYTES_MAX`].
    pub async fn consumers_of_shown(&self, secrets: &[Secret]) -> Result<Vec<Vec<Consumer>>, Error> {
        let mut all = Vec::with_capacity(secrets.len());
        let mut room = PAGE_BYTES_MAX;
        for secret in secrets {
            if room == 0 {
                break;
            }
            let consumers = self.store.consumers(Guarded::Secret(secret.id), Slice::ALL).await?.items;
            room = room.saturating_sub(size(&consumers));
            all.push(consumers);
        }
        Ok(all)
    }

    /// What has just been used, or not any more.
    async fn used(&self, of: Guarded) -> Result<Used, Error> {
        match of {
            Guarded::Secret(id) => {
                let secret = self.store.secret(id).await?.ok_or(Error::NotFound(id))?;
                let consumers = self.store.consumers(of, Slice::ALL).await?.items;
                Ok(Used::Secret(Box::new(SecretUse { secret, consumers })))
            }
            Guarded::Container(id) => {
                let container = self.store.container(id).await?.ok_or(Error::NoSuchContainer)?;
                Ok(Used::Container(Box::new(self.view(container).await?)))
            }
        }
    }
}

/// How much consumers add to a page, nearly.
pub(crate) fn size(consumers: &[Consumer]) -> usize {
    let texts = |who: &Uses| match who {
        Uses::Secret { service, resource_type, resource_id } => {
            service.as_str().len() + resource_type.as_str().len() + resource_id.as_str().len()
        }
        Uses::Container { name, url } => name.as_str().len() + url.as_str().len(),
    };
    consumers.iter().map(|consumer| size_of::<Consumer>() + texts(&consumer.who)).sum()
}

/// The store's answer about a change of what belongs to a secret or a container.
pub(crate) fn about_guarded(of: Guarded, error: store::Error) -> Error {
    match (of, error) {
        (Guarded::Secret(id), error) => about(id, error),
        (Guarded::Container(_), store::Error::NotFound) => Error::NoSuchContainer,
        (of, store::Error::Unguarded) => Error::Corrupt { of, source: seal::Error::Altered },
        (Guarded::Container(_), error) => error.into(),
    }
}
