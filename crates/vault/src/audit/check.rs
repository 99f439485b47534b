//! Finds lines of an audit trail that are missing or were altered.
//!
//! One fault does not hide the next: after it, the check continues with the number and link that the next line claims.
//!
//! A power cut may lose or break lines that were not on disk yet. The service declares this in the line of its next start,
//! which nobody can forge, so the check reports it as a notice and not as a fault. The service never declares the loss of
//! lines that were certainly on disk. A person could still damage those last lines in the same way as a crash.

use std::fmt;
use std::io::{self, BufRead};

use seal::ChainKey;

use super::note::{self, Cut, Event};
use super::parse::Parsed;

/// How many faults of one trail are reported; then the check ends.
const FAULTS_MAX: usize = 100;

/// An intact trail.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CheckedTrail {
    /// The number of its last line; 0 if there is none.
    pub last: u64,
    /// The number of verified lines.
    pub lines: u64,
    /// The newest change that was committed, according to the trail.
    pub committed: u64,
    /// Notices for the operator, which are no faults.
    pub notices: Vec<Notice>,
}

/// Something that the service declared in a line of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// The line, counted from 1 over all input.
    pub line: u64,
    /// When it was declared.
    pub time: String,
    /// The declaration.
    pub what: Declared,
}

/// A declaration of the service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Declared {
    /// The file ended in a part of a line, which was cut off.
    Cut(Cut),
    /// Lines after the one with this number are broken or missing.
    Damaged {
        /// That line's number.
        after: u64,
        /// The number of faults found there.
        faults: usize,
    },
    /// Some changes on disk have no line.
    Unwritten {
        /// The last change before them.
        after: u64,
        /// The last of them.
        through: u64,
    },
    /// The operator accepted that changes are gone.
    Accepted {
        /// The last change before them.
        after: u64,
        /// The last of them.
        through: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, time, what } = self;
        match what {
            Declared::Cut(Cut { at, bytes }) => write!(
                f,
                "cut by a crash before line {line}: the start at {time} took {bytes} bytes of an unfinished line from the \
                 end of the file, at byte {at}"
            ),
            Declared::Damaged { after, faults } => write!(
                f,
                "damaged by a crash before line {line}: the start at {time} found lines after number {after} broken that \
                 were not on disk for certain ({faults} faults there)"
            ),
            Declared::Unwritten { after, through } => write!(
                f,
                "changes {} to {through} have no line before line {line}: the start at {time} found them in the database; \
                 a power cut takes such lines where audit_sync is batch",
                after + 1
            ),
            Declared::Accepted { after, through } => write!(
                f,
                "line {line}: at {time} the operator accepted that changes {} to {through} are not in the database",
                after + 1
            ),
        }
    }
}

/// Why a trail is not intact.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// A file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A line that is not a line of a trail.
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
    /// A line was altered, or the key belongs to another trail.
    #[error("line {line} of the input, number {number}, or the one before it was altered")]
    Altered {
        /// Counted from 1 over all input.
        line: u64,
        /// The line's own number.
        number: u64,
    },
    /// Changes were lost, and nobody declared that.
    #[error(
        "line {line} of the input says that change {found} is the newest in the database, and an earlier one that {known} \
         was: changes were lost, and nobody declared it"
    )]
    WentBack {
        /// Counted from 1 over all input.
        line: u64,
        /// The newest change according to an earlier line.
        known: u64,
        /// The newest change according to this line.
        found: u64,
    },
    /// The store knows of later lines.
    #[error(
        "the trail ends at number {last}, but the store knows that number {known} was written: lines were cut off"
    )]
    CutOff {
        /// The number of the last line in the trail.
        last: u64,
        /// The number of the last line that the store knows.
        known: u64,
    },
    /// Several faults, in the order of lines.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<TrailError>),
}

