//! Who may do what over the REST API: which built-in rules, and the file that says otherwise.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use vault::{Policy, PolicyError};

use super::{AuthBy, values};

/// The part that was chosen.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PolicySettings {
    /// Begin with these rules of who may do what: secure-rbac, the defaults of Barbican 23, or legacy, those before
    ///
    /// With secure-rbac, as in Barbican, an admin of any project may read what is known of every project's secrets, and
    /// delete them; see "Who may do what" in the guide.
    ///
    /// [default: legacy with --auth project-header, else secure-rbac]
    #[arg(long, value_name = "SET", value_enum, hide_possible_values = true)]
    pub(crate) policy: Option<Set>,

    /// Take from FILE what the rules are to say instead: Barbican's policy.yaml, in the language of oslo.policy
    ///
    /// It is read again at SIGHUP; a wrong one refuses to start, and at SIGHUP changes nothing.
    #[arg(long, value_name = "FILE", value_parser = values::path)]
    pub(crate) policy_file: Option<PathBuf>,
}

impl PolicySettings {
    /// These, and `other` where these do not say.
    pub(super) fn or(self, other: Self) -> Self {
        Self { policy: self.policy.or(other.policy), policy_file: self.policy_file.or(other.policy_file) }
    }

    /// What they come to.
    pub(super) fn resolve(self) -> PolicyChoice {
        PolicyChoice { set: self.policy, file: self.policy_file }
    }
}

/// A set that is built in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Set {
    /// The defaults of Barbican 23
    SecureRbac,
    /// The defaults up to Barbican 22
    Legacy,
}

/// What was chosen. The default set is that of the way callers are known by, which a reload cannot change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PolicyChoice {
    set: Option<Set>,
    file: Option<PathBuf>,
}

impl PolicyChoice {
    /// The policy itself.
    pub(crate) fn load(&self, auth: &AuthBy) -> Result<Policy, PolicyFileError> {
        let set = match (self.set, auth) {
            (Some(Set::SecureRbac), _) => Policy::secure_rbac(),
            (Some(Set::Legacy), _) => Policy::legacy(),
            // What was recorded of Barbican in that mode.
            (None, AuthBy::ProjectHeader) => Policy::legacy(),
            (None, AuthBy::Keystone(_)) => Policy::secure_rbac(),
        };
        let Some(path) = &self.file else { return Ok(set) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyFileError::Unreadable { path: path.clone(), source })?;
        Ok(set.overridden_by(&text, &path.display().to_string())?)
    }

    /// What there is to say about a policy that was loaded, on one line.
    pub(crate) fn describe(&self, policy: &Policy) -> String {
        let file = self.file.as_deref().map(Path::display);
        let file = file.map_or(String::new(), |file| format!(", and {file} (rules: {})", policy.overrides()));
        format!("{}{file}", policy.set().as_str())
    }
}

/// Why a policy file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyFileError {
    /// It cannot be read.
    #[error(
        "cannot read the policy file {}: {source}\n\
         Let the user that runs donjond read it, or name another with --policy-file.",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// These lines of it are wrong.
    #[error("{0}\nSee the rules there are, and what they say, with: donjond policy")]
    Wrong(#[from] PolicyError),
}
