//! The kinds of settings: how to read a value from the file and from a flag, and which values are allowed.
//!
//! A row of [`super::rows`] names its kind. Every kind reads the file; those of rows with a flag read flags too.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::EnumValueParser;
use clap::{Arg, ArgAction, ArgMatches, ValueEnum};
use toml::Spanned;
use toml::de::DeValue;

use super::values::Invalid;

/// A value of the file, with its place.
pub(super) type FileValue<'a> = Spanned<DeValue<'a>>;

/// A value that is not allowed: its place, its text, and what is allowed.
#[derive(Debug)]
pub(super) struct WrongValue {
    pub(super) offset: usize,
    pub(super) written: String,
    pub(super) problem: String,
}

impl WrongValue {
    pub(super) fn new(value: &FileValue<'_>, problem: impl ToString) -> Self {
        let (written, problem) = (shown(value.get_ref()), problem.to_string());
        Self { offset: value.span().start, written, problem }
    }
}

/// Reads values of type `T`.
pub(super) trait Kind<T> {
    /// Reads a value of the file.
    fn read(&self, value: &FileValue<'_>) -> Result<T, WrongValue>;

    /// Completes the flag of a row.
    fn flag(&self, arg: Arg) -> Arg {
        arg
    }

    /// The value of the flag, if it was given.
    fn given(&self, _matches: &ArgMatches, _id: &str) -> Option<T> {
        None
    }

    /// The numbers that are allowed, for the documents.
    fn allowed(&self) -> String {
        String::new()
    }
}

/// Parses a text.
pub(super) type Parse<T> = fn(&str) -> Result<T, Invalid>;

/// A text that one function parses.
pub(super) struct Text<T>(pub(super) Parse<T>);

impl<T: Clone + Send + Sync + 'static> Kind<T> for Text<T> {
    fn read(&self, value: &FileValue<'_>) -> Result<T, WrongValue> {
        let Some(text) = value.get_ref().as_str() else {
            return Err(WrongValue::new(value, "not a string; put it in \"quotes\""));
        };
        self.0(text).map_err(|invalid| WrongValue::new(value, invalid))
    }

    fn flag(&self, arg: Arg) -> Arg {
        arg.value_parser(self.0)
    }

    fn given(&self, matches: &ArgMatches, id: &str) -> Option<T> {
        matches.try_get_one(id).ok().flatten().cloned()
    }
}

/// One of the names that `T` has.
pub(super) struct Choice;

impl<T: ValueEnum + Clone + Send + Sync + 'static> Kind<T> for Choice {
    fn read(&self, value: &FileValue<'_>) -> Result<T, WrongValue> {
        Text(choice::<T>).read(value)
    }

    fn flag(&self, arg: Arg) -> Arg {
        arg.value_parser(EnumValueParser::<T>::new()).hide_possible_values(true)
    }

    fn given(&self, matches: &ArgMatches, id: &str) -> Option<T> {
        Text(choice::<T>).given(matches, id)
    }
}

fn choice<T: ValueEnum>(text: &str) -> Result<T, Invalid> {
    let named = |variant: &T| variant.to_possible_value().map(|value| value.get_name().to_owned());
    let found = T::value_variants().iter().find(|variant| named(variant).as_deref() == Some(text));
    found.cloned().ok_or_else(|| {
        Invalid::Choice(T::value_variants().iter().filter_map(named).collect::<Vec<_>>().join(", "))
    })
}

/// True or false. As a flag it means true without a value.
pub(super) struct Switch;

impl Kind<bool> for Switch {
    fn read(&self, value: &FileValue<'_>) -> Result<bool, WrongValue> {
        let switch = value.get_ref().as_bool();
        switch.ok_or_else(|| WrongValue::new(value, "not a switch; allowed: true, false (without quotes)"))
    }

    fn flag(&self, arg: Arg) -> Arg {
        arg.value_parser(clap::value_parser!(bool))
            .num_args(0..=1)
            .default_missing_value("true")
            .require_equals(true)
    }

    fn given(&self, matches: &ArgMatches, id: &str) -> Option<bool> {
        matches.try_get_one(id).ok().flatten().copied()
    }
}

/// A list of texts. A flag separates them by commas.
pub(super) struct List<T> {
    /// Parses each item.
    pub(super) parse: Parse<T>,
    /// The allowed number of items.
    pub(super) length: RangeInclusive<usize>,
    /// The allowed items, for errors.
    pub(super) allowed: &'static str,
}

impl<T: Clone + Send + Sync + 'static> Kind<Vec<T>> for List<T> {
    fn read(&self, value: &FileValue<'_>) -> Result<Vec<T>, WrongValue> {
        let wrong = |what: &str| WrongValue::new(value, format_args!("{what}; allowed: {}", self.allowed));
        let items = value.get_ref().as_array().ok_or_else(|| wrong("not a list"))?;
        if items.len() > *self.length.end() {
            return Err(wrong(&format!("more than {}", self.length.end())));
        }
        if !self.length.contains(&items.len()) {
            return Err(wrong("empty"));
        }
        items.iter().map(|item| Text(self.parse).read(item)).collect()
    }

    fn flag(&self, arg: Arg) -> Arg {
        arg.value_parser(self.parse).action(ArgAction::Append).value_delimiter(',')
    }

    fn given(&self, matches: &ArgMatches, id: &str) -> Option<Vec<T>> {
        Some(matches.try_get_many(id).ok().flatten()?.cloned().collect())
    }
}

/// A whole number from a range, which becomes a `T`.
pub(super) struct Number<T> {
    min: i64,
    max: i64,
    /// The unit, or nothing.
    unit: &'static str,
    make: fn(i64) -> T,
}

/// A time in seconds.
pub(super) const fn seconds(min: i64, max: i64) -> Number<Duration> {
    Number { min, max, unit: "seconds", make: |number| Duration::from_secs(number.unsigned_abs()) }
}

/// A size or a count of things.
pub(super) const fn size(min: i64, max: i64, unit: &'static str) -> Number<usize> {
    Number { min, max, unit, make: |number| usize::try_from(number).unwrap_or(usize::MAX) }
}

/// A count of things, at least one.
pub(super) const fn at_least_one(max: i64, unit: &'static str) -> Number<NonZeroUsize> {
    let make = |number| usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
    Number { min: 1, max, unit, make }
}

/// A quota of Barbican's, where -1 is no limit.
pub(super) const fn quota() -> Number<i64> {
    Number { min: model::UNLIMITED, max: i64::MAX, unit: "", make: |number| number }
}

impl<T> Kind<T> for Number<T> {
    fn read(&self, value: &FileValue<'_>) -> Result<T, WrongValue> {
        let integer = value.get_ref().as_integer();
        let number = integer.and_then(|found| i64::from_str_radix(found.as_str(), found.radix()).ok());
        let allowed = number.filter(|number| (self.min..=self.max).contains(number));
        allowed.map(self.make).ok_or_else(|| {
            let of_unit = if self.unit.is_empty() { String::new() } else { format!(" of {}", self.unit) };
            let (min, max) = (self.min, self.max);
            WrongValue::new(value, format_args!("allowed: a whole number{of_unit} from {min} to {max}"))
        })
    }

    fn allowed(&self) -> String {
        match self.max {
            i64::MAX => format!("{} or more", self.min),
            max => format!("{} to {max} {}", self.min, self.unit),
        }
    }
}

/// A value as it was written; of a list or a table only its brackets.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
    }
}
