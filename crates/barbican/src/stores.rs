//! `/v1/secret-stores`: which back end keeps a project's secrets. There is one, so there is nothing to choose, and Barbican
//! says so to everybody who may ask.

use vault::Action;

use crate::ask::Ask;
use crate::path::NO_CHOICE_OF_STORES;
use crate::problem::Problem;

/// The answer to any method: whoever may, by the rule of the action, learns that there is nothing to choose.
pub(crate) async fn answer(ask: &Ask<'_>, action: Action) -> Problem {
    ask.refuse(action, None, Problem::not_found(NO_CHOICE_OF_STORES)).await
}
