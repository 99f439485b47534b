//! The language of checks, as oslo.policy documents it. Text becomes a [`Check`], or a [`SyntaxError`] that says what is
//! wrong with it; oslo.policy takes most such texts for a check that never holds, and says so in a log.
//!
//! ```text
//! check = check "or" check | check "and" check | "not" check | "(" check ")"       not, then and, then or
//!       | "@"                                  always; so is the empty text
//!       | "!"                                  never
//!       | "rule:" NAME                         what the rule of that name says
//!       | "role:" TEXT                         the caller has the role, in whatever case
//!       | ATTRIBUTE ":" TEXT                   the attribute of the caller is TEXT
//!       | LITERAL ":" TEXT                     the literal is: 'text', "text", a number, True, False or None
//! TEXT  = any characters, where %(NAME)s stands for an attribute of what is asked for, and %% for %
//! ```
//!
//! Words are separated by spaces; parentheses need none. `http:` and `https:` checks, which ask a server, are not done.

use std::fmt;

/// How deep parentheses and `not` may nest. No reader understands a deeper check.
pub(super) const DEPTH_MAX: usize = 32;

/// A check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Check {
    Always,
    Never,
    Not(Box<Self>),
    /// All of them; at least two.
    All(Vec<Self>),
    /// One of them; at least two.
    Any(Vec<Self>),
    /// What a rule says.
    Rule(String),
    /// The caller has a role.
    Role(Template),
    /// An attribute of the caller is some text.
    Attribute(String, Template),
    /// A literal is some text.
    Literal(Literal, Template),
}

/// A literal value in a check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Literal {
    /// As it was written.
    written: String,
    /// Its value, as text.
    pub(super) value: String,
}

/// Text that may contain attributes of the subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Template(pub(super) Vec<Part>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Text(String),
    Target(String),
}

/// Why a text is not a check.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error("only spaces; write \"@\" for everybody or \"!\" for nobody")]
    Blank,
    #[error("{0:?} is no check; write KIND:VALUE, such as role:admin, or @ or !")]
    NoColon(String),
    #[error("{0:?} is in quotes alone; write a check, such as role:admin, without them")]
    Quoted(String),
    #[error(
        "{0:?} is neither an attribute of the caller nor a literal; write user_id, project_id, or 'text' in quotes"
    )]
    Left(String),
    #[error("there is nothing after the colon of {0:?}; write what it is to be")]
    NoValue(String),
    #[error("{0:?} has a % that begins nothing; write %(NAME)s for an attribute, %% for the character")]
    Percent(String),
    #[error("{0:?} has a parenthesis inside; put spaces around and, or and not")]
    Parenthesis(String),
    #[error("{0:?} is more than one check; in a list each text is one, without and, or and not")]
    Several(String),
    #[error("{0:?} asks a server, which is not done here; write the rule with roles and attributes")]
    Http(String),
    #[error("{0:?} stands where a check should; write one before it and after it")]
    Operator(String),
    #[error("{0:?} follows a check; write and or or between them")]
    NoOperator(String),
    #[error("it ends where a check should follow; write one, or take the last word away")]
    Unfinished,
    #[error("a parenthesis is not closed; write ) where it ends")]
    Unclosed,
    #[error("a parenthesis is closed that was not opened; take the ) away")]
    Unopened,
    #[error("parentheses and not are more than {DEPTH_MAX} deep; name parts as rules, and refer to them")]
    TooDeep,
}

