//! The operations of the door, as its metrics name them: `donjon_http_requests_total{operation="…"}` and so on
//! (`transport/src/metrics.rs`).
//!
//! An operation is a method and the shape of a path, such as `GET /v1/secrets/{id}/payload`. Only operations of the table
//! are counted apart. A request counts as the operation that it asked for also where it is refused before anything is
//! done, for a bad token or version; a request that names no operation is `GET elsewhere` and the like.

use transport::Operation;

use crate::routes::RESOURCES;
use crate::table::{Resource, Verb};

/// Methods with a count of their own: those of [`Verb`], and one for all others.
const VERBS: usize = 6;
/// Resources with a count of their own: those of the API, and the list of versions.
const PLACES: usize = RESOURCES.len() + 1;

/// The operation that a request asked for, as the metrics count it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CountedOperation {
    place: Option<(usize, &'static str)>,
    verb: Option<Verb>,
}

impl CountedOperation {
    /// A method of a resource.
    pub(crate) const fn of_resource<R>(resource: &Resource<R>, verb: Option<Verb>) -> Self {
        Self { place: Some((resource.number, resource.template)), verb }
    }

    /// A method somewhere else.
    pub(crate) const fn elsewhere(verb: Option<Verb>) -> Self {
        Self { place: None, verb }
    }
}

impl Operation for CountedOperation {
    const COUNT: usize = (PLACES + 1) * VERBS;

    fn index(&self) -> usize {
        let verb = self.verb.map_or(VERBS - 1, |verb| verb as usize);
        self.place.map_or(PLACES, |(number, _)| number) * VERBS + verb
    }

    fn label(&self) -> String {
        let verb = self.verb.map_or("other", Verb::as_str);
        format!("{verb} {}", self.place.map_or("elsewhere", |(_, template)| template))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_method_and_shape() {
        let [root, ..] = &RESOURCES;
        assert_eq!(CountedOperation::of_resource(root, Some(Verb::Get)).label(), "GET /v1");
        let elsewhere = CountedOperation::elsewhere(None);
        assert_eq!(
            (elsewhere.label().as_str(), elsewhere.index()),
            ("other elsewhere", CountedOperation::COUNT - 1)
        );
    }
}
