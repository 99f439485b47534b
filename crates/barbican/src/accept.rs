//! The Accept header, read as WebOb reads it.
//!
//! A header that does not follow the grammar counts as no header. One that does is a list of ranges:
//!
//! ```text
//! type/subtype *( ;name=value ) [ ;q=0.5 *( ;extension[=value] ) ]
//! ```

/// An Accept header.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Accept<'h> {
    /// The header is missing.
    Absent,
    /// It cannot be understood, and so does not restrict.
    Invalid(&'h str),
    /// It can.
    Valid(&'h str, Vec<Range<'h>>),
}

/// One range of media types, and how much it is liked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range<'h> {
    media_type: &'h str,
    subtype: &'h str,
    has_parameters: bool,
    /// Thousandths, 0 to 1000.
    quality: u16,
}

impl<'h> Accept<'h> {
    /// Reads the header.
    pub(crate) fn parse(header: Option<&'h str>) -> Self {
        match header {
            None => Self::Absent,
            Some(text) => ranges(text).map_or(Self::Invalid(text), |ranges| Self::Valid(text, ranges)),
        }
    }

    /// The header as it was sent, if it was sent.
    pub(crate) fn as_sent(&self) -> Option<&'h str> {
        match self {
            Self::Absent => None,
            Self::Invalid(text) | Self::Valid(text, _) => Some(text),
        }
    }

    /// How much one media type (without parameters) is liked, in thousandths; 0 if not at all. The most specific range
    /// decides.
    pub(crate) fn quality(&self, offer: &str) -> u16 {
        let Self::Valid(_, ranges) = self else { return 1000 };
        let fitting = ranges.iter().rev().filter(|range| range.specificity(offer) > 0);
        // Reversed, because the first of several is to win.
        fitting.max_by_key(|range| range.specificity(offer)).map_or(0, |range| range.quality)
    }

    /// The first of the offers among those liked most.
    pub(crate) fn best<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        let liked =
            offers.iter().map(|offer| (self.quality(offer), *offer)).filter(|(quality, _)| *quality > 0);
        liked.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, offer)| offer)
    }

    /// The first of the offers among those liked most, by WebOb's older rule (`best_match`), which knows no parameters
    /// and lets a range of no quality be overruled.
    pub(crate) fn best_by_older_rule<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        let Self::Valid(_, ranges) = self else { return offers.first().copied() };
        let (mut best, mut best_quality, mut best_stars) = (None, 0, 2);
        for &offer in offers {
            for range in ranges.iter().filter(|range| range.quality > 0) {
                let better = range.quality > best_quality
                    || (range.quality == best_quality && range.stars() < best_stars);
                if better && !range.has_parameters && range.specificity(offer) > 0 {
                    (best, best_quality, best_stars) = (Some(offer), range.quality, range.stars());
                }
            }
        }
        best
    }
}

impl Range<'_> {
    /// How closely the range names the offer: 0 not at all, 1 as `*/*`, 2 as `type/*`, 3 exactly.
    fn specificity(&self, offer: &str) -> u8 {
        let (media_type, subtype) = offer.split_once('/').unwrap_or((offer, ""));
        if self.media_type.eq_ignore_ascii_case(media_type) && self.subtype.eq_ignore_ascii_case(subtype) {
            return if self.has_parameters { 0 } else { 3 };
        }
        match (self.media_type, self.subtype) {
            ("*", "*") => 1,
            (range, "*") if range.eq_ignore_ascii_case(media_type) => 2,
            _ => 0,
        }
    }

    fn stars(&self) -> usize {
        usize::from(self.media_type == "*") + usize::from(self.subtype == "*")
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// The comma-separated ranges; commas without a range between them are allowed.
fn ranges(text: &str) -> Option<Vec<Range<'_>>> {
    let mut ranges = Vec::new();
    let mut rest = text.strip_prefix(',').unwrap_or(text);
    if !text.is_empty() && rest.len() == text.len() {
        let (first, after) = range(text)?;
        ranges.push(first);
        rest = after;
    }
    while !rest.is_empty() {
        let after = rest.trim_start_matches(is_space).strip_prefix(',')?;
        let next = after.trim_start_matches(is_space);
        rest = after;
        if !next.is_empty() && !next.starts_with(',') {
            let (range, after) = range(next)?;
            ranges.push(range);
            rest = after;
        }
    }
    Some(ranges)
}