impl Check {
    /// Reads a text.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.is_empty() {
            return Ok(Self::Always);
        }
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Err(SyntaxError::Blank);
        }
        let mut parser = Parser { tokens: tokens.into_iter().peekable() };
        let check = parser.alternatives(0)?;
        match parser.tokens.next() {
            None => Ok(check),
            Some(Token::Close) => Err(SyntaxError::Unopened),
            Some(token) => Err(SyntaxError::NoOperator(token.to_string())),
        }
    }

    /// Reads the older form, a list of lists: one of the outer list, and all of an inner one.
    pub(super) fn parse_lists(lists: &[Vec<String>]) -> Result<Self, SyntaxError> {
        if lists.is_empty() {
            return Ok(Self::Always);
        }
        let inner = |list: &Vec<String>| {
            let one = |text: &String| match text.trim() {
                text if text.contains(char::is_whitespace) => Err(SyntaxError::Several(text.to_owned())),
                text => single(text),
            };
            let checks = list.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            Ok(join(checks, Self::All).unwrap_or(Self::Never))
        };
        let outer = lists.iter().filter(|list| !list.is_empty()).map(inner).collect::<Result<Vec<_>, _>>()?;
        Ok(join(outer, Self::Any).unwrap_or(Self::Never))
    }
}

/// One check, or several joined; none of none.
fn join(mut checks: Vec<Check>, as_one: fn(Vec<Check>) -> Check) -> Option<Check> {
    match checks.len() {
        0 | 1 => checks.pop(),
        _ => Some(as_one(checks)),
    }
}

/// One word of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Check(Check),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("("),
            Self::Close => f.write_str(")"),
            Self::And => f.write_str("and"),
            Self::Or => f.write_str("or"),
            Self::Not => f.write_str("not"),
            Self::Check(check) => check.fmt(f),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut tokens = Vec::new();
    for word in text.split_whitespace() {
        let inner = word.trim_start_matches('(');
        tokens.extend(word.chars().take(word.len() - inner.len()).map(|_| Token::Open));
        let bare = inner.trim_end_matches(')');
        match bare.to_lowercase().as_str() {
            "" => {}
            "and" => tokens.push(Token::And),
            "or" => tokens.push(Token::Or),
            "not" => tokens.push(Token::Not),
            _ => tokens.push(Token::Check(single(bare)?)),
        }
        tokens.extend(inner.chars().skip(bare.chars().count()).map(|_| Token::Close));
    }
    Ok(tokens)
}

/// Reads one check that is not made of others.
fn single(word: &str) -> Result<Check, SyntaxError> {
    let owned = || word.to_owned();
    match word {
        "@" => return Ok(Check::Always),
        "!" => return Ok(Check::Never),
        _ => {}
    }
    let (first, last) = (word.chars().next(), word.chars().next_back());
    if word.len() > 1 && first == last && matches!(first, Some('\'' | '"')) {
        return Err(SyntaxError::Quoted(owned()));
    }
    let (kind, value) = word.split_once(':').ok_or_else(|| SyntaxError::NoColon(owned()))?;
    if value.is_empty() {
        return Err(SyntaxError::NoValue(owned()));
    }
    match kind {
        "http" | "https" => Err(SyntaxError::Http(owned())),
        "rule" if value.contains(['(', ')']) => Err(SyntaxError::Parenthesis(owned())),
        "rule" => Ok(Check::Rule(value.to_owned())),
        "role" => Ok(Check::Role(template(word, value)?)),
        _ => match literal(kind) {
            Some(literal) => Ok(Check::Literal(literal, template(word, value)?)),
            None if is_path(kind) => Ok(Check::Attribute(kind.to_owned(), template(word, value)?)),
            None => Err(SyntaxError::Left(kind.to_owned())),
        },
    }
}

/// Python's literals, as far as anybody writes them in a policy.
fn literal(written: &str) -> Option<Literal> {
    let quoted = |quote: char| written.strip_prefix(quote)?.strip_suffix(quote);
    let is_number =
        || written == "0" || written.bytes().all(|b| b.is_ascii_digit()) && !written.starts_with('0');
    let value = match written {
        "True" | "False" | "None" => written,
        "" => return None,
        _ if is_number() => written,
        _ => quoted('\'').or_else(|| quoted('"')).filter(|text| !text.contains(['\'', '"', '\\']))?,
    };
    Some(Literal { written: written.to_owned(), value: value.to_owned() })
}

/// Whether it can be the name of an attribute: words with dots between them.
fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.split('.').all(|word| !word.is_empty() && word.chars().all(plain))
        && !text.starts_with(char::is_numeric)
}