/// Verifies a trail from its first line on. `known` is the number and link that the store was last told.
///
/// A last line without a line end does not count: the service is writing it, or never answered its request.
pub fn check_trail(
    key: &ChainKey,
    trail: impl BufRead,
    known: Option<(u64, [u8; 32])>,
) -> Result<CheckedTrail, TrailError> {
    let mut walk = Walk::default();
    for line in WholeLines(trail) {
        walk.take(key, &line?, known);
        if walk.faults.len() == FAULTS_MAX {
            break;
        }
    }
    let Walk { last, faults, mut checked, .. } = walk;
    checked.last = last;
    let mut faults: Vec<_> = faults.into_iter().map(|(_, fault)| fault).collect();
    if let Some((known, _)) = known
        && known > last
        && faults.len() < FAULTS_MAX
    {
        faults.push(TrailError::CutOff { last, known });
    }
    match faults.pop() {
        None => Ok(checked),
        Some(fault) if faults.is_empty() => Err(fault),
        Some(fault) => {
            faults.push(fault);
            Err(TrailError::Several(faults))
        }
    }
}

/// The state of a check.
#[derive(Default)]
struct Walk {
    last: u64,
    link: [u8; 32],
    /// The newest change that has a line.
    given: u64,
    checked: CheckedTrail,
    /// Each with the number of the last line before it.
    faults: Vec<(u64, TrailError)>,
}

impl Walk {
    fn take(&mut self, key: &ChainKey, line: &[u8], known: Option<(u64, [u8; 32])>) {
        self.checked.lines += 1;
        let at = self.checked.lines;
        let Some(parsed) = Parsed::line(line) else {
            return self.faults.push((self.last, TrailError::Foreign { line: at }));
        };
        let Parsed { linked, number, link: claimed, .. } = parsed;
        let contradicted = known.is_some_and(|(known, by_store)| known == number && by_store != claimed);
        let before = std::mem::replace(&mut self.last, number);
        let link = std::mem::replace(&mut self.link, claimed);
        if number != before + 1 {
            self.faults.push((before, TrailError::Gap { line: at, expected: before + 1, found: number }));
        } else if claimed != key.link(&link, linked) || contradicted {
            self.faults.push((before, TrailError::Altered { line: at, number }));
        } else {
            self.believe(&parsed, line);
        }
    }

    /// Notes the contents of a line.
    fn believe(&mut self, parsed: &Parsed<'_>, line: &[u8]) {
        let at = self.checked.lines;
        let declared = if parsed.is_of_service() { note::read(line) } else { None };
        let accepted = matches!(declared, Some((_, Event::AcceptRollback { .. })));
        if let Some((time, event)) = declared {
            self.declare(&time, event, parsed.committed.unwrap_or(0));
        }
        if let Some(committed) = parsed.committed {
            let known = self.checked.committed;
            if committed < known && !accepted {
                self.faults.push((self.last, TrailError::WentBack { line: at, known, found: committed }));
            }
            self.checked.committed = committed;
        }
        self.given = self.given.max(parsed.given());
    }

    fn declare(&mut self, time: &str, event: Event, committed: u64) {
        let mut tell = |what| {
            self.checked.notices.push(Notice { line: self.checked.lines, time: time.to_owned(), what });
        };
        match event {
            Event::Start { cut, damaged_after } => {
                if let Some(cut) = cut {
                    tell(Declared::Cut(cut));
                }
                if let Some(after) = damaged_after {
                    let all = self.faults.len();
                    self.faults.retain(|(before, _)| *before < after);
                    tell(Declared::Damaged { after, faults: all - self.faults.len() });
                }
                if self.given > 0 && committed > self.given {
                    tell(Declared::Unwritten { after: self.given, through: committed });
                }
            }
            Event::AcceptRollback { lost_after, lost_through } => {
                tell(Declared::Accepted { after: lost_after, through: lost_through });
            }
            Event::Init | Event::Committed | Event::Reopen | Event::Stop => {}
        }
    }
}

/// Reads one complete line after the other, without line ends.
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
