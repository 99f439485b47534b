//! Serves requests by a table of resources: finds the row that a path leads to, its methods, and the handler that
//! an operation has.
//!
//! ```text
//! path ─▶ follow ─▶ row, parameters as text ─▶ ResourcePath::read ─▶ typed ─▶ handle ─▶ the handler in the row
//! ```
//!
//! [`resources!`] makes all of it of the rows, so a row without a handler does not build.

use http::Method;

use crate::parameters::Parameters;

/// The methods that any resource has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verb {
    Delete,
    Get,
    Patch,
    Post,
    Put,
}

impl Verb {
    /// All of them.
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Delete, Self::Patch];

    /// The method, if any resource has it.
    pub(crate) fn from_method(method: &Method) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| *method == verb.as_str())
    }

    /// The name of the method.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => method_name!(Delete),
            Self::Get => method_name!(Get),
            Self::Patch => method_name!(Patch),
            Self::Post => method_name!(Post),
            Self::Put => method_name!(Put),
        }
    }
}

/// The name of a method, as a literal.
macro_rules! method_name {
    (Delete) => {
        "DELETE"
    };
    (Get) => {
        "GET"
    };
    (Patch) => {
        "PATCH"
    };
    (Post) => {
        "POST"
    };
    (Put) => {
        "PUT"
    };
}
pub(crate) use method_name;

/// The types an operation offers to answer in, held against the Accept header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offers {
    /// JSON.
    Json,
    /// JSON, or the JSON home document, which does not exist.
    JsonOrHome,
    /// HTML, though the answer never is HTML: Barbican declares its 405 so.
    Html,
    /// Every known type; the operation looks at Accept itself, or has no body to answer with.
    Any,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// Its method.
    pub verb: Verb,
    /// Its name in error texts.
    pub name: &'static str,
    /// The types it offers.
    pub offers: Offers,
}

/// One resource.
#[derive(Debug)]
pub(crate) struct Resource<R: 'static> {
    /// Which one it is.
    pub row: R,
    /// Its number in the table.
    pub number: usize,
    /// Its path, for metrics and logs.
    pub template: &'static str,
    /// The number of the resource that its path begins with.
    pub parent: Option<usize>,
    /// The last step of its path, in braces if it is a parameter.
    pub step: &'static str,
    /// The rules of Barbican's framework for it.
    pub rules: Rules,
    /// The names of its methods, each followed by a comma and a space.
    pub methods: &'static str,
    /// Its operations, in the order of the names of their methods.
    pub routes: &'static [Route],
}

/// The rules of Barbican's framework for a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The types that a 405 is offered in, if Accept is looked at then.
    pub otherwise: Option<Offers>,
    /// Whether a 405 has an `Allow` header.
    pub says_allow: bool,
    /// Whether only callers who may use its first operation learn which methods it does not have.
    pub hides_methods: bool,
    /// Whether `index` behind it is another name of it.
    pub index: bool,
    /// Whether `on_get` and the like behind it are the names of its handlers.
    pub handlers: bool,
    /// The answer to a step behind it that leads to no resource.
    pub behind: Remainder,
}

/// A resource with nothing behind it.
pub(crate) const LEAF: Rules = Rules {
    otherwise: Some(Offers::Html),
    says_allow: true,
    hides_methods: false,
    index: false,
    handlers: false,
    behind: Remainder::Unknown,
};
/// A resource with something behind it.
pub(crate) const LIST: Rules = Rules { index: true, ..LEAF };
/// A resource whose handlers are named by paths.
pub(crate) const EXPOSED: Rules = Rules { handlers: true, ..LIST };
/// A resource of which no method is looked at.
pub(crate) const ANY_METHOD: Rules = Rules { otherwise: Some(Offers::Json), says_allow: false, ..LEAF };

/// The steps behind a resource in a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Remainder {
    /// Nothing but slashes, or nothing that is looked at.
    Nothing,
    /// Something unknown: a 404, once the resource would have answered the method.
    Unknown,
    /// Something unknown: a 404 with this description, whatever the method.
    Nowhere(&'static str),
    /// The name of a handler: a 404 whose description is null.
    Handler,
}

