//! Dates as OpenStack's services read them: ISO 8601 with the leniency of the Python package `iso8601`.
//!
//! ```text
//! YYYY[-M[M] | MM][-D[D] | DD][(space | T)hh[[:]mm][[:]s[s][(. | ,)f…]][Z | (+ | -)hh[:][mm]]]
//! ```
//!
//! That package matches with a regular expression, which tries a shorter reading when a longer one leads nowhere
//! (`2099-123` is 23 January). Here every step offers its readings in the same order, and the first that reaches the end
//! wins.

use std::str::FromStr;

use model::Timestamp;
use time::{Date, Month, Time};

/// A date that was understood: the time on the clock as written, and how far that clock is ahead of UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParsedDate {
    /// The time as written, without regard to the zone.
    local: Timestamp,
    /// The zone, in microseconds east of UTC.
    offset_micros: i64,
}

/// Not a date, or one that no calendar has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a date")]
pub struct InvalidDate;

impl ParsedDate {
    /// The moment in UTC, as an expiration means it. Python's years end at 1 and 9999, and so do these.
    pub fn utc(self) -> Result<Timestamp, InvalidDate> {
        const FIRST_MICROS: i64 = -62_135_596_800_000_000; // 0001-01-01T00:00:00
        const LAST_MICROS: i64 = 253_402_300_799_999_999; // 9999-12-31T23:59:59.999999
        let utc = self.local.plus_micros(-self.offset_micros);
        if (FIRST_MICROS..=LAST_MICROS).contains(&utc.micros()) { Ok(utc) } else { Err(InvalidDate) }
    }

    /// The time as written, without regard to the zone: how Barbican's date filters compare.
    pub fn local(self) -> Timestamp {
        self.local
    }
}

/// Reads a date.
pub fn parse(text: &str) -> Result<ParsedDate, InvalidDate> {
    let text = text.strip_suffix('\n').unwrap_or(text); // As `$` does in Python.
    let (year, rest) = digits(text, 4).ok_or(InvalidDate)?;
    let year_alone = rest.is_empty().then_some((1, rest));
    let months = after_dash(rest).chain(digits(rest, 2).filter(|(_, rest)| !rest.is_empty()));
    for (month, rest) in months.chain(year_alone) {
        let days = after_dash(rest).chain(digits(rest, 2)).chain(rest.is_empty().then_some((1, rest)));
        for (day, rest) in days {
            if let Some((clock, offset)) = clock_and_zone(rest) {
                return build(year, month, day, clock, offset);
            }
        }
    }
    Err(InvalidDate)
}

/// A time of day as it was written; nothing is checked yet.
#[derive(Clone, Copy, Default)]
struct Clock {
    hour: u8,
    minute: u8,
    second: u8,
    micros: u32,
}

fn build(
    year: i32,
    month: u8,
    day: u8,
    clock: Clock,
    offset_minutes: i64,
) -> Result<ParsedDate, InvalidDate> {
    // Python's years begin at 1, and its zones are less than a day.
    if year == 0 || offset_minutes.abs() >= 24 * 60 {
        return Err(InvalidDate);
    }
    let month = Month::try_from(month).map_err(|_| InvalidDate)?;
    let date = Date::from_calendar_date(year, month, day).map_err(|_| InvalidDate)?;
    let Clock { hour, minute, second, micros } = clock;
    let time = Time::from_hms_micro(hour, minute, second, micros).map_err(|_| InvalidDate)?;
    Ok(ParsedDate {
        local: Timestamp::from_date_time(date, time),
        offset_micros: offset_minutes * 60_000_000,
    })
}

/// So many digits exactly.
fn digits<N: FromStr>(text: &str, count: usize) -> Option<(N, &str)> {
    let (head, rest) = text.split_at_checked(count)?;
    let all_digits = head.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| head.parse().ok()).flatten().map(|number| (number, rest))
}

/// A dash and two digits, or else one.
fn after_dash(text: &str) -> impl Iterator<Item = (u8, &str)> {
    let rest = text.strip_prefix('-');
    [2, 1].into_iter().filter_map(move |count| digits(rest?, count))
}

/// The rest after a day: nothing, or a time with or without a zone, up to the end.
fn clock_and_zone(text: &str) -> Option<(Clock, i64)> {
    if text.is_empty() {
        return Some((Clock::default(), 0));
    }
    let (hour, rest) = digits(text.strip_prefix(['T', ' '])?, 2)?;
    for (minute, rest) in optional(rest, 2) {
        let unread = (Clock { hour, minute, ..Clock::default() }, rest);
        for (clock, rest) in seconds(hour, minute, rest).chain([unread]) {
            if let Some(offset) = zone(rest) {
                return Some((clock, offset));
            }
        }
    }
    None
}

