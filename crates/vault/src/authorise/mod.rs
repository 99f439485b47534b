//! The access rules: a policy decides which caller may do which action.
//!
//! ```text
//! table ──two checks a row──▶ Policy ◀──checks by name── an operator's file (YAML)
//!                               │ once, at the start
//!                               ▼
//! caller, action, subject ──▶ a small tree for each action ──▶ yes, no, or ask the ACL
//! ```
//!
//! The rules, their names and the language are those of Barbican's policy files: [`table`] has the rules, [`language`]
//! the language, [`file`] reads the file, [`review`] finds its errors, and [`compiled`] evaluates. At front-ends whose
//! callers have no roles ([`model::Door::has_roles`]) no rule is evaluated: every caller has access to its whole project.
//!
//! In Barbican, a caller without a user owns the secrets that were created without a user. Here nobody owns them.

mod compiled;
mod error;
mod file;
mod language;
mod review;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use model::{Call, ProjectId, Standing, UserId};

use compiled::{Compiled, Compiler};
use error::Oddity;
use language::Check;
use review::Review;
use table::{HELPERS, Kind, ROWS, Row};

pub use error::{PolicyError, PolicyWarning};
pub use table::{Action, PolicySet};

/// All rules: a built-in set, with the changes of an operator's file.
#[derive(Clone)]
pub struct Policy {
    set: PolicySet,
    rules: BTreeMap<String, Check>,
    /// The place in the file of each rule that a file overrides.
    overridden: BTreeMap<String, Place>,
    warnings: Vec<PolicyWarning>,
    /// By the numbers of the actions.
    compiled: Box<[Compiled]>,
}

#[derive(Clone, Debug)]
struct Place {
    file: String,
    line: usize,
}

/// The attributes of a secret, a container or an order that rules use. The action says which of the three it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) project: &'a ProjectId,
    pub(crate) creator: Option<&'a UserId>,
    /// Whether its ACL lets the project read it; true for an order, which has no ACL.
    pub(crate) project_access: bool,
}

impl<'a> From<&Standing<'a>> for Subject<'a> {
    fn from(standing: &Standing<'a>) -> Self {
        let Standing { project, creator, project_access, .. } = *standing;
        Self { project, creator, project_access }
    }
}

/// The result of a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// Allowed if the ACL names the caller's user.
    AskAcl,
    /// Allowed unless the ACL names the caller's user. Only an operator's own rules say this.
    AskAclNot,
}

impl Policy {
    /// A built-in set without changes.
    pub fn new(set: PolicySet) -> Self {
        let mut rules: BTreeMap<String, Check> = BTreeMap::new();
        let helpers = HELPERS.iter().map(|helper| (helper.name, helper.check));
        for (name, check) in helpers.chain(table::rules().map(|row| (row.name, row.check(set)))) {
            #[expect(clippy::expect_used, reason = "a test reads every row")]
            rules.insert(name.to_owned(), Check::parse(check).expect("the table holds checks"));
        }
        Self::compile(set, rules, BTreeMap::new(), Vec::new())
    }

    /// The defaults of Barbican 23. See [`PolicySet::SecureRbac`] for what they allow.
    pub fn secure_rbac() -> Self {
        Self::new(PolicySet::SecureRbac)
    }

    /// The defaults up to Barbican 22.
    pub fn legacy() -> Self {
        Self::new(PolicySet::Legacy)
    }