impl<R> Resource<R> {
    /// The operation for a method.
    pub(crate) fn route(&self, verb: Option<Verb>) -> Option<&'static Route> {
        self.routes.iter().find(|route| Some(route.verb) == verb)
    }

    /// The `Allow` header of a 405, where Barbican sends one.
    pub(crate) fn allow(&self) -> Option<&'static str> {
        self.rules.says_allow.then(|| self.methods.trim_end_matches(", "))
    }

    fn is_handler(&self, step: &str) -> bool {
        let method = step.strip_prefix("on_").filter(|_| self.rules.handlers);
        method.is_some_and(|method| {
            self.routes.iter().any(|route| route.verb.as_str().to_ascii_lowercase() == method)
        })
    }

    fn is_parameter(&self) -> bool {
        self.step.starts_with('{')
    }

    /// The resource that a step leads to from here: one of that name, or else one that takes any step.
    fn child(&self, table: &'static [Self], step: &str) -> Option<&'static Self> {
        let mut parameter = None;
        for child in table.iter().filter(|child| child.parent == Some(self.number)) {
            if child.step == step {
                return Some(child);
            }
            if child.is_parameter() {
                parameter = Some(child);
            }
        }
        parameter
    }
}

/// Follows the rest of a path from a resource, as far as it leads. Returns the last resource, the parameters and the remainder.
pub(crate) fn follow<'p, R>(
    table: &'static [Resource<R>],
    root: &'static Resource<R>,
    rest: &'p str,
) -> (&'static Resource<R>, Parameters<'p>, Remainder) {
    // Slashes were made single, so only the ends of a path have empty steps.
    let mut steps = rest.split('/').filter(|step| !step.is_empty());
    let (mut resource, mut parameters) = (root, Parameters::default());
    while let Some(step) = steps.next() {
        if resource.rules.index && step == "index" {
            let rest = if steps.next().is_some() { Remainder::Unknown } else { Remainder::Nothing };
            return (resource, parameters, rest);
        }
        if resource.is_handler(step) {
            return (resource, parameters, Remainder::Handler);
        }
        let Some(child) = resource.child(table, step) else {
            return (resource, parameters, resource.rules.behind);
        };
        if child.is_parameter() {
            parameters.push(step);
        }
        resource = child;
    }
    (resource, parameters, Remainder::Nothing)
}

/// The number of the template that another one begins with, up to its last slash. It does not build unless there is one.
#[expect(clippy::indexing_slicing, reason = "at compile time")]
pub(crate) const fn parent_of(templates: &[&str], template: &str) -> Option<usize> {
    let (path, _) = template.split_at(last_slash(template));
    let mut number = 0;
    while number < templates.len() {
        if is_same(templates[number].as_bytes(), path.as_bytes()) {
            return Some(number);
        }
        number += 1;
    }
    assert!(path.is_empty(), "the resource before this one is not in the table");
    None
}

