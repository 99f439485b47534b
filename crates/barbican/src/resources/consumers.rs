//! `…/{id}/consumers` of secrets and containers: who says that they use them.

use http::StatusCode;
use model::{Consumer, ConsumerId, Guarded, Text, Uses};
use vault::{Action, SecretUse, Sliced, Used};

use crate::ask::Ask;
use crate::problem::Problem;
use crate::python::Value;
use crate::reply::Reply;
use crate::resources::secrets::{self, require_json};
use crate::resources::{containers, list};
use crate::schema::bodies::{CONSUMER, SECRET_CONSUMER};
use crate::schema::{self, mismatch};
use crate::write::Object;

/// `GET …/consumers`
pub(crate) async fn read_all(ask: &Ask<'_>, of: Guarded) -> Result<Reply, Problem> {
    let slice = match list::slice(ask.query) {
        Ok(slice) => slice,
        Err(problem) => return Err(ask.refuse_of(reading(of), of, problem).await),
    };
    let Sliced { items, total } =
        ask.vault.consumers(ask.call, of, slice).await.map_err(|error| ask.failed(&error))?;
    let path = match of {
        Guarded::Secret(id) => format!("secrets/{id}/consumers"),
        Guarded::Container(id) => format!("containers/{id}/consumers"),
    };
    let page = Sliced { items: items.iter().map(write).collect(), total };
    Ok(list::page(ask, "consumers", &path, page, slice))
}

const fn reading(of: Guarded) -> Action {
    match of {
        Guarded::Secret(_) => Action::ReadConsumers,
        Guarded::Container(_) => Action::ReadContainerConsumers,
    }
}

/// `GET …/consumers/{id}`
pub(crate) async fn read_one(ask: &Ask<'_>, of: Guarded, id: ConsumerId) -> Result<Reply, Problem> {
    let consumer = ask.vault.consumer(ask.call, of, id).await.map_err(|error| ask.failed(&error))?;
    Ok(Reply::json(StatusCode::OK, write(&consumer)))
}

fn write(consumer: &Consumer) -> String {
    let mut object = Object::new();
    object.plain("created", consumer.created).plain("updated", consumer.updated).text("status", "ACTIVE");
    name(&mut object, &consumer.who);
    object.end()
}

/// A consumer as it is shown with what it uses.
pub(crate) fn short(who: &Uses) -> String {
    let mut object = Object::new();
    name(&mut object, who);
    object.end()
}

fn name(object: &mut Object, who: &Uses) {
    match who {
        Uses::Secret { service, resource_type, resource_id } => object
            .text("service", service.as_str())
            .text("resource_type", resource_type.as_str())
            .text("resource_id", resource_id.as_str()),
        Uses::Container { name, url } => object.text("name", name.as_str()).text("URL", url.as_str()),
    };
}

/// `POST …/consumers`
pub(crate) async fn add(ask: &Ask<'_>, of: Guarded) -> Result<Reply, Problem> {
    let action = match of {
        Guarded::Secret(_) => Action::AddConsumer,
        Guarded::Container(_) => Action::AddContainerConsumer,
    };
    let who = understand(ask, of, action).await?;
    let used = ask.vault.add_consumer(ask.call, of, who).await.map_err(|error| ask.failed(&error))?;
    let id = match of {
        Guarded::Secret(id) => id.to_string(),
        Guarded::Container(id) => id.to_string(),
    };
    // Barbican names a place that there is not.
    Ok(written(ask, &used).at(&format!("{}/v1/consumers/{id}/consumers", ask.origin.url())))
}

/// `DELETE …/consumers`
pub(crate) async fn remove(ask: &Ask<'_>, of: Guarded) -> Result<Reply, Problem> {
    let action = match of {
        Guarded::Secret(_) => Action::RemoveConsumer,
        Guarded::Container(_) => Action::RemoveContainerConsumer,
    };
    let who = understand(ask, of, action).await?;
    let used = ask.vault.remove_consumer(ask.call, of, who).await.map_err(|error| ask.failed(&error))?;
    Ok(written(ask, &used))
}

/// What is used, as it is now.
fn written(ask: &Ask<'_>, used: &Used) -> Reply {
    let text = match used {
        Used::Secret(used) => {
            let SecretUse { secret, consumers } = &**used;
            secrets::write(ask, secret, Some(consumers))
        }
        Used::Container(view) => containers::write(ask, view),
    };
    Reply::json(StatusCode::OK, text)
}

async fn understand(ask: &Ask<'_>, of: Guarded, action: Action) -> Result<Uses, Problem> {
    match require_json(ask).and_then(|()| parse(ask.body, of)) {
        Ok(who) => Ok(who),
        Err(problem) => Err(ask.refuse_of(action, of, problem).await),
    }
}

pub(crate) fn parse(body: &[u8], of: Guarded) -> Result<Uses, Problem> {
    let (schema, name) = match of {
        Guarded::Secret(_) => (&SECRET_CONSUMER, "Secret Consumer"),
        Guarded::Container(_) => (&CONSUMER, "Consumer"),
    };
    let value = schema::read(body, schema, name)?;
    let text = |key| {
        let text = value.get(key).and_then(Value::as_text).unwrap_or_default();
        Text::try_from(text).map_err(|error| mismatch(name, &error.to_string(), key))
    };
    Ok(match of {
        Guarded::Secret(_) => Uses::Secret {
            service: text("service")?,
            resource_type: text("resource_type")?,
            resource_id: text("resource_id")?,
        },
        Guarded::Container(_) => Uses::Container { name: text("name")?, url: text("URL")? },
    })
}
