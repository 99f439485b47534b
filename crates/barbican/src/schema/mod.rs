//! The part of JSON Schema that Barbican's validators use, with the texts of Python's `jsonschema`.
//!
//! Of several errors Barbican reports the one that `jsonschema.exceptions.best_match` prefers: the one nearest the top,
//! then the one whose path sorts last, then the one found first, in the order in which a schema names its keywords. The
//! order of the checks in [`Schema::check`] is therefore part of the promise.

pub(crate) mod bodies;

use crate::problem::Problem;
use crate::python::text::repr;
use crate::python::{Value, parse_json};

/// The constraints on a value. Keywords left at their default do not constrain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// One of these.
    pub types: &'static [Type],
    /// At most so many characters.
    pub length_max: Option<usize>,
    /// At least so many characters.
    pub length_min: usize,
    /// At least this number.
    pub minimum: Option<i64>,
    /// At most this number.
    pub maximum: Option<i64>,
    /// One of these texts.
    pub one_of: &'static [&'static str],
    /// The constraints on every item of a list.
    pub items: Option<&'static Schema>,
    /// The constraints on the first item of a list.
    pub first_item: Option<&'static Schema>,
    /// The constraints on the values under these keys.
    pub properties: &'static [(&'static str, Schema)],
    /// Keys that must be there.
    pub required: &'static [&'static str],
    /// All properties must be there, as draft 3 says it: the error is one of the property, and not of the whole.
    pub required_draft3: bool,
    /// Whether other keys are allowed.
    pub closed: bool,
}

/// The types of JSON, by the names that error texts use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Type {
    Array,
    Boolean,
    Integer,
    Null,
    Object,
    String,
}

impl Type {
    const fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Null => "null",
            Self::Object => "object",
            Self::String => "string",
        }
    }

    fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Array, Value::List(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Null, Value::None)
            | (Self::Object, Value::Dict(_))
            | (Self::String, Value::Text(_)) => true,
            (Self::Integer, value) => value.as_integer().is_some(),
            _ => false,
        }
    }
}

/// One step towards the place of an error.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Key(&'static str),
    Index(usize),
}

/// One thing wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mismatch {
    path: Vec<Step>,
    /// The property that the error text names.
    property: Option<&'static str>,
    /// The mistake, in Python's words. It quotes the value, so it is for its sender only.
    message: String,
}

impl Mismatch {
    /// As Barbican answers it.
    pub(crate) fn problem(&self, schema: &str) -> Problem {
        mismatch(schema, &self.message, self.property.unwrap_or("None"))
    }
}

/// A value that does not match a schema, as Barbican answers it. Checks beyond the schema answer the same way.
pub(crate) fn mismatch(schema: &str, reason: &str, property: &str) -> Problem {
    Problem::bad_request(format!(
        "Provided object does not match schema '{schema}': {reason}. Invalid property: '{property}'"
    ))
}

/// Reads a JSON body, stripped, that matches a schema.
pub(crate) fn read(body: &[u8], schema: &Schema, name: &str) -> Result<Value, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::malformed_json())?;
    let mut value = parse_json(text).map_err(|_| Problem::malformed_json())?;
    value.strip();
    schema.check(&value).map_err(|found| found.problem(name))?;
    Ok(value)
}

impl Schema {
    /// No constraint but the type.
    pub(crate) const fn of_type(types: &'static [Type]) -> Self {
        Self {
            types,
            length_max: None,
            length_min: 0,
            minimum: None,
            maximum: None,
            one_of: &[],
            items: None,
            first_item: None,
            properties: &[],
            required: &[],
            required_draft3: false,
            closed: false,
        }
    }

    /// A text of at most so many characters.
    pub(crate) const fn text(length_max: usize) -> Self {
        Self { length_max: Some(length_max), ..Self::of_type(&[Type::String]) }
    }

    /// Whether it says something of a property of that name.
    pub(crate) fn has_property(&self, name: &str) -> bool {
        self.properties.iter().any(|(known, _)| *known == name)
    }

