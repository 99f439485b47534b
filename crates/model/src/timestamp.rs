//! A moment in UTC, to the microsecond, as Barbican shows and stores it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment that can be written, 0001-01-01T00:00:00: years have four digits, and Python's begin at 1.
    const FIRST_SHOWN: Self = Self(-62_135_596_800_000_000);
    /// The last, 9999-12-31T23:59:59.999999.
    const LAST_SHOWN: Self = Self(253_402_300_799_999_999);

    /// From microseconds since 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// From a calendar date and a time of day in UTC.
    pub fn from_date_time(date: Date, time: Time) -> Self {
        let nanos = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp_nanos();
        // The years the `time` crate knows (-9999 to 9999) fit 64 bits of microseconds.
        Self(i64::try_from(nanos.div_euclid(1000)).unwrap_or(i64::MAX))
    }

    /// This moment, later by so many microseconds (earlier if negative).
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(moment: SystemTime) -> Self {
        let micros = match moment.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Self(micros)
    }
}

/// ISO 8601 without a zone, as Barbican prints it: the fraction has six digits, or is left out if it is zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.clamp(Self::FIRST_SHOWN.0, Self::LAST_SHOWN.0);
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(shown) * 1000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (moment.date(), moment.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?;
        match time.microsecond() {
            0 => Ok(()),
            micros => write!(f, ".{micros:06}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_barbican_does() {
        assert_eq!(Timestamp::from_micros(0).to_string(), "1970-01-01T00:00:00");
        assert_eq!(Timestamp::from_micros(1_428_377_839_805_835).to_string(), "2015-04-07T03:37:19.805835");
    }

    /// A clock that is wrong by millennia makes no unreadable time, and none that is long past.
    #[test]
    fn every_moment_is_written_with_a_year_of_four_digits() {
        for (micros, expect) in [
            (i64::MIN, "0001-01-01T00:00:00"),
            (-62_135_596_800_000_001, "0001-01-01T00:00:00"),
            (-1, "1969-12-31T23:59:59.999999"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999"),
            (253_402_300_800_000_000, "9999-12-31T23:59:59.999999"),
            (i64::MAX, "9999-12-31T23:59:59.999999"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), expect);
        }
        let late = UNIX_EPOCH + std::time::Duration::from_secs(400_000_000_000);
        assert_eq!(Timestamp::from(late).to_string(), "9999-12-31T23:59:59.999999");
    }
}
