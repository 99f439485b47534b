//! Containers: secrets that belong together.

use model::{
    Absent, Call, Conflict, Consumer, Container, ContainerId, ContainerQuery, ContainerSecret, ContainerType,
    Counted, Guarded, Text,
};
use store::{Change, Slice, Sliced};

use crate::audit::Object;
use crate::consumers::{PAGE_BYTES_MAX, consumers_size};
use crate::{Action, Denied, Error, Vault};

/// A container to create.
#[derive(Clone, Debug)]
pub struct NewContainer {
    /// A name for people.
    pub name: Option<Text>,
    /// The type, which says what the secrets are.
    pub container_type: ContainerType,
    /// The secrets, which all belong to the caller's project.
    pub secrets: Vec<ContainerSecret>,
}

/// A container with its secrets and consumers.
#[derive(Clone, Debug)]
pub struct ContainerView {
    /// The container.
    pub container: Container,
    /// Its secrets, in the order in which they were added.
    pub secrets: Vec<ContainerSecret>,
    /// Its consumers, in order of registration.
    pub consumers: Vec<Consumer>,
}

impl ContainerView {
    /// About how many bytes it adds to a page.
    fn size(&self) -> usize {
        let names =
            self.secrets.iter().map(|secret| secret.name.as_ref().map_or(0, |name| name.as_str().len()));
        self.secrets.len() * size_of::<ContainerSecret>()
            + names.sum::<usize>()
            + consumers_size(&self.consumers)
    }
}

impl Vault {
    /// Creates a container. It is on disk when this returns.
    pub async fn create_container(&self, call: &Call, new: NewContainer) -> Result<ContainerId, Error> {
        let action = Action::CreateContainer;
        self.attempt(call, action, None, async { self.may(call, action) }).await?;
        let id = ContainerId::random();
        let created = async {
            let NewContainer { name, container_type, secrets } = new;
            let container = self.new_container(call, id, name, container_type).await?;
            let change =
                Change::CreateContainer { container, secrets, limit: self.limit(Counted::Containers) };
            self.change(call, action, Object::Container(id), change).await
        };
        self.attempt(call, action, Object::Container(id), created).await?;
        Ok(id)
    }

    /// The guarded record of a container that this call creates.
    pub(crate) async fn new_container(
        &self,
        call: &Call,
        id: ContainerId,
        name: Option<Text>,
        container_type: ContainerType,
    ) -> Result<Box<Container>, Error> {
        let mut container = Box::new(Container {
            id,
            project: call.caller.project.clone(),
            creator: call.caller.user.clone(),
            created: call.time,
            updated: call.time,
            name,
            container_type,
            project_access: true,
            guard: None,
        });
        let key = self.keys.newest(&*self.store, &container.project).await?;
        container.guard = Some(key.guard(&container.standing(), None));
        Ok(container)
    }

    /// Reads a container.
    pub async fn container(&self, call: &Call, id: ContainerId) -> Result<ContainerView, Error> {
        let action = Action::ReadContainer;
        let read = async {
            let container = self.accessible_container(call, id, action).await?;
            self.view(container).await
        };
        self.read(call, action, Object::Container(id), read).await
    }

    /// Lists the containers of the caller's project. A query for another project is denied. A page of large containers
    /// ends early, at about [`PAGE_BYTES_MAX`].
    pub async fn list_containers(
        &self,
        call: &Call,
        query: &ContainerQuery,
    ) -> Result<Sliced<ContainerView>, Error> {
        let action = Action::ListContainers;
        let listed = async {
            self.may(call, action)?;
            if query.project != call.caller.project {
                return Err(Denied::Action(action).into());
            }
            let Sliced { items, total } = self.store.containers(query).await?;
            let mut views = Vec::with_capacity(items.len());
            let mut room = PAGE_BYTES_MAX;
            for container in items {
                if room == 0 {
                    break;
                }
                let view = self.view(container).await?;
                room = room.saturating_sub(view.size());
                views.push(view);
            }
            Ok(Sliced { items: views, total })
        };
        self.read(call, action, None, listed).await
    }

    /// Adds a secret to a generic container.
    pub async fn add_container_secret(
        &self,
        call: &Call,
        id: ContainerId,
        secret: ContainerSecret,
    ) -> Result<(), Error> {
        let change = Change::AddContainerSecret { id, secret, time: call.time };
        self.change_contents(call, Action::AddContainerSecret, id, change).await
    }

    /// Removes a secret from a generic container.
    pub async fn remove_container_secret(
        &self,
        call: &Call,
        id: ContainerId,
        secret: ContainerSecret,
    ) -> Result<(), Error> {
        let change = Change::RemoveContainerSecret { id, secret, time: call.time };
        self.change_contents(call, Action::RemoveContainerSecret, id, change).await
    }

    async fn change_contents(
        &self,
        call: &Call,
        action: Action,
        id: ContainerId,
        change: Change,
    ) -> Result<(), Error> {
        let changed = async {
            let container = self.accessible_container(call, id, action).await?;
            if container.container_type != ContainerType::Generic {
                return Err(Conflict::NotGeneric.into());
            }
            self.change(call, action, Object::Container(id), change).await
        };
        self.attempt(call, action, Object::Container(id), changed).await
    }

    /// Deletes a container; its secrets stay.
    pub async fn delete_container(&self, call: &Call, id: ContainerId) -> Result<(), Error> {
        let action = Action::DeleteContainer;
        let deleted = async {
            self.reach(call, Guarded::Container(id), action).await?;
            let change = Change::DeleteContainer(id);
            self.change(call, action, Object::Container(id), change).await
        };
        self.attempt(call, action, Object::Container(id), deleted).await
    }

    /// Finds a container that this caller may use.
    pub(crate) async fn accessible_container(
        &self,
        call: &Call,
        id: ContainerId,
        action: Action,
    ) -> Result<Container, Error> {
        self.find(
            call,
            action,
            Absent::Container,
            || self.store.container(id),
            |found| (found.standing(), found.guard.as_ref()),
        )
        .await
    }

    pub(crate) async fn view(&self, container: Container) -> Result<ContainerView, Error> {
        let secrets = self.store.container_secrets(container.id).await?;
        let consumers = self.store.consumers(Guarded::Container(container.id), Slice::ALL).await?.items;
        Ok(ContainerView { container, secrets, consumers })
    }
}
