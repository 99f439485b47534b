//! `/v1/quotas`, `/v1/project-quotas` and `/v1/project-quotas/{project}`: how much a project may have.

use http::StatusCode;
use model::{Counted, ProjectId, ProjectQuotas};
use vault::{Action, Sliced};

use crate::ask::Ask;
use crate::problem::Problem;
use crate::python::Value;
use crate::reply::Reply;
use crate::resources::list;
use crate::resources::secrets::require_json;
use crate::schema;
use crate::schema::bodies::PROJECT_QUOTA;
use crate::write::Object;

/// `GET /v1/quotas`: what the caller's project may have.
pub(crate) async fn read_own(ask: &Ask<'_>) -> Result<Reply, Problem> {
    let quotas = ask.vault.own_quotas(ask.call).await.map_err(|error| ask.failed(&error))?;
    let mut numbers = Object::new();
    for counted in Counted::ALL {
        numbers.json(counted.as_str(), quotas.of(counted));
    }
    let mut object = Object::new();
    object.json("quotas", numbers.end());
    Ok(Reply::json(StatusCode::OK, object.end()))
}

/// `GET /v1/project-quotas`
pub(crate) async fn read_all(ask: &Ask<'_>) -> Result<Reply, Problem> {
    let slice = match list::slice(ask.query) {
        Ok(slice) => slice,
        Err(problem) => return Err(ask.refuse(Action::ReadProjectQuotas, None, problem).await),
    };
    let Sliced { items, total } =
        ask.vault.all_project_quotas(ask.call, slice).await.map_err(|error| ask.failed(&error))?;
    let one = |(project, quotas): &(ProjectId, ProjectQuotas)| {
        let mut object = Object::new();
        object.text("project_id", project.as_str()).json("project_quotas", write(quotas));
        object.end()
    };
    let page = Sliced { items: items.iter().map(one).collect(), total };
    // Barbican names its neighbours by a path that there is not.
    Ok(list::page(ask, "project_quotas", "project_quotas", page, slice))
}

fn write(quotas: &ProjectQuotas) -> String {
    let mut object = Object::new();
    for counted in Counted::ALL {
        match quotas.of(counted) {
            Some(quota) => object.json(counted.as_str(), quota),
            None => object.json(counted.as_str(), "null"),
        };
    }
    object.end()
}

/// A project of which nothing can be known, because no project has such a name.
fn project(name: &str) -> Result<ProjectId, Problem> {
    ProjectId::try_from(name).map_err(|_| Problem::not_found("Project quotas not found."))
}

/// `GET /v1/project-quotas/{project}`
pub(crate) async fn read(ask: &Ask<'_>, name: &str) -> Result<Reply, Problem> {
    let project = match project(name) {
        Ok(project) => project,
        Err(problem) => return Err(ask.refuse(Action::ReadProjectQuotas, None, problem).await),
    };
    let quotas = ask.vault.project_quotas(ask.call, &project).await.map_err(|error| ask.failed(&error))?;
    let mut object = Object::new();
    object.json("project_quotas", write(&quotas));
    Ok(Reply::json(StatusCode::OK, object.end()))
}

/// `PUT /v1/project-quotas/{project}`: what is not said stays.
pub(crate) async fn set(ask: &Ask<'_>, name: &str) -> Result<Reply, Problem> {
    let understood = project(name).and_then(|project| Ok((project, understand(ask)?)));
    let (project, quotas) = match understood {
        Ok(understood) => understood,
        Err(problem) => return Err(ask.refuse(Action::SetProjectQuotas, None, problem).await),
    };
    ask.vault.set_project_quotas(ask.call, &project, quotas).await.map_err(|error| ask.failed(&error))?;
    Ok(Reply::no_content())
}

fn understand(ask: &Ask<'_>) -> Result<ProjectQuotas, Problem> {
    require_json(ask)?;
    if ask.body.is_empty() {
        return Err(ask.issue(StatusCode::BAD_REQUEST, "No data supplied to process."));
    }
    parse(ask.body)
}

pub(crate) fn parse(body: &[u8]) -> Result<ProjectQuotas, Problem> {
    let value = schema::read(body, &PROJECT_QUOTA, "Project Quota")?;
    let said = value.get("project_quotas");
    let quota = |counted: Counted| said?.get(counted.as_str()).and_then(Value::as_integer);
    let with = |quotas: ProjectQuotas, counted| quotas.with(counted, quota(counted));
    Ok(Counted::ALL.into_iter().fold(ProjectQuotas::default(), with))
}

/// `DELETE /v1/project-quotas/{project}`
pub(crate) async fn delete(ask: &Ask<'_>, name: &str) -> Result<Reply, Problem> {
    let project = match project(name) {
        Ok(project) => project,
        Err(problem) => return Err(ask.refuse(Action::DeleteProjectQuotas, None, problem).await),
    };
    ask.vault.delete_project_quotas(ask.call, &project).await.map_err(|error| ask.failed(&error))?;
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_left_out() {
        let quotas = parse(br#"{"project_quotas": {"secrets": 2, "cas": -5, "orders": 3.0}}"#).unwrap();
        assert_eq!(Counted::ALL.map(|counted| quotas.of(counted)), [Some(2), Some(3), None, None, Some(-5)]);
        let problem = parse(br#"{"project_quotas": {"secrets": true}}"#).unwrap_err();
        assert!(problem.description.unwrap().contains("True is not of type 'integer'"));
    }
}
