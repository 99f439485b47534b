//! Finds what is missing from an audit trail, or was altered.
//!
//! One fault does not hide the next: after it the check goes on with what the line after it claims.

use std::io::{self, BufRead};

use seal::ChainKey;

use super::chain::{END, LINK, NUMBER};

/// The largest number of a line: what the store's column holds. So there is always a next one.
const NUMBER_MAX: u64 = i64::MAX as u64;
/// Faults told of one trail; further ones are not looked for.
const FAULTS_MAX: usize = 100;

/// A trail that holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CheckedTrail {
    /// The number of its last line; 0 if there is none.
    pub last: u64,
    /// How many lines were verified.
    pub lines: u64,
}

/// What is wrong with a trail.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// A file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Something that is no line of a trail.
    #[error("line {line} of the input is not a line of an audit trail")]
    Foreign {
        /// Counted from 1 over all input.
        line: u64,
    },
    /// Numbers do not follow one another.
    #[error(
        "line {line} of the input has number {found}, not {expected}: lines were removed, moved or added"
    )]
    Gap {
        /// Counted from 1 over all input.
        line: u64,
        /// The number it should have.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// A line is not as it was written, or the key is another one.
    #[error("line {line} of the input, number {number}, or the one before it was altered")]
    Altered {
        /// Counted from 1 over all input.
        line: u64,
        /// The line's own number.
        number: u64,
    },
    /// The store knows of later lines.
    #[error(
        "the trail ends at number {last}, but the store knows that number {known} was written: lines were cut off"
    )]
    CutOff {
        /// The last line there is.
        last: u64,
        /// The line the store knows of.
        known: u64,
    },
    /// More than one of these, in the order of lines.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<TrailError>),
}

/// Verifies a trail from its first line on. `known` is what the store was last told: a number and its link.
///
/// A last line without an end is left out: it is being written, or was never answered to anybody.
pub fn check_trail(
    key: &ChainKey,
    trail: impl BufRead,
    known: Option<(u64, [u8; 32])>,
) -> Result<CheckedTrail, TrailError> {
    let (mut last, mut link, mut lines, mut faults) = (0, [0; 32], 0, Vec::new());
    for line in WholeLines(trail) {
        let line = line?;
        lines += 1;
        let Some((linked, number, claimed)) = parse(&line) else {
            faults.push(TrailError::Foreign { line: lines });
            continue;
        };
        let contradicted = known.is_some_and(|(known, by_store)| known == number && by_store != claimed);
        if number != last + 1 {
            faults.push(TrailError::Gap { line: lines, expected: last + 1, found: number });
        } else if claimed != key.link(&link, linked) || contradicted {
            faults.push(TrailError::Altered { line: lines, number });
        }
        (last, link) = (number, claimed);
        if faults.len() == FAULTS_MAX {
            return Err(TrailError::Several(faults));
        }
    }
    if let Some((known, _)) = known
        && known > last
    {
        faults.push(TrailError::CutOff { last, known });
    }
    match faults.pop() {
        None => Ok(CheckedTrail { last, lines }),
        Some(fault) if faults.is_empty() => Err(fault),
        Some(fault) => {
            faults.push(fault);
            Err(TrailError::Several(faults))
        }
    }
}

/// A line without its end: what its link covers, its number, its link.
pub(super) fn parse(line: &[u8]) -> Option<(&[u8], u64, [u8; 32])> {
    let rest = line.strip_suffix(END.as_bytes())?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
    let linked = rest.strip_suffix(LINK.as_bytes())?;
    let mut link = [0; 32];
    for (byte, pair) in link.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    let at = linked.windows(NUMBER.len()).rposition(|window| window == NUMBER.as_bytes())?;
    let number: u64 = std::str::from_utf8(linked.get(at + NUMBER.len()..)?).ok()?.parse().ok()?;
    (number <= NUMBER_MAX).then_some((linked, number, link))
}

/// Lines that end, one after the other, without their ends.
struct WholeLines<R>(R);

impl<R: BufRead> Iterator for WholeLines<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.0.read_until(b'\n', &mut line) {
            Err(error) => Some(Err(error)),
            Ok(_) if line.pop() == Some(b'\n') => Some(Ok(line)),
            Ok(_) => None,
        }
    }
}