    /// This policy with the rules of a policy file over it. `file` is the name of the file in errors.
    pub fn overridden_by(&self, text: &str, file: &str) -> Result<Self, PolicyError> {
        let entries = file::read(text).map_err(|faults| PolicyError::new(file, faults))?;
        let mut rules = self.rules.clone();
        let mut overridden = self.overridden.clone();
        let mut warnings = self.warnings.clone();
        let entries = entries.into_iter().filter(|entry| {
            let is_retired = table::is_retired(&entry.name) && !rules.contains_key(&entry.name);
            if is_retired {
                let oddity = Oddity::Retired { name: entry.name.clone() };
                warnings.push(PolicyWarning { file: file.to_owned(), line: entry.line, oddity });
            }
            !is_retired
        });
        let entries: Vec<_> = entries.collect();
        for entry in entries {
            overridden.insert(entry.name.clone(), Place { file: file.to_owned(), line: entry.line });
            rules.insert(entry.name, entry.check);
        }
        let review = Review::of(&rules, &overridden);
        if !review.faults.is_empty() {
            return Err(PolicyError::new(file, review.faults));
        }
        warnings.extend(review.oddities.into_iter().map(|(line, oddity)| PolicyWarning {
            file: file.to_owned(),
            line,
            oddity,
        }));
        warnings.sort_by_key(|warning| warning.line);
        Ok(Self::compile(self.set, rules, overridden, warnings))
    }

    fn compile(
        set: PolicySet,
        rules: BTreeMap<String, Check>,
        overridden: BTreeMap<String, Place>,
        warnings: Vec<PolicyWarning>,
    ) -> Self {
        let compile = |row: &Row| match row.kind {
            Kind::DoorOnly => Compiled::Known(false),
            kind => Compiler { rules: &rules, set, kind }.compile(&Check::Rule(row.name.to_owned())),
        };
        let compiled = ROWS.iter().map(compile).collect();
        Self { set, rules, overridden, warnings, compiled }
    }

    /// The built-in set that files override.
    pub fn set(&self) -> PolicySet {
        self.set
    }

    /// The number of rules that files override.
    pub fn overrides(&self) -> usize {
        self.overridden.len()
    }

    /// Warnings about the files, which can be used nevertheless.
    pub fn warnings(&self) -> &[PolicyWarning] {
        &self.warnings
    }

    /// Evaluates the rule of an action. `subject` is absent if the action is not about an existing thing.
    pub(crate) fn verdict(&self, action: Action, call: &Call, subject: Option<Subject<'_>>) -> Verdict {
        if !call.door.has_roles() {
            let own = subject.is_none_or(|subject| *subject.project == call.caller.project);
            return if own { Verdict::Allowed } else { Verdict::Denied };
        }
        let (row, compiled) = match (ROWS.get(action as usize), self.compiled.get(action as usize)) {
            (Some(row), Some(compiled)) => (row, compiled),
            _ => return Verdict::Denied,
        };
        if row.kind != Kind::Nothing && subject.is_none() {
            return Verdict::Denied;
        }
        compiled.ask(&call.caller, subject).into()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("set", &self.set)
            .field("overridden", &self.overridden)
            .finish_non_exhaustive()
    }
}

/// Prints the policy as a policy file, which means the same over either set.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = |f: &mut fmt::Formatter<'_>, name: &str| {
            if let Some(Place { file, line }) = self.overridden.get(name) {
                writeln!(f, "# {file}:{line}")?;
            }
            let check = self.rules.get(name).map(Check::to_string).unwrap_or_default();
            writeln!(f, "{}: {}", quoted(name), quoted(&check))
        };
        for row in table::rules() {
            writeln!(f, "# {}", row.about.trim())?;
            rule(f, row.name)?;
        }
        writeln!(f, "\n# Nobody asks for these: the rules above refer to them.")?;
        let is_helper = |name: &&String| !table::rules().any(|row| row.name == name.as_str());
        self.rules.keys().filter(is_helper).try_for_each(|name| rule(f, name))
    }
}

/// A text in YAML's double quotes, which have the same escapes as JSON's.
fn quoted(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

/// An answer that may depend on the ACL. One bit is the answer if the ACL names the caller's user, the other if not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Answer(u8);

impl Answer {
    const YES: Self = Self(0b11);
    const NO: Self = Self(0b00);
    const IF_NAMED: Self = Self(0b10);

    const fn known(holds: bool) -> Self {
        if holds { Self::YES } else { Self::NO }
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn not(self) -> Self {
        Self(self.0 ^ Self::YES.0)
    }
}

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::YES => Self::Allowed,
            Answer::NO => Self::Denied,
            Answer::IF_NAMED => Self::AskAcl,
            Answer(_) => Self::AskAclNot,
        }
    }
}
