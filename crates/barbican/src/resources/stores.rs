//! `/v1/secret-stores`: which back end keeps a project's secrets. There is one, so there is nothing to choose, and Barbican
//! says so to everybody who may ask.

use vault::Action;

use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::ApiRequest;

/// Barbican's answer about every store while it has only one, as here.
const NO_CHOICE_OF_STORES: &str =
    "Not Found. Multiple backends support is not enabled in service configuration.";

/// The answer to any method: a caller who may ask, by the rule of the action, learns that there is nothing to choose.
pub(crate) async fn refuse(request: &ApiRequest<'_>, action: Action) -> Result<Reply, Problem> {
    Err(request.refuse(action, None, Problem::not_found(NO_CHOICE_OF_STORES)).await)
}

/// The answer where Barbican looks for the store first, and there is no choice of any.
pub(crate) async fn no_choice() -> Result<Reply, Problem> {
    Err(Problem::not_found(NO_CHOICE_OF_STORES))
}
