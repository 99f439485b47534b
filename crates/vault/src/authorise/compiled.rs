//! Checks, compiled for evaluation: references are followed, constant parts are gone, and nothing is looked up by name.
//! An evaluation allocates nothing.

use std::collections::BTreeMap;

use model::{Caller, Role};

use super::language::{Check, Literal, Part, Template};
use super::table::{Kind, PolicySet};
use super::{Answer, Subject};

/// A condition on a caller and a subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Compiled {
    Known(bool),
    Not(Box<Self>),
    All(Box<[Self]>),
    Any(Box<[Self]>),
    /// Both sides are equal. `asks_acl` says whether that depends on the users in the ACL.
    Is {
        left: Left,
        right: Right,
        asks_acl: bool,
    },
}

/// The left side of a comparison: a literal or an attribute of the caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Left {
    Text(Box<str>),
    Project,
    User,
    /// Any one of the roles, which are in lower case.
    Roles,
}

/// The right side of a comparison.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Right {
    Text(Box<str>),
    Of(Field),
    /// These pieces, one after the other.
    Pieces {
        pieces: Box<[Piece]>,
        /// Whether case is ignored. The left side is in lower case already.
        any_case: bool,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    Text(Box<str>),
    Of(Field),
}

/// An attribute of the subject that a check may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    Project,
    Creator,
    /// `True` or `False`.
    ProjectAccess,
    /// `read`, if the ACL names the caller's user.
    NamedByAcl,
}

/// The meaning of a name in `%(…)s`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    NewDefaults,
    Of(Kind, Field),
}

impl Target {
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name == "enforce_new_defaults" {
            return Some(Self::NewDefaults);
        }
        let (kind, field) = name.strip_prefix("target.")?.split_once('.')?;
        let kind = match kind {
            "secret" => Kind::Secret,
            "container" => Kind::Container,
            "order" => Kind::Order,
            _ => return None,
        };
        let field = match field {
            "project_id" => Field::Project,
            "creator_id" => Field::Creator,
            "read_project_access" if kind != Kind::Order => Field::ProjectAccess,
            "read" if kind != Kind::Order => Field::NamedByAcl,
            _ => return None,
        };
        Some(Self::Of(kind, field))
    }
}

impl Left {
    /// The attribute of a caller with this name in the file; `None` if the name is unknown.
    pub(super) fn attribute(name: &str) -> Option<Self> {
        match name {
            "project_id" => Some(Self::Project),
            "user_id" => Some(Self::User),
            "roles" => Some(Self::Roles),
            _ => None,
        }
    }
}

/// Compiles the checks of actions on one kind of thing.
pub(super) struct Compiler<'p> {
    pub(super) rules: &'p BTreeMap<String, Check>,
    pub(super) set: PolicySet,
    pub(super) kind: Kind,
}

impl Compiler<'_> {
    /// Compiles a check. The review has found no reference that leads nowhere or in a circle.
    pub(super) fn compile(&self, check: &Check) -> Compiled {
        match check {
            Check::Always => Compiled::Known(true),
            Check::Never => Compiled::Known(false),
            Check::Not(check) => match self.compile(check) {
                Compiled::Known(holds) => Compiled::Known(!holds),
                test => Compiled::Not(Box::new(test)),
            },
            Check::All(checks) => self.join(checks, false, Compiled::All),
            Check::Any(checks) => self.join(checks, true, Compiled::Any),
            Check::Rule(name) => {
                self.rules.get(name).map_or(Compiled::Known(false), |check| self.compile(check))
            }
            Check::Role(role) => self.is(Left::Roles, role, true),
            Check::Attribute(name, value) => match Left::attribute(name) {
                Some(left) => self.is(left, value, false),
                None => Compiled::Known(false),
            },
            Check::Literal(Literal { value, .. }, text) => {
                self.is(Left::Text(value.as_str().into()), text, false)
            }
        }
    }

    /// Joins checks. If one of them has the value `decides`, the whole has it too, and the others do not matter.
    fn join(&self, checks: &[Check], decides: bool, whole: fn(Box<[Compiled]>) -> Compiled) -> Compiled {
        let mut tests: Vec<_> = checks.iter().map(|check| self.compile(check)).collect();
        if tests.contains(&Compiled::Known(decides)) {
            return Compiled::Known(decides);
        }
        tests.retain(|test| *test != Compiled::Known(!decides));
        match tests.len() {
            0 => Compiled::Known(!decides),
            1 => tests.pop().unwrap_or(Compiled::Known(!decides)),
            _ => whole(tests.into()),
        }
    }

    fn is(&self, left: Left, text: &Template, any_case: bool) -> Compiled {
        let mut pieces: Vec<Piece> = Vec::new();
        for part in &text.0 {
            let piece = match part {
                Part::Text(text) if any_case => Piece::Text(Role::from(text.as_str()).as_str().into()),
                Part::Text(text) => Piece::Text(text.as_str().into()),
                Part::Target(name) => match Target::parse(name) {
                    Some(Target::NewDefaults) => {
                        Piece::Text(python_bool(self.set == PolicySet::SecureRbac).into())
                    }
                    Some(Target::Of(kind, field)) if kind == self.kind => Piece::Of(field),
                    Some(Target::Of(..)) | None => return Compiled::Known(false), // It is not there.
                },
            };
            match (pieces.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(text)) => *before = format!("{before}{text}").into(),
                (_, piece) => pieces.push(piece),
            }
        }
        let asks_acl = pieces.contains(&Piece::Of(Field::NamedByAcl));
        let right = Right::of(pieces, any_case);
        match (&left, &right) {
            (Left::Text(left), Right::Text(right)) => Compiled::Known(left == right),
            _ => Compiled::Is { left, right, asks_acl },
        }
    }
}

