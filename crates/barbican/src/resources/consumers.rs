//! `…/{id}/consumers` of secrets and containers: the services that say that they use them.

use http::StatusCode;
use model::{Consumer, ConsumerId, Guarded, Text, Uses};
use vault::{Action, SecretUse, Sliced, Used};

use crate::problem::Problem;
use crate::python::Value;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::secrets::{self, require_json};
use crate::resources::{containers, list};
use crate::schema::bodies::{CONSUMER, SECRET_CONSUMER};
use crate::schema::{self, mismatch};
use crate::write::Object;

/// `GET …/consumers`
pub(crate) async fn read_all(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    let slice = request.or_refuse_of(reading(of), of, list::slice(request.query)).await?;
    let Sliced { items, total } =
        request.or_problem(request.vault.consumers(request.call, of, slice).await)?;
    let path = match of {
        Guarded::Secret(id) => format!("secrets/{id}/consumers"),
        Guarded::Container(id) => format!("containers/{id}/consumers"),
    };
    let page = Sliced { items: items.iter().map(write).collect(), total };
    Ok(list::page(request, "consumers", &path, page, slice))
}

const fn reading(of: Guarded) -> Action {
    match of {
        Guarded::Secret(_) => Action::ReadConsumers,
        Guarded::Container(_) => Action::ReadContainerConsumers,
    }
}

/// `GET …/consumers/{id}`
pub(crate) async fn read_one(
    request: &ApiRequest<'_>,
    of: Guarded,
    id: ConsumerId,
) -> Result<Reply, Problem> {
    let consumer = request.or_problem(request.vault.consumer(request.call, of, id).await)?;
    Ok(Reply::json(StatusCode::OK, write(&consumer)))
}

fn write(consumer: &Consumer) -> String {
    let mut object = Object::new();
    object.plain("created", consumer.created).plain("updated", consumer.updated).text("status", "ACTIVE");
    name(&mut object, &consumer.who);
    object.end()
}

/// A consumer as a secret or a container shows it.
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
pub(crate) async fn add(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    let action = match of {
        Guarded::Secret(_) => Action::AddConsumer,
        Guarded::Container(_) => Action::AddContainerConsumer,
    };
    let who = understand(request, of, action).await?;
    let used = request.or_problem(request.vault.add_consumer(request.call, of, who).await)?;
    let id = match of {
        Guarded::Secret(id) => id.to_string(),
        Guarded::Container(id) => id.to_string(),
    };
    // Barbican names a place that there is not.
    Ok(written(request, &used)
        .with_location(&format!("{}/v1/consumers/{id}/consumers", request.origin.url())))
}

/// `DELETE …/consumers`
pub(crate) async fn remove(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    let action = match of {
        Guarded::Secret(_) => Action::RemoveConsumer,
        Guarded::Container(_) => Action::RemoveContainerConsumer,
    };
    let who = understand(request, of, action).await?;
    let used = request.or_problem(request.vault.remove_consumer(request.call, of, who).await)?;
    Ok(written(request, &used))
}

/// The secret or container, as it is now.
fn written(request: &ApiRequest<'_>, used: &Used) -> Reply {
    let text = match used {
        Used::Secret(used) => {
            let SecretUse { secret, consumers } = &**used;
            secrets::write(request, secret, Some(consumers))
        }
        Used::Container(view) => containers::write(request, view),
    };
    Reply::json(StatusCode::OK, text)
}

async fn understand(request: &ApiRequest<'_>, of: Guarded, action: Action) -> Result<Uses, Problem> {
    match require_json(request).and_then(|()| parse(request.body, of)) {
        Ok(who) => Ok(who),
        Err(problem) => Err(request.refuse_of(action, of, problem).await),
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
