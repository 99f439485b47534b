//! `/v1/quotas`, `/v1/project-quotas` and `/v1/project-quotas/{project}`: how much a project may have.

use http::StatusCode;
use model::{Counted, ProjectId, ProjectQuotas};
use vault::Action;

use crate::problem::Problem;
use crate::python::Value;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::resources::list;
use crate::schema;
use crate::schema::bodies::PROJECT_QUOTA;
use crate::write::Object;

/// `GET /v1/quotas`: the limits of the caller's project.
pub(crate) async fn read_own(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let quotas = request.or_problem(request.vault.own_quotas(request.call).await)?;
    let mut numbers = Object::new();
    for counted in Counted::ALL {
        numbers.json(counted.as_str(), quotas.of(counted));
    }
    Ok(Reply::json(StatusCode::OK, Object::new().json("quotas", numbers.end()).end()))
}

/// `GET /v1/project-quotas`
pub(crate) async fn read_all(request: &ApiRequest<'_>) -> Result<Reply, Problem> {
    let slice = request.or_refuse(Action::ReadProjectQuotas, None, list::slice(request.query)).await?;
    let found = request.or_problem(request.vault.all_project_quotas(request.call, slice).await)?;
    let write_one = |(project, quotas): &(ProjectId, ProjectQuotas)| {
        Object::new().text("project_id", project.as_str()).json("project_quotas", write(quotas)).end()
    };
    let url = request.url("project_quotas"); // Barbican names the neighbours by a path that does not exist.
    Ok(list::page("project_quotas", &url, &found, slice, write_one))
}

fn write(quotas: &ProjectQuotas) -> String {
    let mut object = Object::new();
    for counted in Counted::ALL {
        object.optional_json(counted.as_str(), quotas.of(counted));
    }
    object.end()
}

/// The project, or 404 for a name that no project can have.
fn project(name: &str) -> Result<ProjectId, Problem> {
    ProjectId::try_from(name).map_err(|_| Problem::not_found("Project quotas not found."))
}

/// `GET /v1/project-quotas/{project}`
pub(crate) async fn read(request: &ApiRequest<'_>, name: &str) -> Result<Reply, Problem> {
    let project = request.or_refuse(Action::ReadProjectQuotas, None, project(name)).await?;
    let quotas = request.or_problem(request.vault.project_quotas(request.call, &project).await)?;
    Ok(Reply::json(StatusCode::OK, Object::new().json("project_quotas", write(&quotas)).end()))
}

/// `PUT /v1/project-quotas/{project}`: a quota that is left out keeps its value.
pub(crate) async fn set(request: &ApiRequest<'_>, name: &str) -> Result<Reply, Problem> {
    let understood = project(name).and_then(|project| Ok((project, understand(request)?)));
    let (project, quotas) = request.or_refuse(Action::SetProjectQuotas, None, understood).await?;
    request.or_problem(request.vault.set_project_quotas(request.call, &project, quotas).await)?;
    Ok(Reply::no_content())
}

fn understand(request: &ApiRequest<'_>) -> Result<ProjectQuotas, Problem> {
    match request.json_body()? {
        [] => Err(request.issue(StatusCode::BAD_REQUEST, "No data supplied to process.")),
        body => parse(body),
    }
}

pub(crate) fn parse(body: &[u8]) -> Result<ProjectQuotas, Problem> {
    let value = schema::read(body, &PROJECT_QUOTA, "Project Quota")?;
    let given = value.get("project_quotas");
    let quota = |counted: Counted| given?.get(counted.as_str()).and_then(Value::as_integer);
    let with = |quotas: ProjectQuotas, counted| quotas.with(counted, quota(counted));
    Ok(Counted::ALL.into_iter().fold(ProjectQuotas::default(), with))
}

/// `DELETE /v1/project-quotas/{project}`
pub(crate) async fn delete(request: &ApiRequest<'_>, name: &str) -> Result<Reply, Problem> {
    let project = request.or_refuse(Action::DeleteProjectQuotas, None, project(name)).await?;
    request.or_problem(request.vault.delete_project_quotas(request.call, &project).await)?;
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_quota_is_left_out() {
        let quotas = parse(br#"{"project_quotas": {"secrets": 2, "cas": -5, "orders": 3.0}}"#).unwrap();
        assert_eq!(Counted::ALL.map(|counted| quotas.of(counted)), [Some(2), Some(3), None, None, Some(-5)]);
        let problem = parse(br#"{"project_quotas": {"secrets": true}}"#).unwrap_err();
        assert!(problem.description.unwrap().contains("True is not of type 'integer'"));
    }
}
