//! The two facts of a certificate that rustls does not give: its dates, and whether it is an authority's.
//!
//! ```text
//!  Certificate { TBSCertificate { [0] version, serial, algorithm, issuer, Validity { from, to }, subject, key,
//!                                 [3] { Extension { oid, critical?, OCTET STRING { BasicConstraints { ca? … } } } } } … }
//! ```
//!
//! DER, RFC 5280 section 4.1. Nothing is verified here. An unreadable certificate is `None`, and no input panics. Why no
//! crate reads it: docs/decisions/0027.

use rustls::pki_types::UnixTime;

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.19
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// See above.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Facts {
    /// Seconds since 1970.
    from: i64,
    to: i64,
    /// Whether it is an authority's; `None` if it does not say.
    pub(super) is_authority: Option<bool>,
}

/// Whether a certificate is valid at a moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Validity {
    Now,
    Later,
    Over,
}

impl Facts {
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        let mut body = Der(Der(certificate).take(SEQUENCE)?);
        let mut body = Der(body.take(SEQUENCE)?);
        if body.tag() == Some(VERSION) {
            body.any()?;
        }
        for _serial_algorithm_issuer in 0..3 {
            body.any()?;
        }
        let mut validity = Der(body.take(SEQUENCE)?);
        let (from, to) = (validity.time()?, validity.time()?);
        let mut is_authority = None;
        while let Some((tag, content)) = body.any() {
            if tag == EXTENSIONS {
                is_authority = basic_constraints(Der(content).take(SEQUENCE)?);
            }
        }
        Some(Self { from, to, is_authority })
    }

    pub(super) fn validity(&self, now: UnixTime) -> Validity {
        match i64::try_from(now.as_secs()).unwrap_or(i64::MAX) {
            now if now < self.from => Validity::Later,
            now if now > self.to => Validity::Over,
            _ => Validity::Now,
        }
    }
}

fn basic_constraints(extensions: &[u8]) -> Option<bool> {
    let mut extensions = Der(extensions);
    while let Some(extension) = extensions.take(SEQUENCE) {
        let mut extension = Der(extension);
        if extension.take(OID)? != BASIC_CONSTRAINTS {
            continue;
        }
        if extension.tag() == Some(BOOLEAN) {
            extension.any()?;
        }
        let mut constraints = Der(Der(extension.take(OCTET_STRING)?).take(SEQUENCE)?);
        return Some(constraints.tag() == Some(BOOLEAN) && constraints.take(BOOLEAN)? != [0]);
    }
    None
}

/// The elements that are not read yet.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: its tag and its content.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match usize::from(*first) {
            short @ 0..=0x7f => (short, rest),
            long @ 0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(long - 0x80)?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// `YYMMDDHHMMSSZ`, where years from 50 on are 1950 and later, or `YYYYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<i64> {
        let (tag, text) = self.any()?;
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        let is_whole = text.bytes().all(|digit| digit.is_ascii_digit());
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
        let (year, at) = match tag {
            UTC_TIME => (number(0, 2).map(|year| year + if year < 50 { 2000 } else { 1900 })?, 2),
            GENERALIZED_TIME => (number(0, 4)?, 4),
            _ => return None,
        };
        let part = |index: usize| number(at + 2 * index, at + 2 * index + 2);
        let [month, day, hour, minute, second] = [part(0)?, part(1)?, part(2)?, part(3)?, part(4)?];
        let is_date = is_whole && text.len() == at + 10 && (1..=12).contains(&month);
        is_date.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
    }
}

/// Days since 1970-01-01 of the Gregorian calendar: years begin in March here, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_month = (153 * month + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + before_month + day
        - 719_469
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, &content].concat()
    }

    fn certificate(from: (u8, &str), to: (u8, &str), constraints: Option<&[u8]>) -> Vec<u8> {
        let time = |(tag, text): (u8, &str)| element(tag, &[text.as_bytes()]);
        let empty = element(SEQUENCE, &[]);
        let extensions = constraints.map(|constraints| {
            let other =
                element(SEQUENCE, &[&element(OID, &[&[0x55, 0x1d, 0x0f]]), &element(OCTET_STRING, &[])]);
            let value = element(OCTET_STRING, &[&element(SEQUENCE, &[constraints])]);
            let critical = element(BOOLEAN, &[&[0xff]]);
            let ours = element(SEQUENCE, &[&element(OID, &[BASIC_CONSTRAINTS]), &critical, &value]);
            element(EXTENSIONS, &[&element(SEQUENCE, &[&other, &ours])])
        });
        let version = element(VERSION, &[&element(2, &[&[2]])]);
        let validity = element(SEQUENCE, &[&time(from), &time(to)]);
        let extensions = extensions.unwrap_or_default();
        let body =
            [&version[..], &element(2, &[&[1]]), &empty, &empty, &validity, &empty, &empty, &extensions];
        element(SEQUENCE, &[&element(SEQUENCE, &body), &empty, &element(3, &[])])
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let check = |time: (u8, &str), expect: Option<i64>| {
            let facts = Facts::read(&certificate((UTC_TIME, "700101000000Z"), time, None));
            assert_eq!(facts.map(|facts| facts.to), expect, "{}", time.1);
        };
        check((UTC_TIME, "700101000000Z"), Some(0));
        check((UTC_TIME, "261124210557Z"), Some(1_795_554_357));
        check((UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        check((UTC_TIME, "500101000000Z"), Some(-631_152_000));
        check((GENERALIZED_TIME, "20000229120000Z"), Some(951_825_600));
        check((GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for wrong in ["7001010000Z", "701301000000Z", "70010100000aZ", "700101000000", "+70101000000Z", ""] {
            check((UTC_TIME, wrong), None);
        }
    }

    #[test]
    fn a_certificate_says_whether_it_is_an_authoritys() {
        let when = (UTC_TIME, "700101000000Z");
        let check = |constraints: Option<&[u8]>, expect| {
            let facts = Facts::read(&certificate(when, when, constraints)).unwrap();
            assert_eq!(facts.is_authority, expect, "{constraints:?}");
        };
        check(None, None);
        check(Some(&[]), Some(false));
        check(Some(&[BOOLEAN, 1, 0]), Some(false));
        check(Some(&[BOOLEAN, 1, 0xff, 2, 1, 0]), Some(true));
        check(Some(&[2, 1, 0]), Some(false));
    }

    #[test]
    fn a_moment_is_before_within_or_after() {
        let facts = Facts { from: 100, to: 200, is_authority: None };
        let at = |seconds| facts.validity(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        assert_eq!(
            [at(99), at(100), at(200), at(201)],
            [Validity::Later, Validity::Now, Validity::Now, Validity::Over]
        );
    }

    #[test]
    fn a_truncated_certificate_is_refused() {
        let when = (GENERALIZED_TIME, "20260101000000Z");
        let whole = certificate(when, when, Some(&[BOOLEAN, 1, 0xff]));
        assert!(Facts::read(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(Facts::read(&whole[..end]), None, "{end}");
        }
        assert_eq!(Facts::read(b"\x30\x85\x01\x00\x00\x00\x00"), None);
    }
}
