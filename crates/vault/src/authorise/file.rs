//! Reads an operator's policy file: YAML, which JSON is too, of one mapping from the names of rules to checks.
//!
//! ```yaml
//! "secret:delete": "rule:secret_project_admin"          # a text in the language of checks
//! "secrets:get": [["role:member"], ["role:auditor"]]    # or the older lists: one of the outer, all of an inner
//! ```
//!
//! The error lists all faults at once, each with its line. Aliases and a second document are refused, so that a reader
//! sees the meaning of a name where it stands.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::error::{Fault, Problem};
use super::language::Check;

/// The longest file. Barbican's own, with every rule and its comments, has 40 KiB.
const FILE_BYTES_MAX: usize = 1 << 20;
/// The most rules in a file, helpers among them; Barbican has 82.
const RULES_MAX: usize = 1000;

/// One rule of the file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) check: Check,
}

/// Reads a file's text.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Vec<Fault>> {
    if text.len() > FILE_BYTES_MAX {
        return Err(vec![Fault { line: 1, problem: Problem::FileTooLong { bytes_max: FILE_BYTES_MAX } }]);
    }
    let mut reader =
        Reader { events: Parser::new_from_str(text), line: 1, entries: Vec::new(), faults: Vec::new() };
    if let Err(stop) = reader.file() {
        reader.faults.push(stop);
    }
    if reader.faults.is_empty() { Ok(reader.entries) } else { Err(reader.faults) }
}

/// Walks through the events and collects faults. A fault after which the rest cannot be read ends the walk as an `Err`.
struct Reader<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// The line where the previous event began.
    line: usize,
    entries: Vec<Entry>,
    faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    fn file(&mut self) -> Result<(), Fault> {
        loop {
            match self.next()? {
                Event::StreamStart | Event::DocumentStart(_) => {}
                Event::StreamEnd => return Ok(()), // Nothing but comments overrides nothing.
                Event::MappingStart(..) => break,
                Event::Scalar(text, ScalarStyle::Plain, ..) if is_null(&text) => {}
                Event::DocumentEnd => {}
                _ => return Err(self.fault(Problem::NoMapping)),
            }
        }
        while self.rule()? {}
        loop {
            match self.next()? {
                Event::DocumentStart(_) => return Err(self.fault(Problem::SecondDocument)),
                Event::StreamEnd => return Ok(()),
                _ => {}
            }
        }
    }

    /// One rule, unless the mapping ends.
    fn rule(&mut self) -> Result<bool, Fault> {
        let name = match self.next()? {
            Event::MappingEnd => return Ok(false),
            Event::Scalar(name, ..) => name.into_owned(),
            _ => return Err(self.fault(Problem::NameIsNoText)),
        };
        let line = self.line;
        let at_line = |problem| Fault { line, problem };
        if self.entries.len() == RULES_MAX {
            return Err(at_line(Problem::TooManyRules { max: RULES_MAX }));
        }
        if let Some(first) = self.entries.iter().find(|entry| entry.name == name) {
            let problem = Problem::Duplicate { name: name.clone(), line: first.line };
            self.faults.push(at_line(problem));
        }
        match self.check(&name)? {
            Ok(check) => self.entries.push(Entry { name, line, check }),
            Err(problem) => {
                self.faults.push(at_line(problem));
                // The rule counts as defined, so that references to it are no further faults.
                self.entries.push(Entry { name, line, check: Check::Never });
            }
        }
        Ok(true)
    }

    fn check(&mut self, name: &str) -> Result<Result<Check, Problem>, Fault> {
        let syntax = |error| Problem::Syntax { name: name.to_owned(), error };
        Ok(match self.next()? {
            Event::Scalar(text, style, _, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                match is_plain && (is_null(&text) || tag.is_some()) {
                    true => Err(Problem::NoCheck { name: name.to_owned() }),
                    false => Check::parse(&text).map_err(syntax),
                }
            }
            Event::SequenceStart(..) => {
                self.lists()?.and_then(|lists| Check::parse_lists(&lists).map_err(syntax))
            }
            Event::Alias(_) => Err(Problem::Alias),
            Event::MappingStart(..) => return Err(self.fault(Problem::Nested { name: name.to_owned() })),
            _ => return Err(self.fault(Problem::NoCheck { name: name.to_owned() })),
        })
    }

    /// The rest of a list, whose items are texts or lists of texts.
    fn lists(&mut self) -> Result<Result<Vec<Vec<String>>, Problem>, Fault> {
        let mut lists = Vec::new();
        let mut is_inside = false;
        loop {
            match self.next()? {
                Event::SequenceEnd if is_inside => is_inside = false,
                Event::SequenceEnd => return Ok(Ok(lists)),
                Event::SequenceStart(..) if !is_inside => {
                    is_inside = true;
                    lists.push(Vec::new());
                }
                Event::Scalar(text, ..) => match lists.last_mut() {
                    Some(inner) if is_inside => inner.push(text.into_owned()),
                    _ => lists.push(vec![text.into_owned()]),
                },
                _ => return Err(self.fault(Problem::ListHoldsNoText)),
            }
        }
    }

    fn next(&mut self) -> Result<Event<'t>, Fault> {
        let next: Option<Result<(Event<'t>, Span), ScanError>> = self.events.next_event();
        match next {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => Err(Fault {
                line: error.marker().line(),
                problem: Problem::NotYaml { reason: error.info().to_owned() },
            }),
            None => Ok(Event::StreamEnd),
        }
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault { line: self.line, problem }
    }
}

/// Whether YAML reads the text as null. oslo.policy reads null as "everybody", which an operator who leaves a value out
/// does not mean.
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