fn template(word: &str, value: &str) -> Result<Template, SyntaxError> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
        } else {
            let named = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
            let (name, after) = named
                .filter(|(name, _)| !name.is_empty() && !name.contains(['(', ')', '%']))
                .ok_or_else(|| SyntaxError::Percent(word.to_owned()))?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Target(name.to_owned()));
            rest = after;
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    let plain = |part: &Part| !matches!(part, Part::Text(text) if text.contains(['(', ')']));
    if parts.iter().all(plain) { Ok(Template(parts)) } else { Err(SyntaxError::Parenthesis(word.to_owned())) }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Parser {
    fn alternatives(&mut self, depth: usize) -> Result<Check, SyntaxError> {
        let mut checks = vec![self.conjunction(depth)?];
        while self.tokens.next_if_eq(&Token::Or).is_some() {
            checks.push(self.conjunction(depth)?);
        }
        Ok(join(checks, Check::Any).unwrap_or(Check::Never))
    }

    fn conjunction(&mut self, depth: usize) -> Result<Check, SyntaxError> {
        let mut checks = vec![self.unary(depth)?];
        while self.tokens.next_if_eq(&Token::And).is_some() {
            checks.push(self.unary(depth)?);
        }
        Ok(join(checks, Check::All).unwrap_or(Check::Never))
    }

    fn unary(&mut self, depth: usize) -> Result<Check, SyntaxError> {
        if depth > DEPTH_MAX {
            return Err(SyntaxError::TooDeep);
        }
        match self.tokens.next() {
            Some(Token::Check(check)) => Ok(check),
            Some(Token::Not) => Ok(Check::Not(Box::new(self.unary(depth + 1)?))),
            Some(Token::Open) => {
                let check = self.alternatives(depth + 1)?;
                match self.tokens.next() {
                    Some(Token::Close) => Ok(check),
                    None => Err(SyntaxError::Unclosed),
                    Some(token) => Err(SyntaxError::NoOperator(token.to_string())),
                }
            }
            Some(Token::Close) if depth == 0 => Err(SyntaxError::Unopened),
            Some(token) => Err(SyntaxError::Operator(token.to_string())),
            None => Err(SyntaxError::Unfinished),
        }
    }
}

