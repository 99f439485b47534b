//! `…/{id}/consumers` of secrets and containers: the services that say that they use them.

use http::StatusCode;
use model::{Consumer, ConsumerId, Guarded, Text, Uses};
use vault::{Action, Used};

use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::secrets::name_consumer;
use crate::resources::{containers, list, secrets};
use crate::schema::bodies::{CONSUMER, SECRET_CONSUMER};
use crate::schema::{self, mismatch};
use crate::write::Object;

/// `GET …/consumers`
pub(crate) async fn read_all(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    let action = action(of, Action::ReadConsumers, Action::ReadContainerConsumers);
    let slice = request.or_refuse_of(action, of, list::slice(request.query)).await?;
    let found = request.or_problem(request.vault.consumers(request.call, of, slice).await)?;
    let url = format!("{}/consumers", request.guarded_ref(of));
    Ok(list::page("consumers", &url, &found, slice, write))
}

/// The action on a secret's consumers, or the one on a container's.
const fn action(of: Guarded, on_secret: Action, on_container: Action) -> Action {
    match of {
        Guarded::Secret(_) => on_secret,
        Guarded::Container(_) => on_container,
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
    name_consumer(&mut object, &consumer.who).end()
}

/// `POST …/consumers`
pub(crate) async fn add(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    let action = action(of, Action::AddConsumer, Action::AddContainerConsumer);
    let who = understand(request, of, action).await?;
    let used = request.or_problem(request.vault.add_consumer(request.call, of, who).await)?;
    let id = match of {
        Guarded::Secret(id) => id.to_string(),
        Guarded::Container(id) => id.to_string(),
    };
    // Barbican names a place that does not exist.
    Ok(written(request, &used).with_location(&request.url(format_args!("consumers/{id}/consumers"))))
}

/// `DELETE …/consumers`
pub(crate) async fn remove(request: &ApiRequest<'_>, of: Guarded) -> Result<Reply, Problem> {
    let action = action(of, Action::RemoveConsumer, Action::RemoveContainerConsumer);
    let who = understand(request, of, action).await?;
    let used = request.or_problem(request.vault.remove_consumer(request.call, of, who).await)?;
    Ok(written(request, &used))
}

/// The secret or container, as it is now.
fn written(request: &ApiRequest<'_>, used: &Used) -> Reply {
    let text = match used {
        Used::Secret(used) => secrets::write_use(request, used),
        Used::Container(view) => containers::write(request, view),
    };
    Reply::json(StatusCode::OK, text)
}

async fn understand(request: &ApiRequest<'_>, of: Guarded, action: Action) -> Result<Uses, Problem> {
    request.or_refuse_of(action, of, request.json_body().and_then(|body| parse(body, of))).await
}

pub(crate) fn parse(body: &[u8], of: Guarded) -> Result<Uses, Problem> {
    let (schema, name) = match of {
        Guarded::Secret(_) => (&SECRET_CONSUMER, "Secret Consumer"),
        Guarded::Container(_) => (&CONSUMER, "Consumer"),
    };
    let value = schema::read(body, schema, name)?;
    let text = |key| {
        let text = value.text_at(key).unwrap_or_default();
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