    /// Finds the mistake to report, if there is any.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Mismatch> {
        let mut found = Vec::new();
        self.collect(value, &mut Vec::new(), None, &mut found);
        let best = found.into_iter().reduce(|best, next| if rank(&next) > rank(&best) { next } else { best });
        best.map_or(Ok(()), Err)
    }

    fn collect(
        &self,
        value: &Value,
        path: &mut Vec<Step>,
        property: Option<&'static str>,
        found: &mut Vec<Mismatch>,
    ) {
        let mut report = |message| found.push(Mismatch { path: path.clone(), property, message });
        if !self.types.iter().any(|known| known.holds(value)) {
            let names: Vec<_> = self.types.iter().map(|known| repr(known.name())).collect();
            report(format!("{} is not of type {}", value.repr(), names.join(", ")));
        }
        match value {
            Value::Int(_) | Value::Float(_) => self.check_number(value, &mut report),
            Value::Text(text) => self.check_text(value, text, &mut report),
            Value::List(items) => self.check_list(items, path, property, found),
            Value::Dict(items) => self.check_dict(value, items, path, property, found),
            Value::None | Value::Bool(_) => {}
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|known| value.as_text() == Some(known)) {
            let known: Vec<_> = self.one_of.iter().map(|known| repr(known)).collect();
            let message = format!("{} is not one of [{}]", value.repr(), known.join(", "));
            found.push(Mismatch { path: path.clone(), property, message });
        }
    }

    fn check_number(&self, value: &Value, report: &mut impl FnMut(String)) {
        #[expect(clippy::cast_precision_loss, reason = "the bounds of the schemas are small")]
        let (below, above) = match value {
            Value::Float(number) => (
                self.minimum.is_some_and(|minimum| *number < minimum as f64),
                self.maximum.is_some_and(|maximum| *number > maximum as f64),
            ),
            _ => (
                self.minimum.zip(value.as_integer()).is_some_and(|(minimum, number)| number < minimum),
                self.maximum.zip(value.as_integer()).is_some_and(|(maximum, number)| number > maximum),
            ),
        };
        if let (true, Some(minimum)) = (below, self.minimum) {
            report(format!("{} is less than the minimum of {minimum}", value.repr()));
        }
        if let (true, Some(maximum)) = (above, self.maximum) {
            report(format!("{} is greater than the maximum of {maximum}", value.repr()));
        }
    }

    fn check_text(&self, value: &Value, text: &str, report: &mut impl FnMut(String)) {
        if self.length_max.is_some_and(|max| text.chars().nth(max).is_some()) {
            report(format!("{} is too long", value.repr()));
        }
        if self.length_min > 0 && text.is_empty() {
            report(format!("{} should be non-empty", value.repr()));
        }
    }

    fn check_list(
        &self,
        items: &[Value],
        path: &mut Vec<Step>,
        property: Option<&'static str>,
        found: &mut Vec<Mismatch>,
    ) {
        let first = self.first_item.map(|schema| (schema, 1));
        let Some((schema, checked)) = self.items.map(|schema| (schema, items.len())).or(first) else {
            return;
        };
        for (index, item) in items.iter().take(checked).enumerate() {
            path.push(Step::Index(index));
            schema.collect(item, path, property, found);
            path.pop();
        }
    }

    fn check_dict(
        &self,
        value: &Value,
        items: &[(String, Value)],
        path: &mut Vec<Step>,
        property: Option<&'static str>,
        found: &mut Vec<Mismatch>,
    ) {
        for (key, schema) in self.properties {
            match value.get(key) {
                Some(value) => {
                    path.push(Step::Key(key));
                    schema.collect(value, path, property.or(Some(key)), found);
                    path.pop();
                }
                None if self.required_draft3 => found.push(Mismatch {
                    path: path.iter().cloned().chain([Step::Key(key)]).collect(),
                    property: property.or(Some(key)),
                    message: format!("{} is a required property", repr(key)),
                }),
                None => {}
            }
        }
        let mut report = |message| found.push(Mismatch { path: path.clone(), property, message });
        for key in self.required.iter().filter(|key| value.get(key).is_none()) {
            report(format!("{} is a required property", repr(key)));
        }
        let mut extras: Vec<_> =
            items.iter().map(|(key, _)| key).filter(|key| !self.has_property(key)).collect();
        if self.closed && !extras.is_empty() {
            extras.sort_unstable();
            let verb = if extras.len() == 1 { "was" } else { "were" };
            let extras: Vec<_> = extras.into_iter().map(|key| repr(key)).collect();
            report(format!(
                "Additional properties are not allowed ({} {verb} unexpected)",
                extras.join(", ")
            ));
        }
    }
}