impl Compiled {
    /// Evaluates the check. Without a subject, every comparison with an attribute of the subject is false.
    pub(super) fn ask(&self, caller: &Caller, subject: Option<Subject<'_>>) -> Answer {
        match self {
            Self::Known(holds) => Answer::known(*holds),
            Self::Not(test) => test.ask(caller, subject).not(),
            Self::All(tests) => {
                let mut all = Answer::YES;
                for test in tests {
                    all = all.and(test.ask(caller, subject));
                    if all == Answer::NO {
                        break;
                    }
                }
                all
            }
            Self::Any(tests) => {
                let mut any = Answer::NO;
                for test in tests {
                    any = any.or(test.ask(caller, subject));
                    if any == Answer::YES {
                        break;
                    }
                }
                any
            }
            Self::Is { left, right, asks_acl: false } => {
                Answer::known(left.is(right, caller, subject, false))
            }
            // A caller without a user is never named by an ACL.
            Self::Is { left, right, asks_acl: true } => {
                match caller.user.is_some() && left.is(right, caller, subject, true) {
                    true => Answer::IF_NAMED,
                    false => Answer::NO,
                }
            }
        }
    }
}

impl Left {
    fn is(&self, right: &Right, caller: &Caller, subject: Option<Subject<'_>>, is_named: bool) -> bool {
        match self {
            Self::Text(text) => right.is(text, subject, is_named),
            Self::Project => right.is(caller.project.as_str(), subject, is_named),
            Self::User => caller.user.as_ref().is_some_and(|user| right.is(user.as_str(), subject, is_named)),
            Self::Roles => caller.roles.iter().any(|role| right.is(role.as_str(), subject, is_named)),
        }
    }
}

impl Right {
    fn of(mut pieces: Vec<Piece>, any_case: bool) -> Self {
        match (pieces.pop(), pieces.is_empty()) {
            (None, _) => Self::Text("".into()),
            (Some(Piece::Text(text)), true) => Self::Text(text),
            (Some(Piece::Of(field)), true) if !any_case => Self::Of(field),
            (Some(last), _) => {
                pieces.push(last);
                Self::Pieces { pieces: pieces.into(), any_case }
            }
        }
    }

    fn is(&self, text: &str, subject: Option<Subject<'_>>, is_named: bool) -> bool {
        match self {
            Self::Text(right) => text == &**right,
            Self::Of(field) => field.of(subject, is_named) == Some(text),
            Self::Pieces { pieces, any_case } => {
                // Takes one piece after another off the beginning; nothing may be left.
                let rest = pieces.iter().try_fold(text, |rest, piece| match piece {
                    Piece::Text(text) => strip(rest, text, *any_case),
                    Piece::Of(field) => strip(rest, field.of(subject, is_named)?, *any_case),
                });
                rest == Some("")
            }
        }
    }
}

fn strip<'t>(text: &'t str, beginning: &str, any_case: bool) -> Option<&'t str> {
    if let Some(rest) = text.strip_prefix(beginning) {
        return Some(rest);
    }
    if !any_case {
        return None;
    }
    let mut text = text.chars();
    beginning.chars().flat_map(char::to_lowercase).all(|c| text.next() == Some(c)).then_some(text.as_str())
}

impl Field {
    fn of(self, subject: Option<Subject<'_>>, is_named: bool) -> Option<&str> {
        let subject = subject?;
        match self {
            Self::Project => Some(subject.project.as_str()),
            Self::Creator => Some(subject.creator?.as_str()),
            Self::ProjectAccess => Some(python_bool(subject.project_access)),
            Self::NamedByAcl => is_named.then_some("read"),
        }
    }
}

/// A truth value as OpenStack's policies write it.
const fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