/// Prints the check as it would be written. Reading that text gives the same check.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = |check: &Self| matches!(check, Self::Any(_) | Self::All(_));
        let join = |f: &mut fmt::Formatter<'_>, checks: &[Self], word: &str| {
            for (place, check) in checks.iter().enumerate() {
                let before = if place == 0 { "" } else { word };
                if inside(check) { write!(f, "{before}({check})")? } else { write!(f, "{before}{check}")? }
            }
            Ok(())
        };
        match self {
            Self::Always => f.write_str("@"),
            Self::Never => f.write_str("!"),
            Self::Not(check) if inside(check) => write!(f, "not ({check})"),
            Self::Not(check) => write!(f, "not {check}"),
            Self::All(checks) => join(f, checks, " and "),
            Self::Any(checks) => join(f, checks, " or "),
            Self::Rule(name) => write!(f, "rule:{name}"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Attribute(name, value) => write!(f, "{name}:{value}"),
            Self::Literal(literal, value) => write!(f, "{}:{value}", literal.written),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('%', "%%")),
            Part::Target(name) => write!(f, "%({name})s"),
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    /// Compares the check that a text is read as, or the error.
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let read = Check::parse(text).map_or_else(|error| error.to_string(), |check| check.to_string());
        assert_eq!(read, expect, "{text}");
    }

    #[test]
    fn words_bind_as_in_python() {
        for (text, expect) in [
            ("", "@"),
            ("@", "@"),
            ("!", "!"),
            ("role:admin", "role:admin"),
            (" (role:admin) ", "role:admin"),
            ("(( role:a ) or (role:b))", "role:a or role:b"),
            ("role:a or role:b and role:c", "role:a or (role:b and role:c)"),
            ("role:a and role:b or role:c", "(role:a and role:b) or role:c"),
            ("(role:a or role:b) and role:c", "(role:a or role:b) and role:c"),
            ("not role:a and role:b", "not role:a and role:b"),
            ("not (role:a AND role:b)", "not (role:a and role:b)"),
            ("Not NOT role:a Or role:b", "not not role:a or role:b"),
            ("role:key-manager:service-admin", "role:key-manager:service-admin"),
            ("rule:secret_project_match", "rule:secret_project_match"),
            ("(project_id:%(target.secret.project_id)s)", "project_id:%(target.secret.project_id)s"),
            ("'read':%(target.secret.read)s", "'read':%(target.secret.read)s"),
            ("True:%(enforce_new_defaults)s", "True:%(enforce_new_defaults)s"),
            ("7:7 and \"x\":x-%(a)s-100%%", "7:7 and \"x\":x-%(a)s-100%%"),
            ("user.domain.id:x", "user.domain.id:x"),
        ] {
            check(text, expect);
        }
    }

    #[test]
    fn a_text_that_is_not_a_check_is_an_error() {
        for (text, expect) in [
            ("  ", "only spaces; write \"@\" for everybody or \"!\" for nobody"),
            ("admin", "\"admin\" is no check; write KIND:VALUE, such as role:admin, or @ or !"),
            ("'admin'", "\"'admin'\" is in quotes alone; write a check, such as role:admin, without them"),
            ("role:", "there is nothing after the colon of \"role:\"; write what it is to be"),
            ("role:a role:b", "\"role:b\" follows a check; write and or or between them"),
            ("role:a and", "it ends where a check should follow; write one, or take the last word away"),
            ("or role:a", "\"or\" stands where a check should; write one before it and after it"),
            ("(role:a", "a parenthesis is not closed; write ) where it ends"),
            ("role:a)", "a parenthesis is closed that was not opened; take the ) away"),
            (")", "a parenthesis is closed that was not opened; take the ) away"),
            ("()", "\")\" stands where a check should; write one before it and after it"),
            (
                "(role:a)or(role:b)",
                "\"role:a)or(role:b\" has a parenthesis inside; put spaces around and, or and not",
            ),
            (
                "user_id:%(target.secret.creator_id)",
                "\"user_id:%(target.secret.creator_id\" has a % that begins nothing; write %(NAME)s for an attribute, %% \
                 for the character",
            ),
            (
                "https://sso/%(x)s",
                "\"https://sso/%(x)s\" asks a server, which is not done here; write the rule with roles and attributes",
            ),
            (
                "a+b:c",
                "\"a+b\" is neither an attribute of the caller nor a literal; write user_id, project_id, or 'text' in \
                 quotes",
            ),
        ] {
            check(text, expect);
        }
        let deep = format!("{}role:a{}", "(".repeat(40), ")".repeat(40));
        check(&deep, "parentheses and not are more than 32 deep; name parts as rules, and refer to them");
        assert_eq!(Check::parse(&"not ".repeat(10_000)), Err(SyntaxError::TooDeep));
    }

    #[track_caller]
    fn lists(lists: &[&[&str]], expect: Expect) {
        let lists: Vec<Vec<String>> =
            lists.iter().map(|list| list.iter().map(|text| (*text).to_owned()).collect()).collect();
        expect
            .assert_eq(&Check::parse_lists(&lists).map_or_else(|e| e.to_string(), |check| check.to_string()));
    }

    #[test]
    fn lists_of_lists_are_one_of_all() {
        lists(&[], expect!["@"]);
        lists(&[&[]], expect!["!"]);
        lists(&[&["role:a"]], expect!["role:a"]);
        lists(&[&["role:a"], &[], &["role:b", "rule:c"]], expect!["role:a or (role:b and rule:c)"]);
        lists(
            &[&["role:a or role:b"]],
            expect![[
                r#""role:a or role:b" is more than one check; in a list each text is one, without and, or and not"#
            ]],
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_check_or_an_error(text in "\\PC*|[ ()@!:%'\"a-dornt_.0]*") {
            if let Ok(check) = Check::parse(&text) {
                prop_assert_eq!(Check::parse(&check.to_string()), Ok(check), "{}", text);
            }
        }
    }
}
