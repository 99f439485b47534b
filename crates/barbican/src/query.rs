//! Query strings, read as WebOb reads them: `;` separates parameters as well as `&`.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::problem::Problem;
use crate::python::text::{percent_decode, quote_plus};

/// The parameters of a request, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Query<'q> {
    pairs: Vec<(Cow<'q, str>, Cow<'q, str>)>,
}

/// A parameter that is not UTF-8.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not UTF-8")]
pub(crate) struct NotUtf8;

impl<'q> Query<'q> {
    /// Reads a query string. A parameter without `=` has the empty value.
    pub(crate) fn parse(raw: Option<&'q str>) -> Result<Self, NotUtf8> {
        let items = raw.unwrap_or_default().split(['&', ';']).filter(|item| !item.is_empty());
        let pairs = items.map(|item| {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            Ok((decode(key)?, decode(value)?))
        });
        Ok(Self { pairs: pairs.collect::<Result<_, _>>()? })
    }

    /// Whether a parameter is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.all(key).next().is_some()
    }

    /// The value of a parameter. A repeated parameter is refused: Barbican answers 500.
    pub(crate) fn once(&self, key: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(key);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Problem::bad_query()),
        }
    }

    /// Like [`Self::once`], but the empty value counts as no value.
    pub(crate) fn filled(&self, key: &str) -> Result<Option<&str>, Problem> {
        Ok(self.once(key)?.filter(|value| !value.is_empty()))
    }

    fn all<'s>(&'s self, key: &str) -> impl Iterator<Item = &'s str> {
        self.pairs.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_ref())
    }

    /// The query string of a neighbouring page: limit and offset, then the other parameters, the repeated ones together.
    pub(crate) fn of_page(&self, limit: u32, offset: u64) -> String {
        let mut out = format!("limit={limit}&offset={offset}");
        for (key, values) in self.groups() {
            if matches!(key, "limit" | "offset") {
                continue;
            }
            for value in values {
                out.push('&');
                quote_plus(&mut out, key);
                out.push('=');
                quote_plus(&mut out, value);
            }
        }
        out
    }

    /// Each key once, at its first place, with all its values. A map, so that a query full of keys costs no more
    /// than its length.
    fn groups(&self) -> Vec<(&str, Vec<&str>)> {
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(self.pairs.len());
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::with_capacity(self.pairs.len());
        for (key, value) in &self.pairs {
            let place = *places.entry(key).or_insert(groups.len());
            match groups.get_mut(place) {
                Some((_, values)) => values.push(value),
                None => groups.push((key, vec![value])),
            }
        }
        groups
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, NotUtf8> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    String::from_utf8(percent_decode(text, true)).map(Cow::Owned).map_err(|_| NotUtf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pages_keep_what_was_asked() {
        for (raw, expect) in [
            ("", "limit=1&offset=2"),
            ("sort=created&z=1&limit=1&a=2&offset=2", "limit=1&offset=2&sort=created&z=1&a=2"),
            ("foo=1&bar=%E5%AF%86&foo=b%20r", "limit=1&offset=2&foo=1&foo=b+r&bar=%E5%AF%86"),
            ("&&build&x=", "limit=1&offset=2&build=&x="),
            ("a=1;b=2;", "limit=1&offset=2&a=1&b=2"),
        ] {
            assert_eq!(Query::parse(Some(raw)).unwrap().of_page(1, 2), expect, "{raw}");
        }
    }

    /// As many keys as a request has room for. Work that grows with the square of their number would be conspicuous: it
    /// takes a minute in a debug build.
    #[test]
    fn pages_of_many_keys_take_no_longer_than_their_length() {
        let raw: String = (0..12_000).map(|key| format!("&{key:x}=")).collect();
        let query = Query::parse(Some(&raw)).unwrap();
        for offset in 0..20 {
            assert_eq!(query.of_page(1, offset), format!("limit=1&offset={offset}{raw}"));
        }
        let raw = "a&b&".repeat(15_000);
        let expect = format!("limit=1&offset=2{}{}", "&a=".repeat(15_000), "&b=".repeat(15_000));
        assert_eq!(Query::parse(Some(&raw)).unwrap().of_page(1, 2), expect);
    }

    #[test]
    fn a_repeated_parameter_is_refused() {
        let query = Query::parse(Some("a=1&a=2&b=&c=+x")).unwrap();
        assert!(query.once("a").is_err());
        assert_eq!(query.once("b"), Ok(Some("")));
        assert_eq!(query.filled("b"), Ok(None));
        assert_eq!(query.once("c"), Ok(Some(" x")));
        assert_eq!(Query::parse(Some("a=%ff")), Err(NotUtf8));
    }

    proptest! {
        #[test]
        fn no_text_panics(raw in "\\PC*") {
            if let Ok(query) = Query::parse(Some(&raw)) {
                let _ = query.of_page(1, 2);
            }
        }
    }
}
