//! The policy of the REST API: a built-in set of rules, and a file that overrides some of them.

use std::path::{Path, PathBuf};

use vault::{Policy, PolicyError};

use super::values::PolicySet;
use super::{AuthBy, Config, ConfigError};

impl Config {
    /// Loads the policy for callers that are identified by `auth`. A reload gives the way of the running server, which only
    /// a restart can change.
    pub(crate) fn load_policy(&self, auth: &AuthBy) -> Result<Policy, ConfigError> {
        let set = match (self.general.policy, auth) {
            (Some(PolicySet::SecureRbac), _) => Policy::secure_rbac(),
            (Some(PolicySet::Legacy), _) => Policy::legacy(),
            // Barbican's recorded answers in that mode have these rules.
            (None, AuthBy::ProjectHeader) => Policy::legacy(),
            (None, AuthBy::Keystone(_)) => Policy::secure_rbac(),
        };
        let Some(path) = &self.general.policy_file else { return Ok(set) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyFileError::Unreadable { path: path.clone(), source })?;
        Ok(set.overridden_by(&text, &path.display().to_string()).map_err(PolicyFileError::Wrong)?)
    }

    /// Describes a loaded policy on one line.
    pub(crate) fn describe_policy(&self, policy: &Policy) -> String {
        let file = self.general.policy_file.as_deref().map(Path::display);
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
    /// At least one line is wrong.
    #[error("{0}\nSee the rules there are, and what they say, with: donjond policy")]
    Wrong(#[from] PolicyError),
}