/// The last step of a template.
pub(crate) const fn last_step(template: &'static str) -> &'static str {
    template.split_at(last_slash(template) + 1).1
}

#[expect(clippy::indexing_slicing, reason = "at compile time")]
const fn last_slash(template: &str) -> usize {
    let mut at = template.len() - 1;
    while template.as_bytes()[at] != b'/' {
        at -= 1;
    }
    at
}

#[expect(clippy::indexing_slicing, reason = "at compile time")]
const fn is_same(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

/// Makes the table, the typed paths of its resources, and the dispatch to handlers.
///
/// ```text
/// ResourcePath(parameters) "template" [rules] {
///     Verb | Verb "name in error texts" Offers => handler of the request `ask`;
/// }
/// ```
macro_rules! resources {
    ($ask:ident: $request:ty;
     $($place:ident $(($($parameter:ident: $type:ty),+))? $template:literal [$rules:expr]
       { $($($verb:ident)|+ $name:literal $offers:ident => $handler:expr;)+ })+) => {
        /// A resource's path, with its typed parameters.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum ResourcePath<'p> {
            $(#[doc = concat!("`", $template, "`")] $place $(($($type),+))?,)+
        }

        /// The rows.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Row { $($place,)+ }

        pub(crate) static RESOURCES: [Resource<Row>; [$(Row::$place),+].len()] = {
            const TEMPLATES: &[&str] = &[$($template),+];
            [$(Resource {
                row: Row::$place,
                number: Row::$place as usize,
                template: $template,
                parent: $crate::table::parent_of(TEMPLATES, $template),
                step: $crate::table::last_step($template),
                rules: $rules,
                methods: concat!($($($crate::table::method_name!($verb), ", "),+),+),
                routes: &[$($(Route { verb: Verb::$verb, name: $name, offers: Offers::$offers }),+),+],
            },)+]
        };

        impl<'p> ResourcePath<'p> {
            /// The path of a row, by its parameters.
            pub(crate) fn read(
                row: Row,
                parameters: $crate::parameters::Parameters<'p>,
            ) -> Result<Self, $crate::parameters::BadParameter> {
                let mut steps = parameters.steps();
                let mut step = || steps.next().unwrap_or_default(); // There is one for each: they are of one row.
                Ok(match row {
                    $(Row::$place => Self::$place $(($(<$type as $crate::parameters::Parameter<'p>>::read(step())?),+))?,)+
                })
            }

            /// The secret, container or order that must be there before anything else about the request is looked at.
            pub(crate) fn owner(&self) -> Option<$crate::parameters::Owner> {
                match self {
                    $(Self::$place $(($($parameter),+))? => {
                        let owners = [None $($(, $crate::parameters::Parameter::owner($parameter))+)?];
                        owners.into_iter().flatten().next()
                    })+
                }
            }
        }

        /// Does one operation. Returns nothing if the resource does not have the method.
        pub(crate) async fn handle(place: ResourcePath<'_>, verb: Verb, $ask: $request) -> Option<Result<Reply, Problem>> {
            match place {
                $(ResourcePath::$place $(($($parameter),+))? => {
                    $(if matches!(verb, $(Verb::$verb)|+) {
                        return Some($handler.await);
                    })+
                })+
            }
            None
        }
    };
}
pub(crate) use resources;

#[cfg(test)]
mod tests {
    /// A table as it is with one resource more: nothing is written but the row and the handler.
    mod with_a_resource_more {
        use http::StatusCode;
        use model::SecretId;

        use crate::problem::Problem;
        use crate::reply::Reply;
        use crate::table::{EXPOSED, LEAF, Offers, Remainder, Resource, Route, Rules, Verb, follow};

        resources! {
            asked: &str;
            Root "/v1" [EXPOSED] {
                Get "Root retrieval" Json => read("root", asked);
            }
            Stamp(id: SecretId, colour: &'p str) "/v1/{id}/stamps/{colour}" [LEAF] {
                Delete "Stamp deletion" Any => remove(asked);
                Get | Put "Stamp retrieval" Json => read(&format!("{colour} stamp of {id}"), asked);
            }
            Stamps(_id: SecretId) "/v1/{id}/stamps" [Rules { says_allow: false, ..LEAF }] {
                Post "Stamp creation" Json => read("new", asked);
            }
            Thing(_id: SecretId) "/v1/{id}" [EXPOSED] {
                Get "Thing retrieval" Json => read("thing", asked);
            }
        }

        async fn read(what: &str, asked: &str) -> Result<Reply, Problem> {
            Ok(Reply::json(StatusCode::OK, format!("{what}, {asked}")))
        }

        async fn remove(_: &str) -> Result<Reply, Problem> {
            Err(Problem::not_found("gone"))
        }

        async fn ask(verb: Verb, path: &'static str) -> String {
            let (resource, parameters, rest) = follow(&RESOURCES, &RESOURCES[0], path);
            let place = match ResourcePath::read(resource.row, parameters) {
                Ok(place) => place,
                Err(bad) => return format!("{bad:?}"),
            };
            assert_eq!(place.owner().is_some(), resource.row != Row::Root, "{path}");
            if rest != Remainder::Nothing {
                return format!("{:?} {rest:?}", resource.row);
            }
            match handle(place, verb, "please").await {
                None => format!("{:?}", resource.allow()),
                Some(Ok(reply)) => String::from_utf8(reply.body.to_vec()).unwrap(),
                Some(Err(problem)) => problem.description.unwrap().into_owned(),
            }
        }

        #[tokio::test]
        async fn it_is_served() {
            const ID: &str = "/6ba7b810-9dad-41d1-80b4-00c04fd430c8";
            let at = |rest: &str| -> &'static str { format!("{ID}{rest}").leak() };
            for (verb, path, expect) in [
                (Verb::Get, "/", "root, please"),
                (Verb::Get, "/on_get", "Root Handler"),
                (Verb::Get, at("/index"), "thing, please"),
                (Verb::Post, at("/stamps"), "new, please"),
                (Verb::Get, at("/stamps"), "None"),
                (Verb::Get, at("/stamps/red/"), "red stamp of 6ba7b810-9dad-41d1-80b4-00c04fd430c8, please"),
                (Verb::Put, at("/stamps/red"), "red stamp of 6ba7b810-9dad-41d1-80b4-00c04fd430c8, please"),
                (Verb::Delete, at("/stamps/red"), "gone"),
                (Verb::Post, at("/stamps/red"), "Some(\"DELETE, GET, PUT\")"),
                (Verb::Get, at("/stamps/red/x"), "Stamp Unknown"),
                (Verb::Get, at("/labels"), "Thing Unknown"),
                (Verb::Get, "/x", "Refused(\"Not Found. Provided secret id is invalid.\")"),
            ] {
                assert_eq!(ask(verb, path).await, expect, "{verb:?} {path}");
            }
        }
    }
}