/// The order of `best_match`: nearer the top, then a path that sorts later.
fn rank(mismatch: &Mismatch) -> (std::cmp::Reverse<usize>, &[Step]) {
    (std::cmp::Reverse(mismatch.path.len()), &mismatch.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::parse_json;
    use crate::schema::bodies::{CONTAINER, SECRET, SECRET_METADATA, SECRET_METADATUM};

    fn check(schema: &Schema, text: &str, expect: &str) {
        let found = schema.check(&parse_json(text).unwrap()).map_or_else(
            |found| format!("{} @{}", found.message, found.property.unwrap_or("None")),
            |()| "fine".to_owned(),
        );
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn texts_are_pythons() {
        check(&SECRET, "{}", "fine");
        check(&SECRET, "[]", "[] is not of type 'object' @None");
        check(&SECRET, r#"{"name": 5}"#, "5 is not of type 'string', 'null' @name");
        check(&SECRET, r#"{"algorithm": null}"#, "None is not of type 'string' @algorithm");
        check(&SECRET, r#"{"bit_length": true}"#, "True is not of type 'integer' @bit_length");
        check(&SECRET, r#"{"bit_length": NaN}"#, "nan is not of type 'integer' @bit_length");
        check(&SECRET, r#"{"bit_length": 0}"#, "0 is less than the minimum of 1 @bit_length");
        check(&SECRET, r#"{"bit_length": 1e20}"#, "1e+20 is greater than the maximum of 32767 @bit_length");
        check(&SECRET, r#"{"bit_length": 256.0}"#, "fine");
        check(
            &SECRET,
            r#"{"payload_content_encoding": ""}"#,
            "'' is not one of ['base64'] @payload_content_encoding",
        );
    }

    #[test]
    fn of_several_the_last_in_the_alphabet_is_reported_and_of_one_the_first() {
        check(&SECRET, r#"{"name": 5, "bit_length": "x"}"#, "5 is not of type 'string', 'null' @name");
        check(&SECRET, r#"{"secret_type": 3}"#, "3 is not of type 'string' @secret_type");
        check(&SECRET, r#"{"bit_length": 0.5}"#, "0.5 is not of type 'integer' @bit_length");
    }

    #[test]
    fn drafts_differ() {
        check(&SECRET_METADATA, "{}", "'metadata' is a required property @metadata");
        check(&SECRET_METADATUM, "{}", "'value' is a required property @value");
        check(&SECRET_METADATUM, r#"{"value": 1}"#, "1 is not of type 'string' @value");
        check(&SECRET_METADATUM, r#"{"key": 1}"#, "'value' is a required property @value");
        check(&CONTAINER, "{}", "'type' is a required property @None");
        let two = r#"{"key": "k", "value": "v", "z": 1, "y": 2}"#;
        check(
            &SECRET_METADATUM,
            two,
            "Additional properties are not allowed ('y', 'z' were unexpected) @None",
        );
    }

    #[test]
    fn items_are_named_by_their_list() {
        let refs = |item: &str| format!(r#"{{"type": "generic", "secret_refs": [{item}]}}"#);
        check(&CONTAINER, &refs("{}"), "'secret_ref' is a required property @secret_refs");
        check(&CONTAINER, &refs("\"x\""), "'x' is not of type 'object' @secret_refs");
        check(&CONTAINER, &refs(r#"{"secret_ref": ""}"#), "'' should be non-empty @secret_refs");
    }
}
