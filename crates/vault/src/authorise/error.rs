//! The errors and warnings of a policy file.

use std::fmt;

use super::language::SyntaxError;

/// Why a policy file cannot be used. The text has one line per fault.
///
/// ```text
/// policy.yaml:7: "secret:delte" is no rule of Barbican's, and nothing refers to it; did you mean "secret:delete"?
/// ```
#[derive(Debug)]
pub struct PolicyError {
    file: String,
    /// In the order of lines; at least one.
    faults: Vec<Fault>,
}

impl PolicyError {
    pub(super) fn new(file: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.line);
        Self { file: file.to_owned(), faults }
    }
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Fault { line, problem }) in self.faults.iter().enumerate() {
            let before = if place == 0 { "" } else { "\n" };
            write!(f, "{before}{}:{line}: {problem}", self.file)?;
        }
        Ok(())
    }
}

/// One fault and its line.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) problem: Problem,
}

/// A fault. Each text says what is wrong, then what to do.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Problem {
    #[error("the file is longer than {bytes_max} bytes; leave out what is as it is by default")]
    FileTooLong { bytes_max: usize },
    #[error("more than {max} rules; leave out what is as it is by default")]
    TooManyRules { max: usize },
    #[error("not YAML: {reason}; put names and checks in \"quotes\"")]
    NotYaml { reason: String },
    #[error("not a mapping; write \"NAME\": \"CHECK\" on each line")]
    NoMapping,
    #[error("a second document begins here; a policy file is one: remove the ---")]
    SecondDocument,
    #[error("a name that is not text; write \"NAME\": \"CHECK\"")]
    NameIsNoText,
    #[error("an alias stands for a check; write the check itself, or refer to a rule with rule:NAME")]
    Alias,
    #[error("{name:?} has no check; write \"@\" for everybody or \"!\" for nobody, in quotes")]
    NoCheck { name: String },
    #[error("{name:?} has a mapping for a check; write one text")]
    Nested { name: String },
    #[error(
        "a list of a check holds something other than texts and lists of texts; write the check as one text"
    )]
    ListHoldsNoText,
    #[error("{name:?} is there already, in line {line}; keep one of them")]
    Duplicate { name: String, line: usize },
    #[error("{name:?}: {error}")]
    Syntax { name: String, error: SyntaxError },
    #[error("{name:?} is no rule of Barbican's, and nothing refers to it; {}", hint(.near))]
    Unknown { name: String, near: Option<String> },
    #[error("{name:?} refers to the rule {to:?}, which is not defined; {}", hint(.near))]
    Undefined { name: String, to: String, near: Option<String> },
    #[error("{name:?} refers to itself ({}); let one of them say what has to hold", .path.join(" → "))]
    Cycle { name: String, path: Vec<String> },
    #[error("{name:?} comes to more than {max} checks with what it refers to; say it with fewer")]
    TooLong { name: String, max: usize },
    #[error(
        "{name:?} asks with `not` for {attribute:?}, which is not known here, so that it would always hold; say what \
         has to hold instead"
    )]
    UnknownNegated { name: String, attribute: String },
}

fn hint(near: &Option<String>) -> String {
    match near {
        Some(near) => format!("did you mean {near:?}?"),
        None => "the operator's guide says where all names are".to_owned(),
    }
}

/// A warning about a policy file that can be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyWarning {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) oddity: Oddity,
}

impl fmt::Display for PolicyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.oddity)
    }
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub(super) enum Oddity {
    #[error("{name:?} is a rule of earlier releases of Barbican; nothing asks for it")]
    Retired { name: String },
    #[error("{name:?} asks for {attribute:?}, which is not known here, so this check never holds")]
    UnknownAttribute { name: String, attribute: String },
}