fn range(text: &str) -> Option<(Range<'_>, &str)> {
    let (media_type, rest) = token(text)?;
    let (subtype, mut rest) = token(rest.strip_prefix('/')?)?;
    let mut range = Range { media_type, subtype, has_parameters: false, quality: 1000 };
    while let Some(after) = semicolon(rest) {
        if let Some(value) = after.strip_prefix(['q', 'Q']).and_then(|after| after.strip_prefix('=')) {
            let (quality, after) = quality(value)?;
            range.quality = quality;
            return Some((range, extensions(after)?));
        }
        let (_, after) = token(after)?;
        rest = value(after.strip_prefix('=')?)?;
        range.has_parameters = true;
    }
    Some((range, rest))
}

/// Passes over `;extension[=value]`, any number of them.
fn extensions(mut rest: &str) -> Option<&str> {
    while let Some(after) = semicolon(rest) {
        let (_, after) = token(after)?;
        rest = match after.strip_prefix('=') {
            Some(after) => value(after)?,
            None => after,
        };
    }
    Some(rest)
}

fn semicolon(text: &str) -> Option<&str> {
    text.trim_start_matches(is_space).strip_prefix(';').map(|rest| rest.trim_start_matches(is_space))
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().take_while(|&byte| is_token(byte)).count();
    text.split_at_checked(end).filter(|(token, _)| !token.is_empty())
}

/// Passes over a token or a quoted string.
fn value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(_, rest)| rest);
    };
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    quoted.get(end + 1..)
}

/// A quality from 0 to 1 with at most three digits after the point, in thousandths.
fn quality(text: &str) -> Option<(u16, &str)> {
    let one = text.starts_with('1');
    let rest = text.strip_prefix(['0', '1'])?;
    let Some(fraction) = rest.strip_prefix('.') else {
        return Some((if one { 1000 } else { 0 }, rest));
    };
    let count =
        fraction.bytes().take(3).take_while(|&b| if one { b == b'0' } else { b.is_ascii_digit() }).count();
    let (digits, rest) = fraction.split_at_checked(count)?;
    let thousandths =
        digits.bytes().chain([b'0'; 3]).take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    Some((if one { 1000 } else { thousandths }, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quality_of_json(header: &str) -> Option<u16> {
        match Accept::parse(Some(header)) {
            Accept::Invalid(_) => None,
            accept => Some(accept.quality("application/json")),
        }
    }

    #[test]
    fn ranges_are_weighed() {
        for (header, expect) in [
            ("", Some(0)),
            ("application/json", Some(1000)),
            ("Application/JSON", Some(1000)),
            ("application/*;q=0.5", Some(500)),
            ("*/*", Some(1000)),
            ("text/html", Some(0)),
            ("text/html;q=0.9,application/json;q=0.1", Some(100)),
            ("application/json;q=0, */*", Some(0)),
            ("application/json;charset=utf-8", Some(0)),
            ("application/json;v=\"a,b\";q=1.0;ext;x=\"y\"", Some(0)),
            (",,text/html , ,application/json", Some(1000)),
            ("text/html,", Some(0)),
            ("application/xml, text/html;level=1", Some(0)),
        ] {
            assert_eq!(quality_of_json(header), expect, "{header:?}");
        }
    }

    #[test]
    fn a_header_that_is_no_list_of_ranges_does_not_restrict() {
        for header in [
            "json",
            "text/",
            "/json",
            "text/html;q=2",
            "text/html;q=0.1234",
            "text/html;=x",
            "a/b c/d",
            "\"x\"/y",
            ",a/b",
        ] {
            assert_eq!(quality_of_json(header), None, "{header:?}");
        }
    }

    #[test]
    fn the_first_of_those_liked_most_is_best() {
        let offers = ["text/html", "application/json"];
        for (header, expect) in [
            ("*/*", Some("text/html")),
            ("application/json, text/html;q=0.9", Some("application/json")),
            ("text/plain", None),
            ("", None),
        ] {
            assert_eq!(Accept::parse(Some(header)).best(&offers), expect, "{header:?}");
        }
    }

    #[test]
    fn the_older_rule_prefers_the_more_exact_range() {
        let offers = ["application/json", "application/json-home"];
        for (header, expect) in [
            ("*/*", Some("application/json")),
            ("application/json-home", Some("application/json-home")),
            ("application/json-home, */*", Some("application/json-home")),
            ("application/json, application/json-home", Some("application/json")),
            ("text/html", None),
        ] {
            assert_eq!(Accept::parse(Some(header)).best_by_older_rule(&offers), expect, "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "\\PC*") {
            let _ = Accept::parse(Some(&header)).quality("application/json");
        }

        #[test]
        fn no_acceptish_header_panics(header in "[a-z*/;,=q01. \"\\\\]{0,40}") {
            let _ = Accept::parse(Some(&header)).best(&["text/html", "application/json"]);
        }
    }
}
