//! Reviews all rules after a file has changed some of them: every name must be known, no rule may lead back to itself,
//! and no rule may need more checks than a request should cost.

use std::collections::{BTreeMap, BTreeSet};

use super::Place;
use super::compiled::{Left, Target};
use super::error::{Fault, Oddity, Problem};
use super::language::{Check, Part, Template};
use super::table;

/// How many checks one rule may need with all rules that it refers to.
const CHECKS_MAX: usize = 1000;

/// The review and its findings.
pub(super) struct Review<'p> {
    rules: &'p BTreeMap<String, Check>,
    overridden: &'p BTreeMap<String, Place>,
    pub(super) faults: Vec<Fault>,
    pub(super) oddities: BTreeSet<(usize, Oddity)>,
    /// The rules on the way to the current check, and the number of checks that are left to the first of them.
    path: Vec<&'p str>,
    checks_left: usize,
}

impl<'p> Review<'p> {
    pub(super) fn of(rules: &'p BTreeMap<String, Check>, overridden: &'p BTreeMap<String, Place>) -> Self {
        let (faults, oddities) = (Vec::new(), BTreeSet::new());
        let mut review = Self { rules, overridden, faults, oddities, path: Vec::new(), checks_left: 0 };
        review.names();
        for (name, check) in rules {
            review.path = vec![name];
            review.checks_left = CHECKS_MAX;
            review.walk(check, false);
        }
        review
    }

    /// Every name must be Barbican's or be referred to. Another name is probably misspelt and would change nothing.
    fn names(&mut self) {
        let mut referred_to = BTreeSet::new();
        for check in self.rules.values() {
            references(check, &mut referred_to);
        }
        for (name, place) in self.overridden {
            if !table::names().any(|known| known == name) && !referred_to.contains(name.as_str()) {
                let problem = Problem::Unknown { name: name.clone(), near: near(name, table::names()) };
                self.faults.push(Fault { line: place.line, problem });
            }
        }
    }

    fn walk(&mut self, check: &'p Check, is_negated: bool) {
        if self.checks_left == 0 {
            return;
        }
        self.checks_left -= 1;
        if self.checks_left == 0 {
            return self.too_long();
        }
        match check {
            Check::Always | Check::Never => {}
            Check::Not(check) => self.walk(check, !is_negated),
            Check::All(checks) | Check::Any(checks) => {
                checks.iter().for_each(|check| self.walk(check, is_negated));
            }
            Check::Rule(name) => self.refer(name, is_negated),
            Check::Role(text) | Check::Literal(_, text) => self.targets(text, is_negated),
            Check::Attribute(name, text) => {
                if Left::attribute(name).is_none() {
                    self.unknown(name, is_negated);
                }
                self.targets(text, is_negated);
            }
        }
    }

    /// Reports the fault once, because rules that refer to such a rule are too long as well.
    fn too_long(&mut self) {
        let place = |name: &'p str| self.overridden.get(name).map(|place| (name, place.line));
        let root = self.path.first().and_then(|name| place(name));
        let any = || self.overridden.keys().next().and_then(|name| place(name));
        let is_told = self.faults.iter().any(|fault| matches!(fault.problem, Problem::TooLong { .. }));
        if let Some((name, line)) = root.or_else(|| self.innermost()).or_else(any)
            && !is_told
        {
            self.fault(line, Problem::TooLong { name: name.to_owned(), max: CHECKS_MAX });
        }
    }

    fn refer(&mut self, to: &'p str, is_negated: bool) {
        let Some((key, check)) = self.rules.get_key_value(to) else {
            let [name] = self.path.as_slice() else { return }; // Reported for the rule that refers, not for those before it.
            let near = near(to, self.rules.keys().map(String::as_str));
            return self
                .fault_of(name, Problem::Undefined { name: (*name).to_owned(), to: to.to_owned(), near });
        };
        if self.path.first() == Some(&to) {
            let path: Vec<_> = self.path.iter().copied().chain([to]).map(str::to_owned).collect();
            return self.fault_of(key, Problem::Cycle { name: to.to_owned(), path });
        }
        if self.path.contains(&to) {
            return; // A circle further on, which is reported for the rules in it.
        }
        self.path.push(key);
        self.walk(check, is_negated);
        self.path.pop();
    }

    fn targets(&mut self, text: &'p Template, is_negated: bool) {
        for part in &text.0 {
            if let Part::Target(name) = part
                && Target::parse(name).is_none()
            {
                self.unknown(name, is_negated);
            }
        }
    }

    /// An unknown attribute never matches, so with `not` before it the check always holds: a yes that nobody meant.
    fn unknown(&mut self, attribute: &str, is_negated: bool) {
        let Some((name, line)) = self.innermost() else { return };
        let (name, attribute) = (name.to_owned(), attribute.to_owned());
        if is_negated {
            self.fault(line, Problem::UnknownNegated { name, attribute });
        } else {
            self.oddities.insert((line, Oddity::UnknownAttribute { name, attribute }));
        }
    }

    /// The last rule on the way that the file defines.
    fn innermost(&self) -> Option<(&'p str, usize)> {
        let place = |name: &&'p str| self.overridden.get(*name).map(|place| (*name, place.line));
        self.path.iter().rev().find_map(place)
    }

    /// Reports a fault of a rule, if the file defines it. The built-in rules have no faults of their own.
    fn fault_of(&mut self, name: &str, problem: Problem) {
        if let Some(place) = self.overridden.get(name) {
            self.fault(place.line, problem);
        }
    }

    fn fault(&mut self, line: usize, problem: Problem) {
        let fault = Fault { line, problem };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

fn references<'c>(check: &'c Check, to: &mut BTreeSet<&'c str>) {
    match check {
        Check::Rule(name) => drop(to.insert(name)),
        Check::Not(check) => references(check, to),
        Check::All(checks) | Check::Any(checks) => checks.iter().for_each(|check| references(check, to)),
        Check::Always | Check::Never | Check::Role(_) | Check::Attribute(..) | Check::Literal(..) => {}
    }
}

/// The name that was probably meant: at most a third of its characters differ.
fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let edits = |other: &str| strsim::levenshtein(name, other);
    let like = names.filter(|other| *other != name && other.len().abs_diff(name.len()) * 3 <= other.len());
    let best = like.min_by_key(|other| edits(other))?;
    (edits(best) * 3 <= best.len()).then(|| best.to_owned())
}