/// A number after a colon that may be missing; then no number at all.
fn optional(text: &str, count: usize) -> impl Iterator<Item = (u8, &str)> {
    digits(text.strip_prefix(':').unwrap_or(text), count).into_iter().chain([(0, text)])
}

/// Seconds of two digits or else one, with a fraction or without.
fn seconds(hour: u8, minute: u8, text: &str) -> impl Iterator<Item = (Clock, &str)> {
    let text = text.strip_prefix(':').unwrap_or(text);
    [2, 1].into_iter().filter_map(move |count| digits(text, count)).flat_map(move |(second, rest)| {
        let plain = (Clock { hour, minute, second, micros: 0 }, rest);
        let precise =
            fraction(rest).map(move |(micros, rest)| (Clock { hour, minute, second, micros }, rest));
        precise.into_iter().chain([plain])
    })
}

/// A fraction of a second, cut off at microseconds.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let text = text.strip_prefix(['.', ','])?;
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (head, rest) = text.split_at_checked(end).filter(|(head, _)| !head.is_empty())?;
    let micros = head.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0, |sum, digit| {
        sum * 10 + u32::from(digit - b'0') // Only digits come here, and six of them fit.
    });
    Some((micros, rest))
}

/// A zone that ends the text, in minutes east of UTC.
fn zone(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, rest) = digits::<i64>(text.strip_prefix(['+', '-'])?, 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = digits::<i64>(rest, 2).unwrap_or((0, rest));
    rest.is_empty().then(|| sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &str) {
        let found = parse(text).and_then(ParsedDate::utc);
        assert_eq!(found.map_or_else(|error| error.to_string(), |date| date.to_string()), expect, "{text:?}");
    }

    #[test]
    fn is_as_lenient_as_barbican() {
        check("2099-05-06T07:08:09Z", "2099-05-06T07:08:09");
        check("2099-05-06T07:08:09", "2099-05-06T07:08:09");
        check("2099-05-06 07:08:09.5", "2099-05-06T07:08:09.500000");
        check("2099-05-06T07:08:09,123456789Z", "2099-05-06T07:08:09.123456");
        check("2099-05-06T07:08:09+05:00", "2099-05-06T02:08:09");
        check("2099-05-06T07:08:09-0330", "2099-05-06T10:38:09");
        check("2099-05-06T07+05", "2099-05-06T02:00:00");
        check("2099-05-06T070809", "2099-05-06T07:08:09");
        check("2099-05-06T07:08", "2099-05-06T07:08:00");
        check("20990506T070809Z", "2099-05-06T07:08:09");
        check("2099", "2099-01-01T00:00:00");
        check("2099-05", "2099-05-01T00:00:00");
        check("2099-5-6", "2099-05-06T00:00:00");
        check("2099-05-06\n", "2099-05-06T00:00:00");
    }

    #[test]
    fn a_shorter_reading_is_tried_last() {
        check("2099-123", "2099-01-23T00:00:00");
        check("2099-05-06T070", "2099-05-06T07:00:00");
        check("2099-05-06T0708.5", "2099-05-06T07:00:08.500000");
    }

    #[test]
    fn refuses_what_barbican_refuses() {
        for text in [
            "",
            "bogus",
            "now",
            "209905",
            "2099-13-01",
            "2099-02-30T00:00:00Z",
            "2099-02-20T24:00:00Z",
            "2099-05-06t07:08:09z",
            "2099-W10-1",
            "10000-01-01T00:00:00Z",
            "0000-01-01",
            "2099-05-06T07:08:60",
            "2099-05-06T07:08:09 05:00",
            "2099-05-06T07:08:09+24:00",
            "9999-12-31T23:59:59-01:00",
            "2099-05-06Z",
            "2099-05-06T",
            "２099",
            "2099-05-06T07:08:09.Z",
        ] {
            check(text, "not a date");
        }
    }

    #[test]
    fn filters_see_the_clock_as_written() {
        assert_eq!(parse("2090-01-01T05:00:00+05:00").unwrap().local().to_string(), "2090-01-01T05:00:00");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text).and_then(ParsedDate::utc);
        }

        #[test]
        fn no_dateish_text_panics(text in "[0-9]{4}[-0-9T: .,+Z]{0,30}") {
            let _ = parse(&text).and_then(ParsedDate::utc);
        }

        #[test]
        fn what_is_printed_is_read(micros in 0..250_000_000_000_000_000_i64) {
            let date = Timestamp::from_micros(micros);
            prop_assert_eq!(parse(&date.to_string()).unwrap().utc(), Ok(date));
        }
    }
}
